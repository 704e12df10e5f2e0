"""``surffit models`` and ``surffit describe``."""

from __future__ import annotations

import argparse

from surffit.cli.common import DONE, Usage, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["describe", "models", "registered"]


def models(args: argparse.Namespace) -> int:
    """List them."""
    from surffit import registry

    say("\n".join(registry.models()))
    return DONE


def describe(args: argparse.Namespace) -> int:
    """Describe one."""
    import inspect

    from surffit import registry

    facts = registry.describe(args.name)
    lines = [f"{facts['name']}  ({facts['object']}, {facts['package']} {facts['version']})"]
    model = registered(args.name)
    doc = inspect.getdoc(getattr(model, "func", None)) or ""
    if doc:
        lines += ["", doc]
    lines += ["", f"independent variables: {', '.join(model.independent_vars)}"]
    lines += [f"linear parameters:     {', '.join(model.linear) or 'none'}", "parameters:"]
    for name, par in model.make_params().items():
        notes = [f"= {par.expr}"] if par.expr else []
        notes += [f"{side} {value:g}" for side, value in (("min", par.min), ("max", par.max)) if abs(value) != float("inf")]
        notes += ["fixed"] if not par.vary and not par.expr else []
        lines.append("  " + f"{name:<16} {', '.join(notes)}".rstrip())
    say("\n".join(lines))
    return DONE


def registered(name: str) -> Any:
    """A registered model without options."""
    from surffit.registry import get_model

    try:
        return get_model(name)
    except TypeError as err:
        msg = f"the model {name!r} can't be made without options, which only Python can give: {err}"
        raise Usage(msg) from err
