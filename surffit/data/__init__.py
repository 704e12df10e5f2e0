"""
Small real tables for examples and tests; where they come from stands in the README beside them.

Functions
---------
refractive_index
    The refractive index over wavelength and temperature, as a table.
path
    Where a shipped file lies, for programs that read it themselves.
"""

from __future__ import annotations

from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pandas as pd

__all__ = ["path", "refractive_index"]


def path(name: str) -> Path:
    """
    Where a shipped file lies.

    Parameters
    ----------
    name : str
        Its name, such as "refractive_index.csv".

    Returns
    -------
    pathlib.Path
        The file's path.

    Raises
    ------
    FileNotFoundError
        If no such file is shipped; the sentence lists those that are.

    Examples
    --------
    >>> path("refractive_index.csv").name
    'refractive_index.csv'
    """
    folder = Path(__file__).parent
    names = sorted(file.name for file in folder.glob("*.csv"))
    if name not in names:
        msg = f"surffit ships no file {name!r}; it ships {', '.join(names)}"
        raise FileNotFoundError(msg)
    return folder / name


def refractive_index() -> pd.DataFrame:
    """
    The refractive index at 6 wavelengths and 11 temperatures.

    Returns
    -------
    pandas.DataFrame, 66 rows
        Columns ``wavelength_nm`` [nm], ``temperature_c`` [deg C] and ``n`` (no unit), given to five
        or six significant digits.

    Examples
    --------
    >>> table = refractive_index()
    >>> table.shape
    (66, 3)
    """
    import pandas as pd

    return pd.read_csv(path("refractive_index.csv"))
