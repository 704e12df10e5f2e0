"""Surfaces of many columns on grids: the answer of QR of the whole design matrix, without the matrix."""

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy.linalg import solve_triangular

import surffit as sf
from surffit.bases import BSpline
from surffit.core import bind, bind_graph
from surffit.core.meshgrid import line_of, repeated
from surffit.solve import rowlinear
from surffit.surfaces import PolynomialSurface

NY, NX = 100, 120


@pytest.fixture
def grid(rng):
    y, x = np.mgrid[:NY, :NX] * 1.0
    return x, y, np.sin(2 * x / NX) + np.cos(3 * y / NY) * x / NX + 0.01 * rng.standard_normal((NY, NX))


def by_qr(A, z, w=None):
    """Values, standard errors and chi-square of a design matrix, by Householder QR of its scaled columns."""
    b = z if w is None else z * w
    A = A if w is None else A * w[:, None]
    norms = np.sqrt(np.einsum("ij,ij->j", A, A))
    q, r = np.linalg.qr(A / norms)
    inverse = solve_triangular(r, np.eye(norms.size))
    c = inverse @ (q.T @ b)
    rest = b - (A / norms) @ c
    c += inverse @ (q.T @ rest)
    rest = b - (A / norms) @ c
    chisqr = rest @ rest
    errors = np.sqrt(np.einsum("ij,ij->i", inverse, inverse) * chisqr / (z.size - norms.size))
    return c / norms, errors / norms, chisqr


def agrees(result, expected, rtol=1e-10):
    """QR itself leaves about eps times the condition of the scaled columns (1e6 for monomials)."""
    values, errors, chisqr = expected
    assert result.success
    got = np.array([[par.value, par.stderr] for par in result.params.values()]).T
    np.testing.assert_allclose((got[0] - values) / errors, 0, atol=1e-8)
    np.testing.assert_allclose(got[1], errors, rtol=rtol)
    np.testing.assert_allclose(result.chisqr, chisqr, rtol=1e-12)
    np.testing.assert_allclose(result.residual @ result.residual, chisqr, rtol=1e-11)


CASES = ["images", "open", "integers", "float32", "weights", "one sigma", "mask", "mask and weights", "nan", "corner", "disc", "shuffled"]


@pytest.mark.parametrize(
    ("basis", "case"), [*(("chebyshev", case) for case in CASES), ("legendre", "images"), *(("monomial", c) for c in ("images", "disc"))]
)
def test_is_qr_of_the_design_matrix(grid, rng, basis, case):
    x, y, z = grid
    given, kws, used, w = (x, y), {}, np.ones(z.shape, bool), None
    if case == "open":
        given = x[0], y[:, :1]
    elif case == "integers":
        given = x.astype(int), y.astype(int)
    elif case == "float32":
        z = z.astype(np.float32)
        given = x.astype(np.float32), y.astype(np.float32)
    elif case == "shuffled":
        rows, columns = rng.permutation(NY), rng.permutation(NX)
        x, y, z = (a[rows][:, columns] for a in (x, y, z))
        given = x, y
    elif case == "corner":
        used[:20] = used[:, 80:] = False
    elif case == "disc":
        used = (x - 50) ** 2 + (y - 43) ** 2 < 42**2
    elif case.startswith("mask"):
        used = rng.uniform(size=z.shape) > 0.2
    if "weights" in case:
        w = rng.uniform(0.5, 2, z.shape)
        kws["weights"] = w
    elif case == "one sigma":
        kws["sigma"] = 0.25
        w = np.full(z.shape, 4.0)
    if case == "nan":
        z = z.copy()
        z[3, 4] = z[60, 7] = np.nan
        used, kws["nan_policy"] = np.isfinite(z), "omit"
    elif not used.all():
        kws["mask"] = ~used
    before = z.copy()
    result = PolynomialSurface(6, basis=basis).fit(z, x=given[0], y=given[1], **kws)
    np.testing.assert_array_equal(z, before)
    assert result.conditioning.engine == "grid"
    A = result.model.basis.columns(x, y)[used.ravel()]
    agrees(result, by_qr(A, z[used].astype(float), None if w is None else w[used]))
    np.testing.assert_allclose(result.best_fit[used], A @ [par.value for par in result.params.values()], atol=1e-10)
    assert "never as a whole" in result.explain()


def test_weights_that_leave_out_half_of_the_functions_go_by_rows(grid):
    x, y, z = grid
    used = x / NX < 0.8 * y / NY
    result = PolynomialSurface(8, basis="chebyshev").fit(z, x=x, y=y, mask=~used)
    assert result.conditioning.engine == "grid rows"
    assert result.conditioning.condition_scaled > 1e4
    agrees(result, by_qr(result.model.basis.columns(x, y)[used.ravel()], z[used]))


def test_a_function_of_named_coefficients(grid):
    """A flat sum, as people write it: its columns are found one by one, whatever the length of the sum."""
    x, y, z = grid
    terms = [(i, j) for i in range(9) for j in range(9 - i)]
    names = [f"c{i}_{j}" for i, j in terms]
    source = f"def flat(x, y, {', '.join(names)}):\n    return " + " + ".join(
        f"{name} * x**{i} * y**{j}" for name, (i, j) in zip(names, terms, strict=True)
    )
    scope = {}
    exec(source, scope)  # noqa: S102 - 45 names
    u, v = x / 60 - 1, y / 50 - 1
    result = sf.SurfaceModel(scope["flat"], ["x", "y"]).fit(z, x=u, y=v)
    assert result.conditioning.engine == "grid"
    A = np.stack([(u**i * v**j).ravel() for i, j in terms], axis=1)
    agrees(result, by_qr(A, z.ravel()))


def mixed(x, y, a, b, c, d, e, f):
    return a * np.sin(x / 20) * y + b * np.exp(-x / 30) * np.cos(y / 9) + c * np.sqrt(1 + x**2) + d * (x - y / 7) + e * np.log1p(y) + f * 2


def dense(monkeypatch, fit):
    """The same fit on whole columns."""
    with monkeypatch.context() as patch:
        patch.setattr(bind_graph, "LONG_GRID", 10**9)
        patch.setattr(bind, "LONG_GRID", 10**9)
        return fit()


@pytest.mark.parametrize("how", ["free", "fixed", "tied", "bounds"])
def test_sums_of_products_with_conditions(grid, monkeypatch, how):
    x, y, z = grid
    model = sf.SurfaceModel(mixed, ["x", "y"])
    params = model.make_params()
    if how == "fixed":
        params["c"].set(value=0.3, vary=False)
    elif how == "tied":
        params["e"].set(expr="2 * a")
    elif how == "bounds":
        free = model.fit(z, params, x=x, y=y)
        params["d"].set(min=free.params["d"].value + free.params["d"].stderr)
        params["b"].set(min=-10, max=10)
    one = model.fit(z, params, x=x, y=y)
    two = dense(monkeypatch, lambda: model.fit(z, params, x=x, y=y))
    assert one.conditioning.engine == "grid"
    assert two.conditioning.engine == "linear"
    assert one.conditioning.at_bound == two.conditioning.at_bound == ({"d": "min"} if how == "bounds" else {})
    for name, par in two.params.items():
        assert one.params[name].value == pytest.approx(par.value, abs=1e-9 * abs(par.stderr) if par.stderr == par.stderr else 1e-12)
        assert one.params[name].stderr == pytest.approx(par.stderr, rel=1e-9, nan_ok=True)
    assert one.chisqr == pytest.approx(two.chisqr, rel=1e-12)


def test_columns_that_are_alike(grid, monkeypatch):
    x, y, z = grid
    model = sf.SurfaceModel(lambda x, y, a, b, c: a * x * y + b * y + c * 2 * y, ["x", "y"])
    one = model.fit(z, x=x, y=y)
    two = dense(monkeypatch, lambda: model.fit(z, x=x, y=y))
    assert one.conditioning.engine == "grid"
    assert one.conditioning.undetermined == two.conditioning.undetermined == ("b", "c")
    assert one.conditioning.null_directions[0] == pytest.approx(two.conditioning.null_directions[0])
    assert one.params["a"].stderr == pytest.approx(two.params["a"].stderr, rel=1e-10)
    assert one.chisqr == pytest.approx(two.chisqr, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_peak_on_a_background_of_many_columns(rng, monkeypatch, weighted):
    y, x = np.mgrid[:NY, :NX] * 1.0

    def peak(x, y, height, x0, y0, width):
        return height * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * width**2))

    z = peak(x, y, 5, 40, 30, 6) + np.sin(x / 60) * y / 50 + 0.05 * rng.standard_normal(x.shape)
    model = sf.SurfaceModel(peak, ["x", "y"]) + PolynomialSurface(5, domain=((0, NX), (0, NY)))
    starts = {"x0": 38, "y0": 33, "width": 5, "weights": rng.uniform(0.5, 2, z.shape) if weighted else None}
    one = model.fit(z, x=x, y=y, **starts)
    two = dense(monkeypatch, lambda: model.fit(z, x=x, y=y, **starts))
    assert one.conditioning.engine == "grid"
    assert len(one.conditioning.linear) == 22
    for name, par in two.params.items():
        assert one.params[name].value == pytest.approx(par.value, abs=1e-7 * par.stderr)
        assert one.params[name].stderr == pytest.approx(par.stderr, rel=1e-7)


class TestSplines:
    def model(self, basis):
        names = basis.names()
        scope = {"basis": basis, "np": np}
        exec(f"def surface(x, y, {', '.join(names)}):\n    return basis.evaluate([{', '.join(names)}], (x, y))", scope)  # noqa: S102 - many names
        return sf.SurfaceModel(scope["surface"], ["x", "y"])

    @pytest.mark.parametrize("case", ["plain", "weights", "mask"])
    def test_are_qr_of_the_design_matrix(self, grid, rng, case):
        x, y, z = grid
        basis = BSpline((5, 4), domain=((0, NX - 1), (0, NY - 1)))
        used = np.hypot(x - 60, y - 50) < 70 if case == "mask" else np.ones(z.shape, bool)
        w = rng.uniform(0.5, 2, z.shape) if case == "weights" else None
        result = self.model(basis).fit(z, x=x, y=y, weights=w, mask=~used)
        assert result.conditioning.engine == "grid"
        agrees(result, by_qr(basis.columns(x, y)[used.ravel()], z[used], None if w is None else w[used]))

    def test_with_a_peak(self, grid):
        x, y, z = grid
        basis = BSpline((3, 3), domain=((0, NX - 1), (0, NY - 1)))
        z = z + 3 * np.exp(-((x - 40) ** 2) / 50 - (y - 30) ** 2 / 50)

        def peak(x, y, height, x0, y0):
            return height * np.exp(-((x - x0) ** 2) / 50 - (y - y0) ** 2 / 50)

        result = (sf.SurfaceModel(peak, ["x", "y"]) + self.model(basis)).fit(z, x=x, y=y, x0=42, y0=28)
        assert result.conditioning.engine == "grid"
        assert result.params["x0"].value == pytest.approx(40, abs=6 * result.params["x0"].stderr)

    def test_a_function_that_sees_the_whole_grid_is_not_given_lines(self, grid):
        """A sum over x is another one on an open grid: the answer must be that of the function as it is called."""
        x, y, z = grid
        model = sf.SurfaceModel(lambda x, y, a, b, c: a * x / np.sum(np.ravel(x)) + b * y + c, ["x", "y"])
        result = model.fit(z, x=x, y=y)
        assert result.conditioning.engine != "grid"
        agrees(result, by_qr(np.stack([x.ravel() / x.sum(), y.ravel(), np.ones(x.size)], axis=1), z.ravel()))


class TestWhatIsAGrid:
    def test_one_number_beside_it(self, grid):
        x, y, z = grid
        x = x.copy()
        x[50, 60] = np.nextafter(60, 61)
        assert line_of(x) is None
        assert repeated(x, x.shape) is None
        result = PolynomialSurface(3).fit(z, x=x, y=y)
        assert "grid" not in result.conditioning.engine
        agrees(result, by_qr(result.model.basis.columns(x, y), z.ravel()))

    def test_axes_may_change_places(self, grid):
        x, y, z = grid
        one, two = PolynomialSurface(4).fit(z, x=x, y=y), PolynomialSurface(4).fit(z.T, x=x.T, y=y.T)
        assert one.conditioning.engine == two.conditioning.engine == "grid"
        for name, par in one.params.items():
            assert two.params[name].value == pytest.approx(par.value, abs=1e-9 * par.stderr)

    def test_nan_in_a_coordinate_is_none(self, grid):
        x, y, z = grid
        x = x.copy()
        x[:, 5] = np.nan
        result = PolynomialSurface(3).fit(z, x=x, y=y, nan_policy="omit")
        assert result.observed.omitted == NY
        used = np.isfinite(x)
        agrees(result, by_qr(result.model.basis.columns(x[used], y[used]), z[used]))


def test_no_more_memory_than_a_few_blocks(rng):
    size = 512
    y, x = np.mgrid[:size, :size] * 1.0
    z = np.sin(x / size) * y + rng.standard_normal(x.shape)
    model = PolynomialSurface(8)
    model.fit(z[:100, :100], x=x[:100, :100], y=y[:100, :100])  # packages and caches are no matter of the data
    tracemalloc.start()
    try:
        result = model.fit(z, x=x, y=y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # the data are 2.1 MB, the design matrix would be 94 MB; two blocks of 1 MB, and the graph of the model on this range
    assert peak < 4.5e6
    assert not {"residual", "best_fit"} & set(vars(result))
    np.testing.assert_allclose(result.residual_map.ravel(), result.residual, atol=1e-9)
    assert pickle.loads(pickle.dumps(result)).residual.shape == (size * size,)


class TestManyRows:
    """The same without a grid: whole columns only where they are small."""

    @pytest.fixture
    def scattered(self, rng, monkeypatch):
        monkeypatch.setattr(bind_graph, "LARGE", 100_000)
        monkeypatch.setattr(rowlinear, "ROWS", 9_000)
        x, y = rng.uniform(-3, 3, (2, 30_000))
        return x, y, np.sin(x) * y + 0.1 * rng.standard_normal(x.size)

    @pytest.mark.parametrize("basis", ["chebyshev", "monomial"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_are_factored_in_blocks(self, scattered, rng, basis, weighted):
        x, y, z = scattered
        w, mask = rng.uniform(0.5, 2, x.size) if weighted else None, (x > 2.5) & (y < 0)
        result = PolynomialSurface(5, basis=basis).fit(z, x=x, y=y, weights=w, mask=mask)
        assert result.conditioning.engine == "rows"
        A = result.model.basis.columns(x[~mask], y[~mask])
        agrees(result, by_qr(A, z[~mask], None if w is None else w[~mask]))
        assert "never as a whole" in result.explain()

    def test_columns_alike_go_back_to_whole_ones(self, scattered):
        x, y, z = scattered
        result = sf.SurfaceModel(lambda x, y, a, b, c, d: a * x + b * y + c * 2 * y + d, ["x", "y"]).fit(z, x=x, y=y)
        assert result.conditioning.engine == "linear"
        assert result.conditioning.undetermined == ("b", "c")


def test_losses_and_priors_find_the_rows(grid):
    """What works on rows gets them although the plain fit never makes them."""
    x, y, z = grid
    mask = x > 80
    z = z.copy()
    z[10, 10] += 100
    model = PolynomialSurface(3, domain=((0, NX), (0, NY)))
    plain = model.fit(z, x=x, y=y, mask=mask)
    robust = model.fit(z, x=x, y=y, mask=mask, loss="soft_l1")
    known = model.fit(z, x=x, y=y, mask=mask, priors={"c0_0": (0.5, 1e-6)})
    assert plain.conditioning.engine == "grid"
    assert robust.redchi < plain.redchi
    assert known.params["c0_0"].value == pytest.approx(0.5, abs=1e-4)
    assert plain.residual.size == robust.residual.size == (~mask).sum()
