"""
Every entry of every kind of document, replaced by what does not belong there.

The answer is one of two: a `DocumentError`, or a thing that is harmless. Harmless means that it reports, that it saves again as a
document that loads, and that nothing was made on the disk.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.core.posterior import Posterior
from surffit.exceptions import DocumentError

LIMIT = 20.0  # seconds; most take a millisecond

WRONG = [
    None, True, 0, -1, 7, 10**19, 1.5, 1e308, -0.0, "", "x", "inf", "__import__('os').mkdir('canary')", "\x1b]0;owned\x07", "\ud800", [],
    {}, [[]], ["x"], [1, 2], {"x": 1}, {"__class__": "Callable", "__name__": "mkdir", "value": "canary", "importer": "os"},
]  # fmt: skip


# objects whose keys are people's names, or that may lack some
NAMED = {"params", "hints", "options", "defaults", "names", "sets", "parts", "constraints", "priors", "stats"}


def read(text):
    """A document of this text, loaded from the working folder."""
    Path("fit.json").write_text(text)
    return sf.load("fit.json")


def text_of(thing):
    """Its document, as it is saved."""
    io.save(thing, "fit.json")
    return Path("fit.json").read_text()


def harmless(text):
    """Whether a text can be printed without steering the terminal."""
    return all(letter.isprintable() or letter in "\n\t" for letter in text)


def use(thing):
    """What people do with a loaded thing; errors of the evaluation are the model's own."""
    assert harmless(repr(thing))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if isinstance(thing, sf.SurfaceResult):
            assert harmless(thing.fit_report() + thing._repr_html_() + thing.explain())
            thing.tidy()
        elif isinstance(thing, Posterior):
            thing.summary()
            thing.to_frame()
        elif isinstance(thing, sf.SurfaceModel):
            thing.make_params()
            assert harmless(thing.name)


def check(text):
    """Whether the document was refused; if not, what came of it must be harmless."""
    try:
        thing = read(text)
    except DocumentError as err:
        sentence = str(err)
        assert 10 < len(sentence) < 2000
        assert sentence.isprintable() or "\n" in sentence
        return True
    use(thing)
    again = text_of(thing)
    assert text_of(read(again)) == again  # or it could not be kept
    return False


def test_good_documents_are_read(text, laid):
    assert not check(text)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: ascii(value)[:25])
def test_every_entry_may_be_wrong(text, wrong, places, changed, laid, within):
    """Every entry by a fourth of the wrong values, in turn; the next test has them all."""
    turn = [ascii(value) for value in WRONG].index(ascii(wrong))
    replace(text, wrong, list(places(json.loads(text)))[turn % 4 :: 4], changed, within)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: ascii(value)[:25])
def test_every_entry_may_be_anything_wrong(text, wrong, places, changed, laid, within):
    replace(text, wrong, list(places(json.loads(text))), changed, within)


def replace(text, wrong, chosen, changed, within):
    refused = 0
    for path in chosen:
        with within(LIMIT):
            refused += check(changed(text, path, wrong))
    assert refused > len(chosen) / 5  # else the table of wrong values would be no test


def test_every_entry_may_be_missing(text, places, changed, laid, within):
    for path in list(places(json.loads(text))):
        with within(LIMIT):
            refused = check(changed(text, path))
        if isinstance(path[-1], str) and not NAMED & set(path):
            assert refused, path


def test_every_object_may_have_more(text, places, changed, laid, within):
    for path in [(), *places(json.loads(text))]:
        content = json.loads(text)
        for key in path:
            content = content[key]
        if isinstance(content, dict):
            with within(LIMIT):
                assert check(changed(text, (*path, "__reduce__"), ["os.mkdir", ["canary"]])), path
                assert check(changed(text, (*path, "extra"), 1)) or NAMED & set(path), path


def test_every_beginning_is_refused(text, within):
    """A document cut anywhere, down to no byte, is refused."""
    with within(60):
        for end in range(len(text.rstrip())):
            with pytest.raises(DocumentError):
                io.parse(text[:end])


def test_every_key_twice_is_refused(text, places, changed):
    compact = json.dumps(json.loads(text))
    keys = {path[-1] for path in places(json.loads(text)) if isinstance(path[-1], str)}
    for key in keys:
        with pytest.raises(DocumentError, match="twice"):
            io.parse(compact.replace(f"{json.dumps(key)}:", f"{json.dumps(key)}: 1, {json.dumps(key)}:"))


@pytest.mark.parametrize(
    "bare", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "9" * 30, "9" * 5000, "0x10", "1_000", "01", "'a'", "undefined"]
)
def test_every_number_may_be_no_number(text, bare, places, changed, laid, within):
    numbers = [path for path in places(json.loads(text)) if isinstance(look(json.loads(text), path), int | float)]
    assert numbers
    for path in numbers:
        with within(LIMIT), pytest.raises(DocumentError):
            read(changed(text, path, "HERE").replace('"HERE"', bare))


def look(content, path):
    for key in path:
        content = content[key]
    return content


def test_random_damage(text, laid, within):
    """Bytes changed, removed, doubled: never anything but a refusal or a harmless thing."""
    rng = np.random.default_rng(77)
    alphabet = '{}[]",:0123456789.eE+-abcxyz \\untrufalse'
    refused = 0
    for _ in range(120):
        letters = list(text)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(len(letters)))
            how = rng.integers(3)
            if how == 0:
                letters[place] = alphabet[int(rng.integers(len(alphabet)))]
            elif how == 1:
                del letters[place]
            else:
                letters[place : place + 1] = letters[place : place + int(rng.integers(1, 30))] * 2
        with within(LIMIT):
            refused += check("".join(letters))
    assert refused > 40
