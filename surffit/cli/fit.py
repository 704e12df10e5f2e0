"""``surffit fit``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from surffit._version import __version__
from surffit.cli.common import DONE, FAILED, Usage, check_picture, complain, number, pair, say, variables
from surffit.cli.models import registered
from surffit.cli.tables import read_table
from surffit.exceptions import SurffitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Fit, report, save, draw."""
    from surffit.core.asmodel import as_model
    from surffit.tables.fit import fit_table

    if args.by and (args.plot or args.save):
        msg = f"{'--plot' if args.plot else '--save'} takes one fit; with --by there are many (--format json writes them all)"
        raise Usage(msg)
    columns = variables(args.var)
    if args.plot:
        check_picture(args.plot)
    table = read_table(args.table)
    model = as_model(_model(args, list(columns)), columns)
    params = _params(args, model)
    options = {name: getattr(args, name) for name in ("sigma", "weights", "nan_policy", "method", "scale_covar")}
    try:
        result = fit_table(table, model, args.data, args.by, params=params, coords=columns, **options)
    except (SurffitError, ValueError, KeyboardInterrupt):
        raise
    except Exception as err:
        if args.function is None:
            raise
        # a bug in the user's own function is shown as such, with its place
        msg = f"{args.function} failed with {type(err).__name__}: {err}{_place(err, args.function)}"
        raise Usage(msg) from err
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
    complain(f"the fit failed: {getattr(result, 'reason', '') or result.message}")
    return FAILED


def _report(args: argparse.Namespace, result: Any) -> None:
    """One fit on stdout."""
    from surffit import io

    if args.format == "json":
        say(io.dumps(io.document(result)))
    elif args.format == "csv":
        say(_csv(result.tidy()))
    else:
        say(f"{result.fit_report()}\n\n{result.explain()}")


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
        say(io.dumps({"schema": "surffit.groups/1", "surffit": __version__, "by": list(map(str, table.keys)), "groups": groups}))
    elif args.format == "csv":
        say(_csv(table.tidy(), table.keys))
    else:
        say(f"{table!r}\n\n{table.tidy().to_string(index=False)}\n\n{table.glance().to_string(index=False)}")
    failed = [group for group in table if not group.status.success]
    for group in failed:
        key = ", ".join(f"{name}={value}" for name, value in zip(table.keys, group.key, strict=True))
        complain(f"the fit of {key} failed: {group.reason or group.status.sentence}")
    return FAILED if failed or not table.complete else DONE


def _csv(tidy: Any, keys: Sequence[Any] = ()) -> str:
    """Columns name, value, stderr, after the keys of a group."""
    names = {"term": "name", "estimate": "value", "std_error": "stderr"}
    return tidy[[*keys, *names]].rename(columns=names).to_csv(index=False, lineterminator="\n")


def _plain(value: Any) -> Any:
    """A key as JSON can hold it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        from surffit.io.files import number as written

        return written(value)
    return value if isinstance(value, bool | int | str) else str(value)


def _params(args: argparse.Namespace, model: Any) -> dict[str, dict[str, Any]] | None:
    """--start, --fix and --bound, by parameter."""
    found: dict[str, dict[str, Any]] = {}
    for text in args.start:
        name, value = pair(text, "--start")
        found.setdefault(name, {})["value"] = number(str(value), f"--start {text}")
    for text in args.bound:
        name, value = pair(text, "--bound")
        low, colon, high = str(value).partition(":")
        if not colon:
            msg = f"--bound {text}: write it as --bound {name}=min:max, such as {name}=0:inf"
            raise Usage(msg)
        ends = (number(low or "-inf", f"--bound {text}"), number(high or "inf", f"--bound {text}"))
        if not ends[0] < ends[1]:
            msg = f"--bound {text}: min is not below max"
            raise Usage(msg)
        found.setdefault(name, {}).update(min=ends[0], max=ends[1])
    known = model.make_params()
    for text in args.fix:
        name, value = pair(text, "--fix", optional=True)
        entry = found.setdefault(name, {})
        entry["vary"] = False
        if value is not None:
            entry["value"] = number(value, f"--fix {text}")
        elif "value" not in entry and name in known and abs(known[name].value) == float("inf"):
            msg = f"--fix {text}: {name} has no value to be held at; give one, --fix {name}=1.0"
            raise Usage(msg)
    return found or None


def _model(args: argparse.Namespace, variables: list[str]) -> Any:
    """The model from a formula, a name or a file."""
    if args.model is not None:
        return registered(args.model)
    if not variables:
        msg = "no independent variable is given; add --var x=COLUMN"
        raise Usage(msg)
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
        raise Usage(msg)
    if not path.is_file():
        msg = f"--function {spec}: there is no file {file}"
        raise Usage(msg)
    loader = importlib.util.spec_from_file_location(path.stem, path)
    if loader is None or loader.loader is None:
        msg = f"--function {spec}: {file} can't be loaded as Python"
        raise Usage(msg)
    module = importlib.util.module_from_spec(loader)
    sys.path.insert(0, str(path.resolve().parent))  # so that the file finds its neighbours, as when it is run
    try:
        loader.loader.exec_module(module)
    except Exception as err:  # whatever the file raises is the user's to see, without our own frames
        msg = f"{file} failed with {type(err).__name__}: {err}{_place(err, file)}"
        raise Usage(msg) from err
    if not hasattr(module, name):
        from difflib import get_close_matches

        close = get_close_matches(name, vars(module), n=1)
        msg = f"{file} has no {name!r}{f'; did you mean {close[0]!r}?' if close else ''}"
        raise Usage(msg)
    return getattr(module, name)


def _place(err: BaseException, spec: str) -> str:
    """Where in the user's file an error arose, as the end of a sentence."""
    import traceback

    file = os.path.basename(spec.partition(".py")[0] + ".py")
    lines = [frame.lineno for frame in traceback.extract_tb(err.__traceback__) if os.path.basename(frame.filename) == file]
    return f" (line {lines[-1]} of {file})" if lines else ""
