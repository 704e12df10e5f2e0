"""A loss and priors by name: what can be said of them where the functions themselves can't go."""

from __future__ import annotations

from typing import Any

from .likelihood import label
from .priors import names_of

__all__ = ["loss_name", "prior_names"]


def loss_name(result: Any) -> str | None:
    """The loss of a fit as its user wrote it; None for least squares."""
    if "loss" in result.__dict__:  # a loaded fit
        return str(result.__dict__["loss"])
    loss = getattr(result.__dict__.get("_call"), "loss", None)
    if loss is None or (isinstance(loss, str) and loss == "linear"):
        return None
    return loss if isinstance(loss, str) else label(loss)


def prior_names(result: Any) -> dict[str, str]:
    """Priors in words, by the names of their parameters."""
    if "priors" in result.__dict__:
        return dict(result.__dict__["priors"])
    priors = getattr(result.__dict__.get("_call"), "priors", None) or {}
    return {", ".join(names_of(key)): _words(prior) for key, prior in priors.items()}


def _words(prior: Any) -> str:
    if isinstance(prior, tuple | list):
        return " +/- ".join(str(value) for value in prior)
    frozen = getattr(getattr(prior, "dist", None), "name", None)
    if frozen:
        given = [*map(str, getattr(prior, "args", ())), *(f"{key}={value}" for key, value in getattr(prior, "kwds", {}).items())]
        return f"{frozen}({', '.join(given)})"
    return str(getattr(prior, "__name__", type(prior).__name__))
