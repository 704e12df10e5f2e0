"""A problem around a problem: what a loss or a prior changes stands in the wrapper, everything else is the inner one's."""

from __future__ import annotations

from .problem import Problem

PASSED_ON = ("kernel", "m", "k", "n", "N", "ndata", "lower", "upper", "bounded", "linear_bounded", "jac_error", "y", "unit")


class Around(Problem):
    """
    A problem that stands on another one with the same parameters, and counts that one's evaluations.

    Only what every problem has is used of the inner one, so that it may be of any kind.

    Parameters
    ----------
    base : Problem
        The inner problem.

    Attributes
    ----------
    base : Problem
    """

    def __init__(self, base: Problem) -> None:
        self.base = base
        for name in PASSED_ON:
            setattr(self, name, getattr(base, name))
        self.noise = base.noise
        self.least_squares = base.least_squares

    @property
    def nfev(self) -> int:
        """Evaluations of the inner problem."""
        return self.base.nfev

    @nfev.setter
    def nfev(self, value: int) -> None:
        self.base.nfev = value

    @property
    def njev(self) -> int:
        """Evaluations of the inner problem's derivatives."""
        return self.base.njev

    @njev.setter
    def njev(self, value: int) -> None:
        self.base.njev = value


def innermost(problem: Problem) -> Problem:
    """The problem of the data alone, below all wrappers."""
    while isinstance(problem, Around):
        problem = problem.base
    return problem
