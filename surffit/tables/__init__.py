"""
Fits of pandas tables.

What to use when
----------------
- a table and a model -> `fit_table`, or ``df.surffit.fit(...)`` (the accessor exists as soon as this module is imported);
- one model per group of rows -> the same with ``by=``; the answer is a `TableResult`;
- polars and pyarrow tables go in like pandas ones; what comes out are pandas tables;
- several models of the same data -> `compare`;
- points that don't belong -> `outliers`;
- a fit's answer as a table -> `tidy` (a row per parameter), `glance` (a row per fit), `augment` (a row per data point).
"""

from surffit.tables.accessor import TableAccessor  # its import registers it, here and nowhere else
from surffit.tables.comparison import compare
from surffit.tables.fit import fit_table
from surffit.tables.groups import TableResult
from surffit.tables.labelled import register
from surffit.tables.outlying import Outliers, outliers
from surffit.tables.verbs import augment, glance, tidy

register()

__all__ = ["Outliers", "TableAccessor", "TableResult", "augment", "compare", "fit_table", "glance", "outliers", "tidy"]
