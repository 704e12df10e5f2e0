"""
The shell: ``surffit fit | models | describe``.

Reports go to stdout, complaints to stderr. The exit status is 0 if all went well, 1 if the fit failed,
2 if the command or its input was wrong.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence

from surffit._version import __version__
from surffit.exceptions import SurffitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

DONE, FAILED, WRONG = 0, 1, 2

_EXAMPLE = """\
example:
  surffit fit index.csv --data n --var x=wavelength_nm --var y=temperature_c \\
      --expr "a1 + a2*y + (b1 + b2*y)/x**2" --plot index.png --save index.json
"""


class _Usage(Exception):
    """Wrong input, found after the arguments were parsed; its text goes to stderr."""


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
                    _complain(f"warning: {warning.message}")
        return status
    except BrokenPipeError:
        # the reader (head, less) has gone, which is its right; what is left in the buffer must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except (_Usage, SurffitError, OSError, ValueError) as err:
        _complain(f"error: {err}")
        return WRONG


def _parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    parser = argparse.ArgumentParser(prog="surffit", description="Fits that just fit, from the shell.")
    parser.add_argument("--version", action="version", version=f"surffit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    fit = commands.add_parser(
        "fit", help="fit a table", description="Fit a table.", epilog=_EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    fit.set_defaults(run=_fit)
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

    models = commands.add_parser("models", help="list the registered models", description="List the registered models.")
    models.set_defaults(run=_models)

    describe = commands.add_parser("describe", help="describe a registered model", description="Describe a registered model.")
    describe.set_defaults(run=_describe)
    describe.add_argument("name", help="one of `surffit models`")
    return parser


def _complain(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"surffit: {text}\n")


def _say(text: str) -> None:
    """Text on stdout, with a newline at its end."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


# ---- surffit models, surffit describe


def _models(args: argparse.Namespace) -> int:
    from surffit.registry import models

    _say("\n".join(models()))
    return DONE


def _describe(args: argparse.Namespace) -> int:
    import inspect

    from surffit.registry import describe

    facts = describe(args.name)
    lines = [f"{facts['name']}  ({facts['object']}, {facts['package']} {facts['version']})"]
    model = _registered(args.name)
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
    _say("\n".join(lines))
    return DONE


def _registered(name: str) -> Any:
    """A registered model without options."""
    from surffit.registry import get_model

    try:
        return get_model(name)
    except TypeError as err:
        msg = f"the model {name!r} can't be made without options, which only Python can give: {err}"
        raise _Usage(msg) from err


# ---- surffit fit


def _fit(args: argparse.Namespace) -> int:
    from surffit.tables.fit import as_model, fit_table

    if args.by and (args.plot or args.save):
        msg = f"{'--plot' if args.plot else '--save'} takes one fit; with --by there are many (--format json writes them all)"
        raise _Usage(msg)
    pairs = [_pair(text, "--var", optional=True) for text in args.var]
    variables = dict(pairs)
    if len(variables) < len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        msg = f"--var names {twice} twice; give each independent variable one column"
        raise _Usage(msg)
    variables = {name: column or name for name, column in variables.items()}
    if args.plot:
        _check_picture(args.plot)
    table = _read_table(args.table)
    model = as_model(_model(args, list(variables)), variables)
    params = _params(args, model)
    options = {name: getattr(args, name) for name in ("sigma", "weights", "nan_policy", "method", "scale_covar")}
    try:
        result = fit_table(table, model, args.data, args.by, params=params, coords=variables, **options)
    except (SurffitError, ValueError, KeyboardInterrupt):
        raise
    except Exception as err:
        if args.function is None:
            raise
        # a bug in the user's own function is shown as such, with its place
        msg = f"{args.function} failed with {type(err).__name__}: {err}{_place(err, args.function)}"
        raise _Usage(msg) from err
    if args.by:
        return _report_groups(args, result)
    if args.plot:
        from surffit.plot import picture

        picture(result, args.plot)
    if args.save:
        result.save(args.save)
    _report(args, result)
    if result.success:
        return DONE
    _complain(f"the fit failed: {getattr(result, 'reason', '') or result.message}")
    return FAILED


def _report(args: argparse.Namespace, result: Any) -> None:
    """One fit on stdout."""
    from surffit import io

    if args.format == "json":
        _say(io.dumps(io.document(result)))
    elif args.format == "csv":
        _say(_csv(result.tidy()))
    else:
        _say(f"{result.fit_report()}\n\n{result.explain()}")


def _report_groups(args: argparse.Namespace, table: Any) -> int:
    """The fits of all groups on stdout, those that failed on stderr."""
    from surffit import io

    if args.format == "json":
        groups = [
            {
                "key": {str(name): _plain(value) for name, value in zip(table.keys, group.key, strict=True)},
                "status": list(group.status.names),
                "reason": group.reason,
                "fit": None if group.result is None else io.document(group.result),
            }
            for group in table
        ]
        _say(io.dumps({"schema": "surffit.groups/1", "surffit": __version__, "by": list(map(str, table.keys)), "groups": groups}))
    elif args.format == "csv":
        _say(_csv(table.tidy(), table.keys))
    else:
        _say(f"{table!r}\n\n{table.tidy().to_string(index=False)}\n\n{table.glance().to_string(index=False)}")
    failed = [group for group in table if not group.status.success]
    for group in failed:
        key = ", ".join(f"{name}={value}" for name, value in zip(table.keys, group.key, strict=True))
        _complain(f"the fit of {key} failed: {group.reason or group.status.sentence}")
    return FAILED if failed or not table.complete else DONE


def _csv(tidy: Any, keys: Sequence[Any] = ()) -> str:
    """Columns name, value, stderr, after the keys of a group."""
    names = {"term": "name", "estimate": "value", "std_error": "stderr"}
    return tidy[[*keys, *names]].rename(columns=names).to_csv(index=False, lineterminator="\n")


def _plain(value: Any) -> Any:
    """A key as JSON can hold it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        from surffit.io.files import number

        return number(value)
    return value if isinstance(value, bool | int | str) else str(value)


def _pair(text: str, flag: str, optional: bool = False) -> tuple[str, str | None]:
    """``name=value``."""
    name, equals, value = text.partition("=")
    if not name.isidentifier() or (not optional and not equals) or (equals and not value):
        msg = f"{flag} {text}: write it as {flag} {'x=column' if flag == '--var' else 'name=value'}, with an identifier as name"
        raise _Usage(msg)
    return name, value if equals else None


def _number(text: str, where: str) -> float:
    """A number, or which argument has none."""
    try:
        value = float(text)
    except ValueError:
        msg = f"{where}: {text!r} is not a number"
        raise _Usage(msg) from None
    if value != value:
        msg = f"{where}: nan can't be used"
        raise _Usage(msg)
    return value


def _params(args: argparse.Namespace, model: Any) -> dict[str, dict[str, Any]] | None:
    """--start, --fix and --bound, by parameter."""
    found: dict[str, dict[str, Any]] = {}
    for text in args.start:
        name, value = _pair(text, "--start")
        found.setdefault(name, {})["value"] = _number(str(value), f"--start {text}")
    for text in args.bound:
        name, value = _pair(text, "--bound")
        low, colon, high = str(value).partition(":")
        if not colon:
            msg = f"--bound {text}: write it as --bound {name}=min:max, such as {name}=0:inf"
            raise _Usage(msg)
        ends = (_number(low or "-inf", f"--bound {text}"), _number(high or "inf", f"--bound {text}"))
        if not ends[0] < ends[1]:
            msg = f"--bound {text}: min is not below max"
            raise _Usage(msg)
        found.setdefault(name, {}).update(min=ends[0], max=ends[1])
    known = model.make_params()
    for text in args.fix:
        name, value = _pair(text, "--fix", optional=True)
        entry = found.setdefault(name, {})
        entry["vary"] = False
        if value is not None:
            entry["value"] = _number(value, f"--fix {text}")
        elif "value" not in entry and name in known and abs(known[name].value) == float("inf"):
            msg = f"--fix {text}: {name} has no value to be held at; give one, --fix {name}=1.0"
            raise _Usage(msg)
    return found or None


def _model(args: argparse.Namespace, variables: list[str]) -> Any:
    """The model from a formula, a name or a file."""
    if args.model is not None:
        return _registered(args.model)
    if not variables:
        msg = "no independent variable is given; add --var x=COLUMN"
        raise _Usage(msg)
    if args.expr is not None:
        from surffit.core.model import SurfaceModel

        return SurfaceModel.from_expression(args.expr, independent_vars=variables)
    return _load_function(args.function)


def _load_function(spec: str) -> Any:
    """Run a Python file and take one name from it: what the user asked for in so many words."""
    import importlib.util
    from pathlib import Path

    file, colon, name = spec.rpartition(":")
    path = Path(file)
    if not colon or not name.isidentifier() or path.suffix != ".py":
        msg = f"--function {spec}: write it as --function file.py:name"
        raise _Usage(msg)
    if not path.is_file():
        msg = f"--function {spec}: there is no file {file}"
        raise _Usage(msg)
    loader = importlib.util.spec_from_file_location(path.stem, path)
    if loader is None or loader.loader is None:
        msg = f"--function {spec}: {file} can't be loaded as Python"
        raise _Usage(msg)
    module = importlib.util.module_from_spec(loader)
    sys.path.insert(0, str(path.resolve().parent))  # so that the file finds its neighbours, as when it is run
    try:
        loader.loader.exec_module(module)
    except Exception as err:  # whatever the file raises is the user's to see, without our own frames
        msg = f"{file} failed with {type(err).__name__}: {err}{_place(err, file)}"
        raise _Usage(msg) from err
    if not hasattr(module, name):
        from difflib import get_close_matches

        close = get_close_matches(name, vars(module), n=1)
        msg = f"{file} has no {name!r}{f'; did you mean {close[0]!r}?' if close else ''}"
        raise _Usage(msg)
    return getattr(module, name)


def _place(err: BaseException, spec: str) -> str:
    """Where in the user's file an error arose, as the end of a sentence."""
    import traceback

    file = os.path.basename(spec.partition(".py")[0] + ".py")
    lines = [frame.lineno for frame in traceback.extract_tb(err.__traceback__) if os.path.basename(frame.filename) == file]
    return f" (line {lines[-1]} of {file})" if lines else ""


def _read_table(path: str) -> Any:
    """A table with a header line; the separator is found from that line."""
    import io

    import pandas as pd

    if path == "-":
        text = sys.stdin.read()
    else:
        with open(path, encoding="utf-8-sig", newline="") as file:
            try:
                text = file.read()
            except UnicodeDecodeError as err:
                msg = f"{path} is not a text table: {err}"
                raise _Usage(msg) from err
    where = "stdin" if path == "-" else path
    text = text.lstrip("\ufeff\r\n \t")
    text = _header_uncommented(text)
    header = text.partition("\n")[0].strip()
    if not header:
        msg = f"{where} is empty; the first line of a table names its columns"
        raise _Usage(msg)
    separator = next((mark for mark in ("\t", ",", ";") if mark in header), r"\s+")
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, comment="#", skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as err:
        msg = f"{where} can't be read as a table: {str(err).strip()}"
        raise _Usage(msg) from err
    table.columns = [str(name).strip() for name in table.columns]
    named = [name.strip() for name in re.split(separator, text.partition("\n")[0].strip())]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        msg = f"{where} has {named.count(twice)} columns named {twice!r}; give them different names"
        raise _Usage(msg)
    if all(_is_number(name) for name in table.columns):
        msg = f"the first line of {where} holds numbers ({header[:60]}); a table begins with the names of its columns"
        raise _Usage(msg)
    return table


def _header_uncommented(text: str) -> str:
    """Leading comment lines away; but "# x y z" right above the numbers is how many instruments write their header."""
    lines = text.splitlines(keepends=True)
    comments = lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]
    if not comments or len(comments) == len(lines):
        return text[1:].lstrip(" ") if comments else text
    rest = lines[len(comments) :]
    fields = rest[0].replace(",", " ").replace(";", " ").split()
    if fields and all(_is_number(field) for field in fields):
        rest.insert(0, comments[-1][1:].lstrip(" "))
    return "".join(rest)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_picture(path: str) -> None:
    """Before the fit: can a picture of this kind be written?"""
    from matplotlib.figure import Figure

    kinds = Figure().canvas.get_supported_filetypes()
    kind = os.path.splitext(path)[1].removeprefix(".").lower()
    if kind not in kinds:
        msg = f"--plot {path}: the name's ending says which kind of picture, one of {', '.join(sorted(kinds))}"
        raise _Usage(msg)
