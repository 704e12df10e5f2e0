"""What a result hands on: tables, pictures and documents; each is made by the room that knows how."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np
from lmfit.model import ModelResult

from ..exceptions import DocumentError


class Output(ModelResult):
    """The part of `SurfaceResult` that shows and saves it."""

    def tidy(self, level: float | None = None) -> Any:
        """One row per parameter; see `surffit.tables.tidy`."""
        from ..tables import tidy

        return tidy(self, level=level)

    def glance(self) -> Any:
        """One row for the fit; see `surffit.tables.glance`."""
        from ..tables import glance

        return glance(self)

    def augment(self) -> Any:
        """The data with fitted values and residuals; see `surffit.tables.augment`."""
        from ..tables import augment

        return augment(self)

    def outliers(self, level: float = 0.05) -> Any:
        """Every point judged by a fit that hasn't seen it; see `surffit.tables.outliers`."""
        from ..tables import outliers

        return outliers(self, level=level)

    def plot(self, *args: Any, **kws: Any) -> Any:
        """Data, model and residual; see `surffit.plot.plot`."""
        from .. import plot

        return plot.plot(self, *args, **kws)

    def plot_surface(self, ax: Any = None, **kws: Any) -> Any:
        """The fitted surface with the data; see `surffit.plot.plot_surface`."""
        from .. import plot

        return plot.plot_surface(self, ax=ax, **kws)

    def plot_residuals(self, *args: Any, **kws: Any) -> Any:
        """The residuals; see `surffit.plot.plot_residuals`."""
        from .. import plot

        return plot.plot_residuals(self, *args, **kws)

    def plot_fit(self, *args: Any, **kws: Any) -> Any:
        """lmfit's plot of a 1-D fit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return super().plot_fit(*args, **kws)

    def save(self, path: Any) -> None:
        """Write the fit as a document; see `surffit.io.save`."""
        from ..io import save

        save(self, path)

    def load(self, *args: Any, **kws: Any) -> NoReturn:
        """Refused: lmfit's loader runs code from the file."""
        msg = "result.load() and loads() would run code from the file; use surffit.load(path) for files of result.save(path)"
        raise DocumentError(msg)

    loads = load

    def dumps(self, **kws: Any) -> str:
        """The fit's document as JSON text (as `save` writes it)."""
        from ..io import document

        return json.dumps(document(self), allow_nan=False, **kws)

    def dump(self, fp: Any, **kws: Any) -> int:
        """Write `dumps()` to an open file."""
        return int(fp.write(self.dumps(**kws)))
