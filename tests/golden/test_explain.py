"""What a fit says of itself, word for word: one text per situation that a user can get into.

Numbers are cut to two digits and condition numbers left out, so that no rounding changes a text.  After a change of the
words: ``pytest tests/golden --regen-golden``, and read the diff as somebody who has that problem.
"""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import surffit as sf

X = np.linspace(0.0, 10.0, 60)
RIPPLE = np.cos(2.3 * np.arange(60)) + np.sin(5.1 * np.arange(60))  # stands for noise; the same everywhere


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def lump(x, height, center, width, base):
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + base


def twins(x, height, left, right):
    return height * (np.exp(-0.5 * (x - left) ** 2) + np.exp(-0.5 * (x - right) ** 2))


def surface(x, y, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4):
    return (
        (a1 + a2 * y + a3 * y**2 + a4 * y**3) + (b1 + b2 * y + b3 * y**2 + b4 * y**3) / x**2
        + (c1 + c2 * y + c3 * y**2 + c4 * y**3) / x**4 + (d1 + d2 * y + d3 * y**2 + d4 * y**3) / x**6
    )  # fmt: skip


def untraceable(t, a, k, c):
    return np.array([a * np.exp(-k * float(v)) + c for v in t])


def mgh09(x, b1, b2, b3, b4):
    """NIST StRD "MGH09"."""
    return b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4)


MGH09_X = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
MGH09_Y = np.array([0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
MGH09_START = {"b1": 25.0, "b2": 39.0, "b3": 41.5, "b4": 39.0}

DECAY = decay(X, 5.0, 0.7, 1.0) + 0.05 * RIPPLE
LINE = 1.0 + 0.5 * X + 0.1 * RIPPLE
LUMP = lump(X, 5.0, 4.0, 0.7, 1.0) + 0.1 * RIPPLE
SLOPE = 0.3 * X + 0.05 * RIPPLE
START = {"a": 3.0, "k": 0.5, "c": 0.5}


def fit(func, data, **kwargs):
    return sf.SurfaceModel(func, name="model").fit(data, **kwargs)


def bounded(**bounds):
    model = sf.SurfaceModel(decay)
    params = model.make_params(a=1.0, k=0.5, c=0.0)
    for name, sides in bounds.items():
        params[name].set(**sides)
    return model.fit(DECAY, params, t=X)


def refractive_index():
    from surffit import data

    return sf.fit_table(data.refractive_index(), sf.SurfaceModel(surface, ["x", "y"]), data="n", x="wavelength_nm", y="temperature_c")


# situation: the fit, whether it counts as a success, and words that a text about it can't do without
SITUATIONS = {
    "refractive_index": (refractive_index, True, ["16 parameters are linear"]),
    "redundant_sum": (
        lambda: fit(lambda x, a, b, slope: a + b + slope * x, LINE, x=X),
        True,
        ["a and b", "Only a + b is determined", "vary=False"],
    ),
    "redundant_product": (
        lambda: fit(lambda x, a, b: a * b * np.exp(-0.7 * x), DECAY - 1, a=1.0, b=2.0, x=X),
        True,
        ["a and b", "vary=False"],
    ),
    "no_effect_at_start": (
        lambda: fit(lump, LUMP, height=1.0, center=1e3, width=1.0, base=0.0, x=X),
        False,
        ["center", "width", "no effect", "nearer to the data"],
    ),
    "structurally_unused": (
        lambda: fit(lambda t, a, k, c, ghost: decay(t, a, k, c) + 0 * ghost, DECAY, ghost=1.0, t=X, **START),
        True,
        ["ghost has no effect", "vary=False"],
    ),
    "jumps_only": (
        lambda: fit(lambda x, a, b, edge: a + b * (x > edge), np.where(X > 4, 2.0, 1.0) + 0.05 * RIPPLE, edge=5.0, x=X),
        False,
        ["edge", "jumps", "smooth"],
    ),
    "on_a_bound_linear": (lambda: bounded(a={"max": 4.0}), True, ["a is on its max = 4", "widen the bound"]),
    "on_a_bound_searched": (lambda: bounded(k={"min": 0.9, "value": 1.2}), True, ["k is on its min = 0.9", "widen the bound"]),
    "start_at_a_maximum": (lambda: fit(lambda x, b: np.cos(b) * x, SLOPE, b=0.0, x=X), True, ["saddle", "along b"]),
    "end_at_a_maximum": (
        lambda: fit(lambda x, b: np.cos(b) * x, SLOPE, b=0.0, x=X, method="bfgs"),
        False,
        ["not a minimum", "Start away from the symmetric point"],
    ),
    "end_at_a_saddle": (
        lambda: fit(twins, twins(X, 3.0, 4.0, 6.5) + 0.05 * RIPPLE, height=1.0, left=5.2, right=5.2, x=X, method="bfgs"),
        False,
        ["left - right", "saddle", "Start away from the symmetric point"],
    ),
    "weak_direction": (lambda: fit(lambda x, a, b, c: a + b * x + c * x * (1 + 1e-8 * x), LINE, x=X), True, ["Weak", "b - c"]),
    "restarted": (lambda: fit(mgh09, MGH09_Y, x=MGH09_X, iter_cb=lambda *args, **kws: None, **MGH09_START), True, ["started again once"]),
    "ran_away": (
        lambda: fit(mgh09, MGH09_Y, x=MGH09_X, fit_kws={"restart": False}, **MGH09_START),
        False,
        ["b2 grows without end", "bounds"],
    ),
    "numeric_complex_step": (lambda: fit(untraceable, DECAY, t=X, **START), True, ["complex step"]),
    "numeric_differences": (lambda: fit(untraceable, DECAY, t=X, fit_kws={"jac": "differences"}, **START), True, ["finite differences"]),
    "errors_scaled": (lambda: fit(decay, DECAY, t=X, sigma=0.05, **START), True, ["scaled by the reduced chi-square"]),
    "errors_known": (lambda: fit(decay, DECAY, t=X, sigma=0.05, scale_covar=False, **START), True, ["given data errors"]),
    "no_errors": (lambda: fit(decay, DECAY[:3], t=X[:3], **START), True, ["3 points for 3 parameters", "scale_covar=False"]),
    "limit_of_evaluations": (lambda: fit(decay, DECAY, a=4.0, k=0.6, c=0.5, t=X, max_nfev=1), False, ["max_nfev"]),
}
CHAOTIC = {"ran_away"}  # where it ends, and so what is said of the end, is rounding: the words are checked, not the text
FAILED = [name for name, (_, success, _) in SITUATIONS.items() if not success]


@pytest.fixture(scope="module")
def situation():
    """A function that makes each fit once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = SITUATIONS[name][0]()
        return made[name]

    return get


def flat(text):
    """One line per paragraph: where a line is broken depends on the digits in it."""
    return re.sub(r"\n  ", " ", re.sub(r"(?<=[a-z])-\n  ", "-", text))


def masked(text):
    """The text without what rounding, BLAS or lmfit's version could change."""
    text = re.sub(r"(Condition number of the problem:) \S+ (as it stands,) [^\s,]+", r"\1 # \2 #", text)
    text = re.sub(r"\d+ derivative values", "# derivative values", text)
    text = re.sub(r"F = [-+.e\d]+, p = [-+.e\d]+", "F = #, p = #", text)
    return re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w]|\.\w)", short, text)


def short(match):
    """Counts as they are, other numbers to two digits."""
    number = match.group()
    return number if number.isdigit() else f"{float(number):.2g}"


def one_way_round(text):
    """A direction has no sign, and neither twin is the first."""
    return re.sub(r"(?:-(?:1\*)?left \+ right|right - (?:1\*)?left|left - 1\*right)", "left - right", text)


@pytest.mark.parametrize("name", SITUATIONS)
def test_explain(name, situation, golden):
    result = situation(name)
    _, success, words = SITUATIONS[name]
    text = one_way_round(flat(result.explain()))
    assert result.success == success
    for word in words:
        assert word in text
    assert text.startswith("THE FIT FAILED. ") != success
    if name not in CHAOTIC:
        golden(masked(text) + "\n", f"{name}.txt")


@pytest.mark.parametrize("name", FAILED)
def test_fit_report_of_a_failed_fit(name, situation, golden):
    """What surffit puts before lmfit's report; the report itself is lmfit's."""
    text = situation(name).fit_report()
    head, _, rest = text.partition("[[Model]]")
    assert head.startswith("## FIT FAILED: ")
    assert "[[Variables]]" in rest
    golden(masked(one_way_round(head)), f"{name}.report.txt")


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_sentence_is_one(name, situation):
    """Complete sentences, no marks of a broken template, lines that fit a terminal."""
    text = situation(name).explain()
    assert max(map(len, text.splitlines())) <= 100
    for line in flat(text).splitlines():
        assert line[0].isupper() or line.split()[0] in situation(name).params or line.split(",")[0] in situation(name).params
        assert line.endswith(".")
    for mark in ("  ", " ,", "..", "None", "nan)", "{", "}", "[", " ;", "inf of", "()."):
        assert mark not in flat(text).replace("conf_interval()", "it").replace(" + ...", "")


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_words_agree_with_the_numbers(name, situation):
    """A parameter whose error is inf or nan is named, and the text speaks of errors only where there are some."""
    result = situation(name)
    text = flat(result.explain())
    for par in result.params.values():
        if par.vary and not np.isfinite(par.stderr) and result.covar is not None:
            assert re.search(rf"\b{par.name}\b", text)
            assert ("stderr is inf" if np.isinf(par.stderr) else "stderr is nan") in text
    assert ("No errors: " in text) == (result.covar is None)
    assert ("were searched" in text or "was searched" in text) == bool(result.conditioning.nonlinear)


class Balance(HTMLParser):
    """Counts tags that are open and collects the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("name", SITUATIONS)
def test_html_is_well_formed_and_complete(name, situation):
    result = situation(name)
    reader = Balance()
    reader.feed(result._repr_html_())
    reader.close()
    assert reader.open == []
    for par in result.params:
        assert par in reader.text
    assert any("Fit Statistics" in text for text in reader.text)


def test_html_escapes_the_name_of_the_model():
    """A name may come from a file."""
    result = sf.SurfaceModel(decay, name="<script>alert(1)</script>").fit(DECAY, t=X, **START)
    assert "<script>" not in result._repr_html_()


@pytest.mark.parametrize(("gap", "width"), [(3.0, 1.0), (3.0, 1.7), (1.5, 1.0), (1.5, 1.7)])
def test_two_peaks_started_in_one_place_are_found(gap, width):
    """As lmfit's leastsq finds them from there."""

    def peak(x, height, center, width):
        return height * np.exp(-0.5 * ((x - center) / width) ** 2)

    truth = peak(X, 3.0, 4.5 - gap / 2, 0.8) + peak(X, 3.0, 4.5 + gap / 2, 0.8)
    model = sf.SurfaceModel(peak, prefix="p_") + sf.SurfaceModel(peak, prefix="q_")
    result = model.fit(truth + 0.02 * RIPPLE, p_center=4.5, p_width=width, q_center=4.5, q_width=width, x=X)
    assert result.success
    assert result.chisqr < 2 * np.sum((0.02 * RIPPLE) ** 2)
    centers = sorted(result.params[name].value for name in ("p_center", "q_center"))
    assert centers == pytest.approx([4.5 - gap / 2, 4.5 + gap / 2], abs=0.1)
