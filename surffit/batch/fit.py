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
    axis: int | tuple[int, ...] = 0,
    params: Any = None,
    *,
    sigma: Any = None,
    weights: Any = None,
    mask: Any = None,
    nan_policy: str = "flag",
    engine: str = "auto",
    progress: Any = False,
    coords: Any = None,
    scale_covar: bool = True,
    covar: bool = False,
    workers: int | None = None,
    block: int = 4096,
    clip: Any = None,
    clip_all: bool = False,
    nsigma: float = 5.0,
    maxiters: int = 5,
    start: Any = None,
    max_nfev: int = 60,
    **variables: Any,
) -> BatchResult:
    """Fit a model to many data sets."""
    data = np.asarray(data)
    axes = tuple(sorted(a % data.ndim for a in np.atleast_1d(axis).tolist()))
    variables = {**variables, **(coords or {})}
    cube = open_cube(data, axes, variables, sigma, weights, mask, nan_policy)
    options = Options(
        scale_covar=scale_covar, covar=covar, workers=workers, block=block, clip="studentized" if clip is True else clip or None,
        clip_all=clip_all, nsigma=nsigma, maxiters=maxiters, start=start, max_nfev=max_nfev,
    )  # fmt: skip
    task = make_task(model, cube, params, tuple(variables), options, {})
    chosen = choose(task, engine)
    maps, complete = run(task, chosen, progress)
    return BatchResult(task, maps, cube.map_shape, lambda a: a, chosen, complete, axes=axes)
