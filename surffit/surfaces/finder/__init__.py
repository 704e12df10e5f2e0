"""
A search for the law behind a table of one or two variables.

Functions
---------
find_surface
    Try thousands of laws, rank them.

Classes
-------
FoundSurfaces
    What came out: a table, ready results, a picture, a report.
"""

from .find import find_surface
from .found import FoundSurfaces

__all__ = ["FoundSurfaces", "find_surface"]
