"""One data set that can't be fitted: a flag with a name, and not a bit of difference for its neighbours."""

import numpy as np
import pytest

import surffit as sf
from surffit import Status
from surffit.batch.plan import OFFERS
from surffit.exceptions import ParameterError

SHAPE = (4, 5)
BAD = (1, 3)
X = np.linspace(-4.0, 4.0, 30)
STARTS = {"height": 4.0, "center": 0.3, "width": 1.2, "level": 1.0}


def line(x, a, b):
    return a + b * x


def peak(x, height, center, width, level):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + level


MODELS = {"line": line, "peak": peak}


def good(kind):
    rng = np.random.default_rng(7)
    centre = rng.uniform(-0.5, 0.5, SHAPE)
    values = line(X[:, None, None], 3.0, centre) if kind == "line" else peak(X[:, None, None], 5.0, centre, 1.0, 1.0)
    return values + rng.normal(0, 0.1, (len(X), *SHAPE))


def arguments(kind):
    """The same arguments with and without the poison: which engine may do it must not depend on it."""
    params = None if kind == "line" else {name: np.full(SHAPE, value) for name, value in STARTS.items()}
    return {"data": good(kind), "params": params}


def all_nan(call):
    call["data"][(slice(None), *BAD)] = np.nan
    return Status.NONFINITE_DATA


def one_infinite(call):
    call["data"][(3, *BAD)] = np.inf
    return Status.NONFINITE_DATA


def all_masked(call):
    call["mask"][(slice(None), *BAD)] = True
    return Status.NO_DATA


def too_few(call):
    call["mask"][(slice(1, None), *BAD)] = True
    return Status.FEW_POINTS


def zero_weights(call):
    call["weights"][(slice(None), *BAD)] = 0.0
    return Status.NO_DATA


def zero_weight_map(call):
    call["weight_map"][(0, *BAD)] = 0.0
    return Status.NO_DATA


def negative_sigma(call):
    call["sigma"][(2, *BAD)] = -1.0
    return Status.NONFINITE_DATA


def nan_start(call):
    call["params"]["center"][BAD] = np.nan
    return Status.NONFINITE_START


def nan_fixed(call):
    call["params"]["level"] = {"value": call["params"]["level"], "vary": False}
    if call.pop("poisoned"):
        call["params"]["level"]["value"][BAD] = np.nan
    return Status.NONFINITE_START


def diverging(call):
    # half a parabola: the best peak is infinitely wide and high
    call["data"][(slice(None), *BAD)] = 1.0 + (X - 4.0) ** 2 * 30.0
    return Status.RUNAWAY | Status.MAX_NFEV


POISONS = {
    all_nan: (),
    one_infinite: (),
    all_masked: ("mask",),
    too_few: ("mask",),
    zero_weights: ("weights",),
    zero_weight_map: ("weight_map",),
    negative_sigma: ("sigma",),
    nan_start: ("peak",),
    nan_fixed: ("peak", "poisoned"),
    diverging: ("peak",),
}


def fitted(engine, kind, poison, poisoned):
    call = arguments(kind)
    needs = POISONS[poison]
    if "peak" in needs and kind != "peak":
        pytest.skip("nothing to search in a linear model")
    if "mask" in needs:
        call["mask"] = np.zeros(call["data"].shape, dtype=bool)
    for name in ("weights", "sigma"):
        if name in needs:
            call[name] = np.full(call["data"].shape, 2.0)
    if "weight_map" in needs:
        call["weight_map"] = np.full((1, *SHAPE), 2.0)
    if "poisoned" in needs:
        call["poisoned"] = poisoned
    flag = poison(call) if poisoned or "poisoned" in needs else None
    data, params = call.pop("data"), call.pop("params")
    if "weight_map" in call:
        call["weights"] = call.pop("weight_map")
    try:
        return sf.fit_many(MODELS[kind], data, 0, params, x=X, engine=engine, covar=True, **call), flag
    except ParameterError as err:
        if "can't fit this" in str(err):
            pytest.skip(str(err))
        raise


@pytest.mark.parametrize("poison", POISONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("engine", OFFERS)
def test_a_bad_data_set_has_its_flag_and_its_neighbours_do_not_feel_it(engine, kind, poison):
    clean, _ = fitted(engine, kind, poison, False)
    batch, flag = fitted(engine, kind, poison, True)
    found = Status(int(batch.status[BAD]))
    assert found & flag, found.names
    assert not found.success
    assert clean.success.all()
    others = np.ones(SHAPE, dtype=bool)
    others[BAD] = False
    assert batch.success[others].all()
    for name in batch.param_names:
        for maps in ("values", "stderr"):
            mine, theirs = getattr(batch, maps)[name], getattr(clean, maps)[name]
            assert mine[others].tobytes() == theirs[others].tobytes(), (maps, name)
            if found & ~(Status.RUNAWAY | Status.MAX_NFEV) and name in batch.var_names:
                assert np.isnan(mine[BAD])
    for name in ("chisqr", "nobs", "nfree", "nfev", "status", "covar"):
        mine, theirs = getattr(batch, name), getattr(clean, name)
        assert mine[..., others].tobytes() == theirs[..., others].tobytes(), name


# ---- all of them among many ------------------------------------------------------------------------------------------

CITIZENS = {
    "zeros": None,
    "constant": None,
    "all nan": Status.NONFINITE_DATA,
    "one nan": Status.NONFINITE_DATA,
    "one inf": Status.NONFINITE_DATA,
    "negative sigma": Status.NONFINITE_DATA,
    "nan sigma": Status.NONFINITE_DATA,
    "all masked": Status.NO_DATA,
    "infinite sigma": Status.NO_DATA,
    "few points": Status.FEW_POINTS,
    "two points": None,
}


def village(n):
    """n good data sets, sigma and mask; and the same with bad citizens in places all over."""
    rng = np.random.default_rng(3)
    x = np.linspace(0.0, 1.0, 8)
    data = 2.0 + rng.normal(0, 1, n) * x[:, None] + rng.normal(0, 0.1, (8, n))
    sigma, mask = rng.uniform(0.05, 0.2, (8, n)), rng.random((8, n)) < 0.1
    return x, data, sigma, mask


def settle(data, sigma, mask, n):
    places = dict(zip(CITIZENS, np.linspace(1, n - 2, len(CITIZENS)).astype(int).tolist(), strict=True))
    at = places.__getitem__
    mask[:, list(places.values())] = False
    data[:, at("zeros")], data[:, at("constant")], data[:, at("all nan")] = 0.0, 5.0, np.nan
    data[2, at("one nan")], data[7, at("one inf")] = np.nan, -np.inf
    sigma[3, at("negative sigma")], sigma[3, at("nan sigma")], sigma[:, at("infinite sigma")] = -0.1, np.nan, np.inf
    mask[:, at("all masked")], mask[1:, at("few points")], mask[2:, at("two points")] = True, True, True
    return places


def judge(status, places):
    """Exactly the bad ones have flags, each its own."""
    for name, place in places.items():
        found = Status(int(status[place]))
        assert (found.success and CITIZENS[name] is None) or (CITIZENS[name] is not None and found & CITIZENS[name]), (name, found.names)
    others = np.delete(status, list(places.values()))
    assert all(Status(int(s)).success for s in np.unique(others))


@pytest.mark.parametrize("engine", OFFERS)
def test_bad_citizens(engine):
    n = 60 if engine == "loop" else 10_000
    x, data, sigma, mask = village(n)
    call = {"sigma": sigma, "mask": mask, "x": x, "engine": engine, "scale_covar": False}
    try:
        clean = sf.fit_many(line, data, **call)
    except ParameterError as err:
        pytest.skip(str(err))
    places = settle(data, sigma, mask, n)
    batch = sf.fit_many(line, data, **call)
    judge(batch.status, places)
    others = np.ones(n, dtype=bool)
    others[list(places.values())] = False
    for name in ("a", "b"):
        assert batch.values[name][others].tobytes() == clean.values[name][others].tobytes()
        assert batch.stderr[name][others].tobytes() == clean.stderr[name][others].tobytes()
    # the judge notices a flag that is missing
    for name, flag in CITIZENS.items():
        if flag is not None:
            forged = np.array(batch.status)
            forged[places[name]] = Status.CONVERGED_GRADIENT
            with pytest.raises(AssertionError):
                judge(forged, places)
