"""`fit_many`: a model, many data sets in one array."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..core.containers import is_dataarray
from .answer.result import BatchResult
from .door.clothes import undress
from .door.given import without_labels
from .door.keywords import as_batch_model, check_options, refuse_ambiguous, sort_variables, together
from .door.opening import make_task, open_cube
from .plan import choose
from .run import run
from .task import Options

__all__ = ["fit_many"]


def fit_many(
    model: Any,
    data: Any,
    axis: int | tuple[int, ...] | None = None,
    params: Any = None,
    *,
    dim: str | tuple[str, ...] | None = None,
    sigma: Any = None,
    weights: Any = None,
    mask: Any = None,
    nan_policy: str = "flag",
    scale_covar: bool = True,
    clip: bool | str | None = None,
    clip_all: bool = False,
    nsigma: float = Options.nsigma,
    maxiters: int = Options.maxiters,
    start: str | Mapping[str, Any] | None = None,
    covar: bool = False,
    engine: str = "auto",
    workers: int | None = None,
    block: int = Options.block,
    max_nfev: int = Options.max_nfev,
    ftol: float = Options.ftol,
    xtol: float = Options.xtol,
    gtol: float = Options.gtol,
    on_error: str = "flag",
    rng: Any = None,
    progress: Any = False,
    coords: Mapping[str, Any] | None = None,
    **variables: Any,
) -> Any:
    """
    Fit a model to many data sets: to the curve in every pixel of a cube, to every image of a stack.

    Each data set is a fit of its own, with values, standard errors, chi-square and a flag that says how it ended. One that can't be
    fitted gets nan and a flag with a name, and never stops the others. Which engine does it is chosen by what the model and the call
    need (`BatchResult.engine_reason` says why); parameters in which the model is linear need no start.

    Parameters
    ----------
    model : SurfaceModel, lmfit.Model, callable or str
        A plain function's arguments that are given here as coordinates (or are called like a coordinate of the DataArray) are independent
        variables, the others parameters; a number for one of these without a default is its start. Text is a name for `get_model`.
    data : array_like
        Array (any number type, byte order and strides; it is not copied), masked array, nested lists, xarray DataArray, pandas DataFrame,
        astropy Quantity, NDData or CCDData; their masks and errors count. A dask array, or a DataArray on one, gives a lazy result.
    axis : int or tuple of int
        The axes along which *one* data set lies, 0 by default; all others are the map's. For a DataFrame 0 makes each column a data set.
    params : lmfit.Parameters, mapping or BatchResult, optional
        Starts, fixed values, bounds, constraints. A mapping's values are numbers, or dicts of ``value``, ``min``, ``max``, ``vary``,
        ``expr``; value, min and max may be maps, with one number per data set (arrays that broadcast to the map's shape, DataArrays).
        NaN in a map of starts means that there is none: it is guessed, or NONFINITE_START where the model has no guess. An earlier
        batch: its answers are the starts.
    dim : str or tuple of str
        The same as `axis` for a DataArray, where it must be given.
    sigma, weights : array_like, optional
        Data error, or 1/sigma (not squared); sigma = inf or a weight of 0 excludes a point. A scalar; 1-D along the single fit axis (also
        where another axis is as long); or anything that broadcasts against the data, such as length 1 along the fit axis for one
        error per data set. Dimensions decide for DataArrays. Data sets with errors that are negative or nan get NONFINITE_DATA.
    mask : array_like of bool, optional
        True = excluded; shapes as `sigma`. What lies under a mask is never looked at.
    nan_policy : {"flag", "omit", "raise"}
        What becomes of data that aren't finite: their data set is not fitted (NONFINITE_DATA); the points are left out; an error.
    scale_covar : bool
        Scale errors by the reduced chi-square, as in lmfit. Pass False if sigma is really known.
    clip : {None, True, "studentized", "known", "population"}
        Drop outliers. "studentized" (True): residuals in units of what they should scatter, that of the other points, and `nsigma` as
        the equivalent of Student's t. "known": by the errors given. "population": by the scatter of all residuals, outliers included, as
        many programs do it; it finds nothing among few points.
    clip_all : bool
        Drop all outliers of a pass at once, not the worst one.
    nsigma : float
        Limit of clipping, in standard deviations of a Gaussian.
    maxiters : int
        Largest number of passes of clipping.
    start : {None, "guess", "coarse", "neighbours"} or dict, optional
        Where starts of the parameters that must be searched come from, besides `params`. None: where `params`
        says nothing, the model's guesses for a sample, of which the best is taken. "guess": the model's own, for
        each data set (slow). "coarse", "neighbours":
        from fits nearby in the map. A dict has candidates by name of parameter; the best of all combinations is taken.
    covar : bool
        Keep all covariances, shape (M, M, ...).
    engine : str
        "auto", or one of "common", "weighted" (linear models), "traced" (compiled), "lockstep" (numpy), "loop" (one by one).
    workers : int, optional
        Threads; by default one per processor, shared with other batches that run; 1 inside workers of dask.distributed.
    block : int
        Largest number of data sets that are worked on together. Results don't depend on it.
    max_nfev : int
        Largest number of steps of a fit.
    ftol, xtol, gtol : float
        A search ends where chi-square, the parameters, or the gradient (as cosine) change by less than this, relatively.
    on_error : {"flag", "raise"}
        What becomes of an exception in the model's function: CHUNK_FAILED for the data sets that raise it, and a warning; or an error.
        One that every data set raises is an error in any case.
    rng : numpy.random.Generator, int or None
        For starts that are drawn at random.
    progress : bool or callable
        True: a bar (a line per 5 % without tqdm) with counts of fits and failures. Or ``progress(done, total, info)``; `info` is a dict
        of ``engine``, ``failed``, ``rate`` [1/s], ``elapsed`` [s], ``eta`` [s], ``compile`` [s] and ``text``.
    coords : mapping, optional
        Coordinates whose names are keywords of this function.
    **variables
        Coordinates by name: scalars; arrays with as many axes as one data set (they broadcast along the fit axes); or arrays that broadcast
        against the data and differ from data set to data set. With a DataArray they are found by name, and text names one
        (``t="time"``). Dates become seconds since the first. Also options of the model, and starts by name of the parameter.

    Returns
    -------
    BatchResult
        Maps in the container's like: arrays, DataArrays with the coordinates of the dimensions that remain, Series. Lazy maps
        for lazy data. After Ctrl-C what is done, with ``complete=False``; the rest has the flag ABORTED.

    Raises
    ------
    DataError, ParameterError
        For calls that can't be right.

    Warns
    -----
    SurffitWarning
        Once, if the model's function raised exceptions.

    See Also
    --------
    SurfaceModel.fit : One fit.
    fit_table : Many data sets in a table.

    Examples
    --------
    A line in every pixel of six images:

    >>> import numpy as np
    >>> import surffit as sf
    >>> t = np.arange(6.0)
    >>> rng = np.random.default_rng(1)
    >>> cube = 100 + 3.0 * t[:, None, None] + rng.normal(0, 0.1, (6, 20, 30))
    >>> def line(t, level, rate):
    ...     return level + rate * t
    >>> batch = sf.fit_many(line, cube, axis=0, t=t, sigma=0.1, scale_covar=False)
    >>> batch.values["rate"].shape, bool(batch.success.all())
    ((20, 30), True)
    >>> float(batch.stderr["rate"][0, 0].round(4)), float(np.std(batch.values["rate"]).round(3))
    (0.0239, 0.023)

    A bad pixel is flagged, and a rate is known for some others:

    >>> cube[2, 4, 5] = np.nan
    >>> batch = sf.fit_many(line, cube, t=t)
    >>> batch.where("NONFINITE_DATA").sum(), batch.values["rate"][4, 5]
    (np.int64(1), np.float64(nan))
    >>> batch = sf.fit_many(line, cube, t=t, params={"rate": {"value": np.full((20, 30), 3.0), "vary": False}})
    >>> batch.var_names
    ['level']

    A surface on every image, and a data set along a named dimension:

    >>> y, x = np.mgrid[:20, :30]
    >>> def plane(x, y, a, b, c):
    ...     return a + b * x + c * y
    >>> sf.fit_many(plane, cube, axis=(1, 2), x=x, y=y, nan_policy="omit").shape
    (6,)
    >>> import xarray as xr
    >>> images = xr.DataArray(cube, dims=("time", "y", "x"), coords={"time": t})
    >>> sf.fit_many("linear", images, dim="time", x="time").values["slope"].dims
    ('y', 'x')
    """
    began = time.perf_counter()
    given = together(variables, coords)
    if _is_lazy(data):
        words = {
            "nan_policy": nan_policy, "scale_covar": scale_covar, "clip": clip, "clip_all": clip_all, "nsigma": nsigma,
            "maxiters": maxiters, "start": start, "covar": covar, "engine": engine, "workers": workers, "block": block,
            "max_nfev": max_nfev, "ftol": ftol, "xtol": xtol, "gtol": gtol, "on_error": on_error, "rng": rng, "progress": progress,
        }  # fmt: skip
        from .large.lazy import fit_lazy

        return fit_lazy(model, data, dim=dim, axis=axis, params=params, sigma=sigma, weights=weights, mask=mask, coords=given, **words)
    options = Options(
        scale_covar=scale_covar, covar=covar, clip="studentized" if clip is True else clip or None, clip_all=clip_all, nsigma=nsigma,
        maxiters=maxiters, start=start, max_nfev=max_nfev, ftol=ftol, xtol=xtol, gtol=gtol, workers=workers, block=block, rng=rng,
    )  # fmt: skip
    bare = undress(data, axis, dim)
    check_options(options, nan_policy, on_error, sigma is not None or weights is not None or bare.sigma is not None)
    model = as_batch_model(model, given, data, params)
    refuse_ambiguous(model, {"sigma": sigma, "weights": weights})
    known, opts, starts = sort_variables(model, given, bare)
    epochs: dict[str, Any] = {}
    units = {} if bare.unit is None else {"data": bare.unit}
    cube = open_cube(bare, bare.axes, known, sigma, weights, mask, nan_policy, epochs, units)
    params, starts = without_labels(params, bare), without_labels(starts, bare)
    task = make_task(model, cube, params, tuple(known), options, opts, starts, epochs)
    chosen = choose(task, engine if cube.n_sets else "loop")
    maps, complete = run(task, chosen, progress, on_error)
    about: dict[str, Any] = {"whole": bare.inside, "axes": bare.axes, "units": units, "elapsed": time.perf_counter() - began}
    return BatchResult(task, maps, cube.map_shape, bare.map, chosen, complete, **about)


def _is_lazy(data: Any) -> bool:
    inner = data.data if is_dataarray(data) and hasattr(data, "chunks") and data.chunks else data
    return hasattr(inner, "dask") and hasattr(inner, "chunks")
