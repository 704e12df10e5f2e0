"""lmfit's words for keeping a model, with documents that run no code."""

from __future__ import annotations

import os
from typing import Any, NoReturn

from ..exceptions import DocumentError

__all__ = ["Documented"]


class Documented:
    """`save`, `dumps` and `dump` of a model; `load` and `loads` are refused."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write the model as a document that `surffit.load` reads.

        Functions travel as graphs, registered models by their names; hints, prefixes, stated linear parameters and the way a
        composite was put together come along. Options have the values they had and can't be changed in a loaded graph.

        Parameters
        ----------
        path : path-like
            The file. It is replaced in one step, or left as it was if anything goes wrong.

        Raises
        ------
        DocumentError
            If the model can't travel: the sentence says why.
        OSError
            If the file can't be written.

        Examples
        --------
        >>> import os, tempfile
        >>> import surffit as sf
        >>> model = sf.SurfaceModel(lambda x, a, b: a + b * x, name="line", prefix="l_")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "line.json")
        ...     model.save(path)
        ...     sf.load(path).param_names
        ['l_a', 'l_b']
        """
        from ..io import save

        save(self, path)

    def dumps(self, **kws: Any) -> str:
        """
        The model's document as JSON text (as `save` writes it).

        Parameters
        ----------
        **kws
            For `json.dumps`.
        """
        import json

        from ..io import document

        return json.dumps(document(self), allow_nan=False, **kws)

    def dump(self, fp: Any, **kws: Any) -> int:
        """
        Write `dumps()` to an open file.

        Returns
        -------
        int
            What the file's `write` returned.
        """
        return int(fp.write(self.dumps(**kws)))

    def load(self, *args: Any, **kws: Any) -> NoReturn:
        """Refused: lmfit's loader runs code from the file."""
        msg = "model.load() and loads() would run code from the file; use surffit.load(path) for files of model.save(path)"
        raise DocumentError(msg)

    loads = load
