"""Data sets of unequal length: flat arrays, excluded points, blocks."""

from itertools import pairwise

import numpy as np
import pytest

from surffit.batch.data.ragged import ragged
from surffit.solve.status import Status


@pytest.fixture
def sets(rng):
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 9, 50))])
    n = offsets[-1]
    return rng.normal(size=n), [rng.normal(size=n), rng.normal(size=n)], offsets


def test_blocks_partition_the_sets(sets):
    y, x, offsets = sets
    source = ragged(y, x, offsets)
    for size, points in [(7, 1 << 18), (1000, 10), (1, 1), (50, 1 << 18)]:
        blocks = source.blocks(size, points)
        assert blocks[0].start == 0
        assert blocks[-1].stop == 50
        assert all(a.stop == b.start for a, b in pairwise(blocks))
        assert all(block.size <= size and (block.size == 1 or offsets[block.stop] - offsets[block.start] <= points) for block in blocks)


def test_rows_are_slices_with_coordinates_of_their_own(sets):
    y, x, offsets = sets
    source = ragged(y, x, offsets)
    assert source.longest == np.diff(offsets).max()
    for block in source.blocks(7):
        rows = source.rows(block)
        assert rows.size == block.size
        for q in range(rows.size):
            cut = slice(offsets[block.start + q], offsets[block.start + q + 1])
            np.testing.assert_array_equal(rows.y[rows.offsets[q] : rows.offsets[q + 1]], y[cut])
            length = cut.stop - cut.start
            np.testing.assert_array_equal(rows.x[1, rows.x_offsets[q] : rows.x_offsets[q] + length], x[1][cut])
        rows.y[:] = rows.w[:] = -1.0  # an engine may write into them
    np.testing.assert_array_equal(source.y, y)


def test_what_excludes_a_point_and_what_a_set():
    y = np.array([1.0, np.nan, 3.0, 4.0, np.inf, 6.0, 7.0, 8.0])
    x = [np.array([0.0, 1, 2, 3, 4, np.nan, 6, 7])]
    offsets = np.array([0, 2, 4, 6, 8])
    plain = ragged(y, x, offsets)
    assert plain.status.tolist() == [Status.NONFINITE_DATA, 0, Status.NONFINITE_DATA, 0]
    omitted = ragged(y, x, offsets, omit=True)
    assert not omitted.status.any()
    assert omitted.w.tolist() == [1, 0, 1, 1, 0, 0, 1, 1]
    assert omitted.y.tolist() == [1, 0, 3, 4, 0, 0, 7, 8]
    assert np.isfinite(omitted.x).all()
    masked = ragged(y, x, offsets, mask=np.array([0, 1, 0, 0, 1, 1, 0, 0], dtype=bool))
    assert not masked.status.any()
    assert masked.w.tolist() == omitted.w.tolist()


@pytest.mark.parametrize(
    ("name", "fine", "wrong"), [("sigma", [2.0, np.inf], [np.nan, 0.0, -1.0, -np.inf]), ("weights", [0.5, 0.0], [np.nan, np.inf, -1.0])]
)
def test_errors_exclude_or_are_refused(name, fine, wrong):
    y, x, offsets = np.arange(4.0), [np.arange(4.0)], np.array([0, 2, 4])
    source = ragged(y, x, offsets, **{name: np.array([*fine, *fine])})
    assert source.w.tolist() == [0.5, 0.0, 0.5, 0.0]
    assert not source.status.any()
    for value in wrong:
        for omit in (False, True):  # no error is a fault of the call, not a hole in the data
            source = ragged(y, x, offsets, omit=omit, **{name: np.array([*fine, fine[0], value])})
            assert source.status.tolist() == [0, Status.NONFINITE_DATA]
            assert np.isfinite(source.w).all()
        hidden = ragged(y, x, offsets, mask=np.array([0, 0, 0, 1], dtype=bool), **{name: np.array([*fine, fine[0], value])})
        assert not hidden.status.any()


@pytest.mark.parametrize("dtype", ["float32", ">f8", "int16", "uint8", "bool"])
def test_every_number_type_is_taken(dtype):
    y = np.array([0, 1, 1, 0, 1]).astype(dtype)
    source = ragged(y, [np.arange(5)], np.array([0, 3, 5]))
    assert source.y.dtype == np.dtype(float)
    assert source.y.tolist() == [0, 1, 1, 0, 1]
