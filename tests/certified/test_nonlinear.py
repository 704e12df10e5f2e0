"""The 27 non-linear StRD problems from both starts: the digits of the worst value and the worst standard error of each."""

import warnings
from pathlib import Path

import lmfit
import numpy as np
import pytest

import surffit as sf

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "data" / "nist").glob("*.dat"))
DIGITS = 9.5  # of 11 certified ones
# The data of Lanczos1 lie on the model but for their 14th digit, so that the residuals are roundings: float64 keeps three digits of
# them. The exact solution of the float64 numbers, in long arithmetic, has 3.4 digits of the certified errors; the rounding of
# the model's own values, which differs between processors, costs up to as much again (2.93 and 2.99 were seen).
ERROR_DIGITS = {"Lanczos1": 2.9}
# The file states 9 degrees of freedom; 15 points and 4 parameters leave 11, and its residual standard deviation is that of 11.
FREEDOM = {"Rat43": 11}


def fit(problem, start):
    model = sf.SurfaceModel(problem.func, independent_vars=list(problem.coords))
    return model.fit(problem.data, model.make_params(**start), **problem.coords)


def found(result, problem):
    values = [result.params[name].value for name in problem.names]
    return values, [result.params[name].stderr for name in problem.names]


def test_all_problems_are_here(nist):
    assert len(NAMES) == 27
    assert sorted(nist.NONLINEAR) == NAMES


@pytest.mark.parametrize("start", [0, 1], ids=["start1", "start2"])
@pytest.mark.parametrize("name", NAMES)
def test_certified(nist, name, start):
    problem = nist.nonlinear(name)
    result = fit(problem, problem.starts[start])
    values, errors = found(result, problem)
    assert result.success, result.explain()
    assert result.nfree == FREEDOM.get(name, problem.degrees_of_freedom)
    assert nist.digits(values, problem.values.values()) >= DIGITS
    assert nist.digits(errors, problem.errors.values()) >= ERROR_DIGITS.get(name, DIGITS)


def test_the_digits_can_be_missing(nist):
    # lmfit's default on the same functions and data: what the bars above would say of it
    problem = nist.nonlinear("MGH09")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values, errors = found(lmfit.Model(problem.func, ["x"]).fit(problem.data, **problem.coords, **problem.starts[0]), problem)
    assert nist.digits(values, problem.values.values()) < 4
    assert nist.digits([np.nan if error is None else error for error in errors], problem.errors.values()) < 4


def test_digits_are_counted(nist):
    assert nist.digits([1.01, 2.0], [1.0, 2.0]) == pytest.approx(2.0)
    assert nist.digits([1.0], [1.0]) == nist.MOST
    assert nist.digits([np.nan, 1.0], [1.0, 1.0]) == 0.0
    assert nist.digits([5.0], [1.0]) == 0.0
    assert nist.digits([1e-9], [0.0]) == pytest.approx(9.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_problem_is_the_published_one(nist, name):
    problem = nist.nonlinear(name)
    left = problem.data - problem.func(**problem.coords, **problem.values)
    assert len(problem.starts) == 2
    assert problem.starts[0] != problem.starts[1]
    # the certified residual standard deviation, from the certified values
    text = (Path(__file__).parents[1] / "data" / "nist" / f"{name}.dat").read_text(encoding="ascii")
    (stated,) = (float(line.split()[-1]) for line in text.splitlines() if line.startswith("Residual Standard Deviation:"))
    own = np.sqrt(left @ left / FREEDOM.get(name, problem.degrees_of_freedom))
    assert own == pytest.approx(stated, rel=1e-6, abs=2e-10 if name == "Lanczos1" else 0.0)
