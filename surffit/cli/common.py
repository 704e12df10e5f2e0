"""What all commands share: how they speak, how they end, and how their arguments are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["DONE", "FAILED", "WRONG", "Usage", "check_picture", "complain", "number", "pair", "say", "variables"]

DONE, FAILED, WRONG = 0, 1, 2


class Usage(Exception):
    """Wrong input, found after the arguments were parsed; its text goes to stderr."""


def complain(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"surffit: {text}\n")


def say(text: str) -> None:
    """Text on stdout, with a newline at its end."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def pair(text: str, flag: str, optional: bool = False) -> tuple[str, str | None]:
    """``name=value``."""
    name, equals, value = text.partition("=")
    if not name.isidentifier() or (not optional and not equals) or (equals and not value):
        msg = f"{flag} {text}: write it as {flag} {'x=column' if flag == '--var' else 'name=value'}, with an identifier as name"
        raise Usage(msg)
    return name, value if equals else None


def number(text: str, where: str) -> float:
    """A number, or which argument has none."""
    try:
        value = float(text)
    except ValueError:
        msg = f"{where}: {text!r} is not a number"
        raise Usage(msg) from None
    if value != value:
        msg = f"{where}: nan can't be used"
        raise Usage(msg)
    return value


def variables(texts: Sequence[str]) -> dict[str, str]:
    """--var: the column of each independent variable."""
    pairs = [pair(text, "--var", optional=True) for text in texts]
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        msg = f"--var names {twice} twice; give each independent variable one column"
        raise Usage(msg)
    return {name: column or name for name, column in found.items()}


def check_picture(path: str) -> None:
    """Before the fit: can a picture of this kind be written?"""
    from matplotlib.figure import Figure

    kinds = Figure().canvas.get_supported_filetypes()
    kind = os.path.splitext(path)[1].removeprefix(".").lower()
    if kind not in kinds:
        msg = f"--plot {path}: the name's ending says which kind of picture, one of {', '.join(sorted(kinds))}"
        raise Usage(msg)
