"""``surffit find``."""

from __future__ import annotations

import argparse

from surffit._version import __version__
from surffit.cli.common import DONE, FAILED, Usage, check_picture, complain, say, variables
from surffit.cli.tables import read_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["run"]

_DRAWN = 4


def run(args: argparse.Namespace) -> int:
    """Search, report, draw, save."""
    if args.top < 1:
        msg = f"--top {args.top}: give how many laws are wanted, at least 1"
        raise Usage(msg)
    if not args.var:
        msg = "no independent variable is given; add --var x=COLUMN, and --var y=COLUMN for a second one"
        raise Usage(msg)
    columns = variables(args.var)
    if args.plot:
        check_picture(args.plot)
    from surffit.surfaces.finder import find_surface

    found = find_surface(
        read_table(args.table),
        data=args.data,
        sigma=args.sigma,
        weights=args.weights,
        nan_policy=args.nan_policy,
        registered=args.registered,
        coords=columns,
    )
    if not len(found):
        complain(f"none of {found.n_tried} laws could be fitted")
        return FAILED
    if args.plot:
        found.plot(min(args.top, _DRAWN)).savefig(args.plot, dpi=150)
    if args.save:
        found.best.save(args.save)
    _report(args, found)
    return DONE


def _report(args: argparse.Namespace, found: Any) -> None:
    """What was found, on stdout."""
    if args.format == "text":
        say(found.report(args.top))
        return
    table = found.table.head(args.top)
    if args.format == "csv":
        say(table.to_csv(index=False, lineterminator="\n"))
        return
    from surffit import io
    from surffit.io.files import number

    laws = []
    for place, row in enumerate(table.to_dict("records")):
        fit = found[place]
        entry = {name: number(value) if isinstance(value, float) else value for name, value in row.items()}
        laws.append({**entry, "params": {name: number(float(value)) for name, value in fit.best_values.items()}, "model": fit.model.name})
    say(io.dumps({"schema": "surffit.found/1", "surffit": __version__, "tried": found.n_tried, "laws": laws}))
