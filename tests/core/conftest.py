"""Fixtures of the tests of single fits: lmfit's own answer, and what agreeing with it means."""

import warnings

import pytest


@pytest.fixture(scope="session")
def tight():
    """A function that fits by lmfit as far as it goes."""
    return fit_tightly


@pytest.fixture(scope="session")
def agree():
    """A function that compares a result of ours with lmfit's."""
    return assert_agreement


def fit_tightly(model, data, params, **coords):
    """lmfit's answer, converged as far as it goes, with central differences: 1e-9 in the derivatives."""
    settings = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        params = model.fit(data, params, **coords).params
        for _ in range(3):
            result = model.fit(data, params, method="least_squares", fit_kws={**settings, "jac": "3-point", "x_scale": "jac"}, **coords)
            params = result.params.copy()
    return result


def assert_agreement(ours, theirs, close=1e-6, errors=1e-6, derived=1e-4, fold=()):
    """
    Values within `close` of lmfit's errors, and the errors themselves.

    Errors of tied parameters are lmfit's own differences: `derived`. Parameters of which only the square enters: `fold`.
    """
    assert ours.success, ours.reason
    assert list(ours.var_names) == list(theirs.var_names)
    for name in theirs.params:
        one, two = ours.params[name], theirs.params[name]
        error = two.stderr if two.stderr else 1e-12 * max(abs(two.value), 1.0)
        first, second = (abs(one.value), abs(two.value)) if name in fold else (one.value, two.value)
        assert abs(first - second) <= close * error, (name, first, second, error)
        if two.stderr:
            assert one.stderr == pytest.approx(two.stderr, rel=derived if two.expr else errors), name
    assert ours.chisqr == pytest.approx(theirs.chisqr, rel=1e-9)
    assert ours.nvarys == theirs.nvarys
    assert ours.nfree == theirs.nfree
