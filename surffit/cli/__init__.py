"""
The shell: ``surffit fit | find | models | describe``.

Reports go to stdout, complaints to stderr. The exit status is 0 if all went well, 1 if the fit failed,
2 if the command or its input was wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from surffit._version import __version__
from surffit.cli.common import DONE, WRONG, Usage, complain
from surffit.exceptions import SurffitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_FIND_EXAMPLE = """\
example:
  surffit find index.csv --data n --var x=wavelength_nm --var y=temperature_c --top 5 --plot laws.png
"""

_EXAMPLE = """\
example:
  surffit fit index.csv --data n --var x=wavelength_nm --var y=temperature_c \\
      --expr "a1 + a2*y + (b1 + b2*y)/x**2" --plot index.png --save index.json
"""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit status.

    Examples
    --------
    >>> main(["describe", "no_such_model"])
    2
    """
    try:
        args = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has said what it has to say
        return end.code if isinstance(end.code, int) else WRONG
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                status: int = args.run(args)
                sys.stdout.flush()
            finally:
                for warning in caught:
                    complain(f"warning: {warning.message}")
        return status
    except BrokenPipeError:
        # the reader (head, less) has gone, which is its right; what is left in the buffer must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except (Usage, SurffitError, OSError, ValueError) as err:
        complain("error: " + str(err).replace('nan_policy="omit"', "--nan-policy omit"))
        return WRONG


def _parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    parser = argparse.ArgumentParser(prog="surffit", description="Fits that just fit, from the shell.")
    parser.add_argument("--version", action="version", version=f"surffit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    fit = commands.add_parser(
        "fit", help="fit a table", description="Fit a table.", epilog=_EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    fit.set_defaults(run=_later("fit", "run"))
    fit.add_argument("table", help="file with a header line (commas, tabs, semicolons or blanks between columns), or - for stdin")
    fit.add_argument("--data", required=True, metavar="COLUMN", help="column that is fitted")
    fit.add_argument("--var", action="append", default=[], metavar="NAME=COLUMN", help="independent variable and its column; repeatable")
    what = fit.add_mutually_exclusive_group(required=True)
    what.add_argument("--expr", metavar="FORMULA", help="formula of variables and parameters (--expr=... if it begins with a minus)")
    what.add_argument("--function", metavar="FILE.py:NAME", help="a Python function or model; the file is run")
    what.add_argument("--model", metavar="NAME", help="a registered model, see `surffit models`")
    error = fit.add_mutually_exclusive_group()
    error.add_argument("--sigma", metavar="COLUMN", help="error of the data")
    error.add_argument("--weights", metavar="COLUMN", help="weights, 1/sigma")
    fit.add_argument("--by", action="append", metavar="COLUMN", help="fit each group of rows on its own; repeatable")
    fit.add_argument("--start", action="append", default=[], metavar="NAME=VALUE", help="start of a parameter; linear ones need none")
    fit.add_argument("--fix", action="append", default=[], metavar="NAME[=VALUE]", help="hold a parameter")
    fit.add_argument("--bound", action="append", default=[], metavar="NAME=MIN:MAX", help="bounds; an empty side or inf is open")
    fit.add_argument("--method", default="separable", metavar="NAME", help="any method of lmfit (default: %(default)s)")
    fit.add_argument("--nan-policy", choices=["raise", "omit"], default="raise", help="rows with missing numbers (default: %(default)s)")
    fit.add_argument(
        "--scale-covar",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="scale the errors by the scatter of the data (default); --no-scale-covar where sigma is known",
    )
    fit.add_argument("--plot", metavar="FILE", help="write a picture (png, pdf, svg)")
    fit.add_argument("--save", metavar="FILE", help="write the fit as a document that surffit.load reads")
    fit.add_argument("--format", choices=["text", "json", "csv"], default="text", help="form of the report (default: %(default)s)")

    _add_find(commands)

    models = commands.add_parser("models", help="list the registered models", description="List the registered models.")
    models.set_defaults(run=_later("models", "models"))

    describe = commands.add_parser("describe", help="describe a registered model", description="Describe a registered model.")
    describe.set_defaults(run=_later("models", "describe"))
    describe.add_argument("name", help="one of `surffit models`")
    return parser


def _add_find(commands: Any) -> None:
    """`surffit find` and its arguments."""
    find = commands.add_parser(
        "find",
        help="search for the law behind a table",
        description="Try thousands of laws on a table of one or two variables and rank them.",
        epilog=_FIND_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    find.set_defaults(run=_later("find", "run"))
    find.add_argument("table", help="file with a header line (commas, tabs, semicolons or blanks between columns), or - for stdin")
    find.add_argument("--data", required=True, metavar="COLUMN", help="column that is described")
    find.add_argument("--var", action="append", default=[], metavar="NAME=COLUMN", help="independent variable and its column; one or two")
    error = find.add_mutually_exclusive_group()
    error.add_argument("--sigma", metavar="COLUMN", help="error of the data")
    error.add_argument("--weights", metavar="COLUMN", help="weights, 1/sigma")
    find.add_argument("--nan-policy", choices=["raise", "omit"], default="raise", help="rows with missing numbers (default: %(default)s)")
    find.add_argument("--top", type=int, default=10, metavar="N", help="how many laws are reported (default: %(default)s)")
    find.add_argument("--registered", action=argparse.BooleanOptionalAction, default=True, help="try the registered models, too (default)")
    find.add_argument("--plot", metavar="FILE", help="write a picture of the best laws (png, pdf, svg)")
    find.add_argument("--save", metavar="FILE", help="write the fit of the first law as a document that surffit.load reads")
    find.add_argument("--format", choices=["text", "json", "csv"], default="text", help="form of the report (default: %(default)s)")


def _later(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """A command whose module is loaded when it runs."""

    def run(args: argparse.Namespace) -> int:
        from importlib import import_module

        command: Callable[[argparse.Namespace], int] = getattr(import_module(f"surffit.cli.{module}"), name)
        return command(args)

    return run
