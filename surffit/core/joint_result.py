"""The result of a joint fit: one fit for the statistics and errors, one view per data set for everything with points in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..exceptions import DataError, ParameterError
from ..solve.around import innermost
from .joint_data import per_key, quoted
from .joint_part import PartResult, leverages, share
from .joint_words import report_of_sets, scatter
from .result import SurfaceResult

if TYPE_CHECKING:
    from .outcome import Outcome


class JointResult(SurfaceResult):
    """
    Result of `JointModel.fit`: parameters, errors and statistics of all data sets together, under joint names.

    ``result[key]`` is the share of one data set: lmfit's attributes with that model's own parameter names, its `predict` and
    its pictures. `residual` holds all data sets one after the other in the order of the keys; `best_fit`, `init_fit`, `data`,
    `weights` and `residual_map` are dicts by key.
    """

    def _adopt(self, model: Any, outcome: Outcome) -> None:
        super()._adopt(model, outcome)
        problem: Any = innermost(outcome.bound.problem)
        self.weights = outcome.data.weights
        self.userargs = (self.data, self.weights)
        held = np.flatnonzero(outcome.solution.held)
        lower, p = outcome.bound.problem.lower, outcome.solution.p
        self._linear = outcome.bound.linear
        self._at_bound = {self._names[j]: "min" if p[j] <= lower[j] else "max" for j in held}
        self._places = dict(zip(model.keys, (block.rows for block in problem.blocks), strict=True))

    # ---- data sets -------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> PartResult:
        shares = self.__dict__.setdefault("_shares", {})
        if key not in shares:
            if key not in self.model.parts:
                msg = f"{key!r} is no data set of this fit; it has {quoted(self.model.keys)}"
                raise ParameterError(msg, key=key)
            shares[key] = share(self, key)
        found: PartResult = shares[key]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.model.keys)

    def __len__(self) -> int:
        return len(self.model.keys)

    def keys(self) -> tuple[str, ...]:
        """Names of the data sets, in their order."""
        keys: tuple[str, ...] = self.model.keys
        return keys

    def items(self) -> Iterator[tuple[str, PartResult]]:
        """Data sets and their shares of the result."""
        return ((key, self[key]) for key in self.keys())

    def data_sets(self) -> Any:
        """
        How well each data set is fitted.

        Returns
        -------
        DataFrame, one row per data set
            ``dataset``, ``ndata``, ``nfree`` (points minus the data set's share of the parameters: the trace of its part of the
            hat matrix, so these add up to the whole), ``chisqr``, ``redchi``.
        """
        import pandas as pd

        return pd.DataFrame(scatter(self))

    def _rows_of(self, key: str) -> slice:
        """Where the rows of a data set stand in `residual`."""
        rows: slice = self._places[key]
        return rows

    @property
    def _costs(self) -> np.ndarray:
        """What every row adds to `chisqr`: the squared residual, or its term of a loss."""
        pointwise = self.__dict__.get("_pointwise")
        return np.asarray(self.residual**2 if pointwise is None else pointwise)

    def _leverage(self, key: str) -> float:
        """How many parameters a data set pays for: the trace of its part of the hat matrix."""
        return float(self._leverages[key])

    def _by_key(self, make: Callable[[PartResult], Any]) -> dict[str, Any]:
        return {key: make(part) for key, part in self.items()}

    def __getattr__(self, name: str) -> Any:
        if name == "_leverages" and self.__dict__.get("_outcome") is not None:
            self._leverages = dict(zip(self.keys(), leverages(self), strict=True))
            return self._leverages
        if name in _BY_KEY and "_names" in self.__dict__:
            value = self._by_key(lambda part: getattr(part, name))
            self.__dict__[name] = value
            return value
        return super().__getattr__(name)

    def _make_rsquared(self) -> float:
        """Share of the weighted scatter, each data set about its own mean, that the models explain."""
        left, spread = 0.0, 0.0
        observed: Any = self.observed
        for part in observed.parts.values():
            values = part.select(part.data)
            w2 = np.ones(values.shape) if part.weights is None else np.abs(part.select(part.weights)) ** 2
            mean = np.sum(w2 * values) / np.sum(w2)
            spread += float(np.sum(w2 * np.abs(values - mean) ** 2))
        left = float(self.residual @ self.residual)
        return 1.0 - left / max(spread, 1e-300)

    # ---- evaluating ------------------------------------------------------------------------------------------------------

    def _asked(self, key: str | None, coords: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """New coordinates by key: of one data set, or of all."""
        if key is not None:
            self[key]
            return {key: dict(coords)}
        out: dict[str, dict[str, Any]] = {key: {} for key in self.keys()}
        for name, value in coords.items():
            takers = self.model._takers(name)
            if not takers:
                for part in self.model.parts.values():  # a loaded fit whose model could not travel knows no names of coordinates
                    getattr(part.func, "refuse", lambda: None)()
                msg = f"{name!r} is no coordinate of any data set; they have {quoted(self.model.independent_vars)}"
                raise DataError(msg, argument=name)
            for one, given in per_key(name, value, self.keys(), takers).items():
                out[one][name] = given
        return out

    def eval(self, params: Any = None, *, key: str | None = None, **kwargs: Any) -> Any:
        """
        The models' values.

        Parameters
        ----------
        params : Parameters, optional
            Joint names; default: the best fit.
        key : str, optional
            Only this data set, with coordinates as its model takes them.
        **kwargs
            Coordinates: a dict by key, or one for all; default: those of the fit.

        Returns
        -------
        dict by key, or the values of the data set `key`
        """
        given = self._asked(key, kwargs)
        out = {one: self[one].eval(None if params is None else self[one].own_parameters(params), **coords) for one, coords in given.items()}
        return out if key is None else out[key]

    def eval_components(self, params: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Components of the models, by key."""
        given = self._asked(None, kwargs)
        return {
            key: self[key].eval_components(None if params is None else self[key].own_parameters(params), **coords)
            for key, coords in given.items()
        }

    def eval_uncertainty(self, params: Any = None, sigma: float = 1, dscale: float = 0.01, *, key: str | None = None, **kwargs: Any) -> Any:
        """
        Uncertainty of the models, by key; see `SurfaceResult.eval_uncertainty`.

        Parameters
        ----------
        params : Parameters, optional
            Joint names.
        sigma, dscale
            As for one data set.
        key : str, optional
            Only this data set.
        **kwargs
            Coordinates: a dict by key, or one for all.

        Returns
        -------
        dict by key, or the array of the data set `key`
        """
        given = self._asked(key, kwargs)
        out = {
            one: self[one].eval_uncertainty(None if params is None else self[one].own_parameters(params), sigma, dscale, **coords)
            for one, coords in given.items()
        }
        self.dely = {one: self[one].dely for one in out}
        self.dely_predicted = {one: self[one].dely_predicted for one in out}
        self.dely_comps = {one: self[one].dely_comps for one in out}
        return out if key is None else out[key]

    def predict(
        self, level: float = 0.95, kind: str = "confidence", *, key: str | None = None, sigma_new: Any = None, **coords: Any
    ) -> Any:
        """
        The fitted models with their bands; see `SurfaceResult.predict`.

        Parameters
        ----------
        level, kind
            As for one data set.
        key : str, optional
            Only this data set, with coordinates as its model takes them.
        sigma_new : array_like or dict, optional
            Error of the new points, as for one data set; by key, or one for all.
        **coords
            Coordinates: a dict by key, or one for all; default: those of the fit.

        Returns
        -------
        dict by key, or the band of the data set `key`
        """
        given = self._asked(key, coords)
        new = {key: sigma_new} if key is not None else per_key("sigma_new", sigma_new, self.keys(), self.keys())
        out = {one: self[one].predict(level, kind, sigma_new=new[one], **where) for one, where in given.items()}
        return out if key is None else out[key]

    # ---- words and tables ------------------------------------------------------------------------------------------------

    def fit_report(self, *args: Any, **kws: Any) -> str:
        """lmfit's report, and a line per data set."""
        text = super().fit_report(*args, **kws)
        head, mark, rest = text.partition("[[Variables]]")
        return head + report_of_sets(self) + mark + rest

    def explain(self) -> str:
        """What the data say about the parameters, and whether one data set scatters differently from the others."""
        from .joint_words import compared

        if self._outcome is None:
            return super().explain()
        return "\n".join([super().explain(), *compared(self)])

    def augment(self) -> Any:
        """All data sets below each other, the column ``dataset`` in front; see `surffit.tables.augment`."""
        import pandas as pd

        frames = []
        for key, part in self.items():
            frame = part.augment()
            name = "dataset" if "dataset" not in frame.columns else "dataset_fit"
            frame.insert(0, name, key)
            frames.append(frame)
        return pd.concat(frames, ignore_index=all(isinstance(frame.index, pd.RangeIndex) for frame in frames))

    def __repr__(self) -> str:
        """One line: the data sets, how it ended, chi-square."""
        if "_names" not in self.__dict__:
            return object.__repr__(self)
        how = "ok" if self.success else "FAILED"
        return f"<JointResult of {len(self)} data sets: {how}, chisqr={self.chisqr:.6g}, {'|'.join(self.status.names)}>"

    # ---- what only one data set has ----------------------------------------------------------------------------------------

    def _one(self, what: str) -> NoReturn:
        msg = f"{what} shows one data set; call result[key].{what}(...) with one of {quoted(self.keys())}"
        raise ParameterError(msg)

    def plot(self, *args: Any, **kws: Any) -> Any:
        """Refused: `result[key].plot()` shows one data set."""
        self._one("plot")

    def plot_fit(self, *args: Any, **kws: Any) -> Any:
        """Refused: `result[key].plot_fit()` shows one data set."""
        self._one("plot_fit")

    def plot_surface(self, ax: Any = None, **kws: Any) -> Any:
        """Refused: `result[key].plot_surface()` shows one data set."""
        self._one("plot_surface")

    def plot_residuals(self, *args: Any, **kws: Any) -> Any:
        """Refused: `result[key].plot_residuals()` shows one data set."""
        self._one("plot_residuals")

    # ---- copying ---------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        if "_names" in self.__dict__ and self._outcome is not None:
            for key in self.keys():
                self[key]
            _ = self._leverages
        return super().__getstate__()


_BY_KEY = ("best_fit", "init_fit", "residual_map")
