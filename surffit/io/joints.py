"""
Joint fits as documents: the common parameters and their covariance, and per data set a model, names and statistics.

A model that serves several data sets stands in the document once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from surffit._version import __version__
from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.io.checks import MOST_PARAMETERS, check_name, check_text, clean, exactly, real, shown
from surffit.io.files import number
from surffit.io.models import made
from surffit.io.reading import check_complete, read_numbers, read_part, read_sigma
from surffit.io.writing import model_of, numbers_of, sigma_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SCHEMA", "joint_document", "read_joint"]

SCHEMA = "surffit.joint/1"
KEYS = {
    "schema", "surffit", "name", "shared", "models", "sets", "constraints", "params", "chisqr", "redchi", "covar", "covar_source", "stats",
}  # fmt: skip
FACTS = ("nfree", "chisqr", "redchi", "aic", "bic", "rsquared")
SET_KEYS = {"model", "names", "ndata", *FACTS}


def joint_document(result: Any) -> dict[str, Any]:
    """
    A joint fit as plain dicts, lists, strings and numbers.

    Parameters
    ----------
    result : JointResult

    Returns
    -------
    dict
        The entries of a fit's document, under joint names; ``models``, ``sets`` (per data set the number of its model, the
        names of its parameters in both languages, and its statistics), and ``constraints`` (derivatives of tied parameters).

    Raises
    ------
    DocumentError
        If a constraint or name could not be read back.
    """
    from surffit.core.joint_restore import tied_slopes
    from surffit.core.joint_words import scatter

    models: list[Any] = []
    places: dict[Any, int] = {}
    sets = {}
    for row in scatter(result):
        key = row.pop("dataset")
        check_name(key, DocumentError)
        part = result[key]
        written = model_of(part)
        # by what was written, since options of one call may differ between data sets that share a model
        place = places.setdefault(repr(written), len(models))
        if place == len(models):
            models.append(written)
        sets[key] = {
            "model": place,
            "names": {own: joint for own, joint in part.joint_names.items() if joint in result.params},
            "ndata": int(row["ndata"]),
            **{name: number(getattr(part, name)) for name in FACTS},
            **sigma_of(part),
        }
    content = {"schema": SCHEMA, "surffit": __version__, **numbers_of(result)}
    content |= {
        "name": clean(str(result.model._name), 500),
        "shared": list(result.model.shared),
        "models": models,
        "sets": sets,
        "constraints": {name: {other: number(slope) for other, slope in slopes.items()} for name, slopes in tied_slopes(result).items()},
    }
    return content


def read_joint(content: Mapping[str, Any], model: Any = None) -> Any:
    """
    Rebuild a joint fit from its document.

    Parameters
    ----------
    content : mapping
        As `joint_document` makes it.
    model : JointModel, optional
        The model to use in place of the document's.

    Returns
    -------
    JointResult

    Raises
    ------
    UnsafeFileError
        If an entry isn't such as `joint_document` writes.
    DocumentError
        If `model` has other data sets or parameters than the document.
    """
    from surffit.core.joint_restore import restore_joint

    exactly(content, KEYS, "the document")
    params, covar, covar_names, stats = read_numbers(content)
    if "part" in stats or "_typical_sigma" in stats:
        msg = "the stats of a joint fit hold what only one data set has; surffit never writes that"
        raise UnsafeFileError(msg)
    sets = _read_sets(content["sets"], params)
    constraints = _read_constraints(content["constraints"], params, covar_names)
    built = _read_model(content, sets) if model is None else _given(model, sets)
    return made(
        lambda: restore_joint(
            built, params, covar=covar, covar_names=covar_names, stats=stats, sets=sets, constraints=constraints
        ),
        "the joint fit",
    )  # fmt: skip


def _read_sets(content: Any, params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Per data set its statistics and names."""
    if not isinstance(content, Mapping) or not 0 < len(content) <= MOST_PARAMETERS:
        msg = f"the data sets are {shown(content)}, where an object with an entry for each belongs"
        raise UnsafeFileError(msg)
    sets = {}
    for key, entry in content.items():
        check_name(key, UnsafeFileError)
        sigma = {"typical_sigma"} & set(entry) if isinstance(entry, Mapping) else set()  # the first files lack it
        exactly(entry, SET_KEYS | sigma, f"the data set {key}")
        names = entry["names"]
        if not isinstance(names, Mapping):
            msg = f"the names of {key} are {shown(names)}, where an object belongs"
            raise UnsafeFileError(msg)
        for own, joint in names.items():
            check_name(own, UnsafeFileError)
            if not isinstance(joint, str) or joint not in params:
                msg = f"the parameter {own} of {key} is called {shown(joint)}, which is no parameter of the fit"
                raise UnsafeFileError(msg)
        if len(set(names.values())) != len(names):
            msg = f"two parameters of {key} are one and the same; surffit never writes that"
            raise UnsafeFileError(msg)
        if type(entry["ndata"]) is not int or not 0 < entry["ndata"] < 10**15:
            msg = f"the data set {key} has ndata = {shown(entry['ndata'])}, where a whole number belongs"
            raise UnsafeFileError(msg)
        facts = {name: real(entry[name], f"{name} of {key}") for name in FACTS}
        sets[key] = {"names": dict(names), "ndata": entry["ndata"], **facts}
        if sigma:
            sets[key]["_typical_sigma"] = read_sigma(entry["typical_sigma"])
    return sets


def _read_constraints(content: Any, params: Mapping[str, Any], free: list[str]) -> dict[str, dict[str, float]]:
    """Derivatives of tied parameters by those of the varied ones."""
    if not isinstance(content, Mapping):
        msg = f"the constraints' derivatives are {shown(content)}, where an object belongs"
        raise UnsafeFileError(msg)
    found = {}
    for name, slopes in content.items():
        if name not in params or not isinstance(slopes, Mapping):
            msg = f"the derivatives of {shown(name)} are {shown(slopes)}, where those of a tied parameter belong"
            raise UnsafeFileError(msg)
        found[name] = {other: real(slope, f"a derivative of {name}") for other, slope in slopes.items() if other in free}
        if len(found[name]) < len(slopes) or not all(map(math.isfinite, found[name].values())):
            msg = f"the derivatives of {name} are no numbers, or by parameters that the fit did not vary"
            raise UnsafeFileError(msg)
    return found


def _read_model(content: Mapping[str, Any], sets: Mapping[str, Any]) -> Any:
    """The JointModel of the document."""
    from surffit.core.joint import JointModel
    from surffit.core.restore import without_model

    name = check_text(content["name"], "the model's name", 500)
    shared, models = content["shared"], content["models"]
    if not isinstance(shared, list) or not isinstance(models, list) or len(shared) > MOST_PARAMETERS or len(models) > len(sets):
        msg = f"the shared parameters are {shown(shared)} and the models {shown(models)}, where lists belong"
        raise UnsafeFileError(msg)
    for one in shared:
        check_name(one, UnsafeFileError)
    built = [read_part(one) for one in models]
    parts = {}
    for key, entry in content["sets"].items():
        place = entry["model"]
        if type(place) is not int or not 0 <= place < len(built):
            msg = f"the data set {key} has the model {shown(place)} of {len(built)}"
            raise UnsafeFileError(msg)
        check_complete(built[place], entry["names"], f"the data set {key}")
        parts[key] = built[place] if built[place] is not None else without_model(sets[key]["names"])

    def build() -> Any:
        # what only a hint made (a width derived from another) is no parameter of a function rebuilt from its graph
        known = [one for one in shared if sum(one in entry["names"] and _has(parts[key], one) for key, entry in sets.items()) > 1]
        return JointModel(parts, known, name=name)

    model = made(build, "the joint model")
    for key, entry in sets.items():
        for own, joint in model.names.joint[key].items():
            if entry["names"].get(own, joint) != joint:
                msg = f"{own} of {key} would be called {joint}, not {entry['names'][own]}; surffit never writes that"
                raise UnsafeFileError(msg)
    return model


def _has(part: Any, name: str) -> bool:
    from surffit.core.joint import part_parameters

    return name in part_parameters(part)


def _given(model: Any, sets: Mapping[str, Any]) -> Any:
    """The caller's model, if its data sets and parameters are the document's."""
    keys = list(getattr(model, "parts", ()))
    if keys != list(sets):
        msg = f"the model given has the data sets {', '.join(keys) or 'none'}, the document has {', '.join(sets)}"
        raise DocumentError(msg)
    for key, entry in sets.items():
        for own in model.parts[key].param_names:
            joint = model.names.joint[key].get(own, own)
            if entry["names"].get(own) != joint:
                msg = f"the model given has the parameter {own!r} of {key!r} as {joint!r}, the document as {entry['names'].get(own)!r}"
                raise DocumentError(msg)
    return model
