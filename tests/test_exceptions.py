"""The tree of errors and warnings: their builtin parents, their facts, their way through pickle."""

import pickle
import warnings

import numpy as np
import pytest

from surffit import exceptions

CLASSES = [getattr(exceptions, name) for name in exceptions.__all__]
PARENTS = {
    "DataError": ValueError,
    "TooFewPointsError": exceptions.DataError,
    "ShapeError": exceptions.DataError,
    "NonFiniteError": exceptions.DataError,
    "ParameterError": ValueError,
    "ParameterDomainError": exceptions.ParameterError,
    "LinearityError": ValueError,
    "ModelCheckError": AssertionError,
    "ExpressionError": ValueError,
    "UnknownModelError": LookupError,
    "UnknownParameterError": KeyError,
    "PluginError": ImportError,
    "OptionalDependencyError": ImportError,
    "DocumentError": ValueError,
    "UnsafeFileError": exceptions.DocumentError,
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_survives_pickle_with_its_facts(cls):
    error = cls("3 usable points, 5 varying parameters", n_points=3, pair=("a", "b"), where=np.array([1, 2]))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == "3 usable points, 5 varying parameters"
    assert (copy.n_points, copy.pair) == (3, ("a", "b"))
    assert copy.where.tolist() == [1, 2]


@pytest.mark.parametrize(("name", "parent"), PARENTS.items())
def test_inherits_what_callers_already_catch(name, parent):
    assert issubclass(getattr(exceptions, name), parent)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_belongs_to_the_tree(cls):
    base = exceptions.SurffitWarning if cls.__name__.endswith("Warning") else exceptions.SurffitError
    assert issubclass(cls, base)
    assert cls.__doc__.strip().endswith(".") or "Parameters" in cls.__doc__


def test_sentences_are_not_quoted():
    # a KeyError would put quotes around its sentence
    assert str(exceptions.UnknownModelError("no model named 'x'")) == "no model named 'x'"
    assert str(exceptions.UnknownParameterError("no parameter 'x'")) == "no parameter 'x'"


def test_all_names_every_class():
    defined = {n for n, v in vars(exceptions).items() if isinstance(v, type) and v.__module__ == exceptions.__name__}
    assert defined == set(exceptions.__all__)


def test_warnings_carry_facts():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(exceptions.DataWarning("steps of float32 are 0.25", step=0.25), stacklevel=1)
    assert caught[0].message.step == 0.25
    assert caught[0].category is exceptions.DataWarning
