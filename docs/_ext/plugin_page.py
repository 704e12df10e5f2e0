"""
The plugin of the page "Write a plugin", as files: what is tested is what is printed.

    python docs/_ext/plugin_page.py FOLDER
"""

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "how-to" / "write-a-plugin.md"


def files() -> dict[str, str]:
    """Name and text of the plugin's files: the blocks that stand under a file's name."""
    return dict(re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))


def uses() -> str:
    """The page's other Python blocks, which use it."""
    return "\n".join(re.findall(r"(?<!`)\n\n```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))


def write(folder: Path) -> None:
    """The files in ``package``, and beside it ``use.py``, which uses them."""
    (folder / "package").mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / "package" / name).write_text(text, encoding="utf-8")
    (folder / "use.py").write_text(uses(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
