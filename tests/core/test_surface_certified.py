"""The 16-parameter refractive-index surface against its certified solution: from any start, in any unit, order and container.

The oracle is the certificate (least squares on the decimal inputs, 120-digit arithmetic), and for transformed inputs the
same least-squares problem solved here by mpmath, once on the exact inputs and once on the inputs as float64 has them. The
difference of these two is the limit that rounding the inputs sets.
"""

import json
from functools import lru_cache
from pathlib import Path

import lmfit
import mpmath
import numpy as np
import pandas as pd
import pytest

import surffit as sf

NAMES = tuple(f"{letter}{j}" for letter in "abcd" for j in range(1, 5))
CERTIFIED = json.loads((Path(__file__).parents[1] / "data" / "surface" / "certified.json").read_text(encoding="utf-8"))
# Published coefficients for water; those of the last term are printed 1e12 too small, which is where solvers get stuck.
PUBLISHED = {
    "a1": 1.3208, "a2": -1.2325e-5, "a3": -1.8674e-6, "a4": 5.0233e-9,
    "b1": 5208.2413, "b2": -0.5179, "b3": -2.284e-2, "b4": 6.9608e-5,
    "c1": -2.5551e8, "c2": -18341.336, "c3": -917.2319, "c4": 2.7729,
    "d1": 9.3495, "d2": 1.7855e-3, "d3": 3.6733e-5, "d4": -1.2932e-7,
}  # fmt: skip
DIGITS = 10.0


def powers(x, y, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4):
    a = a1 + a2 * y + a3 * y**2 + a4 * y**3
    b = b1 + b2 * y + b3 * y**2 + b4 * y**3
    c = c1 + c2 * y + c3 * y**2 + c4 * y**3
    d = d1 + d2 * y + d3 * y**2 + d4 * y**3
    return a + b / x**2 + c / x**4 + d / x**6


def horner(x, y, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4):
    a = a1 + y * (a2 + y * (a3 + y * a4))
    b = b1 + y * (b2 + y * (b3 + y * b4))
    c = c1 + y * (c2 + y * (c3 + y * c4))
    d = d1 + y * (d2 + y * (d3 + y * d4))
    u = 1 / x**2
    return a + u * (b + u * (c + u * d))


FORMS = {"powers": powers, "horner": horner}


def decimals():
    """The table's cells as text: wavelength, temperature, index."""
    lines = sf.data.path("refractive_index.csv").read_text(encoding="utf-8").splitlines()[1:]
    return list(zip(*(line.split(",") for line in lines), strict=True))


def table():
    return tuple(np.array([float(cell) for cell in column]) for column in decimals())


def least_squares(x, y, n):
    """Values and standard errors of the sixteen coefficients as mpmath numbers; inputs are taken as exact."""
    rows = len(n)
    A = mpmath.matrix(rows, 16)
    for r in range(rows):
        u = 1 / x[r] ** 2
        for i in range(4):
            for j in range(4):
                A[r, 4 * i + j] = y[r] ** j * u**i
    b = mpmath.matrix(list(n))
    inverse = (A.T * A) ** -1
    p = inverse * (A.T * b)
    left = b - A * p
    s2 = mpmath.fsum(v**2 for v in left) / (rows - 16)
    return {k: p[i] for i, k in enumerate(NAMES)}, {k: mpmath.sqrt(s2 * inverse[i, i]) for i, k in enumerate(NAMES)}


@lru_cache
def transformed(x_factor="1", n_factor="1"):
    """
    The table in other units: float64 inputs, the exact answer, the answer of the float64 inputs, and the limit in digits.
    """
    with mpmath.workdps(120):
        x, y, n = ([mpmath.mpf(cell) for cell in column] for column in decimals())
        x = [v * mpmath.mpf(x_factor) for v in x]
        n = [v * mpmath.mpf(n_factor) for v in n]
        exact = least_squares(x, y, n)
        inputs = tuple(np.array([float(v) for v in column]) for column in (x, y, n))
        rounded = least_squares(*([mpmath.mpf(float(v)) for v in column] for column in inputs))
        limit = min(float(digits(rounded[0], exact[0])), float(digits(rounded[1], exact[1])))
    return inputs, exact, rounded, limit


def digits(found, wanted):
    """Right digits of the worst of them."""
    with mpmath.workdps(60):
        worst = max(abs(mpmath.mpf(found[k]) - mpmath.mpf(wanted[k])) / abs(mpmath.mpf(wanted[k])) for k in NAMES)
        return float(-mpmath.log10(worst)) if worst else 17.0


def right_digits(result, wanted):
    """Right digits of the worst value and of the worst standard error."""
    assert result.success, result.reason
    assert result.covar_source == "jacobian"
    values = {k: result.params[k].value for k in NAMES}
    errors = {k: result.params[k].stderr for k in NAMES}
    return digits(values, wanted[0]), digits(errors, wanted[1])


def assert_right(result, x_factor="1", n_factor="1"):
    """Ten digits of the answer of these inputs, and ten or the limit of rounding of the exact answer."""
    _, exact, rounded, limit = transformed(x_factor, n_factor)
    assert min(right_digits(result, rounded)) >= DIGITS
    assert min(right_digits(result, exact)) >= min(DIGITS, limit - 0.3)


def certificate():
    return CERTIFIED["params"], CERTIFIED["stderr"]


def model_of(form="powers"):
    return sf.SurfaceModel(FORMS[form], independent_vars=["x", "y"])


def starts(kind):
    if kind == "published":
        return dict(PUBLISHED)
    if kind in ("zeros", "ones"):
        return dict.fromkeys(NAMES, 0.0 if kind == "zeros" else 1.0)
    rng = np.random.default_rng(int(kind.removeprefix("random")))
    return {k: float(rng.choice([-1, 1]) * 10.0 ** rng.uniform(-5, 5)) for k in NAMES}


STARTS = ("published", "zeros", "ones", "random1", "random2", "random3")


def test_the_oracle_agrees_with_the_certificate():
    """The mpmath solution in this file and the certificate's come from different programs."""
    _, exact, rounded, limit = transformed()
    assert min(digits(exact[0], CERTIFIED["params"]), digits(exact[1], CERTIFIED["stderr"])) > 18
    assert (
        min(digits(rounded[0], CERTIFIED["inputs_as_float64"]["params"]), digits(rounded[1], CERTIFIED["inputs_as_float64"]["stderr"])) > 18
    )
    assert 10.5 < limit < 12


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", STARTS)
def test_any_start_gives_the_certified_answer(kind, form):
    x, y, n = table()
    model = model_of(form)
    result = model.fit(n, model.make_params(**starts(kind)), x=x, y=y)
    assert min(right_digits(result, certificate())) >= DIGITS


@pytest.mark.parametrize("form", FORMS)
def test_no_start_gives_the_certified_answer(form):
    x, y, n = table()
    result = model_of(form).fit(n, x=x, y=y)
    assert min(right_digits(result, certificate())) >= DIGITS
    assert abs(float(mpmath.mpf(result.chisqr) / mpmath.mpf(CERTIFIED["rss"]) - 1)) < 1e-11
    assert result.nfree == CERTIFIED["dof"]
    assert result.redchi == pytest.approx(float(CERTIFIED["redchi"]), rel=1e-11)


@pytest.mark.parametrize("kind", STARTS)
def test_starts_in_lmfits_own_parameters(kind):
    x, y, n = table()
    params = lmfit.Parameters()
    for name, value in starts(kind).items():
        params.add(name, value=value)
    before = params.dumps()
    result = model_of().fit(n, params, x=x, y=y)
    assert min(right_digits(result, certificate())) >= DIGITS
    assert params.dumps() == before


def test_lmfits_model_and_its_parameters():
    """The very model and Parameters with which lmfit gets stuck."""
    x, y, n = table()
    theirs = lmfit.Model(powers, independent_vars=["x", "y"])
    result = sf.SurfaceModel.from_lmfit(theirs).fit(n, theirs.make_params(**PUBLISHED), x=x, y=y)
    assert min(right_digits(result, certificate())) >= DIGITS


def test_starts_as_keywords():
    x, y, n = table()
    result = model_of().fit(n, x=x, y=y, **PUBLISHED)
    assert min(right_digits(result, certificate())) >= DIGITS


@pytest.mark.parametrize("form", FORMS)
def test_sixteen_linear_parameters_are_found(form):
    x, y, n = table()
    model = model_of(form)
    assert model.linear == NAMES
    conditioning = model.fit(n, x=x, y=y).conditioning
    assert conditioning.linear == NAMES
    assert conditioning.nonlinear == ()
    assert conditioning.derivatives == "graph"
    assert conditioning.rank == 16


@pytest.mark.parametrize("kind", STARTS)
def test_without_elimination(kind):
    """In the full space: the same minimum, through the general non-linear way."""
    x, y, n = table()
    model = sf.SurfaceModel(powers, independent_vars=["x", "y"], linear=())
    result = model.fit(n, model.make_params(**starts(kind)), x=x, y=y)
    assert result.conditioning.linear == ()
    assert min(right_digits(result, certificate())) >= DIGITS


@pytest.mark.parametrize("method", ["leastsq", "least_squares", "nelder"])
def test_lmfits_methods(method):
    """lmfit's own solvers, walked in our scaling and polished."""
    x, y, n = table()
    model = model_of()
    result = model.fit(n, model.make_params(**PUBLISHED), x=x, y=y, method=method)
    assert min(right_digits(result, certificate())) >= DIGITS


def test_correlations():
    x, y, n = table()
    result = model_of().fit(n, x=x, y=y)
    wanted = np.array(CERTIFIED["correlation"], dtype=float)
    sd = np.sqrt(result.covar.diagonal())
    np.testing.assert_allclose(result.covar / np.outer(sd, sd), wanted, atol=1e-9)
    assert result.params["a1"].correl["d4"] == pytest.approx(wanted[0, 15], abs=1e-9)


# ---- other units, orders and containers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, "published", "ones"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("x_factor", ["1e-9", "1e-3"], ids=["metres", "micrometres"])
def test_other_wavelength_units(x_factor, form, kind):
    (x, y, n), *_ = transformed(x_factor=x_factor)
    model = model_of(form)
    result = model.fit(n, model.make_params(**starts(kind)) if kind else None, x=x, y=y)
    assert_right(result, x_factor=x_factor)


@pytest.mark.parametrize("kind", [None, "published", "ones"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_factor", ["1e-12", "1e12"])
def test_scaled_data(n_factor, form, kind):
    (x, y, n), *_ = transformed(n_factor=n_factor)
    model = model_of(form)
    result = model.fit(n, model.make_params(**starts(kind)) if kind else None, x=x, y=y)
    assert_right(result, n_factor=n_factor)


def test_transformed_answers_are_the_certificate_in_other_units():
    """Scaling x by k multiplies the coefficients of x^-2i by k^2i: the certificate carries over to the transformed oracle."""
    _, exact, _, _ = transformed(x_factor="1e-9")
    with mpmath.workdps(60):
        wanted = {k: mpmath.mpf(CERTIFIED["params"][k]) * mpmath.mpf("1e-9") ** (2 * "abcd".index(k[0])) for k in NAMES}
    assert digits(exact[0], wanted) > 18


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_rows(seed):
    order = np.random.default_rng(seed).permutation(66)
    x, y, n = (column[order] for column in table())
    result = model_of().fit(n, x=x, y=y)
    assert min(right_digits(result, certificate())) >= DIGITS
    # the answer to a row is at that row
    np.testing.assert_allclose(
        result.best_fit[np.argsort(order)], model_of().fit(table()[2], x=table()[0], y=table()[1]).best_fit, rtol=1e-12
    )


def test_as_a_table(refractive):
    result = sf.fit_table(refractive, model_of(), data="n", x="wavelength_nm", y="temperature_c")
    assert min(right_digits(result, certificate())) >= DIGITS


def test_as_a_table_from_the_published_start(refractive):
    model = model_of()
    shuffled = refractive.sample(frac=1.0, random_state=3)
    result = sf.fit_table(shuffled, model, data="n", x="wavelength_nm", y="temperature_c", params=model.make_params(**PUBLISHED))
    assert min(right_digits(result, certificate())) >= DIGITS


def test_as_pandas_series(refractive):
    """Series with an index of their own: aligned by label, so shuffling one of them changes nothing."""
    frame = refractive.set_index(pd.Index([f"row{i}" for i in range(66)]))
    result = model_of().fit(frame["n"], x=frame["wavelength_nm"].sample(frac=1.0, random_state=1), y=frame["temperature_c"])
    assert min(right_digits(result, certificate())) >= DIGITS
    assert isinstance(result.best_fit, pd.Series)
    assert list(result.best_fit.index) == list(frame.index)


def as_grid():
    """The 66 rows as 11 temperatures x 6 wavelengths."""
    x, y, n = table()
    xs, ys = np.unique(x), np.unique(y)
    data = np.full((ys.size, xs.size), np.nan)
    data[np.searchsorted(ys, y), np.searchsorted(xs, x)] = n
    assert np.isfinite(data).all()
    return xs, ys, data


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", ["grid", "open", "transposed", "fortran"])
def test_on_the_grid(layout, form):
    xs, ys, data = as_grid()
    if layout == "grid":
        x, y = np.meshgrid(xs, ys)
    elif layout == "open":
        x, y = xs, ys[:, None]
    elif layout == "transposed":
        x, y, data = xs[:, None], ys, data.T
    else:
        x, y = np.meshgrid(xs, ys)
        x, y, data = np.asfortranarray(x), np.asfortranarray(y), np.asfortranarray(data)
    result = model_of(form).fit(data, x=x, y=y)
    assert min(right_digits(result, certificate())) >= DIGITS
    assert result.best_fit.shape == data.shape
    assert result.residual_map.shape == data.shape
    assert result.residual.shape == (66,)
    np.testing.assert_allclose(result.residual_map, data - result.best_fit, atol=1e-15)


def test_on_a_larger_grid_with_a_mask():
    """The same 66 points among masked ones."""
    xs, ys, data = as_grid()
    big = np.full((13, 8), np.nan)
    big[1:-1, 1:-1] = data
    x = np.concatenate([[100.0], xs, [5000.0]])
    y = np.concatenate([[-50.0], ys, [500.0]])[:, None]
    result = model_of().fit(big, x=x, y=y, mask=np.isnan(big))
    assert min(right_digits(result, certificate())) >= DIGITS
    assert result.ndata == 66


@pytest.mark.parametrize("kind", ["sigma", "weights", "ivar"])
def test_equal_weights_change_nothing(kind):
    """With scale_covar a common data error cancels."""
    x, y, n = table()
    given = {"sigma": 3e-5, "weights": 1 / 3e-5, "ivar": 3e-5**-2}[kind]
    result = model_of().fit(n, x=x, y=y, **{kind: np.full(66, given)})
    assert min(right_digits(result, certificate())) >= DIGITS


def test_known_errors_are_not_scaled():
    x, y, n = table()
    result = model_of().fit(n, x=x, y=y, sigma=np.full(66, 1e-3), scale_covar=False)
    factor = 1e-3 / float(mpmath.sqrt(mpmath.mpf(CERTIFIED["redchi"])))
    for name in NAMES:
        assert result.params[name].stderr == pytest.approx(float(CERTIFIED["stderr"][name]) * factor, rel=1e-9)


def test_from_expression():
    terms = [f"{name}*y**{j}/x**{2 * i}" for i, letter in enumerate("abcd") for j, name in enumerate(f"{letter}{k}" for k in range(1, 5))]
    model = sf.SurfaceModel.from_expression(" + ".join(terms), independent_vars=["x", "y"])
    x, y, n = table()
    result = model.fit(n, x=x, y=y)
    assert min(right_digits(result, certificate())) >= DIGITS


def test_integer_columns():
    """Temperatures as integers, as a csv reader gives them."""
    x, y, n = table()
    result = model_of().fit(n, x=x, y=y.astype(np.int64))
    assert min(right_digits(result, certificate())) >= DIGITS
