"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class CheckReport:
    """
    A model that passed.

    Attributes
    ----------
    model : str
        Its name.
    checks : tuple of str
        What was checked.
    skipped : mapping of str to str
        What could not be checked, and why.
    figures : mapping of str to float
        Largest relative errors and other numbers that were seen.
    linear : tuple of str
        Parameters that need no start.
    traced : bool
        Whether derivatives are exact.
    """

    model: str
    checks: tuple[str, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    linear: tuple[str, ...] = ()
    traced: bool = True

    def __str__(self) -> str:
        """One line per figure and per thing that was skipped."""
        how = "exact" if self.traced else "numerical"
        linear = ", ".join(self.linear[:8]) + (f" and {len(self.linear) - 8} more" if len(self.linear) > 8 else "")
        lines = [f"{self.model}: {len(self.checks)} checks passed; linear: {linear or 'none'}; derivatives: {how}"]
        lines += [f"  {name}: {value:.3g}" for name, value in self.figures.items()]
        lines += [f"  {name} not checked: {why}" for name, why in self.skipped.items()]
        return "\n".join(lines)
