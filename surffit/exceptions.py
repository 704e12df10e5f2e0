"""
Errors and warnings of surffit.

Every class inherits the builtin that callers already catch (`DataError` is a `ValueError`), and
every one carries its facts as attributes besides the sentence, so that code can act on them::

    try:
        model.fit(z, x=x, y=y)
    except TooFewPointsError as err:
        print(err.n_points, err.n_varying)

The facts are keyword arguments of the constructor. They are kept in ``__dict__``, which pickle
restores, so that an error raised in a worker process arrives whole.
"""

__all__ = [
    "ChainTooShortError",
    "ConditionWarning",
    "ConvergenceWarning",
    "CovarianceWarning",
    "DataError",
    "DataWarning",
    "DocumentError",
    "ExpressionError",
    "LinearityError",
    "ModelCheckError",
    "NonFiniteError",
    "OptionalDependencyError",
    "OptionalDependencyWarning",
    "ParameterDomainError",
    "ParameterError",
    "PerformanceWarning",
    "PluginError",
    "ShapeError",
    "SurffitError",
    "SurffitWarning",
    "TooFewPointsError",
    "TraceError",
    "UnknownModelError",
    "UnknownParameterError",
    "UnsafeFileError",
]


class SurffitError(Exception):
    """
    Base of all errors of surffit.

    Parameters
    ----------
    message : str
        One sentence: what was wrong with the values in it, where, and the next step.
    **facts
        The values the sentence speaks of; they become attributes of the error.
    """

    # Facts are keyword arguments with any name and never required ones: a required keyword breaks
    # unpickling, and a process pool then reports a broken pool instead of the error.
    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.__dict__.update(facts)


class DataError(SurffitError, ValueError):
    """The data, coordinates, weights or mask can't be used as they were given."""


class TooFewPointsError(DataError):
    """Fewer usable points than the varying parameters need."""


class ShapeError(DataError):
    """Shapes (or table columns, or labels) that don't fit together."""


class NonFiniteError(DataError):
    """NaN or infinity where a finite number is needed."""


class ParameterError(SurffitError, ValueError):
    """A parameter's value, bounds, constraint or name can't be used."""


class ParameterDomainError(ParameterError):
    """A parameter lies outside the domain in which the model is defined."""


class LinearityError(SurffitError, ValueError):
    """Parameters stated as linear are not jointly linear; carries the offending pair."""


class TraceError(SurffitError):
    """A function can't be turned into an expression graph (the numeric way serves it then)."""


class ExpressionError(SurffitError, ValueError):
    """An expression is outside what formulas and constraints may contain."""


class UnknownModelError(SurffitError, LookupError):
    """No model of this name is registered; carries the close matches."""


class UnknownParameterError(SurffitError, KeyError):
    """A result has no parameter of this name."""

    def __str__(self) -> str:
        """The sentence; a KeyError would show it as a quoted name."""
        return str(self.args[0]) if self.args else ""


class PluginError(SurffitError, ImportError):
    """A registered plugin can't be loaded, or two of them claim one name."""


class OptionalDependencyError(SurffitError, ImportError):
    """An optional package is missing; the sentence holds the pip line that cures it."""


class DocumentError(SurffitError, ValueError):
    """A saved document can't be written or read."""


class UnsafeFileError(DocumentError):
    """A document holds something that surffit never writes; nothing of it was used."""


class ModelCheckError(SurffitError, AssertionError):
    """A model does not keep what models promise; carries every failure as a sentence."""


class ChainTooShortError(SurffitError):
    """A posterior chain is too short for its autocorrelation time; carries the chain and tau."""


class SurffitWarning(UserWarning):
    """
    Base of all warnings of surffit: for what the user can change.

    Parameters
    ----------
    message : str
        One sentence with the values and the remedy.
    **facts
        The values; they become attributes, readable where warnings are recorded.
    """

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.__dict__.update(facts)


class ConvergenceWarning(SurffitWarning):
    """The fit stopped before a minimum was reached."""


class ConditionWarning(SurffitWarning):
    """The problem is so badly conditioned that digits are lost."""


class CovarianceWarning(SurffitWarning):
    """Errors are missing or only partly determined."""


class DataWarning(SurffitWarning):
    """The data limit the answer (precision, duplicates, units)."""


class OptionalDependencyWarning(SurffitWarning):
    """An optional package is missing or too old; a slower way was taken."""


class PerformanceWarning(SurffitWarning):
    """The answer is right but was obtained the slow way."""
