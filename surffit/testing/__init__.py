"""
What authors of models need to test them.

Functions
---------
check_model
    Everything a model promises, in one line of a test file.

Classes
-------
CheckReport
    What was checked.
"""

from surffit.testing.check import check_model
from surffit.testing.report import CheckReport

__all__ = ["CheckReport", "check_model"]
