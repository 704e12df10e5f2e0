r"""
The posterior: emcee in whitened coordinates, linear parameters integrated out.

With flat priors on the linear parameters c, Phi(alpha) = Q R their columns and chi2_P = |(I - QQ')(y - f0)|^2, what is left
to be walked is

- sigma known: ln P = -chi2_P / (2 sigma^2) - sum_j ln|R_jj|;
- sigma unknown with the prior 1/sigma, integrated out, too: ln P = -((N - k) / 2) ln chi2_P - sum_j ln|R_jj|;

- and with priors of absolute size beside an unknown sigma, only what has none is integrated out, with the data's rows
  alone: the second line, plus the priors' ln P of the parameters that are walked;

and every visited alpha gets its sigma^2 = chi2_P / chisquare(N - k) and c = c(alpha) + sigma R^{-1} z, z ~ N(0, I): together a
sample of everything (G. Golub, V. Pereyra, Inverse Problems 19 (2003) R1 for the projection; A. Gelman et al., Bayesian Data
Analysis, 3rd ed., section 14.2 for the conditional draws). Without non-linear parameters the draws are independent: no chain.

Half of the moves are differential evolution (C. ter Braak, Stat. Comput. 16 (2006) 239), half are drawn from Student's t around
the minimum, a narrow or a wide one, whatever the walkers do: where the whitening is good, most of the narrow ones are accepted
and the chain forgets its past in a few steps; the wide ones keep tails connected.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import qr

from .around import Around
from .block_walk import BlockEngine, Eliminated, is_blockwise
from .linear import factor, solve
from .polish import Local
from .priors import PriorProblem
from .problem import EPS, Problem

NEAR_BOUND = 5.0  # standard errors from a bound within which a linear parameter is walked, not integrated out
SPREAD = 0.5  # of a standard error: how far the walkers start from the minimum
STEPS_PER_TAU = 50  # a chain shorter than this many autocorrelation times has not converged
BURN_TAUS = 5
LEAST_ACCEPTED = 0.15
ILL = 1e8  # condition of the linear columns beyond which a flat prior on them is hardly a prior
FAR = 1e5  # standard errors from the minimum: a walker so far out, where no bound and no prior ends, is not coming back
DRAWN = 1e12  # the same for those drawn given the others, which come back from where columns are nearly dependent
TAIL = 1e-3  # share of the density at the minimum that a tail may hold within FAR standard errors, where it does not end
FARTHEST = 1e150  # that many, bounds or not: what comes next overflows
PROPOSALS = ((1.0, 10.0), (2.0, 3.0))  # width in standard errors and degrees of freedom of each t that proposes


@dataclass(frozen=True, eq=False)
class Division:
    """Which parameters are walked, which are integrated out, and which stand still.

    Attributes
    ----------
    walked, marginal : ndarray of int
        Indices of the parameters; together those that move.
    still : ndarray of int
        Held on a bound, or fixed so that the others are determined beside them.
    root : ndarray, shape (moving, moving)
        Of the covariance with unit variance of walked + marginal.
    """

    walked: np.ndarray
    marginal: np.ndarray
    still: np.ndarray
    root: np.ndarray


def divide(
    problem: Problem, here: Local, null: np.ndarray, sd: np.ndarray, marginalise: bool = True, known: bool = True, release: float = 0.0
) -> Division:
    """
    Divide the parameters at a minimum.

    Parameters
    ----------
    problem : Problem
    here : Local
        First derivatives at the minimum.
    null : ndarray, shape (d, n)
        Directions without effect; as many parameters are fixed.
    sd : ndarray, shape (n,)
        Standard errors, in the parameters' units.
    marginalise : bool
        False: everything is walked.
    known : bool
        Whether sigma is known: where it isn't, parameters with priors are walked.
    release : float
        Standard deviation of a row where parameters held on a bound move, too; 0: they stand still.
    """
    n, m, free = problem.n, problem.m, here.free
    moving = np.zeros(n, dtype=bool)
    moving[free] = True
    if release:
        moving |= ~here.dead()
    if len(null):
        rows = null[:, free] * here.scale
        pivot = qr(rows, mode="r", pivoting=True)[1]
        moving[free[pivot[: len(null)]]] = False
    inner = np.zeros(n, dtype=bool)
    prior = problem if isinstance(problem, PriorProblem) and not known else None
    if marginalise and (problem if prior is None else prior.base).least_squares:
        away = np.where(np.isfinite(sd), NEAR_BOUND * sd, 0.0)
        with np.errstate(invalid="ignore"):
            inside = (here.p - away > problem.lower) & (here.p + away < problem.upper)
        inner[m:] = moving[m:] & inside[m:]
        if prior is not None:
            inner[np.concatenate([prior.index, *(density.indices for density in prior.densities)])] = False
    walked, marginal = np.flatnonzero(moving & ~inner), np.flatnonzero(inner)
    root = root_of(here, np.concatenate([walked, marginal]), free, release)
    return Division(walked, marginal, np.flatnonzero(~moving), root)


def root_of(here: Local, which: np.ndarray, free: np.ndarray, sigma: float) -> np.ndarray:
    """
    Root of the unit-variance covariance of some parameters, the others fixed: (w, w).

    Those among them that are not `free` are on a bound, where the density falls like exp(-|g| x / sigma^2): they get a row that
    makes them no wider than that.
    """
    if not which.size:
        return np.zeros((0, 0))
    rows = here.rows(which)
    bound = np.flatnonzero(~np.isin(which, free))
    if bound.size and sigma:
        wall = np.zeros((which.size, bound.size))
        wall[bound, np.arange(bound.size)] = np.abs(here.gradient()[which[bound]]) / sigma
        rows = np.hstack([rows, wall])
    f = factor(np.ascontiguousarray(rows), 0.0)
    if f is None or f.rank < which.size:
        # told apart only by what the rank test calls rounding: each on its own scale
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        return np.diag(1.0 / np.where(norms > 0, norms, 1.0))
    root = np.empty((which.size, which.size))
    root[f.pivot] = f.solve_r(np.eye(which.size))
    return np.asarray(root / f.scale[:, None])


@dataclass(eq=False)
class Target:
    """ln of the posterior density of the walked parameters, and draws of the others given them.

    Attributes
    ----------
    problem : Problem
    p : ndarray, shape (n,)
        The minimum.
    division : Division
    sigma : float or None
        Standard deviation of a row in the rows' unit; None: unknown.
    worst : float
        Largest condition number met among the columns of the linear parameters.
    """

    problem: Problem
    p: np.ndarray
    division: Division
    sigma: float | None
    worst: float = 1.0

    def __post_init__(self) -> None:
        m = self.problem.m
        self._inner = self.division.marginal - m
        others = np.ones(self.problem.k, dtype=bool)
        others[self._inner] = False
        self._known = np.flatnonzero(others)
        # many data sets: their linear parameters one data set after the other
        self._blocks = BlockEngine(self.problem) if is_blockwise(self.problem) and not self._known.size else None  # type: ignore[arg-type]
        self._prior = self.problem if isinstance(self.problem, PriorProblem) and self.sigma is None else None
        self._data = self.problem if self._prior is None else self._prior.base
        which = self.division.walked
        self._low, self._high = self.problem.lower[which], self.problem.upper[which]
        self._moving = np.concatenate([which, self.division.marginal])
        self._farthest = np.where(self._proper()[self._moving], FARTHEST, FAR)
        self._farthest[which.size :] = np.maximum(self._farthest[which.size :], DRAWN)

    def _proper(self) -> np.ndarray:
        """Which parameters (n,) have a prior that is one: bounds on both sides, or one that was given."""
        out = np.isfinite(self.problem.lower) & np.isfinite(self.problem.upper)
        layer = self.problem
        while isinstance(layer, Around):
            if isinstance(layer, PriorProblem):
                out[layer.index] = True
                for density in layer.densities:
                    out[density.indices] = True
            layer = layer.base
        return np.asarray(out)

    def escaped(self, distance: np.ndarray) -> np.ndarray:
        """Which parameters (of all n, as indices) have left, given how many standard errors each walker is off: (walkers, moving)."""
        gone = ~(np.abs(distance) <= self._farthest).all(axis=0)
        walked = gone[: self.division.walked.size]
        # a parameter integrated out goes along with the one that is walked
        return np.asarray(self.division.walked[walked] if walked.any() else self._moving[gone])

    @property
    def freedom(self) -> int:
        """Rows less the parameters integrated out."""
        return self.problem.ndata - self.division.marginal.size

    def endless(self, sd: np.ndarray) -> np.ndarray:
        """
        Walked parameters (as indices) along which the density has a tail that does not end and that long chains would find.

        Further out than FAR standard errors `sd` (w,) it must fall faster than one over the distance.
        """
        which = self.division.walked
        centre, worst = self.p[which], self.worst
        base, found = self.density(centre)[0], []
        for i in np.flatnonzero(self._farthest[: which.size] == FAR):
            for side in (-1.0, 1.0):
                tails = []
                for far in (FAR, 1e3 * FAR):
                    walked = centre.copy()
                    walked[i] += side * far * sd[i]
                    tails.append(self.density(walked)[0] + math.log(far))
                if min(tails) > base + math.log(TAIL) and tails[1] > tails[0]:
                    found.append(which[i])
        self.worst = worst
        return np.unique(np.array(found, dtype=int))

    def density(self, walked: np.ndarray) -> tuple[float, Any]:
        """ln P at one point (w,), and what `draw` needs; -inf outside the bounds and where the model isn't finite."""
        problem = self.problem
        if (walked < self._low).any() or (walked > self._high).any():
            return -math.inf, None
        p = self.p.copy()
        p[self.division.walked] = walked
        given = 0.0 if self._prior is None else -0.5 * self._prior.penalty(p)
        if not given > -math.inf:
            return -math.inf, None
        if not self._inner.size:
            cost = self._data.cost(p)
            return self._log(cost) + given, (None, None, cost)
        if self._blocks is not None:
            found = self._blocks.eliminated(p[: problem.m], bounds=False)
            if found is None or not found.full_rank:
                self.worst = math.inf if found is not None else self.worst
                return -math.inf, None
            self.worst = max(self.worst, float(found.pivots.max() / found.pivots.min()))
            return self._log(found.chi2) - found.log_volume, found
        columns = self._data.columns(p[: problem.m])
        if columns is None:
            return -math.inf, None
        target, phi = columns
        if self._known.size:
            target = target - p[problem.m + self._known] @ phi[self._known]
            phi = np.ascontiguousarray(phi[self._inner])
        f = factor(phi, 0.0)
        if f is None or f.rank < self._inner.size:
            self.worst = math.inf
            return -math.inf, None
        c, r = solve(f, target)
        diagonal = [abs(entry) for entry in f.r.diagonal().tolist()]
        self.worst = max(self.worst, diagonal[0] / diagonal[-1])
        chi2 = float(r.dot(r))
        volume = sum(map(math.log, diagonal)) + sum(map(math.log, f.scale.tolist()))
        return self._log(chi2) - volume + given, (c, f, chi2)

    def _log(self, cost: float) -> float:
        if not math.isfinite(cost):
            return -math.inf
        if self.sigma is not None:
            return -0.5 * cost / self.sigma / self.sigma
        return -0.5 * self.freedom * math.log(max(cost, self._data.noise**2, 5e-324))

    def draw(self, found: Any, rng: np.random.Generator) -> np.ndarray:
        """The parameters integrated out, (k,), given what `density` found at a point."""
        c, f, chi2 = (found.c, None, found.chi2) if isinstance(found, Eliminated) else found
        if c is None:
            return np.empty(0)
        sigma = self.sigma if self.sigma is not None else math.sqrt(max(chi2, self._data.noise**2) / rng.chisquare(self.freedom))
        if f is None:
            drawn: np.ndarray = found.draw(sigma, rng)
            return drawn
        out = c.copy()
        out[f.pivot] += sigma * f.solve_r(rng.standard_normal(c.size)) / f.scale[f.pivot]
        return out


@dataclass(eq=False)
class Samples:
    """What a run has collected so far; parameters in the order walked, marginal.

    Attributes
    ----------
    chain : ndarray, shape (steps, walkers, moving)
    log_prob : ndarray, shape (steps, walkers)
    acceptance : float
    tau : ndarray, shape (moving,)
    escaped : ndarray of int
        Parameters in which the posterior isn't proper: a walker left along them, and the chain was stopped there, or the
        density does not fall.
    """

    chain: np.ndarray
    log_prob: np.ndarray
    acceptance: float
    tau: np.ndarray
    escaped: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))

    @property
    def converged(self) -> bool:
        """Whether the chain is long enough for its slowest parameter."""
        return bool(not self.escaped.size and np.isfinite(self.tau).all() and len(self.chain) >= STEPS_PER_TAU * self.tau.max(initial=0.0))

    @property
    def burn(self) -> int:
        """Steps that still remember the start: five autocorrelation times, at most half of the chain."""
        if (self.tau == 1.0).all():
            return 0
        longest = float(self.tau.max(initial=1.0)) if np.isfinite(self.tau).all() else math.inf
        return int(min(math.ceil(BURN_TAUS * longest) if math.isfinite(longest) else len(self.chain), len(self.chain) // 2))


class NoStartError(ValueError):
    """No place for the walkers around the minimum has a finite density."""


@dataclass(eq=False)
class Run:
    """
    A chain that can be carried on.

    Parameters
    ----------
    target : Target
    walkers : int
    seed : int
        Fixes the walk and the draws.
    scale : float
        Standard deviation of a row, the unit of the whitened coordinates.
    """

    target: Target
    walkers: int
    seed: int
    scale: float
    _parts: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _state: Any = None
    _taken: float = 0.0
    _steps: int = 0
    escaped: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))

    def __post_init__(self) -> None:
        walk, draws, *more = np.random.default_rng(self.seed).spawn(4)
        self._walk, self._draws, self._more = walk, draws, more[0]
        division = self.target.division
        rows = division.root[: division.walked.size]
        # L L' is the covariance of the walked parameters
        self._L = self.scale * np.asarray(np.linalg.qr(rows.T, mode="r")).T if rows.size else np.zeros((0, 0))
        self._centre = self.target.p[division.walked]
        self._sd = self.scale * np.sqrt(np.einsum("ij,ij->i", division.root, division.root))  # of the marginal ones, too

    def extend(self, steps: int, tell: Callable[[int], None] | None = None) -> None:
        """Walk on, until a walker leaves for good; `tell` hears after every step how many of this call are done."""
        if self.escaped.size:
            return
        with np.errstate(all="ignore"):
            if self._centre.size:
                steps = self._walk_on(steps, tell)
            else:
                self._draw_directly(steps)
                if tell is not None:
                    tell(steps)
        self._steps += steps

    def _points(self, q: np.ndarray) -> np.ndarray:
        """Walked parameters (w, d) at whitened coordinates (w, d)."""
        # not by BLAS, whose rounding depends on how many points go in at once
        return np.asarray(self._centre + np.einsum("wj,ij->wi", q, self._L))

    def _densities(self, q: np.ndarray) -> np.ndarray:
        """For emcee: ln P and the conditional draws of the others, (walkers, 1 + k)."""
        target = self.target
        out = np.empty((len(q), 1 + target.division.marginal.size))
        for row, walked in zip(out, self._points(q), strict=True):
            row[0], found = target.density(walked)
            row[1:] = target.draw(found, self._draws) if found is not None else np.nan
        return out

    def _begin(self) -> Any:
        """Walkers around the minimum where the density is finite."""
        from emcee import State

        d = self._centre.size
        q = SPREAD * self._walk.standard_normal((self.walkers, d))
        for _ in range(60):
            bad = ~np.isfinite(self._densities(q)[:, 0])
            if not bad.any():
                legacy = np.random.RandomState(int(self._walk.integers(2**32))).get_state()
                return State(q, random_state=legacy)
            q[bad] = 0.8 * q[bad] + 0.1 * SPREAD * self._walk.standard_normal((int(bad.sum()), d))
        msg = "no place for the walkers around the minimum: the model is finite, or inside the bounds, almost nowhere there"
        raise NoStartError(msg)

    def _distance(self, state: Any) -> np.ndarray:
        """How many standard errors each walker is off, (walkers, moving)."""
        off, marginal = np.einsum("wj,ij->wi", state.coords, self._L), self.target.division.marginal
        if marginal.size:
            off = np.hstack([off, np.asarray(state.blobs, dtype=float).reshape(len(off), -1) - self.target.p[marginal]])
        return np.asarray(off / self._sd)

    def _walk_on(self, steps: int, tell: Callable[[int], None] | None) -> int:
        """How many steps were made: fewer where a walker left."""
        from emcee import EnsembleSampler
        from emcee.moves import DEMove, MHMove

        d = self._centre.size
        moves = [(DEMove(), 0.5), *((MHMove(partial(_around_the_minimum, *t)), 0.5 / len(PROPOSALS)) for t in PROPOSALS)]
        sampler = EnsembleSampler(self.walkers, d, self._densities, moves=moves, vectorize=True)
        begin = self._begin() if self._state is None else self._state
        made = 0
        for made, state in enumerate(sampler.sample(begin, iterations=steps, skip_initial_state_check=True), start=1):
            self._state = state
            if tell is not None:
                tell(made)
            self.escaped = self.target.escaped(self._distance(state))
            if self.escaped.size:
                break
        steps = made  # emcee has room for all that were asked for
        chain = self._points(sampler.get_chain()[:steps].reshape(-1, d)).reshape(steps, self.walkers, d)
        if self.target.division.marginal.size:
            drawn = np.asarray(sampler.get_blobs()[:steps], dtype=float).reshape(steps, self.walkers, -1)
            chain = np.concatenate([chain, drawn], axis=2)
        self._parts.append((chain, sampler.get_log_prob()[:steps]))
        self._taken += float(sampler.acceptance_fraction.mean()) * steps
        return steps

    def _draw_directly(self, steps: int) -> None:
        target = self.target
        value, found = target.density(np.empty(0))
        shape = (steps, self.walkers)
        if found is None:
            msg = "the model isn't finite at the minimum"
            raise NoStartError(msg)
        c, f, chi2 = found
        if c is None:
            drawn = np.empty((*shape, 0))
        else:
            sigma: Any = target.sigma
            if sigma is None:
                sigma = np.sqrt(max(chi2, target.problem.noise**2) / self._more.chisquare(target.freedom, shape))[..., None]
            z = self._draws.standard_normal((*shape, c.size))
            drawn = np.empty_like(z)
            drawn[..., f.pivot] = np.einsum("swj,ij->swi", z, f.solve_r(np.eye(c.size))) / f.scale[f.pivot]
            drawn = c + sigma * drawn
        self._parts.append((drawn, np.full(shape, value)))
        self._taken += steps

    def copy(self) -> Run:
        """A run that can be carried on without changing this one."""
        out = copy.copy(self)
        out._parts = list(self._parts)
        out._draws, out._more, out._walk = (copy.deepcopy(rng) for rng in (self._draws, self._more, self._walk))
        out._state = copy.deepcopy(self._state)
        return out

    def samples(self) -> Samples:
        """All steps so far."""
        chain = np.concatenate([part for part, _ in self._parts])
        log_prob = np.concatenate([part for _, part in self._parts])
        tau = autocorrelation(chain) if self._centre.size else np.ones(chain.shape[2])
        if self._centre.size and not self.escaped.size:
            with np.errstate(all="ignore"):
                self.escaped = self.target.endless(self._sd[: self._centre.size])
        return Samples(chain, log_prob, self._taken / self._steps, tau, self.escaped)


def _around_the_minimum(width: float, freedom: float, coords: np.ndarray, random: Any) -> tuple[np.ndarray, np.ndarray]:
    """Proposals from a Student t around the origin, and ln of the ratio of its densities that keeps the balance."""
    z = random.standard_normal(coords.shape)
    new = z * (width * np.sqrt(freedom / random.chisquare(freedom, len(coords))))[:, None]
    power = 0.5 * (freedom + coords.shape[1])
    size_old, size_new = np.einsum("ij,ij->i", coords, coords), np.einsum("ij,ij->i", new, new)
    unit = freedom * width * width
    return new, power * (np.log1p(size_new / unit) - np.log1p(size_old / unit))


def autocorrelation(chain: np.ndarray) -> np.ndarray:
    """Integrated autocorrelation time of every parameter of a chain (steps, walkers, d) in steps; nan where it never moved."""
    from emcee.autocorr import integrated_time

    if len(chain) < 4:
        return np.full(chain.shape[2], np.nan)
    # centred and of order one: squares of 1e-200, or differences of 1e10 + small, would be nothing
    centred = chain - chain[0, 0]
    size = np.abs(centred).max(axis=(0, 1))
    with np.errstate(all="ignore"):
        tau = integrated_time(centred / np.where(size > 0, size, 1.0), tol=0, quiet=True)
    tau = np.maximum(np.asarray(tau), 1.0)
    tau[~(size > 64 * EPS * np.abs(chain[0, 0]))] = np.nan
    return tau


def default_walkers(walked: int) -> int:
    """Twice as many as emcee needs at least, and never few."""
    return max(16, 2 * (walked + 1))
