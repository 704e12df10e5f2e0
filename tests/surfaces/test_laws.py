"""The laws against published numbers, identities, and the textbook's other ways to write them."""

import itertools
import math

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import DataError, ParameterError
from surffit.surfaces import ResponseSurface, SellmeierDispersion
from surffit.surfaces.laws import dispersion_glass, dispersion_linear, enzymes, gases, powers, rates, trend
from surffit.testing import check_model

# ---- dispersion: catalogues and original tables ---------------------------------------------------------------------------

NO_HEAT = dict(d0=0.0, d1=0.0, e0=0.0)
N_BK7 = dict(b1=1.03961212, c1=0.00600069867, b2=0.231792344, c2=0.0200179144, b3=1.01046945, c3=103.560653)
# I. H. Malitson, J. Opt. Soc. Am. 55 (1965) 1205
SILICA = dict(
    b1=0.6961663, c1=0.0684043**2, b2=0.4079426, c2=0.1162414**2, b3=0.8974794, c3=9.896161**2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("glass", "wavelength", "index"),
    [
        (N_BK7, 0.40466, 1.53024), (N_BK7, 0.43583, 1.52668), (N_BK7, 0.48613, 1.52238), (N_BK7, 0.54607, 1.51872),
        (N_BK7, 0.58756, 1.51680), (N_BK7, 0.65627, 1.51432), (N_BK7, 1.01398, 1.50731), (SILICA, 0.58756, 1.45846),
        (SILICA, 1.55, 1.44402),
    ],
)  # fmt: skip
def test_sellmeier_gives_the_catalogues_indices(glass, wavelength, index):
    # the catalogues print five decimals
    assert dispersion_glass.sellmeier_dispersion(wavelength, 20.0, **glass, **NO_HEAT) == pytest.approx(index, abs=6e-6)


def test_sellmeiers_thermal_part_is_the_catalogues():
    # N-BK7, mercury e line, 20 to 40 deg C, in vacuum: 1.6e-6 per K (data sheet); the resonance of the thermal part is taken
    # as the first one here, and the cubic term is left out: 0.1e-6 per K
    heat = dict(d0=1.86e-6, d1=1.31e-8, e0=4.34e-7)
    low, high = (dispersion_glass.sellmeier_dispersion(0.54607, t, **N_BK7, **heat) for t in (20.0, 40.0))
    assert (high - low) / 20.0 == pytest.approx(1.6e-6, abs=0.1e-6)


def test_schotts_formula_gives_the_catalogues_indices():
    bk7 = dict(a0=2.2718929, a1=-1.0108077e-2, a2=1.0592509e-2, a3=2.0816965e-4, a4=-7.6472538e-6, a5=4.9240991e-7, a0_t=0.0, a2_t=0.0)
    for wavelength, index in ((0.48613, 1.52238), (0.58756, 1.51680), (0.65627, 1.51432)):
        assert dispersion_glass.schott_dispersion(wavelength, 20.0, **bk7) == pytest.approx(index, abs=1.1e-5)


def test_herzbergers_formula_gives_silicons_indices():
    # C. D. Salzberg, J. J. Villa, J. Opt. Soc. Am. 47 (1957) 244: measured at four decimals, fitted to about one of the last
    silicon = dict(a=3.41696, b=0.138497, c=0.013924, d=-2.09e-5, e=1.48e-7, a_t=0.0, b_t=0.0)
    for wavelength, index in ((1.3570, 3.4975), (2.1526, 3.4476), (3.3033, 3.4297)):
        assert dispersion_linear.herzberger_dispersion(wavelength, 20.0, **silicon) == pytest.approx(index, abs=2e-4)


def test_linear_dispersion_fits_are_least_squares(refractive):
    wavelength, temperature, n = refractive["wavelength_nm"] / 1000.0, refractive["temperature_c"], refractive["n"].to_numpy()
    w, dt = wavelength.to_numpy(), temperature.to_numpy() - 20.0
    for name, columns in {
        "cauchy_dispersion": [w**0, w**-2.0, w**-4.0, dt, dt * w**-2.0],
        "conrady_dispersion": [w**0, w**-1.0, w**-3.5, dt, dt / w],
    }.items():
        result = sf.get_model(name).fit(n, wavelength=wavelength, temperature=temperature)
        wanted = np.linalg.lstsq(np.array(columns).T, n, rcond=None)[0]
        np.testing.assert_allclose(list(result.best_values.values()), wanted, rtol=1e-8)  # condition 1e4 of lstsq's own design


def test_a_real_table_in_sellmeiers_terms(refractive):
    wavelength, temperature = refractive["wavelength_nm"] / 1000.0, refractive["temperature_c"]
    model = SellmeierDispersion(terms=2)
    guessed = model.guess(refractive["n"], wavelength, temperature)
    result = model.fit(refractive["n"], guessed, wavelength=wavelength, temperature=temperature)
    # this is water, and the thermal part that of glasses: 1e-3, where index and temperature change it by 0.08
    assert np.abs(refractive["n"] - result.best_fit).max() < 1e-3
    assert result.best_values["c1"] < wavelength.min() ** 2


def test_guesses_keep_poles_out_of_the_data():
    model = sf.get_model("sellmeier_dispersion", prefix="s_")
    coords, values = model.example()
    z = model.eval(model.make_params(**values), **coords)
    guessed = model.guess(z, **coords)
    shortest, longest = coords["wavelength"].min() ** 2, coords["wavelength"].max() ** 2
    assert guessed["s_c1"].max < shortest
    assert guessed["s_c2"].max < shortest
    assert guessed["s_c3"].min > longest
    gas = sf.get_model("van_der_waals")
    coords, values = gas.example()
    guessed = gas.guess(gas.eval(gas.make_params(**values), **coords), coords["volume"], coords["temperature"])
    assert guessed["b"].value < guessed["b"].max < coords["volume"].min()


def test_sellmeiers_terms_are_chosen():
    assert check_model(SellmeierDispersion(terms=2)).traced
    again = sf.get_model("sellmeier_dispersion", terms=2)
    assert again.param_names == ["b1", "c1", "b2", "c2", "d0", "d1", "e0"]
    with pytest.raises(ParameterError, match="terms=4; use 3 resonances, or 2"):
        SellmeierDispersion(terms=4)


# ---- rates, gases ----------------------------------------------------------------------------------------------------------


def test_arrhenius_by_the_textbooks_ratio():
    # ln(k2/k1) = Ea/R (1/T1 - 1/T2), R = 8.314462618 J/(mol K)
    one, two = (rates.arrhenius_power(1.0, t, a=1e7, ea=50.0, order=1.5) for t in (300.0, 310.0))
    assert math.log(two / one) == pytest.approx(50000.0 / 8.314462618 * (1 / 300 - 1 / 310), rel=1e-9)
    assert rates.arrhenius_power(4.0, 300.0, 1e7, 50.0, 1.5) / one == pytest.approx(8.0, rel=1e-12)


def test_enzymes_in_double_reciprocals():
    a, b = np.meshgrid([0.5, 1.0, 3.0], [0.2, 2.0])
    v = enzymes.ping_pong(a, b, v_max=7.0, k_a=1.5, k_b=0.8)
    np.testing.assert_allclose(1 / v, (1 + 1.5 / a + 0.8 / b) / 7.0, rtol=1e-14)
    v = enzymes.ordered_bi_bi(a, b, v_max=7.0, k_a=1.5, k_b=0.8, k_ia=2.0)
    np.testing.assert_allclose(1 / v, (1 + 1.5 / a + 0.8 / b + 2.0 * 0.8 / (a * b)) / 7.0, rtol=1e-14)
    # an inhibitor at its constant doubles the apparent Michaelis constant
    np.testing.assert_allclose(enzymes.michaelis_inhibition(3.0, 2.0, 7.0, 1.5, 2.0), enzymes.michaelis_inhibition(3.0, 0.0, 7.0, 3.0, 2.0))


def test_half_a_layer_at_the_inverse_affinity():
    b = 0.8 * math.exp(25.0 / 8.31446261815324e-3 * (1 / 330 - 1 / 298.15))
    assert gases.langmuir_temperature(1 / b, 330.0, q_max=5.0, b=0.8, heat=25.0) == pytest.approx(2.5, rel=1e-12)


def test_the_critical_point_of_a_real_gas():
    # v = 3b, T = 8a/(27Rb), p = a/(27b^2), where the isotherm is flat
    a, b = 3.658, 0.04286
    critical = 8 * a / (27 * gases.BAR_LITRES * b)
    assert critical == pytest.approx(304.1, abs=0.5)  # carbon dioxide's, K
    assert gases.van_der_waals(3 * b, critical, a, b) == pytest.approx(a / (27 * b * b), rel=1e-12)
    h = 1e-4 * b
    slope = (gases.van_der_waals(3 * b + h, critical, a, b) - gases.van_der_waals(3 * b - h, critical, a, b)) / (2 * h)
    assert abs(slope) < 1e-6 * a / b**3


def test_powers_and_exponentials():
    x, y = np.array([1.0, 2.0, 4.0]), np.array([3.0, 1.0, 9.0])
    np.testing.assert_allclose(
        np.log(powers.power_law2d(x, y, 2.0, 1.5, -0.5)), np.log(2.0) + 1.5 * np.log(x) - 0.5 * np.log(y), rtol=1e-14
    )
    np.testing.assert_allclose(
        np.log(powers.exponential_plane(x, y, 5.0, 2.0, -0.3, 0.1) - 5.0), np.log(2.0) - 0.3 * x + 0.1 * y, atol=1e-14
    )


def test_data_of_any_sign_and_size_start_powers():
    x, y = np.random.default_rng(3).uniform(0.5, 5.0, (2, 300))
    for factor in (-1e12, 1e-12):
        z = factor * x**1.7 * y**-0.4
        guessed = sf.get_model("power_law2d").guess(z, x=x, y=y)
        assert guessed["b"].value == pytest.approx(1.7, abs=1e-6)
        assert guessed["c"].value == pytest.approx(-0.4, abs=1e-6)
    guessed = sf.get_model("power_law2d").guess(np.zeros(300), x=x, y=y)
    assert np.isfinite(guessed["b"].value)


# ---- a peak on a trend -----------------------------------------------------------------------------------------------------


def test_a_peak_is_found_on_a_steep_trend():
    rng = np.random.default_rng(11)
    y, x = np.mgrid[:60, :80].astype(float)
    truth = dict(height=-3.0, x0=61.0, y0=14.0, sigma=2.5, c0=100.0, cx=2.0, cy=-1.0, cxx=0.02, cxy=0.01, cyy=-0.03)
    z = trend.trend_peak(x, y, **truth) + 0.3 * rng.standard_normal(x.shape)
    result = sf.get_model("trend_peak").fit(z, sf.get_model("trend_peak").guess(z, x=x, y=y), x=x, y=y)
    for name in ("height", "x0", "y0", "sigma"):
        assert abs(result.best_values[name] - truth[name]) < 4 * result.params[name].stderr


# ---- response surfaces -----------------------------------------------------------------------------------------------------


def test_a_central_composite_design_by_least_squares():
    # 2^3 corners, 6 star points, 4 centres
    corners = list(itertools.product((-1, 1), repeat=3))
    stars = [tuple(1.682 * s * (i == k) for i in range(3)) for k in range(3) for s in (-1, 1)]
    u = np.array([*corners, *stars, *[(0, 0, 0)] * 4], dtype=float)
    y = 50 + u @ [3, -2, 1] - 4 * u[:, 0] ** 2 + 2 * u[:, 0] * u[:, 2] + 0.1 * np.random.default_rng(1).standard_normal(len(u))
    columns = [u[:, 0] ** 0, *u.T, *(u.T**2), u[:, 0] * u[:, 1], u[:, 0] * u[:, 2], u[:, 1] * u[:, 2]]
    wanted = np.linalg.lstsq(np.array(columns).T, y, rcond=None)[0]
    natural = {"temperature": 170 + 20 * u[:, 0], "time": 20 + 10 * u[:, 1], "ph": 7 + 0.5 * u[:, 2]}
    coding = {"temperature": (170, 20), "time": (20, 10), "ph": (7, 0.5)}
    model = ResponseSurface(factors=list(natural), coding=coding)
    assert model.param_names == ["b0", "b1", "b2", "b3", "b11", "b22", "b33", "b12", "b13", "b23"]
    result = model.fit(y, **natural)
    np.testing.assert_allclose(list(result.best_values.values()), wanted, atol=1e-11)
    # without coding the surface is the same, its coefficients are others
    plain = ResponseSurface(factors=list(natural)).fit(y, **natural)
    np.testing.assert_allclose(plain.best_fit, result.best_fit, rtol=1e-9)
    assert abs(plain.best_values["b0"] - result.best_values["b0"]) > 50


def test_response_surfaces_of_many_factors_and_options(tmp_path):
    assert ResponseSurface(factors=[f"x{i}" for i in range(10)]).param_names[-1] == "b9_10"
    assert check_model(ResponseSurface(factors=["u", "v", "w"], coding={"v": (100.0, 5.0)})).traced
    model = ResponseSurface(factors=["u", "v"], coding={"v": (100.0, 5.0)}, prefix="r_")
    model.save(tmp_path / "response.json")
    again = sf.load(tmp_path / "response.json")
    assert (again.factors, again.coding, again.prefix) == (("u", "v"), {"v": (100.0, 5.0)}, "r_")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(factors=["x", "x"]), "give different names"),
        (dict(factors=["a b"]), "give different names"),
        (dict(factors=["x", "y"], coding={"z": (0, 1)}), "coding has z"),
        (dict(factors=["x", "y"], coding={"y": (0, 0)}), "half width > 0"),
        (dict(factors=["x", "y"], coding={"y": 3}), "half width > 0"),
    ],
)
def test_factors_that_are_none_are_refused(options, sentence):
    with pytest.raises(ParameterError, match=sentence):
        ResponseSurface(**options)


@pytest.mark.parametrize("name", ["schott_dispersion", "sellmeier_dispersion"])
def test_a_wavelength_of_zero_is_named(name, capfd):
    model = sf.get_model(name)
    wavelength = np.linspace(0.0, 2.0, 60)
    with pytest.raises(DataError, match=r"wavelength is 0 at 1 of 60 points; give wavelengths above 0, in micrometres"):
        model.fit(1.5 + 0.01 * wavelength, wavelength=wavelength, temperature=np.full(60, 20.0))
    assert capfd.readouterr().out == ""  # LAPACK would write there
