"""Archives beside posteriors: each with a digest that is right, since who writes a hostile file writes its digest too."""

import hashlib
import io as streams
import json
import os
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest

import surffit as sf
from surffit.exceptions import DocumentError, UnsafeFileError

STEPS, WALKERS, NAMES = 30, 4, 3
LIMIT = 20.0


def array(values):
    file = streams.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def header(text, data=b""):
    """A .npy with any text for its header."""
    raw = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


def archive(members, how=zipfile.ZIP_STORED, comment=b""):
    file = streams.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", how) as packed:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, raw in members:
            packed.writestr(zipfile.ZipInfo(name) if how == zipfile.ZIP_STORED else name, raw)
        packed.comment = comment
    return file.getvalue()


CHAIN = array(np.zeros((STEPS, WALKERS, NAMES)))
LOG_PROB = array(np.zeros((STEPS, WALKERS)))
SIZE = len(CHAIN) + len(LOG_PROB)
GOOD = [("chain.npy", CHAIN), ("log_prob.npy", LOG_PROB)]
WIDE = 8 * STEPS * WALKERS * NAMES
PICKLED = pickle.dumps([1.0])


def many():
    """Two members by the end record, and a list of a hundred thousand."""
    raw = bytearray(archive([(f"{k}.npy", b"") for k in range(30_000)]))
    raw[-14:-10] = struct.pack("<HH", 2, 2)
    return bytes(raw)


HOSTILE = {
    "nothing": lambda payload: b"",
    "zeros": lambda payload: b"\0" * (SIZE + 300),
    "a pickle": lambda payload: payload.ljust(SIZE + 300, b"\0"),
    "no archive": lambda payload: CHAIN + LOG_PROB,
    "no member": lambda payload: archive([]),
    "one member": lambda payload: archive([GOOD[0], ("other.npy", LOG_PROB)]),
    "three members": lambda payload: archive([*GOOD, ("more.npy", array(np.zeros(2)))]),
    "a member twice": lambda payload: archive([GOOD[0], GOOD[0]]),
    "a path": lambda payload: archive([("../chain.npy", CHAIN), GOOD[1]]),
    "an absolute path": lambda payload: archive([("/chain.npy", CHAIN), GOOD[1]]),
    "other order": lambda payload: archive(GOOD[::-1]),
    "packed": lambda payload: archive(GOOD, zipfile.ZIP_DEFLATED),
    "a bomb": lambda payload: archive([("chain.npy", array(np.zeros(2_000_000))), GOOD[1]], zipfile.ZIP_DEFLATED),
    "a comment": lambda payload: archive(GOOD, comment=b"x" * 100),
    "a tail": lambda payload: archive(GOOD) + b"tail",
    "a head": lambda payload: b"#!/bin/sh\n" + archive(GOOD),
    "cut": lambda payload: archive(GOOD)[:-1],
    "objects": lambda payload: archive([("chain.npy", array(np.array([{"a": 1}], dtype=object))), GOOD[1]]),
    "objects of a payload": lambda payload: archive([
        ("chain.npy", header("{'descr': '|O', 'fortran_order': False, 'shape': (30, 4, 3), }", payload.ljust(WIDE, b"."))), GOOD[1],
    ]),
    "a member that is a pickle": lambda payload: archive([("chain.npy", payload.ljust(len(CHAIN), b".")), GOOD[1]]),
    "other numbers": lambda payload: archive([("chain.npy", array(np.zeros((STEPS, WALKERS, NAMES), dtype="<i8"))), GOOD[1]]),
    "big-endian": lambda payload: archive([("chain.npy", array(np.zeros((STEPS, WALKERS, NAMES), dtype=">f8"))), GOOD[1]]),
    "records": lambda payload: archive([("chain.npy", array(np.zeros((STEPS, WALKERS, NAMES), dtype=[("x", "<f8")]))), GOOD[1]]),
    "other order in memory": lambda payload: archive([
        ("chain.npy", array(np.asfortranarray(np.zeros((STEPS, WALKERS, NAMES))))), GOOD[1],
    ]),
    "another shape": lambda payload: archive([("chain.npy", array(np.zeros((STEPS, NAMES, WALKERS)))), GOOD[1]]),
    "an endless shape": lambda payload: archive([
        ("chain.npy", header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 4, 3), }", b"\0" * WIDE)), GOOD[1],
    ]),
    "a negative shape": lambda payload: archive([
        ("chain.npy", header("{'descr': '<f8', 'fortran_order': False, 'shape': (-30, -4, 3), }", b"\0" * WIDE)), GOOD[1],
    ]),
    "a shape that is a call": lambda payload: archive([
        ("chain.npy", header("{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').mkdir('canary')}", b"\0" * WIDE)), GOOD[1],
    ]),
    "a deep header": lambda payload: archive([("chain.npy", header("(" * 3000, b"\0" * (WIDE - 2900))), GOOD[1]]),
    "a header without end": lambda payload: archive([("chain.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"\0" * WIDE), GOOD[1]]),
    "a later version": lambda payload: archive([("chain.npy", CHAIN.replace(b"NUMPY\x01", b"NUMPY\x03")), GOOD[1]]),
    "no numpy": lambda payload: archive([("chain.npy", CHAIN.replace(b"NUMPY", b"NUMPI")), GOOD[1]]),
    "a list of members without end": lambda payload: many(),
}  # fmt: skip


@pytest.fixture
def laid_with(texts, canary, tmp_path):
    """A function that lays a posterior whose archive, and its digest, are these bytes."""

    def lay(raw, **chain):
        content = json.loads(texts["posterior"])
        digest = hashlib.sha256(raw).hexdigest()
        content["chain"] |= {"sha256": digest, **chain}
        (tmp_path / "fit.json").write_text(json.dumps(content))
        beside = tmp_path / f"fit.{digest[:16]}.npz"
        beside.write_bytes(raw)
        return beside

    return lay


def test_the_good_archive_loads(laid_with):
    laid_with(archive(GOOD))
    assert sf.load("fit.json").steps == STEPS


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives(kind, laid_with, payloads, within):
    laid_with(HOSTILE[kind](payloads[4]))
    with within(LIMIT), pytest.raises(UnsafeFileError, match="is no chain of 30 steps, 4 walkers and 3 parameters"):
        sf.load("fit.json")


def test_damage_anywhere(laid_with, within):
    """Every byte of the headers changed, with a digest that fits: refused, or the same numbers, or other numbers of the same shape."""
    raw = archive(GOOD)
    places = [*range(200), *range(len(CHAIN) + 30, len(CHAIN) + 250), *range(len(raw) - 160, len(raw))]
    refused = 0
    for place in places:
        bad = bytearray(raw)
        bad[place] ^= 0xFF
        beside = laid_with(bytes(bad))
        with within(LIMIT):
            try:
                assert sf.load("fit.json").chain.shape == (STEPS, WALKERS, NAMES)
            except UnsafeFileError:
                refused += 1
        beside.unlink()
    assert refused > len(places) / 2


def test_every_cut(laid_with, within):
    raw = archive(GOOD)
    for end in range(0, len(raw), 97):
        beside = laid_with(raw[:end])
        with within(LIMIT), pytest.raises(UnsafeFileError):
            sf.load("fit.json")
        beside.unlink()


@pytest.mark.parametrize("shape", [(10**9, 10**9), (10**9, 1), (1, 1), (30, 5), (29, 4), (4, 30)])
def test_shapes_that_the_archive_does_not_have(shape, laid_with, within):
    laid_with(archive(GOOD), steps=shape[0], walkers=shape[1])
    with within(LIMIT), pytest.raises(UnsafeFileError):
        sf.load("fit.json")


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "0" * 63,
        "0" * 65,
        "g" * 64,
        "../" * 21 + "x",
        "/" + "0" * 63,
        "0" * 64 + "\n",
        "A" * 64,
        "\0" * 64,
        "٠" * 64,
        0,
        None,
        ["0" * 64],
    ],
    ids=ascii,
)
def test_digests_that_are_paths_or_nothing(digest, texts, canary, within):
    content = json.loads(texts["posterior"])
    content["chain"]["sha256"] = digest
    with open("fit.json", "w") as file:
        json.dump(content, file)
    with within(LIMIT), pytest.raises(UnsafeFileError, match="no digest"):
        sf.load("fit.json")


def test_no_entry_of_the_document_names_a_file(texts):
    assert ".npz" not in texts["posterior"]
    assert "/" not in texts["posterior"].replace("surffit.posterior/1", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_pipe_in_the_chains_place(laid_with, within):
    beside = laid_with(archive(GOOD))
    beside.unlink()
    os.mkfifo(beside)
    with within(LIMIT), pytest.raises(UnsafeFileError, match="not a regular file"):
        sf.load("fit.json")
    beside.unlink()
    beside.mkdir()
    with pytest.raises(DocumentError):
        sf.load("fit.json")
    beside.rmdir()
    beside.symlink_to("/dev/zero")
    with within(LIMIT), pytest.raises(UnsafeFileError, match="not a regular file"):
        sf.load("fit.json")


def test_a_huge_chain_is_refused_by_its_size(laid_with, within):
    beside = laid_with(archive(GOOD))
    os.truncate(beside, 2**40)
    with within(LIMIT), pytest.raises(UnsafeFileError, match="larger than 1073741824 bytes"):
        sf.load("fit.json")
