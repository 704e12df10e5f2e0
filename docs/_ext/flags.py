"""The page of all status flags, from the flags themselves."""

from pathlib import Path

from surffit.solve.status import CONVERGED, FAILED, SENTENCES, Status

HEAD = """\
# Status flags

How a fit ended, for single fits ([`result.status`](api/generated/surffit.SurfaceResult.rst)), batches (`batch.status`, a map of whole
numbers) and the shell. Several flags may stand together. `success` is True where one of the first three is set and none that is marked
with "no". In a Dataset the numbers are the attribute `flag_masks` of `status`, the names its `flag_meanings`.

| flag | number | success | what happened, and what to do |
|---|---|---|---|
"""


def write(folder: Path) -> None:
    """The page."""
    rows = []
    for flag in Status:
        good = "yes" if flag in CONVERGED else "no" if flag in FAILED else ""
        rows.append(f"| `{flag.name}` | {int(flag)} | {good} | {SENTENCES[flag]} |")
    text = HEAD + "\n".join(rows) + "\n"
    path = folder / "flags.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
