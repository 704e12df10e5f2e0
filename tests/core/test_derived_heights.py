"""Heights and widths that lmfit derives by special functions: exact errors, and saved with the fit."""

import lmfit
import mpmath
import numpy as np
import pytest
from scipy import special

import surffit as sf
from surffit import io
from surffit.exceptions import UnsafeFileError

X = np.linspace(-8, 10, 181)
TINY = 1e-15


def voigt_height(amplitude, sigma, gamma, **_):
    w = special.wofz(1j * gamma / max(TINY, sigma * np.sqrt(2))).real
    return amplitude / max(TINY, sigma * np.sqrt(2 * np.pi)) * w


def pearson4_height(amplitude, sigma, expon, skew, **_):
    """With mpmath's gamma functions: |Gamma(m + iv/2)/Gamma(m)|^2 / B(m - 1/2, 1/2) and so on (lmfit's own formula)."""
    norm = abs(mpmath.gamma(mpmath.mpc(expon, skew / 2)) / mpmath.gamma(expon)) ** 2 / mpmath.beta(expon - 0.5, 0.5)
    shape = (1 + mpmath.mpf(skew / (2 * expon)) ** 2) ** (-expon) * mpmath.exp(-skew * mpmath.atan(-skew / (2 * expon)))
    return float(amplitude / sigma * norm * shape)


def pearson7_height(amplitude, sigma, expon, **_):
    return float(amplitude * mpmath.gamma(expon) / (mpmath.gamma(0.5) * mpmath.gamma(expon - 0.5) * sigma))


def students_height(amplitude, sigma, **_):
    return float(amplitude * mpmath.gamma((sigma + 1) / 2) / (mpmath.sqrt(sigma * mpmath.pi) * mpmath.gamma(sigma / 2)))


# model: parameters of the truth, tied ones set free, height as a function of them
PEAKS = {
    "VoigtModel": (dict(amplitude=6.0, center=0.7, sigma=0.9), (), voigt_height),
    "VoigtModel with its own gamma": (dict(amplitude=6.0, center=0.7, sigma=0.9, gamma=0.5), ("gamma",), voigt_height),
    "Pearson4Model": (dict(amplitude=6.0, center=0.7, sigma=1.5, expon=2.2, skew=0.8), (), pearson4_height),
    "Pearson7Model": (dict(amplitude=6.0, center=0.7, sigma=1.2, expon=1.8), (), pearson7_height),
    "StudentsTModel": (dict(amplitude=6.0, center=0.7, sigma=2.5), (), students_height),
    "SkewedVoigtModel": (dict(amplitude=6.0, center=0.7, sigma=0.9, skew=0.6), (), None),
}


def fitted(name, rng):
    truth, free, height = PEAKS[name]
    theirs = getattr(lmfit.models, name.split()[0])()
    params = theirs.make_params(**{n: v * 1.1 for n, v in truth.items()})
    for n in free:
        params[n].set(expr="", vary=True, value=truth[n] * 1.1, min=0)
    real = params.copy()
    for n, v in truth.items():
        real[n].value = v
    data = theirs.eval(real, x=X) + rng.normal(0, 0.01, X.size)
    return theirs, sf.SurfaceModel.from_lmfit(theirs).fit(data, params, x=X), data, params, height


@pytest.mark.parametrize("name", PEAKS)
def test_derived_errors_are_exact_and_lmfits(name, rng):
    """stderr = sqrt(g' C g): against lmfit's ufloats (differences), and against the closed form's own gradient."""
    theirs, result, data, _, height = fitted(name, rng)
    assert result.success, result.reason
    tied = [n for n, par in result.params.items() if par.expr]
    assert tied
    reference = theirs.fit(data, result.params, x=X, method="least_squares", fit_kws={"jac": "3-point", "x_scale": "jac"})
    for n in tied:
        assert result.params[n].value == pytest.approx(reference.params[n].value, abs=1e-3 * reference.params[n].stderr)
        assert result.params[n].stderr == pytest.approx(reference.uvars[n].std_dev, rel=1e-3), n
    if height is None:
        return
    values = {n: par.value for n, par in result.params.items()}
    assert values["height"] == pytest.approx(height(**values), rel=1e-13)
    g = []
    for n in result.var_names:
        total = 0.0
        for k, c in enumerate((4 / 5, -1 / 5, 4 / 105, -1 / 280), start=1):
            h = 5e-3 * max(abs(values[n]), 0.1)
            sides = []
            for sign in (k, -k):
                moved = {**values, n: values[n] + sign * h}
                if "gamma" in result.params and result.params["gamma"].expr:
                    moved["gamma"] = moved["sigma"]
                sides.append(height(**moved))
            total += c * (sides[0] - sides[1]) / h
        g.append(total)
    expected = np.sqrt(np.array(g) @ result.covar @ np.array(g))
    assert result.params["height"].stderr == pytest.approx(expected, rel=1e-9)  # rounding of the differences


@pytest.mark.parametrize("name", PEAKS)
def test_fits_with_special_constraints_are_saved_and_loaded(name, rng, tmp_path):
    _, result, _, _, _ = fitted(name, rng)
    result.save(tmp_path / "fit.json")
    loaded = sf.load(tmp_path / "fit.json")
    assert list(loaded.params) == list(result.params)
    for n, par in result.params.items():
        other = loaded.params[n]
        assert bool(other.expr) == bool(par.expr)
        assert other.value == pytest.approx(par.value, rel=1e-15)
        assert other.stderr == par.stderr
    assert np.array_equal(loaded.eval(x=X), result.eval(x=X))
    loaded.params["amplitude"].value *= 2  # the constraints are alive
    assert loaded.params["height" if "height" in loaded.params else "gamma"].value == pytest.approx(
        result.params["height"].value * 2 if "height" in loaded.params else result.params["gamma"].value
    )


def test_a_complex_constraint_can_not_get_into_a_document(rng):
    _, result, _, _, _ = fitted("VoigtModel", rng)
    content = io.document(result)
    content["params"]["height"]["expr"] = "wofz(1j*gamma)"
    with pytest.raises(UnsafeFileError, match=r"constraint of height.*complex; take real"):
        io.read_result(content)
    content["params"]["height"]["expr"] = "real(wofz(1j*gamma))"
    assert io.read_result(content).params["height"].value == pytest.approx(special.wofz(1j * result.params["gamma"].value).real)
