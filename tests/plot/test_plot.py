"""Pictures, checked on their artists: what is drawn where, which points decide the scales, and that nothing global changes."""

import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba

import surffit as sf
from surffit import plot as plots
from surffit.exceptions import DataError
from surffit.plot.curve import fine_grid
from surffit.plot.maps import edges, find_grid, residual_limit, value_limits
from surffit.plot.view import make_view


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


class Result:
    """The attributes of a result that pictures read, with numbers that no fit would give on demand."""

    def __init__(self, func, coords, data, values, *, sigma=None, used=None, can_evaluate=True, name=None):
        data = np.asarray(data)
        self.func, self.values, self.can_evaluate = func, values, can_evaluate
        self.observed = SimpleNamespace(
            data=data, shape=data.shape, coords=coords, sigma=sigma, used=used, names=tuple(coords), elementwise=True, units={}
        )
        self.model = SimpleNamespace(name=name or f"Model({func.__name__})")
        self.params, self.init_params, self.covar = values, {key: 1.5 * value for key, value in values.items()}, np.eye(2)
        self.best_fit = np.broadcast_to(func(**coords, **values), data.shape)
        self.best_fit = self.best_fit if used is None else np.where(used, self.best_fit, np.nan)

    def eval(self, params=None, **coords):
        if coords and not self.can_evaluate:
            msg = "operands could not be broadcast together"
            raise ValueError(msg)
        return self.func(**{**self.observed.coords, **coords}, **(params or self.values))

    def predict(self, level=0.95, kind="confidence", **coords):
        fit = self.eval(**coords) * np.ones(np.shape(next(iter(coords.values()))))
        return {"fit": fit, "lower": fit - 0.1, "upper": fit + 0.2}


def line(x, a, b):
    return a + b * x


def plane(x, y, a, b, c):
    return a + b * x + c * y


def wave(x, a):
    return a * np.exp(1j * x)


def volume(x, y, z, a):
    return a * x + y * z


def a_line(n=12, **keywords):
    x = np.linspace(0, 1, n) ** 2
    return Result(line, {"x": x}, line(x, 1.0, 2.0) + 0.1 * (-1.0) ** np.arange(n), {"a": 1.0, "b": 2.0}, **keywords)


def a_plane(nx=6, ny=5, *, scale=1.0, **keywords):
    x, y = np.linspace(0, 1, nx) ** 2, np.linspace(-1, 1, ny)[:, None]
    wiggle = 0.1 * (-1.0) ** np.arange(nx * ny).reshape(ny, nx)
    return Result(plane, {"x": x, "y": y}, scale * (plane(x, y, 1, 2, 3) + wiggle), dict(a=scale, b=2 * scale, c=3 * scale), **keywords)


def a_table(rng, **keywords):
    """A plane on a grid of irregular columns, as a table with its rows in any order."""
    x, y = (values.ravel() for values in np.meshgrid([226.5, 361.05, 404.41, 589.0], [0.0, 10.0, 20.0]))
    order = rng.permutation(x.size)
    x, y = x[order], y[order]
    return Result(plane, {"x": x, "y": y}, plane(x, y, 1, 2, 3) + rng.normal(0, 1, x.size), {"a": 1, "b": 2, "c": 3}, **keywords)


def scattered(rng, n=50, **keywords):
    x, y = rng.uniform(0, 1, (2, n))
    return Result(plane, {"x": x, "y": y}, plane(x, y, 1, 2, 3) + rng.normal(0, 0.1, n), {"a": 1, "b": 2, "c": 3}, **keywords)


def labelled(ax, label):
    """The line with this label."""
    return next(line for line in ax.lines if line.get_label() == label)


def mesh_of(ax):
    """Cells of a map as a masked (ny, nx) array."""
    return ax.collections[0].get_array()


# one variable


def test_curve_shows_data_fit_band_and_residuals():
    result = a_line(sigma=0.1)
    main, below = plots.plot(result).axes
    x, data = result.observed.coords["x"], result.observed.data
    bars = main.containers[0]
    assert np.array_equal(bars.lines[0].get_xydata(), np.column_stack([x, data]))
    ends = np.array(bars.lines[2][0].get_segments())
    assert np.allclose(ends[:, 1, 1] - ends[:, 0, 1], 0.2)  # from one sigma below to one above
    fit = labelled(main, "best fit")
    assert len(fit.get_xdata()) >= 400
    assert np.isin(x, fit.get_xdata()).all()
    assert np.allclose(fit.get_ydata(), line(fit.get_xdata(), 1, 2))
    band = main.collections[-1].get_paths()[0].vertices
    below_fit, above_fit = (np.min(band[:, 1] - line(band[:, 0], 1, 2)), np.max(band[:, 1] - line(band[:, 0], 1, 2)))
    assert (below_fit, above_fit) == pytest.approx((-0.1, 0.2))
    points = below.lines[-1]
    assert np.allclose(points.get_ydata(), (data - line(x, 1, 2)) / 0.1)
    assert "σ" in below.get_ylabel()
    assert main.get_title() == "Model(line)"
    assert below.get_xlabel() == "x"


def test_residuals_are_in_data_units_without_sigma():
    result = a_line()
    main, below = plots.plot(result).axes
    assert not main.containers
    assert np.allclose(below.lines[-1].get_ydata(), result.observed.data - result.best_fit)
    assert below.get_ylabel() == "data − model"


def test_excluded_points_are_marked_and_decide_no_limits():
    used = np.ones(12, dtype=bool)
    used[[2, 5, 7]] = False
    clean, spoilt = a_line(used=used), a_line(used=used)
    spoilt.observed.data[2], spoilt.observed.data[5] = 1e6, np.nan
    limits = [plots.plot(result).axes[0].get_ylim() for result in (clean, spoilt)]
    assert limits[0] == limits[1]
    main = plots.plot(spoilt).axes[0]
    crosses = [mark for mark in main.lines if mark.get_marker() == "x"]
    x = spoilt.observed.coords["x"]
    assert sorted(np.concatenate([mark.get_xdata() for mark in crosses])) == pytest.approx(sorted(x[[2, 5, 7]]))
    on_scale, above, below = crosses  # below: nan
    assert on_scale.get_ydata() == pytest.approx(spoilt.observed.data[[7]])
    assert above.get_ydata() > 0.9
    assert below.get_ydata() < 0.1
    assert not np.isin(spoilt.observed.data[~used], labelled(main, "data").get_ydata()).any()


@pytest.mark.parametrize("what", ["error", "band"])
def test_huge_errors_do_not_flatten_the_curve(what):
    result = a_line(sigma=np.where(np.arange(12) == 3, 1e20 if what == "error" else 0.1, 0.1))
    if what == "band":
        result.predict = lambda x, **_: {"lower": 0 * x - 1e9, "upper": 0 * x + 1e9}
    low, high = plots.plot(result).axes[0].get_ylim()
    assert 0 < low < high < 4


def test_lmfits_words():
    result = a_line(sigma=0.1)
    figure = plots.plot(
        result, "rs", "b:", xlabel="time", ylabel="flux", numpoints=50, data_kws={"ms": 9}, fit_kws={"lw": 3}, show_init=True, title="mine"
    )
    main, below = figure.axes
    points, fit = main.containers[0].lines[0], labelled(main, "best fit")
    assert (points.get_marker(), to_rgba(points.get_color()), points.get_markersize()) == ("s", to_rgba("r"), 9)
    assert (fit.get_linestyle(), fit.get_linewidth(), len(fit.get_xdata())) == (":", 3, 50)
    assert np.allclose(labelled(main, "start").get_ydata(), line(fit.get_xdata(), 1.5, 3.0))
    assert (below.get_xlabel(), main.get_ylabel(), main.get_title()) == ("time", "flux", "mine")


def test_yerr_stands_in_for_the_fits_sigma():
    result = a_line(sigma=0.1)
    values = plots.plot_residuals(result, yerr=0.2).lines[-1].get_ydata()
    assert np.allclose(values, (result.observed.data - result.best_fit) / 0.2)
    with pytest.raises(ValueError, match=r"yerr has shape \(5,\), which does not broadcast to the data's shape \(12,\)"):
        plots.plot(result, yerr=np.ones(5))


def test_a_function_bound_to_its_data_is_drawn_at_the_data():
    result = a_line(can_evaluate=False)
    fit = labelled(plots.plot(result).axes[0], "best fit")
    assert np.allclose(fit.get_ydata(), result.best_fit)


def test_fine_grid_divides_every_interval():
    x = np.array([3.0, 1.0, 1.0, 100.0, np.nan])
    grid = fine_grid(x)
    assert (np.diff(grid) > 0).all()
    assert np.isin([1.0, 3.0, 100.0], grid).all()
    assert np.count_nonzero(grid < 3) >= 200
    assert fine_grid(np.arange(100_000.0)).size <= 20_001
    assert fine_grid(np.array([2.0])).tolist() == [2.0]


@pytest.mark.parametrize(("part", "reduce"), [("abs", np.abs), ("real", np.real), ("imag", np.imag), ("angle", np.angle)])
def test_complex_data_show_one_part(part, reduce):
    x = np.linspace(0, 6, 20)
    data = wave(x, 2.0) * 1.05
    result = Result(wave, {"x": x}, data, {"a": 2.0})
    main, _ = plots.plot(result, parse_complex=part).axes
    assert np.allclose(labelled(main, "data").get_ydata(), reduce(data))
    assert np.allclose(labelled(main, "best fit").get_ydata(), reduce(wave(labelled(main, "best fit").get_xdata(), 2.0)))
    with pytest.raises(ValueError, match="'modulus'"):
        plots.plot(result, parse_complex="modulus")


def test_phase_residuals_go_the_short_way_round():
    x = np.array([3.1, 3.0])
    result = Result(wave, {"x": x}, wave(x + 0.1, 1.0), {"a": 1.0})
    assert np.allclose(make_view(result, parse_complex="angle").residual, 0.1)


@pytest.mark.parametrize(("part", "expected"), [("abs", 0.1), ("angle", 0.05), ("real", 0.1)])
def test_errors_of_complex_parts(part, expected):
    x = np.array([0.3, 2.0])
    result = Result(wave, {"x": x}, wave(x, 2.0), {"a": 2.0}, sigma=0.1)
    assert np.allclose(make_view(result, parse_complex=part).sigma, expected)


# two variables


def test_a_shuffled_table_becomes_a_true_map(rng):
    result = a_table(rng)
    figure = plots.plot(result)
    assert [ax.get_title() for ax in figure.axes] == ["data", "model", "residual"]
    coords = result.observed.coords
    columns, rows = np.unique(coords["x"]), np.unique(coords["y"])
    expected = np.empty((rows.size, columns.size))
    expected[np.searchsorted(rows, coords["y"]), np.searchsorted(columns, coords["x"])] = result.observed.data
    assert np.array_equal(mesh_of(figure.axes[0]), expected)
    corners = figure.axes[0].collections[0].get_coordinates()
    assert np.allclose(corners[0, 1:-1, 0], [293.775, 382.73, 496.705])  # halfway between the wavelengths
    assert np.allclose(corners[:, 0, 1], [-5, 5, 15, 25])


def test_data_and_model_share_a_scale_and_the_residuals_is_symmetric(rng):
    result = a_table(rng)
    data, model, residual = (ax.collections[0] for ax in plots.plot(result).axes)
    both = np.concatenate([result.observed.data, result.best_fit])
    assert data.get_clim() == model.get_clim() == (both.min(), both.max())
    largest = np.abs(result.observed.data - result.best_fit).max()
    assert residual.get_clim() == (-largest, largest)


@pytest.mark.parametrize("bad", [1e6, -1e6, np.nan, np.inf])
@pytest.mark.parametrize(
    "make", [a_plane, lambda **keywords: scattered(np.random.default_rng(3), 30, **keywords)], ids=["grid", "scattered"]
)
def test_excluded_points_decide_no_colour(make, bad):
    shape = make().observed.shape
    used = np.ones(shape, dtype=bool)
    used.flat[4] = False
    clean, spoilt = make(used=used), make(used=used)
    spoilt.observed.data.flat[4] = bad
    limits = [[ax.collections[0].get_clim() for ax in plots.plot(result).axes] for result in (clean, spoilt)]
    assert limits[0] == limits[1]
    main = plots.plot(spoilt).axes[0]
    assert main.get_title() == "data (1 of 30 excluded, grey)"
    marks = next(mark for mark in main.lines if mark.get_marker() == "x")
    x, y = (np.broadcast_to(values, shape).flat[4] for values in spoilt.observed.coords.values())
    assert marks.get_xydata().tolist() == [[x, y]]
    assert np.ma.count(main.collections[0].get_array()) == 29  # no colour of its own


def test_the_same_map_for_either_order_of_axes():
    result = a_plane()
    x, y = result.observed.coords.values()
    turned = Result(plane, {"x": x[:, None], "y": y.T}, result.observed.data.T, result.values)
    one, other = (plots.plot(item).axes[0].collections[0] for item in (result, turned))
    assert np.array_equal(one.get_array(), other.get_array())
    assert np.array_equal(one.get_coordinates(), other.get_coordinates())


def test_what_is_a_grid(rng):
    x, y = np.meshgrid([0.0, 1.0, 5.0], [1.0, 2.0])
    flat = x.ravel(), y.ravel()
    assert find_grid(*flat).index.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert find_grid(x[:, ::-1], y).index.tolist() == [[2, 1, 0], [5, 4, 3]]
    holey = find_grid(flat[0][:-1], flat[1][:-1])
    assert holey.index.tolist() == [[0, 1, 2], [3, 4, -1]]
    assert np.isnan(holey.place(np.arange(5.0))[1, 2])
    twice = find_grid(np.append(flat[0], 0.0), np.append(flat[1], 1.0))
    assert twice is None
    assert find_grid(*rng.uniform(size=(2, 40))) is None
    assert find_grid(x + 0.1 * y, y) is None  # sheared
    assert find_grid(np.where(x > 4, np.nan, x), y) is None
    assert edges(np.array([1.0, 2.0, 4.0])).tolist() == [0.5, 1.5, 3.0, 5.0]


def test_scattered_points_are_drawn_as_points(rng):
    result = scattered(rng)
    for ax, values in zip(plots.plot(result).axes, (result.observed.data, result.best_fit), strict=False):
        assert np.array_equal(ax.collections[0].get_offsets(), np.column_stack(list(result.observed.coords.values())))
        assert np.array_equal(ax.collections[0].get_array(), values)


def test_a_large_image_is_thinned():
    x, y = np.arange(2500.0), np.arange(1300.0)[:, None]
    result = Result(plane, {"x": x, "y": y}, plane(x, y, 0, 1, 2), {"a": 0, "b": 1, "c": 2})
    cells = mesh_of(plots.plot(result).axes[0])
    assert max(cells.shape) <= 1000
    assert np.array_equal(cells, result.observed.data[::2, ::3])


def test_limits_leave_single_outliers_to_the_arrows(rng):
    result = a_plane(40, 40)
    result.observed.data[3, 4] = 1e5
    view = make_view(result)
    _, high, extend = value_limits(view)
    assert high < 10
    assert extend in ("max", "both")
    limit, extend = residual_limit(view.residual)
    assert limit == pytest.approx(0.1)
    assert extend in ("max", "both")
    assert residual_limit(np.zeros(5)) == (1.0, "neither")


def test_data_kws_reach_the_maps():
    figure = plots.plot(a_plane(), data_kws={"cmap": "magma", "vmax": 99.0})
    assert figure.axes[1].collections[0].get_cmap().name == "magma"
    assert figure.axes[1].collections[0].get_clim()[1] == 99.0
    assert figure.axes[2].collections[0].get_clim()[1] < 1


def test_residual_map_is_in_sigma():
    result = a_plane(sigma=0.05)
    ax = plots.plot_residuals(result)
    assert np.allclose(mesh_of(ax), (result.observed.data - result.best_fit) / 0.05)


@pytest.mark.parametrize("sigma", [np.nan, np.inf, 0.0, np.full((5, 6), np.nan)])
def test_useless_sigma_counts_as_none(sigma):
    assert make_view(a_plane(sigma=sigma)).sigma is None


def test_surface_has_points_coloured_by_sign():
    result = a_plane()
    ax = plots.plot_surface(result)
    assert ax.name == "3d"
    above = result.observed.data > result.best_fit
    drawn = {item.get_label(): item for item in ax.collections if "surface" in item.get_label()}
    # a 3-D scatter keeps its heights in a private attribute
    up, down = drawn["data above the surface"]._offsets3d, drawn["data below the surface"]._offsets3d
    assert sorted(up[2]) == pytest.approx(sorted(result.observed.data[above]))
    assert sorted(down[2]) == pytest.approx(sorted(result.observed.data[~above]))
    assert ax.get_zlim()[0] <= result.observed.data.min()


def test_surface_needs_two_variables_and_space():
    with pytest.raises(ValueError, match=r"a surface needs two independent variables, this fit has 1 variable \(x\); use plot\(\)"):
        plots.plot_surface(a_line())
    flat = plt.figure().add_subplot()
    with pytest.raises(ValueError, match=r'rectilinear Axes; make one with .*projection="3d"'):
        plots.plot_surface(a_plane(), ax=flat)


def test_a_scalar_coordinate_is_a_setting():
    x = np.linspace(0, 1, 9)
    result = Result(plane, {"x": x, "y": np.array(300.0)}, plane(x, 300.0, 1, 2, 3), {"a": 1, "b": 2, "c": 3})
    assert make_view(result).names == ("x",)
    assert len(plots.plot(result).axes) == 2


# more variables, or none


def test_three_variables_are_drawn_against_the_fitted_value(rng):
    coords = dict(zip("xyz", rng.uniform(size=(3, 30)), strict=True))
    data = volume(**coords, a=2.0) + rng.normal(0, 0.1, 30)
    used = np.arange(30) > 2
    result = Result(volume, coords, data, {"a": 2.0}, used=used, sigma=0.1)
    main, below = plots.plot(result).axes
    fitted = volume(**coords, a=2.0)
    assert np.allclose(labelled(main, "data").get_xydata(), np.column_stack([fitted, data])[used])
    assert np.allclose(labelled(main, "excluded").get_xydata(), np.column_stack([fitted, data])[~used])
    assert np.allclose(below.lines[-1].get_ydata(), (data - fitted)[used] / 0.1)


def test_coordinates_that_are_no_axes():
    result = a_line()
    result.observed.elementwise = False
    assert make_view(result).names == ()
    assert len(plots.plot(result).axes) == 2


# Axes, figures, files and global state


@pytest.mark.parametrize(("make", "count"), [(a_line, 2), (a_plane, 3)])
def test_given_axes(make, count):
    one = plt.figure().add_subplot()
    assert plots.plot(make(), ax=one) is one.figure
    assert one.has_data()
    many = plt.figure().subplots(1, count)
    assert plots.plot(make(), ax=many) is many[0].figure
    assert all(ax.has_data() for ax in many)


@pytest.mark.parametrize(
    ("make", "count", "text"),
    [
        (a_line, 3, r"ax has 3 Axes; give one Axes \(for fit\) or 2 \(fit, residuals\)"),
        (a_plane, 2, r"ax has 2 Axes; give one Axes \(for data\) or 3 \(data, model, residual\)"),
    ],
)
def test_a_wrong_number_of_axes(make, count, text):
    with pytest.raises(ValueError, match=text):
        plots.plot(make(), ax=plt.figure().subplots(1, count))
    with pytest.raises(ValueError, match=r"ax has 2 Axes; give one Axes$"):
        plots.plot_residuals(make(), ax=plt.figure().subplots(1, 2))


def test_one_axes_for_two_variables_shows_data_and_model():
    ax = plt.figure().add_subplot()
    plots.plot(a_plane(), ax=ax)
    assert ax.get_title() == "data; contours: model"
    assert len(ax.collections) == 2


def test_words_without_effect_are_refused(rng):
    with pytest.raises(ValueError, match=r"datafmt, show_init: no effect on the plot of a fit in 2 variables \(x, y\)"):
        plots.plot(a_plane(), "s", show_init=True)
    with pytest.raises(ValueError, match="both ax and fig"):
        plots.plot(a_line(), ax=plt.figure().add_subplot(), fig=plt.figure())
    with pytest.raises(ValueError, match="fig_kws has no effect"):
        plots.plot(a_line(), fig=plt.figure(), fig_kws={"dpi": 50})
    with pytest.raises(TypeError, match="ax holds a str"):
        plots.plot(a_line(), ax="main")


def test_a_given_figure_is_used():
    figure = mpl.figure.Figure()
    assert plots.plot(a_plane(), fig=figure) is figure
    assert not plt.get_fignums()


def test_nothing_global_changes(monkeypatch):
    plt.get_fignums()
    monkeypatch.setattr(plt, "show", lambda *args, **keywords: pytest.fail("a figure was shown"))
    before = dict(mpl.rcParams)
    errors = np.geterr()
    for make in (a_line, a_plane):
        plots.plot(make())
        plots.plot_residuals(make())
        plots.picture(make())
    plots.plot_surface(a_plane())
    assert dict(mpl.rcParams) == before
    assert np.geterr() == errors


def test_results_are_only_read():
    result = a_plane(used=np.arange(30).reshape(5, 6) > 3)
    result.observed.data[0, 0] = np.inf
    before = result.observed.data.copy(), result.best_fit.copy()
    plots.plot(result)
    plots.picture(result)
    assert np.array_equal(result.observed.data, before[0])
    assert np.array_equal(result.best_fit, before[1], equal_nan=True)


def test_importing_loads_no_matplotlib_and_picture_no_pyplot():
    code = """if True:
    import sys
    import surffit.plot
    assert "matplotlib" not in sys.modules
    from types import SimpleNamespace as N
    import numpy as np
    x = np.arange(4.0)
    seen = N(data=x, shape=(4,), coords={"x": x}, sigma=None, used=None, names=("x",))
    surffit.plot.picture(N(observed=seen, best_fit=x, model=N(name="m"), eval=lambda x: x, covar=None))
    assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("make", [a_line, a_plane, lambda: scattered(np.random.default_rng(1))], ids=["line", "grid", "scattered"])
def test_picture_writes_a_file(tmp_path, make):
    path = tmp_path / "fit.png"
    plots.picture(make(), path, dpi=40)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="xyz"):
        plots.picture(make(), tmp_path / "fit.xyz")


def test_labels_carry_columns_and_units():
    result = a_plane()
    result.observed.units = {"x": "nm", "data": "mJy"}
    result.table_names = {"data": "flux", "y": "t_$"}
    view = make_view(result)
    assert view.labels == ("x [nm]", r"t_\$")
    assert view.data_label == "flux [mJy]"
    assert view.scaled_residual()[1] == "data − model [mJy]"
    figure = plots.plot(result)
    figure.canvas.draw()  # a lone dollar sign must not start a formula
    assert figure.axes[0].get_xlabel() == "x [nm]"


def test_a_result_without_data_says_so():
    with pytest.raises(DataError, match="holds no data"):
        plots.plot(SimpleNamespace(observed=None))


def not_finite_anywhere():
    result = a_plane()
    result.best_fit = np.full((5, 6), np.nan)
    result.func = lambda x, y, **_: np.full(np.broadcast_shapes(np.shape(x), np.shape(y)), np.inf)
    return result


def partly_not_finite():
    result = a_plane()
    result.best_fit = result.best_fit.copy()
    result.best_fit[1, 2], result.best_fit[0, 0] = np.nan, np.inf
    return result


HARD = {
    "one point": lambda: a_line(1),
    "two points": lambda: a_line(2),
    "very many points": lambda: a_line(30_000, sigma=0.1),
    "1e-12": lambda: a_plane(scale=1e-12),
    "1e12": lambda: a_plane(scale=1e12),
    "constant line": lambda: Result(line, {"x": np.arange(5.0)}, np.full(5, 3.0), {"a": 3.0, "b": 0.0}),
    "constant plane": lambda: Result(
        plane, {"x": np.arange(5.0), "y": np.arange(4.0)[:, None]}, np.zeros((4, 5)), dict(a=0.0, b=0.0, c=0.0)
    ),
    "one row": lambda: a_plane(6, 1),
    "not finite anywhere": not_finite_anywhere,
    "partly not finite": partly_not_finite,
    "all excluded": lambda: a_plane(used=np.zeros((5, 6), dtype=bool)),
    "all excluded line": lambda: a_line(used=np.zeros(12, dtype=bool)),
    "not evaluable": lambda: a_plane(can_evaluate=False),
    "not evaluable points": lambda: scattered(np.random.default_rng(5), can_evaluate=False),
    "points on a line": lambda: Result(plane, {"x": np.arange(9.0), "y": np.arange(9.0)}, np.arange(9.0), {"a": 0, "b": 1, "c": 0}),
    "complex map": lambda: Result(
        lambda x, y, a: a * np.exp(1j * (x + y)), {"x": np.arange(5.0), "y": np.arange(4.0)[:, None]}, np.ones((4, 5)) * 1j, {"a": 1.0}
    ),
    "long name": lambda: a_plane(name="Model($sum$) " * 20),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_cases_draw(name):
    result = HARD[name]()
    figures = [plots.plot(result), plots.plot_residuals(result).figure, plots.picture(result)]
    if len(make_view(result).names) == 2:
        figures.append(plots.plot_surface(result).figure)
    for figure in figures:
        figure.canvas.draw()  # warnings are errors here


# real fits


def peak(x, height, centre, width):
    return height * np.exp(-((x - centre) ** 2) / (2 * width**2))


@pytest.fixture(scope="module")
def peak_fit():
    x = np.linspace(0, 10, 60)
    data = peak(x, 5.0, 4.2, 1.1) + np.random.default_rng(8).normal(0, 0.2, 60)
    mask = np.zeros(60, dtype=bool)
    mask[30], data[30] = True, 1e5
    return sf.SurfaceModel(peak).fit(data, x=x, sigma=0.2, mask=mask, height=4, centre=5, width=1)


@pytest.fixture(scope="module")
def index_fit():
    def index(x, y, a1, a2, a3, b1, b2, c1):
        return a1 + a2 * y + a3 * y**2 + (b1 + b2 * y) / x**2 + c1 / x**4

    return sf.fit_table(sf.data.refractive_index(), index, data="n", x="wavelength_nm", y="temperature_c")


def test_the_band_of_a_fit_is_its_prediction(peak_fit):
    main, below = peak_fit.plot().axes
    fit = labelled(main, "best fit")
    band = main.collections[-1].get_paths()[0].vertices
    expected = peak_fit.predict(level=0.95, x=fit.get_xdata())
    assert np.allclose(fit.get_ydata(), expected["fit"])
    for edge in ("lower", "upper"):
        wanted = np.column_stack([fit.get_xdata(), expected[edge]])
        assert all(np.isclose(band, point, rtol=0, atol=1e-9).all(axis=1).any() for point in wanted[::40])
    assert main.get_ylim()[1] < 7
    assert len(labelled(main, "data").get_xdata() if not main.containers else main.containers[0].lines[0].get_xdata()) == 59
    outside = next(mark for mark in main.lines if mark.get_marker() == "x")
    assert outside.get_xdata() == pytest.approx(np.linspace(0, 10, 60)[[30]])
    assert outside.get_ydata() > 0.9  # the hidden value is off the scale, not the zero that stands in for it
    values = below.lines[-1].get_ydata()
    assert np.allclose(values[np.isfinite(values)], peak_fit.residual)


def test_the_map_of_a_fitted_table(index_fit):
    figure = index_fit.plot()
    assert [ax.get_title() for ax in figure.axes] == ["data", "model", "residual"]
    assert mesh_of(figure.axes[0]).shape == (11, 6)
    assert np.array_equal(np.sort(mesh_of(figure.axes[0]).ravel()), np.sort(sf.data.refractive_index()["n"]))
    assert np.allclose(np.sort(mesh_of(figure.axes[2]).ravel()), np.sort(index_fit.residual))
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("wavelength_nm", "temperature_c")


def test_surface_residuals_and_picture_of_a_fit(index_fit, tmp_path):
    assert index_fit.plot_surface().name == "3d"
    assert np.allclose(np.sort(mesh_of(index_fit.plot_residuals()).ravel()), np.sort(index_fit.residual))
    figure = plots.picture(index_fit, tmp_path / "fit.png", dpi=50)
    assert [ax.name for ax in figure.axes] == ["3d", "rectilinear"]
    assert (tmp_path / "fit.png").stat().st_size > 10_000


def test_grids_series_and_masked_arrays_of_a_fit(rng):
    pd = pytest.importorskip("pandas")
    x, y = np.arange(8.0), np.arange(6.0)[:, None]
    model = sf.SurfaceModel(plane, independent_vars=["x", "y"])
    data = np.ma.masked_greater(plane(x, y, 1, 2, 3) + rng.normal(0, 0.1, (6, 8)), 28)
    figure = model.fit(data, x=x, y=y).plot()
    assert np.array_equal(np.ma.getmaskarray(mesh_of(figure.axes[0])), data.mask)
    assert np.allclose(mesh_of(figure.axes[0]).compressed(), data.compressed())
    assert not np.ma.getmaskarray(mesh_of(figure.axes[1])).any()  # the model is shown everywhere
    table = pd.DataFrame({"x": np.tile(x, 6), "y": np.repeat(y.ravel(), 8), "z": data.data.ravel()}).sample(frac=1, random_state=1)
    figure = model.fit(table.z, x=table.x, y=table.y).plot()
    assert np.array_equal(mesh_of(figure.axes[0]), data.data)


def test_an_undetermined_parameter_leaves_the_picture(rng):
    def twice(x, a, b, c):
        return (a + b) * x + c

    x = np.linspace(0, 1, 20)
    result = sf.SurfaceModel(twice).fit(2 * x + rng.normal(0, 0.1, 20), x=x)
    main, _ = result.plot().axes
    assert len(main.collections) == 1  # only a + b matters, so the band exists
    main.figure.canvas.draw()
