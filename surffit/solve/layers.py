"""The wrappers around a problem, and the nuisance scales in them that are found together with the fit."""

from __future__ import annotations

import math

import numpy as np

from .around import Around, innermost
from .fewrows import FewRows
from .linear import factor
from .loss import Poisson, Robust
from .priors import PriorProblem, determined
from .problem import EPS, Problem, finite
from .reweighted import Reweighted

CONSISTENT = 0.6744897501960817  # median of |r| for unit normal r
ZERO = 1e-6  # of the largest rate
ALMOST_NONE = 1e-8  # degrees of freedom below which the data say nothing of their variance


def robust_scale(r: np.ndarray, n: int) -> float:
    """
    Standard deviation of a residual by its median absolute value, for a fit of n parameters.

    The n - 1 smallest values are left out: a fit can make that many residuals vanish.
    """
    size = np.sort(np.abs(r))
    kept = size[max(min(n - 1, size.size - 1), 0) :]
    return float(np.median(kept)) / CONSISTENT


class Layers:
    """
    A problem, the loss and the priors around it.

    Parameters
    ----------
    problem : Problem
        The outermost.
    factor : float or None
        Scale of a robust loss as a multiple of the residual's robust scale; None where it is given in the rows' unit.
    sigma_known : bool
        Whether prior rows can be weighed against data rows as they are.

    Attributes
    ----------
    loss : Reweighted or None
    prior : PriorProblem or None
    whole : Problem
        The data's.
    data : Problem
        The same; in few rows where it stands so.
    gamma : float
        Number of parameters that the data determine, as of the last `update`.
    """

    def __init__(self, problem: Problem, factor: float | None = None, sigma_known: bool = True) -> None:
        self.problem, self.factor, self.sigma_known = problem, factor, sigma_known
        self.loss: Reweighted | None = None
        self.prior: PriorProblem | None = None
        layer: Problem = problem
        few: Problem | None = None
        while isinstance(layer, Around):
            if isinstance(layer, Reweighted):
                self.loss = layer
            elif isinstance(layer, PriorProblem):
                self.prior = layer
            elif isinstance(layer, FewRows):
                few = layer
            layer = layer.base
        self.whole = innermost(problem)
        self.data = self.whole if few is None else few
        self.gamma = float(problem.n)

    @property
    def likelihood(self) -> bool:
        """Whether the data's cost is -2 ln L, which knows its errors."""
        return self.loss is not None and self.loss.term.likelihood

    @property
    def signed(self) -> bool:
        """Whether the cost may be negative."""
        densities = self.prior is not None and bool(self.prior.densities)
        return densities or (self.likelihood and self.loss is not None and not isinstance(self.loss.term, Poisson))

    @property
    def searched(self) -> bool:
        """Whether any scale is found with the fit."""
        return self.factor is not None or (
            self.prior is not None and not self.likelihood and (self.loss is not None or not self.sigma_known)
        )

    def update(self, p: np.ndarray) -> float:
        """Set the scales from what is left at p; the largest relative change."""
        change = 0.0
        loss = self.loss
        if self.factor is not None and loss is not None and isinstance(loss.term, Robust):
            least = 8.0 * EPS * float(np.abs(self.data.y).max(initial=0.0)) or 1.0
            full = self.data.full(p)
            size = robust_scale(self.data.residual(p), self.problem.n) if full is None else robust_scale(full[0], self.count(p, full[1]))
            scale = self.factor * max(size, least)
            change = abs(scale / loss.term.scale - 1.0)
            loss.term.scale = scale
            loss.forget()
        if self.prior is not None and self.searched:
            scale = math.sqrt(self.variance(p)[1])
            if scale > 0.0:
                change = max(change, abs(scale / self.prior.scale - 1.0))
                self.prior.scale = scale
        return change

    def count(self, p: np.ndarray, J: np.ndarray) -> int:
        """How many parameters the data determine at p: one on a bound, or redundant beside others, makes no residual vanish."""
        free = (p > self.problem.lower) & (p < self.problem.upper)
        f = factor(np.ascontiguousarray(J[free]), self.data.jac_error)
        return self.problem.n if f is None else f.rank

    def variance(self, p: np.ndarray) -> tuple[float, float]:
        """
        The factor of (J'J)^{-1} in the data's own covariance, and that by which prior rows weigh: their squared unit.

        Both are s^2 for least squares; for a robust loss the second makes the data's information come out as the first says.
        """
        data, prior = self.data, self.prior
        full = data.full(p)
        least = (data.noise / math.sqrt(data.N)) ** 2 or np.finfo(float).tiny
        if full is None:
            return math.nan, math.nan
        r, J = full
        T = None if prior is None else prior.information(p)
        free = (p > self.problem.lower) & (p < self.problem.upper)

        def freedom(v: float) -> float:
            self.gamma = float(self.count(p, J)) if T is None else determined(J[free] / math.sqrt(v), T[free])
            return max(data.ndata - self.gamma, ALMOST_NONE)

        if self.likelihood and self.loss is not None:
            rows = self.loss.full(p)
            if rows is not None and T is not None:
                self.gamma = determined(rows[1][free], T[free])
            return 1.0, 1.0
        if self.loss is None:
            v = data.unit**2 if self.sigma_known else (1.0 if prior is None else prior.scale) ** 2
            left = freedom(v)
            v = v if self.sigma_known else max(float(r @ r) / left, least)
            return v, v
        psi, slope, _ = self.loss.term.rows(r, data.y)
        mean = float(slope.mean())
        if not mean > 0.0:
            return math.nan, math.nan
        if T is None:
            self.gamma = float(self.count(p, J))
        total, gamma = float(psi @ psi), self.gamma
        v = 0.0
        for _ in range(20):
            k = 1.0 + gamma / r.size * float(slope.var()) / mean**2
            v = max(k * k * total / max(r.size - gamma, ALMOST_NONE) / mean**2, least)
            if T is None:
                break
            freedom(v)
            if abs(self.gamma - gamma) < 1e-13 * max(gamma, 1.0):
                break
            gamma = self.gamma
        return v, v * mean

    def scales(self) -> tuple[float, ...]:
        """The scales as they are, for `restore`."""
        term = None if self.loss is None else self.loss.term
        return (1.0 if self.prior is None else self.prior.scale, term.scale if isinstance(term, Robust) else 1.0)

    def restore(self, scales: tuple[float, ...]) -> None:
        """Set the scales back."""
        if self.prior is not None:
            self.prior.scale = scales[0]
        if self.loss is not None and isinstance(self.loss.term, Robust):
            self.loss.term.scale = scales[1]
            self.loss.forget()

    def minus_two_log(self, p: np.ndarray) -> float:
        """-2 ln of the posterior density up to a constant, that of the variance found with the fit included."""
        prior = self.prior
        if prior is None or not self.searched:
            return self.problem.cost(p)
        r = self.data.residual(p)
        s2 = prior.scale**2
        return float(r @ r) / s2 + self.data.ndata * math.log(s2) + prior.penalty(p)

    def touching(self, p: np.ndarray, held: np.ndarray) -> int:
        """At how many points without counts a Poisson rate has come down to zero while free parameters could move it further."""
        if self.loss is None or not isinstance(self.loss.term, Poisson):
            return 0
        full = self.data.full(p)
        if full is None:
            return 0
        r, J = full[0], full[1][~held]
        rate = self.data.y - r
        norms = np.sqrt(np.einsum("ij,ij->i", J, J) / J.shape[1])
        steep = (np.abs(J) > 1e-3 * norms[:, None]).any(axis=0)  # in the wings of a peak the slope vanishes, too
        return int((steep & (self.data.y == 0.0) & (rate <= ZERO * float(rate.max(initial=0.0)))).sum())

    def refer(self, p: np.ndarray) -> None:
        """Count -2 ln L and -2 ln P from below the best point so far: solvers judge by ratios of costs, which must be positive."""
        loss, prior = self.loss, self.prior
        if prior is not None and prior.densities:
            prior.reference = 0.0
            penalty = prior.penalty(p)
            prior.reference = penalty - prior.extra if math.isfinite(penalty) else 0.0
        if loss is not None:
            loss.refer(p)

    def starts(self, point: np.ndarray) -> np.ndarray:
        """A start moved into the priors' support."""
        p = np.clip(point, self.problem.lower, self.problem.upper)
        for density in [] if self.prior is None else self.prior.densities:
            x = p[density.indices]
            if density.value(x) == -math.inf and math.isfinite(density.centre):
                p[density.indices] = density.centre
        return p if finite(p) else point
