"""Points that are no minimum though nothing pulls: which way chi-square falls from them, and where to walk on."""

from __future__ import annotations

import numpy as np

from .block_walk import engine_of
from .polish import Local
from .problem import Problem

LOWER = 1e-9  # relative fall of chi-square that is more than rounding
STEPS = np.array([1e-3, 1e-2, 0.1, 0.3, 1.0])  # how far to look, in units of the residual's norm


def saddle_direction(problem: Problem, here: Local, K: np.ndarray, B: np.ndarray) -> np.ndarray | None:
    """Direction (n,) in which chi-square curves down, or None at a minimum."""
    scaled = None
    values, vectors = np.linalg.eigh(K) if K.size else (np.zeros(1), K)
    if values[-1] >= 1.0 + 1e-6:
        scaled = here.left @ vectors[:, -1]
    elif here.f.rank < here.free.size:
        # without effect to first order; the second order may still matter
        V0 = here.f.null_space()
        values, null_vectors = np.linalg.eigh(V0 @ B @ V0.T)
        if values[-1] > 1e-6 * max(1.0, float(np.abs(B).max())):
            scaled = V0.T @ null_vectors[:, -1]
    if scaled is None:
        return None
    direction = np.zeros(problem.n)
    direction[here.free] = scaled / here.scale
    return direction


def ways_down(problem: Problem, here: Local, saddle: np.ndarray | None) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """
    Where to walk on from a point that may not be a minimum: (chi-square, alpha (m,), direction (n,)), the lowest first.

    The directions are those in which chi-square curves down, and the null directions: one may be flat to second order and
    fall further out (two peaks that start at one place). Only their non-linear part is followed; the linear parameters are
    solved at every point. A point off a null direction counts even if it is somewhat higher: chi-square may fall once the
    other non-linear parameters have followed (two widths and a distance).
    """
    m = problem.m
    none = np.zeros(problem.n)
    rows = [] if saddle is None else [saddle[:m] * _size(here, m)]
    if here.f.rank < here.free.size:
        null = np.zeros((here.free.size - here.f.rank, problem.n))
        null[:, here.free] = here.f.null_space()
        rows += _along_parameters(null[:, :m])
    engine = engine_of(problem)
    ways = []
    for row in rows:
        direction = none.copy()
        direction[:m] = row / _size(here, m)
        length = float(np.sqrt(row @ row)) or 1.0
        lowest, sideways = None, None
        for size in np.sqrt(here.chi2) / length * STEPS:
            for sign in (1.0, -1.0):
                alpha = np.clip(here.p[:m] + sign * size * direction[:m], problem.lower[:m], problem.upper[:m])
                point = engine.inner(alpha)
                if point is None:
                    continue
                if point.chi2 < here.chi2 * (1.0 - LOWER):
                    if lowest is None or point.chi2 < lowest[0]:
                        lowest = point.chi2, alpha, direction
                elif here.chi2 * (1.0 + LOWER) < point.chi2 < 3.0 * here.chi2 and saddle is None:
                    sideways = point.chi2, alpha, direction  # the furthest that is still reasonable
        way = lowest or sideways
        if way is not None:
            ways.append(way)
    return sorted(ways, key=lambda way: way[0])


def _along_parameters(null: np.ndarray) -> list[np.ndarray]:
    """
    Directions of unit length in the space of some rows: that space as each parameter sees it, the closest first.

    A basis of more than one null direction is any rotation of another, as rounding wants it; projections of the axes are not.
    """
    _, s, Vt = np.linalg.svd(null, full_matrices=False)
    space = Vt[s > 1e-6]
    found: list[np.ndarray] = []
    projected = space.T @ space
    for row in projected[np.argsort(-np.round(np.diag(projected), 6), kind="stable")]:
        length = float(np.sqrt(row @ row))
        if length > 1e-6 and all(abs(row @ other) < (1.0 - 1e-6) * length for other in found):
            found.append(row / length)
    return found


def _size(here: Local, m: int) -> np.ndarray:
    """Scales of the non-linear columns; 1 for those held."""
    out = np.ones(m)
    inside = here.free < m
    out[here.free[inside]] = here.scale[inside]
    return out


def falls(problem: Problem, here: Local, direction: np.ndarray) -> bool:
    """Whether chi-square really is lower somewhere along a direction: the last word on a saddle, whatever rounding made of K."""
    length = float(np.sqrt(np.sum((direction[here.free] * here.scale) ** 2))) or 1.0
    for size in np.sqrt(here.chi2) / length * STEPS:
        for sign in (1.0, -1.0):
            if problem.cost(np.clip(here.p + sign * size * direction, problem.lower, problem.upper)) < here.chi2 * (1.0 - LOWER):
                return True
    return False
