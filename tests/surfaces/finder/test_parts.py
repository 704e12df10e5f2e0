"""The parts of a search against plain least squares."""

import numpy as np
import pytest

from surffit import SurfaceModel
from surffit.surfaces.finder import links, polynomials, shaped, sums
from surffit.surfaces.finder.functions import COSTS, closed
from surffit.surfaces.finder.judge import Entry, Judge, aicc, ranked
from surffit.surfaces.finder.laws import Group, Law, LinkFactor, ShapeFactor, constant
from surffit.surfaces.finder.points import LOG, ONE, Points
from surffit.surfaces.finder.polish import fitted, search
from surffit.surfaces.finder.screen import residuals, subsets
from surffit.surfaces.finder.shapes import EXP, SHAPES, SHIFTED

X, Y = ((1.0, 0), ONE), (ONE, (1.0, 0))


@pytest.fixture
def points(rng):
    x, y = rng.uniform(200.0, 2000.0, 60), rng.uniform(1e-9, 5e-9, 60)
    z = 3.0 * np.exp(-x / 600.0) * y * 1e9 + rng.normal(0, 0.05, 60)
    return Points([x, y], z, rng.uniform(0.5, 2.0, 60))


def square(columns, target):
    """What least squares by QR leaves."""
    left = target - columns.T @ np.linalg.lstsq(columns.T, target, rcond=None)[0]
    return left @ left


def test_subsets_are_least_squares(rng):
    columns, target = rng.normal(size=(12, 50)), rng.normal(size=50)
    columns /= np.linalg.norm(columns, axis=1)[:, None]
    chosen = np.array([rng.choice(12, 4, replace=False) for _ in range(30)])
    got = subsets(columns @ columns.T, columns @ target, target @ target, chosen)
    np.testing.assert_allclose(got, [square(columns[c], target) for c in chosen], rtol=1e-11)
    assert subsets(columns @ columns.T, columns @ target, target @ target, np.array([[0, 1, 0]]))[0] == np.inf


def test_residuals_are_least_squares(rng):
    columns, target = rng.normal(size=(7, 3, 40)), rng.normal(size=40)
    columns[3, 1, 5] = np.nan
    got = residuals(columns.copy(), target)
    assert got[3] == np.inf
    keep = [i for i in range(7) if i != 3]
    np.testing.assert_allclose(got[keep], [square(columns[i], target) for i in keep], rtol=1e-12)


def test_aicc_by_hand():
    assert aicc(20.0, 10, 2) == pytest.approx(10 * np.log(2.0) + 4 + 24 / 6)
    assert aicc(20.0, 5, 3) == np.inf


def test_sums_are_screened_as_they_are_fitted(points):
    judge = Judge(points.size, float(points.target @ points.target))
    laws = sums.candidates(points, judge.screen, 6)
    assert len(laws) > 10_000
    assert len({frozenset(law.groups[0].products) for law, _ in laws}) == len(laws)
    none = np.zeros(0)
    for law, rss in laws[:: len(laws) // 60]:
        fit = fitted(law, points, none)
        assert fit is None or rss == np.inf or rss == pytest.approx(fit.rss, rel=1e-6)  # normal equations lose half the digits
        assert closed(law.groups[0].products)


def test_polynomials_are_screened_as_they_are_fitted(points):
    for law, rss in polynomials.candidates(points, 20)[::40]:
        assert rss == pytest.approx(fitted(law, points, np.zeros(0)).rss, rel=1e-8)


def test_a_logarithm_needs_what_its_unit_adds():
    assert not closed([(LOG, ONE)])
    assert closed([(LOG, ONE), constant(2)])
    assert not closed([(LOG, (1.0, 0)), constant(2)])
    assert closed([(LOG, (1.0, 0)), Y])


def test_leave_one_out_is_exact_for_linear_laws(points):
    law = Law((Group((), (constant(2), X, Y)),), "sum", 0.0)
    errors = []
    for i in range(points.size):
        rest = points.part(np.arange(points.size) != i)
        columns = law.columns(rest, np.zeros((1, 0)))[0]
        values = np.linalg.lstsq(columns.T, rest.target, rcond=None)[0]
        errors.append(points.target[i] - values @ law.columns(points, np.zeros((1, 0)))[0][:, i])
    assert fitted(law, points, np.zeros(0)).loo == pytest.approx(np.sum(np.square(errors)), rel=1e-10)


def test_leave_one_out_with_a_shape_parameter(points):
    law = Law((Group((ShapeFactor(EXP, 0, 0),), (Y,)),), "exp", 0.0)
    theta, _ = search(law, points, np.array([-2.0]))
    errors = []
    for i in range(points.size):
        rest = points.part(np.arange(points.size) != i)
        t, _ = search(law, rest, theta)
        # the factor of an exponential is free, so both sets of points must be evaluated together
        columns = law.columns(points, t[None])[0]
        own = np.linalg.lstsq(np.delete(columns, i, axis=1).T, rest.target, rcond=None)[0]
        errors.append(points.target[i] - own @ columns[:, i])
    # linearised: the error is of second order in the change of the parameter
    assert fitted(law, points, theta).loo == pytest.approx(np.sum(np.square(errors)), rel=2e-3)


def every_kind(points):
    """One law of each kind of factor."""
    seen = set()
    for law in (*shaped.one_shape(points), *shaped.two_shapes(points), *links.laws(points)):
        kinds = tuple(f.shape.name if isinstance(f, ShapeFactor) else (f.kind, len(f.terms)) for f in law.factors)
        if (kinds, len(law.groups)) not in seen:
            seen.add((kinds, len(law.groups)))
            yield law


def test_text_and_columns_are_one_law(points, rng):
    """The formula, with the parameters in the user's units, has the values of the columns that were searched."""
    few = points.part(np.arange(20))
    grids = shaped.Grids(few)
    checked = 0
    for law in every_kind(points):
        theta = links.start(law, few)[0] if any(isinstance(f, LinkFactor) for f in law.factors) else grids.all(law)[3]
        with np.errstate(all="ignore"):
            columns = law.columns(few, theta[None])[0] / few.w
        if not np.isfinite(columns).all() or law.has_pole(few, theta):
            continue
        model = SurfaceModel.from_expression(law.text("xy", few, theta), independent_vars=["x", "y"])
        assert len(model.param_names) == law.k
        shapes = {f"b{i}": v for i, v in enumerate(law.raw(few, theta))}
        coords = dict(zip("xy", few.raw, strict=True))
        for i in range(law.n_linear):
            values = model.eval(**{f"a{j}": float(i == j) for j in range(law.n_linear)}, **shapes, **coords)
            # in its span: a logarithm's unit adds a constant, an exponential is free by a factor
            left = values - columns.T @ np.linalg.lstsq(columns.T, values, rcond=None)[0]
            assert np.linalg.norm(left) < 1e-7 * np.linalg.norm(values), law.text("xy")
        checked += 1
    assert checked > 60


def test_grids_reach_every_shape(points):
    for shape in SHAPES:
        grid = shape.grid(points.coords[0])
        assert grid.shape[1] == shape.count
        with np.errstate(all="ignore"):
            assert np.isfinite(shape.values(points.coords[0], grid)).all(axis=1).mean() > 0.9
    assert not SHIFTED.denominator(np.array([0.1, 1.0]), np.array([[-0.5]])).min() > 0


def test_a_pole_in_the_box_is_seen(points):
    law = Law((Group((ShapeFactor(SHIFTED, 0, 0),), (constant(2),)),), "reciprocal", 0.0)
    middle = -float(np.median(points.coords[0]))
    assert law.has_pole(points, np.array([middle]))
    assert not law.has_pole(points, np.array([0.5]))


def test_twins_are_one_law_and_poles_come_last():
    rng = np.random.default_rng(3)
    left = rng.normal(size=50)

    def entry(formula, k, cost, residual, pole=False, name=""):
        rss = residual @ residual
        return Entry(None, name, formula, "", k, cost, np.zeros(0), rss, 1.1 * rss, residual, pole)

    entries = [entry("b", 2, 5.0, left), entry("a", 2, 3.0, left), entry("p", 1, 0.0, 0.1 * left, pole=True), entry("c", 3, 3.0, left)]
    order = ranked(entries, Judge(50, 1.0))
    assert [e.formula for e in order] == ["a", "c", "p"]
    assert sum(e.weight for e in order) == pytest.approx(1.0)
    assert order[-1].weight == 0.0


def test_costs_are_a_code():
    assert 0.9 < sum(np.exp(-c) for f, c in COSTS.items() if f != ONE) < 1.3
