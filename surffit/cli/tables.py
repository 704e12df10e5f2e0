"""Tables from files: a header line, and whatever stands between the columns."""

from __future__ import annotations

import re
import sys

from surffit.cli.common import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["read_table"]


def read_table(path: str) -> Any:
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
                raise Usage(msg) from err
    where = "stdin" if path == "-" else path
    text = text.lstrip("\ufeff\r\n \t")
    text = _header_uncommented(text)
    header = text.partition("\n")[0].strip()
    if not header:
        msg = f"{where} is empty; the first line of a table names its columns"
        raise Usage(msg)
    separator = next((mark for mark in ("\t", ",", ";") if mark in header), r"\s+")
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, comment="#", skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as err:
        msg = f"{where} can't be read as a table: {str(err).strip()}"
        raise Usage(msg) from err
    table.columns = [str(name).strip() for name in table.columns]
    named = [name.strip() for name in re.split(separator, text.partition("\n")[0].strip())]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        msg = f"{where} has {named.count(twice)} columns named {twice!r}; give them different names"
        raise Usage(msg)
    if all(_is_number(name) for name in table.columns):
        msg = f"the first line of {where} holds numbers ({header[:60]}); a table begins with the names of its columns"
        raise Usage(msg)
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
