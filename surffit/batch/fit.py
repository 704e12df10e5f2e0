"""`fit_many`: a model, many data sets in one array."""

from __future__ import annotations

from typing import Any

import numpy as np

from .door import make_task, open_cube
from .plan import choose
from .result import BatchResult
from .run import run
from .task import Options

__all__ = ["fit_many"]


def fit_many(
    model: Any,
    data: Any,
    axis: int | tuple[int, ...] | None = None,
    params: Any = None,
    *,
    dim: Any = None,
    sigma: Any = None,
    weights: Any = None,
    mask: Any = None,
    nan_policy: str = "flag",
    scale_covar: bool = True,
    clip: Any = None,
    clip_all: bool = False,
    nsigma: float = Options.nsigma,
    maxiters: int = Options.maxiters,
    start: Any = None,
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
    coords: Any = None,
    **variables: Any,
) -> BatchResult:
    """Fit a model to many data sets."""
    clip = "studentized" if clip is True else clip or None
    options = Options(
        scale_covar=scale_covar, covar=covar, clip=clip, clip_all=clip_all, nsigma=nsigma, maxiters=maxiters, start=start,
        max_nfev=max_nfev, ftol=ftol, xtol=xtol, gtol=gtol, workers=workers, block=block, rng=rng,
    )  # fmt: skip
    data = np.asarray(data)
    axes = tuple(sorted(a % data.ndim for a in np.atleast_1d(0 if axis is None else axis).tolist()))
    variables = {**variables, **(coords or {})}
    cube = open_cube(data, axes, variables, sigma, weights, mask, nan_policy)
    task = make_task(model, cube, params, tuple(variables), options, {})
    chosen = choose(task, engine)
    maps, complete = run(task, chosen, progress)
    return BatchResult(task, maps, cube.map_shape, lambda a: a, chosen, complete, axes=axes)
