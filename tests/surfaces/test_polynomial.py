"""PolynomialSurface as an ordinary model: every basis gives the same surface, on the range of its own data."""

import pickle

import lmfit
import numpy as np
import pytest

import surffit as sf
from surffit.bases import Chebyshev
from surffit.exceptions import ParameterError, ShapeError
from surffit.surfaces import PolynomialSurface

BASES = ("chebyshev", "legendre", "monomial", "orthonormal")


@pytest.fixture
def scattered(rng):
    x, y = rng.uniform(0, 10, 120), rng.uniform(-2, 2, 120)
    z = 1 + 2 * x - 3 * y + 0.5 * x * y - 0.1 * x**2 + 0.2 * y**2 + rng.normal(0, 0.1, 120)
    return x, y, z


@pytest.mark.parametrize("basis", BASES)
class TestEveryBasis:
    def test_is_least_squares(self, basis, scattered):
        x, y, z = scattered
        result = PolynomialSurface(2, basis=basis).fit(z, x=x, y=y)
        A = np.stack([np.ones_like(x), x, y, x**2, x * y, y**2], axis=1)
        best = A @ np.linalg.lstsq(A, z)[0]
        assert result.success
        np.testing.assert_allclose(result.best_fit, best, atol=1e-11)
        assert result.conditioning.derivatives == "graph"
        assert result.conditioning.linear == tuple(result.params)
        assert list(result.params) == ["c0_0", "c1_0", "c0_1", "c2_0", "c1_1", "c0_2"]

    def test_weights_and_masks(self, basis, scattered):
        x, y, z = scattered
        w, mask = np.linspace(0.5, 2, x.size), np.arange(x.size) % 7 == 0
        x, z = x.copy(), z.copy()
        x[mask], z[mask] = 1e5, -1e9  # far outside: neither the fit nor the range may see them
        result = PolynomialSurface(2, basis=basis).fit(z, x=x, y=y, weights=w, mask=mask)
        A = np.stack([np.ones_like(x), x, y, x**2, x * y, y**2], axis=1)[~mask]
        best = A @ np.linalg.lstsq(A * w[~mask, None], z[~mask] * w[~mask])[0]
        np.testing.assert_allclose(result.best_fit[~mask], best, atol=1e-10)
        if basis != "monomial":
            assert result.model.basis.domain[0] == (x[~mask].min(), x[~mask].max())

    @pytest.mark.parametrize("variables", [("x",), ("x", "y"), ("u", "v", "w")])
    def test_variables(self, basis, variables, rng):
        coords = {name: rng.uniform(-3, 5, 200) for name in variables}
        z = 1 + sum((i + 2) * c + c**3 for i, c in enumerate(coords.values())) + rng.normal(0, 0.01, 200)
        result = PolynomialSurface(3, variables, basis).fit(z, **coords)
        assert result.success
        assert result.redchi < 2e-4
        assert len(result.params) == {1: 4, 2: 10, 3: 20}[len(variables)]
        assert next(iter(result.params)) == "c" + "_".join("0" * len(variables))

    def test_grids(self, basis):
        x, y = np.arange(30.0), np.arange(20.0)[:, None]
        z = 1 + 0.1 * x - 0.2 * y + 0.01 * x * y + np.sin(7 * x + 3 * y)
        open_grid = PolynomialSurface(3, basis=basis).fit(z, x=x, y=y)
        whole = PolynomialSurface(3, basis=basis).fit(z, x=np.broadcast_to(x, z.shape), y=np.broadcast_to(y, z.shape))
        np.testing.assert_allclose(open_grid.best_fit, whole.best_fit, atol=1e-11)
        assert open_grid.best_fit.shape == z.shape

    def test_composite(self, basis):
        def peak(x, y, h, x0, y0, s):
            return h * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / s**2)

        y, x = np.mgrid[:30, :40.0]
        z = 1 + 0.1 * x - 0.02 * y + 0.001 * x * y + peak(x, y, 3, 21, 11, 4)
        model = PolynomialSurface(2, basis=basis) + sf.SurfaceModel(peak, ["x", "y"])
        assert set(model.linear) == {"h", "c0_0", "c1_0", "c0_1", "c2_0", "c1_1", "c0_2"}
        for _ in range(2):  # the second time with what the first has kept
            result = model.fit(z, x=x, y=y, x0=20, y0=12, s=3)
            assert result.params["x0"].value == pytest.approx(21, abs=1e-9)
            np.testing.assert_allclose(result.best_fit, z, atol=1e-10)
        np.testing.assert_allclose(result.eval(x=x[:2], y=y[:2]), z[:2], atol=1e-10)

    def test_two_fits_are_two(self, basis, scattered):
        x, y, z = scattered
        model = PolynomialSurface(2, basis=basis)
        first = model.fit(z, x=x, y=y)
        second = model.fit(3 * z, x=100 * x, y=y + 50)
        third = model.fit(z, x=x, y=y)
        at = {"x": np.array([1.0, 5.0]), "y": np.array([0.0, 1.0])}
        np.testing.assert_allclose(second.eval(x=100 * at["x"], y=at["y"] + 50), 3 * first.eval(**at), rtol=1e-9)
        np.testing.assert_array_equal(first.eval(**at), third.eval(**at))
        np.testing.assert_allclose(first.predict(**at)["fit"], first.eval(**at))
        assert model.basis is None or basis == "monomial"

    def test_fixed_coefficients(self, basis, scattered):
        x, y, z = scattered
        model = PolynomialSurface(2, basis=basis)
        params = model.make_params()
        params["c1_1"].set(value=0.0, vary=False)
        result = model.fit(z, params, x=x, y=y)
        assert result.params["c1_1"].value == 0.0
        assert result.nvarys == 5
        assert np.abs(result._outcome.bound.problem.columns(np.empty(0))[1] @ result.residual).max() < 1e-10

    def test_prefix(self, basis, scattered):
        x, y, z = scattered
        result = PolynomialSurface(1, basis=basis, prefix="bg_").fit(z, x=x, y=y)
        assert list(result.best_values) == ["bg_c0_0", "bg_c1_0", "bg_c0_1"]
        assert list(result.to_basis("legendre").params) == list(result.params)

    def test_a_constant(self, basis):
        result = PolynomialSurface(0, "x", basis).fit([1.0, 2.0, 6.0], x=[0.0, 1.0, 2.0])
        assert result.params["c0"].value == pytest.approx(3.0)
        assert result.eval(x=np.arange(5.0)).shape == (5,)

    def test_what_the_data_do_not_determine(self, basis):
        x = np.repeat([0.0, 1.0, 2.0], 5)
        result = PolynomialSurface(3, "x", basis).fit(x**2 + np.linspace(0, 0.1, 15), x=x)
        assert result.success
        assert sf.Status.RANK_DEFICIENT in result.status
        assert np.isinf([par.stderr for par in result.params.values()]).any()
        band = result.predict(x=[1.0, 1.5])
        assert np.isfinite(band["upper"][0])
        assert np.isinf(band["upper"][1])  # between the values of x a cubic is free

    def test_results_travel(self, basis, scattered, tmp_path):
        x, y, z = scattered
        result = PolynomialSurface(2, basis=basis).fit(z, x=x, y=y)
        again = pickle.loads(pickle.dumps(result))
        np.testing.assert_array_equal(again.eval(x=x, y=y), result.eval(x=x, y=y))
        result.save(tmp_path / "fit.json")
        np.testing.assert_allclose(sf.load(tmp_path / "fit.json").eval(x=x, y=y), result.eval(x=x, y=y), rtol=1e-12)


def test_degrees_of_each_variable(scattered):
    x, y, z = scattered
    result = PolynomialSurface((2, 1), total=False).fit(z, x=x, y=y)
    assert set(result.params) == {f"c{i}_{j}" for i in range(3) for j in range(2)}


def test_a_given_domain_is_kept(scattered):
    x, y, z = scattered
    model = PolynomialSurface(2, domain=((0, 20), (-4, 4)))
    result = model.fit(z, x=x, y=y)
    assert result.model is model
    columns = Chebyshev(2, ((0, 20), (-4, 4))).columns(x, y)
    np.testing.assert_allclose(columns @ list(result.best_values.values()), result.best_fit, atol=1e-12)
    np.testing.assert_allclose(model.eval(result.params, x=x, y=y), result.best_fit, atol=1e-12)


def test_before_a_fit_numbers_have_no_range():
    model = PolynomialSurface(2)
    assert len(model.linear) == 6
    assert "Solved exactly (linear)" in model.describe()
    with pytest.raises(ParameterError, match="range is taken from the data at a fit"):
        model.eval(model.make_params(c0_0=1.0), x=np.arange(3.0), y=np.arange(3.0))
    assert PolynomialSurface(1, "x", "monomial").eval(c0=1.0, c1=2.0, x=np.arange(3.0)).tolist() == [1.0, 3.0, 5.0]


def test_the_model_is_not_changed_by_a_fit(scattered):
    x, y, z = scattered
    model = PolynomialSurface(2)
    before = {name: value for name, value in vars(model).items() if name != "_structures"}
    model.fit(z, x=x, y=y)
    assert {name: value for name, value in vars(model).items() if name != "_structures"} == before


def test_on_the_right_of_an_lmfit_model():
    x = np.linspace(0, 10, 60)
    composite = sf.SurfaceModel.from_lmfit(lmfit.models.GaussianModel() + PolynomialSurface(1, "x"))
    data = 3 * np.exp(-((x - 4) ** 2) / 2) + 1 + 0.1 * x
    result = composite.fit(data, x=x, center=4.5, sigma=1.2)
    assert result.params["center"].value == pytest.approx(4.0, abs=1e-9)


def test_tables(scattered):
    import pandas as pd

    x, y, z = scattered
    table = pd.DataFrame({"u": x, "v": y, "z": z, "half": np.arange(x.size) % 2})
    model = PolynomialSurface(2)
    groups = sf.fit_table(table, model, data="z", x="u", y="v", by="half")
    for key, result in ((key, groups[key]) for key in (0, 1)):
        own = table[table["half"] == key]
        alone = model.fit(own["z"].to_numpy(), x=own["u"].to_numpy(), y=own["v"].to_numpy())
        np.testing.assert_allclose(list(result.best_values.values()), list(alone.best_values.values()), rtol=1e-12)


def test_by_name():
    model = sf.get_model("polynomial_surface", degree=1, basis="legendre")
    assert isinstance(model, PolynomialSurface)
    assert model.param_names == ["c0_0", "c1_0", "c0_1"]
    assert sf.get_model("polynomial_surface").degree == 2


def test_in_a_joint_fit_with_a_range_of_its_own(scattered):
    x, y, z = scattered
    model = PolynomialSurface(1, domain=((0, 10), (-2, 2)))
    joint = sf.JointModel({"a": model, "b": model}, shared=["c1_0", "c0_1"])
    result = joint.fit({"a": z, "b": z + 5}, x=x, y=y)
    assert result.params["b_c0_0"].value - result.params["a_c0_0"].value == pytest.approx(5.0, abs=1e-9)


def test_in_a_joint_fit_on_the_range_of_each_data_set(scattered):
    x, y, z = scattered
    joint = sf.JointModel({"a": PolynomialSurface(2), "b": PolynomialSurface(2)})
    b = {"x": x[:60] * 3, "y": y[:60]}
    for _ in range(2):
        result = joint.fit({"a": z, "b": z[:60]}, x={"a": x, "b": b["x"]}, y={"a": y, "b": b["y"]})
        for key, alone in (("a", PolynomialSurface(2).fit(z, x=x, y=y)), ("b", PolynomialSurface(2).fit(z[:60], **b))):
            for name, par in alone.params.items():
                assert result.params[f"{key}_{name}"].value == pytest.approx(par.value, rel=1e-9)
        np.testing.assert_allclose(result.eval()["b"], alone.best_fit, rtol=1e-9)
    with pytest.raises(ParameterError, match="c1_0 is shared, but the data sets differ in range"):
        sf.JointModel({"a": PolynomialSurface(1), "b": PolynomialSurface(1)}, shared=["c1_0"]).fit(
            {"a": z, "b": z[:60]}, x={"a": x, "b": b["x"]}, y={"a": y, "b": b["y"]}
        )
    same = sf.JointModel({"a": PolynomialSurface(1), "b": PolynomialSurface(1)}, shared=["c1_0"]).fit({"a": z, "b": z + 1}, x=x, y=y)
    assert same.success


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"basis": "zernike"}, "basis='zernike'; use one of 'chebyshev'"),
        ({"degree": -1}, "degree=-1"),
        ({"degree": (1, 2, 3)}, "is for 3 variables, but there are 2"),
        ({"variables": ("x", "x")}, "give different names"),
        ({"variables": ("x", "2y")}, "give different names"),
        ({"domain": (0, 1)}, "give one pair for each variable"),
        ({"basis": "monomial", "domain": ((0, 1), (0, 1))}, "the monomial basis has none"),
        ({"variables": ("x", "mask")}, "mask"),
    ],
)
def test_bad_calls(kwargs, sentence):
    if kwargs.get("variables") == ("x", "mask"):  # a coordinate with the name of a keyword goes into coords
        model = PolynomialSurface(1, ("x", "mask"))
        assert model.fit(np.arange(4.0), x=[0, 1, 0, 1.0], coords={"mask": [0, 0, 1, 1.0]}).success
        return
    with pytest.raises(ParameterError, match=sentence):
        PolynomialSurface(**{"degree": 2} | kwargs)


def test_points_that_do_not_fit():
    with pytest.raises(ShapeError):
        PolynomialSurface(1).fit(np.arange(4.0), x=np.arange(4.0), y=np.arange(3.0))
