"""What a batch has found: maps of values, errors and flags, and what people do with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ...core.containers import is_dataarray
from ...exceptions import DataError
from ...solve.status import Status
from ..maps import Maps
from ..task import Task
from .evaluate import Evaluator
from .mapped import MapsByName, successful
from .named import Labels, NamedMaps, labels_of
from .words import bytes_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from xarray import Dataset

    from ...core.result import SurfaceResult

__all__ = ["BatchResult", "successful"]


class BatchResult(MapsByName):
    """
    Fits of one model to many data sets.

    Maps have one element per data set, and come back in the container that the data came in: arrays for arrays, DataArrays with the
    coordinates of the remaining dimensions for DataArrays. Nothing of the data's own size is made unless it is asked for.

    Attributes
    ----------
    values, stderr : mapping of str to map
        Every parameter by name. A fixed parameter has its value and the error 0. Errors are inf where the data don't determine a
        parameter, nan where a bound holds it. Both are nan where there was no fit.
    chisqr, redchi : map
        Sum of the squared weighted residuals; the same per degree of freedom.
    nobs, nfree, nfev : map of int
        Points used; these minus the parameters that were determined; evaluations of the model.
    status : map of uint32
        Flags, to be read with `surffit.Status`; `where` finds them by name, `message` says one in words.
    success, failed : map of bool
        Whether a minimum was reached.
    covar : ndarray, shape (M, M, ...)
        Covariances of the parameters `var_names`, the axes of the map last, if the batch was fitted with ``covar=True``.
    var_names : list of str
        The parameters that were varied.
    best_fit : container of the data
        The model at the data, nan where excluded and where there was no fit.
    engine, engine_reason : str
        Which engine ran, and why.
    errors : tuple of str
        Exceptions of the model's function, each with the data sets that it hit.
    complete : bool
        False if the batch was interrupted.
    elapsed : float or None
        Time that the fits took [s].
    shape : tuple of int
        Shape of the maps.
    units : dict
        astropy units of data ("data") and coordinates, where they had any.
    model : SurfaceModel

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> t = np.arange(6.0)
    >>> cube = 2.0 * t[:, None, None] + np.arange(12.0).reshape(3, 4)        # six images of 3 x 4 pixels
    >>> batch = sf.fit_many(sf.get_model("linear"), cube, axis=0, x=t)
    >>> batch.values["slope"].shape
    (3, 4)
    >>> float(batch.values["intercept"][1, 2].round(6))
    6.0
    """

    def __init__(
        self,
        task: Task,
        maps: Maps,
        shape: tuple[int, ...],
        wrap: Callable[[np.ndarray], Any],
        engine: Any,
        complete: bool,
        *,
        whole: Callable[[np.ndarray], Any] | None = None,
        axes: tuple[int, ...] | None = None,
        elapsed: float | None = None,
        units: Mapping[str, Any] | None = None,
    ) -> None:
        self.task, self.maps, self.shape, self._wrap = task, maps, tuple(shape), wrap
        self.engine, self.engine_reason, self.complete, self.elapsed = engine.name, engine.reason, complete, elapsed
        self._whole, self._axes, self.units = whole, axes, dict(units or {})
        self._found: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        # the graph has locks, and what is compiled belongs to this process
        found = {name: value for name, value in self._found.items() if name.startswith("tied ")}
        return {**self.__dict__, "_found": found, "task": replace(self.task, structure=None), "_traced": self.task.structure is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.__dict__.pop("_traced", False):
            from ..door.opening import structure_of

            task = self.task
            self.task = replace(task, structure=structure_of(task.model, task.params, task.source, task.coordinates, task.opts))

    # ---- what the engines filled in ------------------------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The model."""
        return self.task.model

    @property
    def size(self) -> int:
        """Number of data sets."""
        return self.maps.size

    @property
    def param_names(self) -> tuple[str, ...]:
        """All parameters: varied, fixed and tied ones."""
        return tuple(self.task.params)

    @property
    def var_names(self) -> list[str]:
        """Parameters that were varied, in the order of `covar`."""
        return list(self.task.free)

    @property
    def values(self) -> Mapping[str, Any]:
        """Best values by name of parameter."""
        return NamedMaps(self.param_names, lambda name: self._map(self._numbers(name)[0]), "values")

    @property
    def stderr(self) -> Mapping[str, Any]:
        """Standard errors by name of parameter."""
        return NamedMaps(self.param_names, lambda name: self._map(self._numbers(name)[1]), "stderr")

    @property
    def covar(self) -> Any:
        """
        Covariances of `var_names`, shape (M, M, ...) with the axes of the map last.

        Raises
        ------
        DataError
            If the batch was fitted without ``covar=True``.
        """
        if self.maps.covar is None:
            m = len(self.task.free)
            size = bytes_in_words(8 * m * m * self.size)
            msg = (
                f"this batch kept no covariances; fit with covar=True, which takes {size} for {self.size} data sets of {m} parameters, "
                "or see those of one fit by to_lmfit(index).covar"
            )
            raise DataError(msg, bytes=8 * m * m * self.size)
        return self.maps.covar.reshape(*self.maps.covar.shape[:2], *self.shape)

    # ---- flags ---------------------------------------------------------------------------------------------------------

    def message(self, index: Any = None, **labels: Any) -> str:
        """
        How one fit ended, in words.

        Parameters
        ----------
        index : int, tuple of int or dict
            As in `to_lmfit`.
        **labels
            As in `to_lmfit`.

        Returns
        -------
        str
        """
        return Status(int(self.maps.status[self.labels.number(index, labels)])).sentence

    def summary(self) -> str:
        """
        The batch in words: how many fits, how they ended and what to do about it, typical values.

        Returns
        -------
        str
        """
        from .words import summary

        return summary(self)

    def __repr__(self) -> str:
        from .words import short

        return short(self)

    def _repr_html_(self) -> str:
        from .words import html

        return html(self)

    # ---- the model at the data and elsewhere ---------------------------------------------------------------------------

    @property
    def best_fit(self) -> Any:
        """The model at the data, in their shape and container; nan where excluded and where there was no fit."""
        from .fitted import best_fit

        return self._in_data(best_fit(self))

    def residual(self, weighted: bool = True) -> Any:
        """
        Residuals in the shape and container of the data, nan where excluded and where there was no fit.

        Parameters
        ----------
        weighted : bool
            ``(data - model) * weights`` as in lmfit; False: ``data - model`` [data unit].

        Returns
        -------
        container of the data
        """
        from .fitted import residual

        return self._in_data(residual(self, weighted), bare=weighted and self.source("residual()").error is not None)

    def predict(self, level: float | None = None, coords: Mapping[str, Any] | None = None, **coordinates: Any) -> Any:
        """
        The fitted models at other coordinates.

        Parameters
        ----------
        level : float, optional
            Confidence level for a band, such as 0.95; needs ``covar=True``.
        coords : mapping, optional
            Coordinates whose names are keywords of this function.
        **coordinates
            New coordinates by name. Numbers give a map; arrays with as many axes as one data set take the places of the fit axes,
            others stand where the first of them was. Arrays with as many axes as the whole data may differ between data sets. None
            at all: those of the data.

        Returns
        -------
        container of the data, or dict
            nan where there was no fit. With `level` a dict of ``fit``, ``lower`` and ``upper``.

        Raises
        ------
        DataError
            If a coordinate is missing or unknown, `level` is not between 0 and 1, or a band is asked for without covariances.
        """
        from .fitted import predict

        return predict(self, level, {**coordinates, **(coords or {})})

    def to_lmfit(self, index: Any = None, **labels: Any) -> SurfaceResult:
        """
        One fit as a full result: refitted from the batch's answer on exactly its points, weights, bounds and fixed values.

        Parameters
        ----------
        index : int, tuple of int or dict
            Place in the map: one whole number per axis (negative ones count from the end), or by name of the axis as in xarray's
            ``isel``.
        **labels
            Labels by name of the axis, as in xarray's ``sel``.

        Returns
        -------
        SurfaceResult
            With covariance, reports, bands, pictures. Its `batch_notes` say what is special: clipped points stay dropped.

        Raises
        ------
        DataError
            If there is no such data set, it has no fit (the sentence says why), or the batch came from a file, which has no data.
        """
        from .one import one_result

        return one_result(self, self.labels.number(index, labels))

    # ---- tables --------------------------------------------------------------------------------------------------------

    def to_dataset(self) -> Dataset:
        """
        All maps as an xarray Dataset.

        Returns
        -------
        xarray.Dataset
            Per parameter ``name`` and ``name_stderr``, then chisqr, redchi, nobs, nfree, nfev, status (with CF's ``flag_masks`` and
            ``flag_meanings``) and, where kept, covar. Dimensions and coordinates are those of the data, else dim_0, dim_1, ...
            A name that a coordinate has gets the suffix ``_fit``.
        """
        from .dataset import to_dataset

        return to_dataset(self)

    def to_frame(self) -> DataFrame:
        """
        All maps as a table with one row per data set.

        Returns
        -------
        pandas.DataFrame
            Indexed by the place in the map (labels where the axes have them): per parameter ``name`` and ``name_stderr``, then
            chisqr, redchi, nobs, nfree, nfev, status (number) and success.
        """
        from .verbs import to_frame

        return to_frame(self)

    def tidy(self, level: float | None = None) -> DataFrame:
        """
        One row per data set and parameter.

        Parameters
        ----------
        level : float, optional
            Confidence level for the columns ``lower`` and ``upper``.

        Returns
        -------
        pandas.DataFrame
            The place in the map, then ``term``, ``estimate``, ``std_error``, ``statistic``, ``p_value``, ``at_bound``, ``linear``.
        """
        from .verbs import tidy

        return tidy(self, level)

    def glance(self) -> DataFrame:
        """
        One row per data set.

        Returns
        -------
        pandas.DataFrame
            The place in the map, then ``nobs``, ``nvary``, ``nfree``, ``chisqr``, ``redchi``, ``aic``, ``bic``, ``nfev``,
            ``success`` and ``status`` (names of the flags).
        """
        from .verbs import glance

        return glance(self)

    def augment(self) -> DataFrame:
        """
        One row per data point.

        Returns
        -------
        pandas.DataFrame
            The place in the map, the coordinates, ``data``, and ``fitted``, ``resid`` (nan where excluded), ``std_resid`` (the
            residual over its own error, leverage included) and ``status`` (names of the flags).
        """
        from .verbs import augment

        return augment(self)

    # ---- pictures and files --------------------------------------------------------------------------------------------

    def plot(self, name: str | None = None, *, index: Any = None, ax: Any = None, fig: Any = None, **labels: Any) -> Figure:
        """
        Maps with robust limits, a map of the flags, and the fit of a pixel that is clicked on; see `surffit.plot.plot_batch`.

        Parameters
        ----------
        name : str, optional
            One parameter (value and error), or "chisqr", "redchi", "nobs", "nfree", "nfev", "status". By default all values, redchi
            and the flags.
        index : int, tuple of int or dict, optional
            Show the data and fit of this one data set instead.
        ax, fig
            Where to; a new figure by default.
        **labels
            As in `to_lmfit`, in place of `index`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from ...plot import plot_batch

        number = None if index is None and not labels else self.labels.number(index, labels)
        return plot_batch(self, name, number=number, ax=ax, fig=fig)

    def save(self, path: str | PathLike[str]) -> None:
        """
        Write parameters, maps and flags to a file; the data are not kept.

        Parameters
        ----------
        path : path-like
            ``.npz`` (needs nothing else), or ``.nc`` / ``.zarr`` (need the extra ``parallel``). `surffit.load` reads all three.

        Raises
        ------
        DocumentError
            If the suffix is none of these.
        OSError
            If the file can't be written; one that was there is then as it was.
        """
        from ...io import save_batch

        save_batch(self, path)

    # ---- inside --------------------------------------------------------------------------------------------------------

    @property
    def labels(self) -> Labels:
        """Names and labels of the map's axes."""
        return cast(Labels, self._once("labels", lambda: labels_of(self.shape, self._wrap)))

    @property
    def evaluator(self) -> Evaluator:
        """The model, for many data sets at once."""
        return cast(Evaluator, self._once("evaluator", lambda: Evaluator(self.task)))

    def source(self, what: str) -> Any:
        """The data; a sentence where there are none."""
        source: Any = self.task.source
        if source is None:
            msg = f"this batch was loaded from a file, which keeps the answers and not the data, so {what} is not to be had; fit again"
            raise DataError(msg)
        return source

    def _in_data(self, array: np.ndarray, bare: bool = False) -> Any:
        """An array of the shape map + fit axes, in the order of axes and the container that the data came in; `bare`: has no unit."""
        if self._axes is not None:
            array = np.moveaxis(array, range(len(self.shape), array.ndim), self._axes)
        if self._whole is None or (bare and "data" in self.units):
            return array
        out = self._whole(array)
        if bare and is_dataarray(out):
            out.attrs = {name: value for name, value in out.attrs.items() if name not in ("units", "long_name", "standard_name")}
        return out

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._found:
            self._found[name] = make()
        return self._found[name]

    def _numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values and errors of one parameter, shape (n_sets,)."""
        task, n = self.task, self.size
        if name in task.free:
            k = task.free.index(name)
            return self.maps.values[k], self.maps.stderr[k]
        if name in task.tied:
            return cast(tuple[np.ndarray, np.ndarray], self._once(f"tied {name}", lambda: self._tied(name)))
        value = task.value[name]
        return (value if isinstance(value, np.ndarray) else np.full(n, float(value))), np.zeros(n)

    def _tied(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if self.maps.tied is not None and self.maps.tied_stderr is not None:
            row = self.task.tied.index(name)
            return self.maps.tied[row], self.maps.tied_stderr[row]
        from .tied import tied_numbers

        return tied_numbers(self, name)
