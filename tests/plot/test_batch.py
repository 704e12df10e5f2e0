"""Pictures of batches: what is drawn, which fits decide the scales, what a click shows, and that nothing global changes."""

import pickle

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.backend_bases import MouseEvent
from matplotlib.colors import to_hex

import surffit as sf
from surffit.exceptions import DataError, ParameterError
from surffit.plot.batch import robust_limits
from surffit.plot.flags import COLORS, categories

T = np.linspace(-5.0, 5.0, 30)


def peak(x, height, centre, width):
    return height * np.exp(-0.5 * ((x - centre) / width) ** 2)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def fitted(shape, **keywords):
    rng = np.random.default_rng(4)
    centre = np.linspace(-1.0, 1.0, int(np.prod(shape))).reshape(shape)
    data = peak(T, 10.0, centre[..., None], 1.2) + rng.normal(0.0, 0.2, (*shape, len(T)))
    data[(0,) * len(shape)] = np.nan
    model = sf.SurfaceModel(peak, independent_vars=["x"])
    params = model.make_params(height=8.0, centre=0.0, width=1.0)
    return sf.fit_many(model, data, axis=-1, params=params, x=T, workers=1, **keywords)


@pytest.fixture(scope="module")
def batch():
    return fitted((4, 6))


def mesh(ax):
    return ax.collections[0]


def test_panels_of_the_overview(batch):
    before = dict(mpl.rcParams)
    figure = batch.plot()
    titles = [ax.get_title() for ax in figure.axes[:6]]
    assert titles[:5] == ["height", "centre", "width", "reduced chi-square", "how the fits ended"]
    assert titles[5].startswith("fit at (")
    assert figure.get_suptitle() == "Model(peak): 23 of 24 fits succeeded"
    np.testing.assert_array_equal(mesh(figure.axes[1]).get_array().filled(np.nan), batch.values["centre"])
    assert dict(mpl.rcParams) == before
    figure.savefig(__import__("io").BytesIO(), dpi=40)


def test_no_fit_is_grey(batch):
    ax = batch.plot("centre").axes[0]
    drawn = mesh(ax)
    assert drawn.get_array().mask[0, 0]
    assert to_hex(drawn.cmap(np.ma.masked)) == to_hex("0.72")
    assert drawn.get_array().mask.sum() == 1


def test_a_parameter_with_its_error_and_single_maps(batch):
    assert [ax.get_title() for ax in batch.plot("width").axes[:2]] == ["width", "standard error of width"]
    for name in ("chisqr", "redchi", "nobs", "nfree", "nfev"):
        ax = batch.plot(name).axes[0]
        np.testing.assert_allclose(
            mesh(ax).get_array().compressed(), np.ravel(getattr(batch, name))[np.isfinite(getattr(batch, name).ravel())]
        )
    with pytest.raises(ParameterError, match="no map 'with'; did you mean 'width'"):
        batch.plot("with")


def test_limits_are_those_of_most_fits():
    values = np.concatenate([np.linspace(0.0, 1.0, 500), [1e9, -1e9, np.nan, np.inf]])
    low, high, extend = robust_limits(values)
    assert -0.1 < low < 0.05
    assert 0.95 < high < 1.1
    assert extend == "both"
    assert robust_limits(np.linspace(0.0, 1.0, 50)) == (0.0, 1.0, "neither")
    low, high, _ = robust_limits(np.full(9, 3.0))
    assert low < 3.0 < high
    assert robust_limits(np.array([np.nan])) == (0.0, 1.0, "neither")


def test_status_map(batch):
    ax = batch.plot("status").axes[0]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["converged (23)", "NONFINITE_DATA (1)"]
    assert to_hex(mesh(ax).to_rgba(mesh(ax).get_array())[0, 0]) == COLORS["NONFINITE_DATA"]


def test_the_most_telling_flag_counts():
    S = sf.Status
    status = np.array(
        [S.CONVERGED_FTOL, S.CONVERGED_FTOL | S.AT_BOUND, S.RUNAWAY | S.AT_BOUND, S.CONVERGED_XTOL | S.CLIPPED | S.RANK_DEFICIENT, 0],
        dtype=np.uint32,
    )
    codes, found = categories(status)
    assert [found[code][0] for code in codes] == ["converged", "AT_BOUND", "RUNAWAY", "RANK_DEFICIENT", "other"]
    assert {name for name in S.__members__ if not name.startswith("CONVERGED")} == set(COLORS)
    assert len(set(COLORS.values())) == len(COLORS)


def click(figure, ax, x, y):
    place = ax.transData.transform((x, y))
    figure.canvas.callbacks.process("button_press_event", MouseEvent("button_press_event", figure.canvas, *place, button=1))


def test_a_click_shows_that_fit(batch):
    figure = batch.plot("centre")
    figure.canvas.draw()
    detail = next(ax for ax in figure.axes if ax.get_title().startswith("fit at"))
    click(figure, figure.axes[1], 4.2, 2.1)
    assert detail.get_title() == "fit at (2, 4)"
    shown = next(line for line in detail.lines if line.get_label() == "data")
    np.testing.assert_array_equal(shown.get_ydata(), batch.task.source.y[2, 4])
    assert f"centre = {batch.values['centre'][2, 4]:.4g}" in detail.get_legend().get_title().get_text()
    # outside of the maps nothing happens
    click(figure, detail, 0.0, 5.0)
    assert detail.get_title() == "fit at (2, 4)"
    # a pixel without a fit says why
    click(figure, figure.axes[0], 0.0, 0.0)
    assert detail.get_title() == "fit at (0, 0): no fit"
    assert "non-finite" in detail.texts[0].get_text()


def test_while_the_toolbar_zooms_a_click_is_its(batch):
    figure = batch.plot("centre")
    figure.canvas.draw()
    detail = next(ax for ax in figure.axes if ax.get_title().startswith("fit at"))
    before = detail.get_title()
    figure.canvas.toolbar = type("Toolbar", (), {"mode": "zoom rect"})()
    click(figure, figure.axes[0], 5.0, 3.0)
    assert detail.get_title() == before
    figure.canvas.toolbar = None


def test_one_data_set_without_a_mouse(batch):
    figure = batch.plot(index=(1, 2))
    assert figure.axes[0].get_title() == "Model(peak) at (1, 2)"
    assert batch.plot(dim_0=1, dim_1=2).axes[0].get_title() == "Model(peak) at (1, 2)"
    failed = batch.plot(index=(0, 0)).axes[0]
    assert failed.get_title() == "fit at (0, 0): no fit"
    assert "non-finite" in failed.texts[0].get_text()
    with pytest.raises(ValueError, match="name='width' has no effect"):
        batch.plot("width", index=(1, 2))


def test_maps_of_one_axis_are_lines():
    batch = fitted((8,))
    figure = batch.plot()
    assert [ax.get_ylabel() for ax in figure.axes[:4]] == ["height", "centre", "width", "redchi"]
    bars = figure.axes[1].containers[0]
    np.testing.assert_array_equal(bars.lines[0].get_ydata(), batch.values["centre"][1:])
    assert [tick.get_text() for tick in figure.axes[4].get_yticklabels()] == ["converged (7)", "NONFINITE_DATA (1)"]
    figure.canvas.draw()
    click(figure, figure.axes[0], 5.1, np.mean(figure.axes[0].get_ylim()))
    assert figure.axes[-1].get_title() == "fit at 5"


def test_maps_of_three_axes_are_refused_with_a_way():
    batch = fitted((2, 2, 2))
    with pytest.raises(
        DataError, match=r"maps of 3 axes can't be drawn; choose a plane, e.g. batch.to_dataset\(\).isel\(dim_0=0\)\['height'\]"
    ):
        batch.plot()
    assert batch.plot(index=(1, 1, 1)).axes[0].get_title() == "Model(peak) at (1, 1, 1)"


def test_given_axes_and_figures(batch):
    own, axes = plt.subplots(1, 2)
    assert batch.plot("width", ax=axes) is own
    assert [ax.get_title() for ax in axes] == ["width", "standard error of width"]
    assert not own.get_suptitle()
    own.canvas.draw()
    click(own, axes[0], 3.0, 1.0)  # in a figure of its own
    assert plt.figure(plt.get_fignums()[-1]).axes[0].get_title() == "Model(peak) at (1, 3)"
    figure = plt.figure()
    assert batch.plot("width", fig=figure) is figure
    with pytest.raises(ValueError, match="both ax and fig"):
        batch.plot(ax=axes[0], fig=figure)
    with pytest.raises(ValueError, match="ax has 2 Axes"):
        batch.plot(ax=axes)


def test_stamps_show_maps_and_open_their_own_figure():
    y, x = np.mgrid[:4, :5].astype(float)
    plane = sf.SurfaceModel(lambda x, y, a, b, c: a + b * x + c * y, independent_vars=["x", "y"])
    data = 1.0 + x + np.arange(6.0).reshape(2, 3, 1, 1) * y + np.random.default_rng(2).normal(0, 0.1, (2, 3, 4, 5))
    batch = sf.fit_many(plane, data, axis=(2, 3), x=x, y=y, workers=1)
    figure = batch.plot()
    assert not any(ax.get_title().startswith("fit at") for ax in figure.axes)
    figure.canvas.draw()
    click(figure, figure.axes[0], 2.0, 1.0)
    assert plt.figure(plt.get_fignums()[-1]).get_suptitle().endswith("at (1, 2)")


def test_labels_and_units_of_dataarrays(batch):
    xr = pytest.importorskip("xarray")
    from surffit.batch.answer.result import BatchResult

    coords = {"dec": ("dec", np.linspace(2.0, 1.0, 4), {"units": "deg"}), "ra": np.linspace(10.0, 10.5, 6)}
    template = xr.DataArray(np.zeros((4, 6)), dims=("dec", "ra"), coords=coords)
    engine = type("Engine", (), {"name": "loop", "reason": ""})
    dressed = BatchResult(batch.task, batch.maps, (4, 6), lambda a: template.copy(data=a), engine, True, axes=(2,))
    figure = dressed.plot("centre")
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ra", "dec [deg]")
    figure.canvas.draw()
    click(figure, ax, 10.41, 1.66)  # falling coordinates: row 1
    assert any(a.get_title() == "fit at dec=1.66667, ra=10.4" for a in figure.axes)


def test_a_batch_from_a_file_has_maps_but_no_fits(batch, tmp_path):
    batch.save(tmp_path / "fits.npz")
    loaded = sf.load(tmp_path / "fits.npz")
    figure = loaded.plot()
    assert not any(ax.get_title().startswith("fit at") for ax in figure.axes)
    with pytest.raises(DataError, match="keeps the answers"):
        loaded.plot(index=(1, 1))


def test_figures_can_be_pickled(batch):
    figure = batch.plot("width")
    assert len(pickle.loads(pickle.dumps(figure)).axes) == len(figure.axes)
