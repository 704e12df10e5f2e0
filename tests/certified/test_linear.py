"""The 11 linear StRD problems as plain functions: digits at the limit that float64 inputs set."""

import pytest

import surffit as sf

# Digits of values and of standard errors: what float64 inputs hold, or float64 numbers (15.9), minus half a digit.
LIMITS = {
    "Norris": (13.5, 13.5),
    "Pontius": (13.0, 13.3),
    "NoInt1": (15.4, 15.0),
    "NoInt2": (15.4, 15.0),
    "Longley": (14.2, 14.6),
    "Wampler1": (15.4, None),
    "Wampler2": (12.7, None),
    "Wampler3": (15.4, 15.0),
    "Wampler4": (15.4, 15.0),
    "Wampler5": (15.4, 15.0),
    # powers of x rounded to float64 hold no more of this problem than that; the digits are in a conditioned basis
    "Filip": (7.2, 7.2),
}


def solved(problem, **kwargs):
    model = sf.SurfaceModel(problem.func, independent_vars=list(problem.coords))
    result = model.fit(problem.data, **problem.coords, **kwargs)
    assert result.success, result.explain()
    assert set(result.conditioning.linear) == set(problem.names)
    return result


def test_all_problems_are_here(nist):
    assert set(LIMITS) == set(nist.LINEAR)


@pytest.mark.parametrize("name", LIMITS)
def test_certified(nist, name):
    problem = nist.linear(name)
    result = solved(problem)
    values, errors = LIMITS[name]
    assert nist.digits([result.params[n].value for n in problem.names], problem.values.values()) >= values
    stderr = [result.params[n].stderr for n in problem.names]
    if errors is not None:
        assert nist.digits(stderr, problem.errors.values()) >= errors
    else:
        # certified errors of 0, as the data lie on the model: compared with the spacing of float64 numbers of the data's size
        assert not any(problem.errors.values())
        rounding = 2.0**-52 * abs(problem.data).max()
        assert 0.0 <= max(stderr) <= 100 * rounding


def test_a_wrong_datum_is_seen(nist):
    problem = nist.linear("Longley")
    problem.data[3] += 1e-6
    result = solved(problem)
    assert nist.digits([result.params[n].value for n in problem.names], problem.values.values()) < 11


@pytest.mark.parametrize("basis", ["chebyshev", "legendre", "orthonormal"])
def test_filip_through_a_conditioned_basis(nist, basis):
    problem = nist.linear("Filip")
    result = sf.surfaces.PolynomialSurface(10, variables=("x",), basis=basis).fit(problem.data, **problem.coords)
    assert result.conditioning.condition_scaled < 10
    params = result.to_basis("monomial").params
    assert nist.digits([par.value for par in params.values()], problem.values.values()) >= 13
    assert nist.digits([par.stderr for par in params.values()], problem.errors.values()) >= 13


@pytest.mark.parametrize("basis", ["chebyshev", "monomial", "orthonormal"])
@pytest.mark.parametrize("name", ["Norris", "Pontius", "Wampler1", "Wampler2", "Wampler3", "Wampler4", "Wampler5"])
def test_polynomials_through_every_basis(nist, name, basis):
    # with residuals up to a thousand times the signal, values are only as good as the rounding of the columns times that
    least = {"Wampler3": 9.0, "Wampler4": 9.0, "Wampler5": 7.5, "Wampler1": 9.0}.get(name, 12.0)
    problem = nist.linear(name)
    result = sf.surfaces.PolynomialSurface(nist.DEGREES[name], variables=("x",), basis=basis).fit(problem.data, **problem.coords)
    params = result.to_basis("monomial").params
    assert nist.digits([par.value for par in params.values()], problem.values.values()) >= least
    if any(problem.errors.values()):
        assert nist.digits([par.stderr for par in params.values()], problem.errors.values()) >= 13
