"""
Fits of pandas tables.

What to use when
----------------
- a table and a model -> `fit_table`, or ``df.surffit.fit(...)`` (the accessor exists as soon as this module is imported);
- one model per group of rows -> the same with ``by=``; the answer is a `TableResult`;
- a fit's answer as a table -> `tidy` (a row per parameter), `glance` (a row per fit), `augment` (a row per data point).
"""

from surffit.tables.accessor import TableAccessor  # its import registers it, here and nowhere else
from surffit.tables.fit import fit_table
from surffit.tables.groups import TableResult
from surffit.tables.verbs import augment, glance, tidy

__all__ = ["TableAccessor", "TableResult", "augment", "fit_table", "glance", "tidy"]
