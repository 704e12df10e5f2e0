"""Slopes, curvatures, extrema and integrals: closed forms, other routes, and draws from the covariance."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize

import surffit as sf
from surffit.core.space import Space
from surffit.exceptions import ConvergenceWarning, DataError, DataWarning, DocumentError, ParameterError
from surffit.surfaces import PolynomialSurface


def peak(x, y, h, x0, y0, s, c):
    return c + h * np.exp(-((x - x0) ** 2 + 2 * (y - y0) ** 2) / (2 * s**2))


def opaque(x, y, h, x0, y0, s, c):
    """The same, through what no tracer follows."""
    x = np.frombuffer(np.asarray(x, dtype=float).tobytes()).reshape(np.shape(x))
    return peak(x, y, h, x0, y0, s, c)


TRUE = {"h": 5.0, "x0": 4.0, "y0": 0.3, "s": 2.0, "c": 1.0}
AT = {"x": np.array([3.0, 5.0, 7.5]), "y": np.array([0.0, 1.0, -1.5])}


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 10, 200), rng.uniform(-2, 2, 200)
    return x, y, peak(x, y, **TRUE) + rng.normal(0, 0.05, 200)


@pytest.fixture(scope="module")
def fit(points):
    x, y, z = points
    return sf.SurfaceModel(peak, ["x", "y"]).fit(z, x=x, y=y, **TRUE)


def draws(fit, quantity, count=2000):
    """Mean and standard deviation of a quantity of the parameters over draws from the covariance."""
    rng = np.random.default_rng(4)
    values = rng.multivariate_normal([fit.params[n].value for n in fit.var_names], fit.covar, size=count)
    found = np.array([quantity(**dict(zip(fit.var_names, row, strict=True))) for row in values])
    return found.mean(axis=0), found.std(axis=0)


# ---- slopes and curvatures ---------------------------------------------------------------------------------------------------


def derivatives(x, y, h, x0, y0, s, c):
    """By hand."""
    e = h * np.exp(-((x - x0) ** 2 + 2 * (y - y0) ** 2) / (2 * s**2))
    p, q = -(x - x0) / s**2, -2 * (y - y0) / s**2
    return np.array([p * e, q * e, (p * p - 1 / s**2) * e, p * q * e, (q * q - 2 / s**2) * e])


def shapes(x, y, **p):
    """Textbook (Monge patch)."""
    fx, fy, fxx, fxy, fyy = derivatives(x, y, **p)
    one = 1 + fx**2 + fy**2
    mean = ((1 + fx**2) * fyy - 2 * fx * fy * fxy + (1 + fy**2) * fxx) / (2 * one**1.5)
    gauss = (fxx * fyy - fxy**2) / one**2
    root = np.sqrt(mean**2 - gauss)
    return np.array([np.hypot(fx, fy), mean, gauss, mean + root, mean - root])


def test_closed_forms(fit):
    best = fit.best_values
    table = fit.gradient(**AT).join(fit.curvature(**AT).drop(columns=["x", "y"]))
    names = ["d_x", "d_y", "d_x_x", "d_x_y", "d_y_y"]
    np.testing.assert_allclose(table[names].T, derivatives(**AT, **best), rtol=1e-12)
    names = ["slope", "mean", "gaussian", "principal_1", "principal_2"]
    np.testing.assert_allclose(table[names].T, shapes(**AT, **best), rtol=1e-10)


def test_errors_are_those_of_draws_from_the_covariance(fit):
    table = fit.gradient(**AT).join(fit.curvature(**AT).drop(columns=["x", "y"]))
    _, expected = draws(fit, lambda **p: np.concatenate([derivatives(**AT, **p), shapes(**AT, **p)]))
    names = ["d_x", "d_y", "d_x_x", "d_x_y", "d_y_y", "slope", "mean", "gaussian", "principal_1", "principal_2"]
    # 2000 draws know a standard deviation to 1.6 %
    np.testing.assert_allclose(table[[f"{n}_stderr" for n in names]].T, expected, rtol=0.07)


def test_limits_are_the_level(fit):
    from scipy.stats import t

    table = fit.gradient(level=0.9, **AT)
    half = t.ppf(0.95, fit.nfree) * table.d_x_stderr
    np.testing.assert_allclose(table.d_x_upper - table.d_x, half, rtol=1e-10)
    np.testing.assert_allclose(table.d_x - table.d_x_lower, half, rtol=1e-10)


def test_functions_that_cannot_be_traced(points, fit):
    x, y, z = points
    blind = sf.SurfaceModel(opaque, ["x", "y"]).fit(z, x=x, y=y, **TRUE)
    space = Space(blind, "a test")
    space.at(space.points(AT), (("x",),))
    assert not space.exact
    for name in ("gradient", "curvature"):
        # differences of fourth order with 1/20 of the points' distance
        np.testing.assert_allclose(getattr(blind, name)(**AT), getattr(fit, name)(**AT), rtol=1e-5)
    one, two = (f.extrema("maximum").drop(columns="kind") for f in (blind, fit))
    np.testing.assert_allclose(one, two, rtol=1e-5)
    np.testing.assert_allclose(blind.integral(x=(2, 6), y=(-1, 1)), fit.integral(x=(2, 6), y=(-1, 1)), rtol=1e-5)


def test_shapes_and_containers(fit):
    grid = fit.gradient(x=np.arange(3.0)[None, :], y=np.arange(4.0)[:, None])
    assert grid["d_x"].shape == (4, 3)
    assert grid["x"].shape == (4, 3)
    row = fit.gradient(x=1.0, y=np.array([0.0]))
    assert row.shape[0] == 1
    labelled = fit.curvature(x=pd.Series([1.0, 2.0], index=["a", "b"]), y=0.0)
    assert labelled.index.tolist() == ["a", "b"]
    assert len(fit.gradient()) == 200


def test_one_and_three_variables(rng):
    x, y, z = rng.uniform(-1, 1, (3, 100))
    cube = PolynomialSurface(2, ("x", "y", "z")).fit(x * y + z**2 + 1, x=x, y=y, z=z)
    at = {"x": 0.2, "y": 0.4, "z": 0.3}
    np.testing.assert_allclose(cube.gradient(**at)[["d_x", "d_y", "d_z"]], [[0.4, 0.2, 0.6]], atol=1e-9)
    row = cube.curvature(**at).iloc[0]
    np.testing.assert_allclose(row[["d_x_y", "d_z_z", "d_y_z"]], [1, 2, 0], atol=1e-9)
    g, H = np.array([0.4, 0.2, 0.6]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 2.0]])
    S = np.linalg.solve(np.eye(3) + np.outer(g, g), H) / np.sqrt(1 + g @ g)
    assert row["mean"] == pytest.approx(np.trace(S) / 3, rel=1e-8)
    assert row["gaussian"] == pytest.approx(np.linalg.det(S), rel=1e-8)
    line = PolynomialSurface(2, "x").fit(3 * x**2 + x, x=x)
    row = line.curvature(x=0.5).iloc[0]
    assert row.curvature == pytest.approx(6 / (1 + 4.0**2) ** 1.5)
    assert "slope" not in line.gradient(x=0.5)
    saddle = cube.extrema()
    np.testing.assert_allclose(saddle[["x", "y", "z", "value"]], [[0, 0, 0, 1]], atol=1e-8)
    assert saddle.kind.tolist() == ["saddle"]
    assert cube.integral(x=(0, 1), y=(0, 1), z=(0, 1)).value[0] == pytest.approx(0.25 + 1 / 3 + 1, rel=1e-10)


# ---- extrema -----------------------------------------------------------------------------------------------------------------


def test_a_peak_is_where_its_parameters_say(fit):
    (row,) = fit.extrema().itertuples()
    assert row.kind == "maximum"
    best = fit.best_values
    assert (row.x, row.y, row.value) == pytest.approx((best["x0"], best["y0"], best["h"] + best["c"]), rel=1e-9)
    assert row.x_stderr == pytest.approx(fit.params["x0"].stderr, rel=1e-9)
    assert row.y_stderr == pytest.approx(fit.params["y0"].stderr, rel=1e-9)
    one = np.array([name in ("h", "c") for name in fit.var_names], dtype=float)
    assert row.value_stderr == pytest.approx(np.sqrt(one @ fit.covar @ one), rel=1e-9)
    assert row.certainty > 20


@pytest.mark.slow
def test_positions_of_a_polynomial_by_draws(points):
    x, y, z = points
    near = (np.abs(x - 4) < 2.5) & (np.abs(y) < 1.8)
    fit = PolynomialSurface(3, domain=[(0, 10), (-2, 2)]).fit(z, x=x, y=y, mask=~near)
    top = fit.extrema("maximum", x=(2.5, 5.5), y=(-1, 1)).iloc[0]
    model = fit.model

    def summit(**p):
        params = model.make_params(**p)
        low = optimize.minimize(lambda at: -float(model.eval(params, x=np.array(at[0]), y=np.array(at[1]))), [top.x, top.y], tol=1e-10)
        return [*low.x, -low.fun]

    mean, sd = draws(fit, summit, 250)
    np.testing.assert_allclose(top[["x", "y", "value"]].astype(float), mean, atol=4 * sd.max() / np.sqrt(250) + 0.2 * sd.max())
    # 250 draws know a standard deviation to 4.5 %
    np.testing.assert_allclose(top[["x_stderr", "y_stderr", "value_stderr"]].astype(float), sd, rtol=0.18)


def test_all_of_them_are_found(rng):
    x, y = rng.uniform(0, 2 * np.pi, (2, 300))
    wave = sf.SurfaceModel(lambda x, y, a, c: a * np.sin(x) * np.sin(y) + c, ["x", "y"])
    table = wave.fit(2 * np.sin(x) * np.sin(y) + 1, x=x, y=y).extrema(x=(0.1, 6.2), y=(0.1, 6.2))
    assert table.kind.value_counts().to_dict() == {"maximum": 2, "minimum": 2, "saddle": 1}
    np.testing.assert_allclose(table[["x", "y"]].iloc[2], np.pi, rtol=1e-9)
    np.testing.assert_allclose(table.value, [3, 3, 1, -1, -1], rtol=1e-9)
    held = wave.fit(2 * np.sin(x) * np.sin(y) + 1, x=x, y=y).extrema(y=np.pi / 2, x=(0.1, 6.2))
    assert held.kind.tolist() == ["maximum", "minimum"]
    assert "y" not in held


def test_planes_have_none_and_ridges_are_told(points):
    x, y, z = points
    assert PolynomialSurface(1).fit(z, x=x, y=y).extrema().empty
    ridge = sf.SurfaceModel(lambda x, y, a, b: a * (x - b) ** 2 + 0 * y, ["x", "y"]).fit((x - 3) ** 2, x=x, y=y, b=2.0)
    with pytest.warns(DataWarning, match="line of equal height"):
        assert ridge.extrema().empty
    np.testing.assert_allclose(ridge.extrema(y=0.0).x, 3, rtol=1e-9)


def test_certainty_tells_noise_from_shape():
    rng = np.random.default_rng(6)
    x, y = rng.uniform(-1, 1, (2, 60))
    noise = PolynomialSurface(2).fit(rng.normal(size=60), x=x, y=y).extrema(x=(-9, 9), y=(-9, 9))
    assert (noise.certainty < 4).all()
    shape = PolynomialSurface(2).fit(3 * x**2 + 2 * y**2 + 0.1 * rng.normal(size=60), x=x, y=y).extrema()
    assert (shape.certainty > 10).all()


# ---- integrals ---------------------------------------------------------------------------------------------------------------


def test_against_scipy_and_draws(fit):
    best = fit.best_values
    row = fit.integral(x=(0, 10), y=(-2, 2)).iloc[0]
    expected = integrate.dblquad(lambda y, x: peak(x, y, **best), 0, 10, -2, 2, epsabs=1e-9)[0]
    assert row.value == pytest.approx(expected, rel=1e-9)
    nodes, weights = np.polynomial.legendre.leggauss(30)
    X, Y, W = 5 + 5 * nodes, 2 * nodes[:, None], 10 * weights * weights[:, None]
    _, sd = draws(fit, lambda **p: np.sum(W * peak(X, Y, **p)))
    # 2000 draws know it to 1.6 %
    assert row.stderr == pytest.approx(sd, rel=0.07)
    # a control: without the correlations of the parameters it would be another
    moved = [np.sum(W * (peak(X, Y, **{**best, n: best[n] + 1e-5}) - peak(X, Y, **best))) / 1e-5 * fit.params[n].stderr for n in best]
    assert abs(np.linalg.norm(moved) / sd - 1) > 0.2


def test_regions_with_curved_sides(fit):
    best = fit.best_values
    disc = fit.integral(x=(3, 5), y=(lambda x: -np.sqrt(1 - (x - 4) ** 2), lambda x: np.sqrt(1 - (x - 4) ** 2))).value[0]

    def ring(r, angle):
        return r * peak(4 + r * np.cos(angle), r * np.sin(angle), **best)

    assert disc == pytest.approx(integrate.dblquad(ring, 0, 2 * np.pi, 0, 1, epsabs=1e-11)[0], rel=1e-9)
    triangle = PolynomialSurface(1).fit(np.ones(9), x=np.tile(np.arange(3.0), 3), y=np.repeat(np.arange(3.0), 3))
    assert triangle.integral(y=(0, 2), x=(0, lambda y: y)).value[0] == pytest.approx(2)


def test_along_some_coordinates(fit):
    best = fit.best_values
    table = fit.integral(x=(0, 10), y=[-1.0, 0.0, 1.0])
    assert table.y.tolist() == [-1, 0, 1]
    for y, value in zip(table.y, table.value, strict=True):
        assert value == pytest.approx(integrate.quad(lambda x, y=y: peak(x, y, **best), 0, 10)[0], rel=1e-9)


def test_edges_inside_are_told(rng):
    x = np.linspace(0, 1, 50)
    model = sf.SurfaceModel(lambda x, a, b: a + b * np.where(x > 0.31, 1.0, 0.0))
    fit = model.fit(1 + np.where(x > 0.31, 1.0, 0.0) + 1e-9 * rng.normal(size=50), x=x)
    with pytest.warns(ConvergenceWarning, match="part the region"):
        assert fit.integral(x=(0, 1)).value[0] == pytest.approx(1.69, abs=1e-4)


def test_narrow_peaks_are_seen_wherever_they_are():
    x = np.linspace(0, 1000, 20001)
    line = sf.SurfaceModel(lambda x, a, b, s: a * np.exp(-((x - b) ** 2) / (2 * s**2)))
    fit = line.fit(3 * np.exp(-((x - 123.456) ** 2) / 0.08) + 0.01 * np.cos(1e4 * x), x=x, b=123.4, s=0.25)
    best = fit.best_values
    exact = best["a"] * abs(best["s"]) * np.sqrt(2 * np.pi)
    assert fit.integral().value[0] == pytest.approx(exact, rel=1e-9)
    assert fit.integral(x=(-5000, 5000)).value[0] == pytest.approx(exact, rel=1e-9)
    assert fit.integral().stderr[0] > 0


def test_poles_are_told():
    x = np.concatenate([np.linspace(0, 1, 30), np.linspace(2, 3, 30)])
    fit = sf.SurfaceModel(lambda x, a, c: a / (x - c)).fit(3 / (x - 1.5) + 0.01 * np.cos(1e4 * x), x=x, c=1.45)
    with pytest.warns(ConvergenceWarning, match="a pole in this region"):
        fit.integral(x=(0, 3.3))
    best = fit.best_values
    assert fit.integral(x=(0, 1.3)).value[0] == pytest.approx(best["a"] * np.log((best["c"] - 1.3) / best["c"]), rel=1e-9)


def test_a_certain_curvature_is_no_division_by_zero(points):
    x, y, z = points
    fit = sf.SurfaceModel(lambda x, y, a, b: a - (x - b) ** 2 - y**2, ["x", "y"]).fit(-((x - 4) ** 2) - y**2 + z, x=x, y=y, b=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit.extrema("maximum").certainty[0] == np.inf


def test_dates_as_limits():
    t = pd.date_range("2020-01-01", periods=20, freq="D")
    fit = sf.SurfaceModel(lambda t, a, b: a + b * t).fit(np.full(20, 2.0), t=t)
    assert fit.integral(t=(t[0], t[10])).value[0] == pytest.approx(2.0 * 10 * 86400)


# ---- what isn't determined, bases, files -------------------------------------------------------------------------------------


def test_combinations_that_are_determined_keep_their_errors(rng):
    x, y = rng.uniform(0, 1, (2, 80))
    z = 1 + 2 * x + 3 * y**2 + rng.normal(0, 0.1, 80)
    twins = sf.SurfaceModel(lambda x, y, a, b, c, d: a + b + c * x + d * y**2, ["x", "y"]).fit(z, x=x, y=y)
    plain = sf.SurfaceModel(lambda x, y, a, c, d: a + c * x + d * y**2, ["x", "y"]).fit(z, x=x, y=y)
    assert np.isinf(twins.params["a"].stderr)
    np.testing.assert_allclose(twins.gradient(x=0.5, y=0.5), plain.gradient(x=0.5, y=0.5), rtol=1e-9)
    np.testing.assert_allclose(twins.integral(), plain.integral(), rtol=1e-9)
    # a surface that depends on where the data say nothing
    blind = sf.SurfaceModel(lambda x, y, a, c, e: a + c * x + e * y, ["x", "y"]).fit(1 + x, x=x, y=np.zeros(80))
    row = blind.gradient(x=0.5, y=0.5).iloc[0]
    assert np.isinf(row.d_y_stderr)
    assert np.isfinite(row.d_x_stderr)


def test_ties_and_fixed_parameters(points):
    x, y, z = points
    model = sf.SurfaceModel(peak, ["x", "y"])
    params = model.make_params(**TRUE)
    params["y0"].set(expr="x0 / 10 - 0.1")
    params["c"].set(vary=False)
    row = model.fit(z, params, x=x, y=y).extrema().iloc[0]
    assert row.y_stderr == pytest.approx(row.x_stderr / 10, rel=1e-9)
    assert row.y == pytest.approx(row.x / 10 - 0.1, rel=1e-9)


def test_bases_files_and_parts(points, fit, tmp_path):
    x, y, z = points
    surface = PolynomialSurface(4).fit(z, x=x, y=y)
    monomials = surface.to_basis("monomial")
    np.testing.assert_allclose(monomials.gradient(**AT), surface.gradient(**AT), rtol=1e-12)
    surface.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    np.testing.assert_allclose(loaded.gradient(**AT), surface.gradient(**AT), rtol=1e-8)
    np.testing.assert_allclose(loaded.integral(x=(0, 5), y=(0, 1)), surface.integral(x=(0, 5), y=(0, 1)), rtol=1e-8)
    box = {"x": (2, 6), "y": (-1, 1)}
    np.testing.assert_allclose(loaded.extrema("maximum", **box).x, surface.extrema("maximum", **box).x, rtol=1e-8)
    with pytest.raises(DocumentError, match="range of each coordinate"):
        loaded.extrema()
    with pytest.raises(DocumentError, match="give the coordinates"):
        loaded.gradient()
    model = sf.SurfaceModel(peak, ["x", "y"])
    joint = sf.JointModel({"a": model, "b": model}, shared=["x0"])
    both = joint.fit(
        {"a": z, "b": z}, joint.make_params(x0=4, **{f"{k}_{n}": v for k in "ab" for n, v in TRUE.items() if n != "x0"}), x=x, y=y
    )
    with pytest.raises(ParameterError, match=r"result\['a'\]"):
        both.extrema()
    assert both["a"].extrema().x_stderr[0] == pytest.approx(both.params["x0"].stderr, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda f: f.gradient(z=1), DataError, "z: unknown"),
        (lambda f: f.gradient(x=np.arange(3.0)), DataError, "give y, too"),
        (lambda f: f.gradient(x=np.arange(3.0), y=np.arange(2.0)), DataError, "one shape"),
        (lambda f: f.gradient(level=2, **AT), DataError, "outside 0 to 1"),
        (lambda f: f.extrema("peak"), DataError, "kind='peak'"),
        (lambda f: f.extrema(x=(3, 1)), DataError, "low < high"),
        (lambda f: f.extrema(x=1.0, y=2.0), DataError, "no coordinate left"),
        (lambda f: f.extrema(x=np.array([1.0, 2.0])), DataError, "one number"),
        (lambda f: f.integral(x=(0, np.inf)), DataError, "both finite"),
        (lambda f: f.integral(x=(0, 1), y=(0, 1), w=(0, 1)), DataError, "unknown"),
        (lambda f: f.integral(y=(0, lambda x: x), x=(0, 1)), DataError, r"a limit of y fails: .* in their order \(none\)"),
    ],
)
def test_bad_calls_are_one_sentence(fit, call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(fit)


def test_units_and_complex(points):
    u = pytest.importorskip("astropy.units")
    x, y, z = points
    fit = sf.SurfaceModel(peak, ["x", "y"]).fit(z, x=x * u.mm, y=y, **TRUE)
    one, two = fit.gradient(x=0.3 * u.cm, y=0.0), fit.gradient(x=3.0 * u.mm, y=0.0)
    np.testing.assert_allclose(one, two, rtol=1e-12)
    np.testing.assert_allclose(
        fit.integral(x=(0.2 * u.cm, 0.4 * u.cm), y=(0, 1)), fit.integral(x=(2 * u.mm, 4 * u.mm), y=(0, 1)), rtol=1e-9
    )
    line = sf.SurfaceModel(lambda x, a, b: a + b * x).fit(x + 1j, x=x)
    with pytest.raises(DataError, match="real"):
        line.gradient()
