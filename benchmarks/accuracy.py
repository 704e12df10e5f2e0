"""
Right digits on NIST's certified regression problems: surffit beside lmfit, scipy, numpy and statsmodels, in one run.

    python benchmarks/accuracy.py            write docs/reference/accuracy/nist.md
    python benchmarks/accuracy.py --print    print it instead
    python benchmarks/accuracy.py --check    also exit with status 1 if a bar of surffit's fails

Every method gets the same function, the same data and the same starts, and as many evaluations as it wants. What is counted is the
log relative error of the worst parameter and of the worst standard error. No problem is treated in a way of its own.
"""

# ruff: noqa: E402 - the number of threads is set before numpy is imported

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # sums in one order: the same digits in every run

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import lmfit
import numpy as np
from scipy.optimize import curve_fit, least_squares

import surffit as sf

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "reference" / "accuracy" / "nist.md"
NONLINEAR_DIGITS, LINEAR_DIGITS = 11.0, 15.0  # certified ones; those a float64 number holds for certain
BARS = (4, 6, 9.5)
EVALUATIONS = 100_000
NONE = "–"


def load_problems() -> Any:
    """The problems as the tests have them."""
    spec = importlib.util.spec_from_file_location("certified_nist", ROOT / "tests" / "certified" / "nist.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


NIST = load_problems()
Numbers = Sequence[float]
Answer = tuple[Numbers, Numbers | None]  # values, and standard errors where the method has them
Method = Callable[[Any, dict[str, float]], Answer | None]


# ---- the methods; None where one does not apply -------------------------------------------------------------------------------


def read(result: Any, names: Sequence[str]) -> Answer:
    """Values and errors from a result with lmfit's parameters."""
    errors = [result.params[name].stderr for name in names]
    return [result.params[name].value for name in names], [np.nan if error is None else error for error in errors]


def surffit_function(problem: Any, start: dict[str, float]) -> Answer:
    """surffit, as it comes: the function, and starts where the problem has them."""
    model = sf.SurfaceModel(problem.func, independent_vars=list(problem.coords))
    return read(model.fit(problem.data, model.make_params(**(start if problem.starts else {})), **problem.coords), problem.names)


def surffit_surface(problem: Any, start: dict[str, float]) -> Answer | None:
    """surffit's polynomial in Chebyshev's basis, mapped to monomials."""
    if problem.name not in NIST.DEGREES:
        return None
    result = sf.surfaces.PolynomialSurface(NIST.DEGREES[problem.name], ("x",)).fit(problem.data, **problem.coords).to_basis("monomial")
    return read(result, list(result.params))


def lmfit_with(**options: Any) -> Method:
    def run(problem: Any, start: dict[str, float]) -> Answer:
        model = lmfit.Model(problem.func, independent_vars=list(problem.coords))
        result = model.fit(problem.data, model.make_params(**start), max_nfev=EVALUATIONS, **problem.coords, **options)
        return read(result, problem.names)

    return run


def scipy_curve_fit(problem: Any, start: dict[str, float]) -> Answer:
    values, covar = curve_fit(*_flat(problem), p0=list(start.values()), method="lm", maxfev=EVALUATIONS)
    return values, np.sqrt(np.diag(covar))


def scipy_least_squares(problem: Any, start: dict[str, float]) -> Answer:
    func, x, data = _flat(problem)
    found = least_squares(lambda p: data - func(x, *p), list(start.values()), method="trf", x_scale="jac", max_nfev=EVALUATIONS)
    return found.x, None


def _flat(problem: Any) -> tuple[Callable[..., np.ndarray], tuple[np.ndarray, ...], np.ndarray]:
    return (lambda x, *p: problem.func(*x, *p)), tuple(problem.coords.values()), problem.data


def numpy_polyfit(problem: Any, start: dict[str, float]) -> Answer | None:
    if problem.name not in NIST.DEGREES:
        return None
    values, covar = np.polyfit(problem.coords["x"], problem.data, NIST.DEGREES[problem.name], cov=True)
    return values[::-1], np.sqrt(np.diag(covar))[::-1]


def numpy_mapped(problem: Any, start: dict[str, float]) -> Answer | None:
    if problem.name not in NIST.DEGREES:
        return None
    return np.polynomial.Polynomial.fit(problem.coords["x"], problem.data, NIST.DEGREES[problem.name]).convert().coef, None


def statsmodels_ols(method: str) -> Method:
    def run(problem: Any, start: dict[str, float]) -> Answer:
        from statsmodels.api import OLS

        zero = dict.fromkeys(problem.names, 0.0)
        columns = [problem.func(**problem.coords, **{**zero, name: 1.0}) + 0.0 * problem.data for name in problem.names]
        result = OLS(problem.data, np.stack(columns, axis=1)).fit(method=method)
        return result.params, result.bse

    return run


TIGHT = {"ftol": 1e-15, "xtol": 1e-15, "epsfcn": float(np.finfo(float).eps)}
ITERATIVE: dict[str, Method] = {
    "lmfit": lmfit_with(),
    "lmfit, tight": lmfit_with(fit_kws=TIGHT),
    "curve_fit": scipy_curve_fit,
    "least_squares": scipy_least_squares,
}
NONLINEAR_METHODS: dict[str, Method] = {"surffit": surffit_function, **ITERATIVE}
LINEAR_METHODS: dict[str, Method] = {
    "surffit": surffit_function,
    "surffit, surface": surffit_surface,
    **ITERATIVE,
    "polyfit": numpy_polyfit,
    "Polynomial.fit": numpy_mapped,
    "OLS, pinv": statsmodels_ols("pinv"),
    "OLS, qr": statsmodels_ols("qr"),
}


# ---- counting ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits:
    """Right digits of the worst value and of the worst standard error; None where the method gives none."""

    value: float | None
    error: float | None

    def __str__(self) -> str:
        return NONE if self.value is None else f"{_shown(self.value)} / {_shown(self.error)}"


def _shown(digits: float | None) -> str:
    return NONE if digits is None else f"{digits:.1f}"


def count(method: Method, problem: Any, start: dict[str, float], most: float) -> Digits:
    """Run a method on a problem; an exception is an answer without a right digit."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            answer = method(problem, start)
        except (ValueError, RuntimeError, ArithmeticError, np.linalg.LinAlgError):
            return Digits(0.0, 0.0)
    if answer is None:
        return Digits(None, None)
    value = min(NIST.digits(answer[0], problem.values.values()), most)
    error = None if answer[1] is None else min(NIST.digits(answer[1], problem.errors.values()), most)
    return Digits(value, error)


Rows = dict[tuple[str, str], dict[str, Digits]]


def nonlinear_rows(methods: dict[str, Method]) -> Rows:
    """(problem, start) -> digits by method."""
    out: Rows = {}
    for name in sorted(NIST.NONLINEAR):
        problem = NIST.nonlinear(name)
        for i, start in enumerate(problem.starts):
            out[name, str(i + 1)] = {label: count(method, problem, start, NONLINEAR_DIGITS) for label, method in methods.items()}
    return out


def linear_rows(methods: dict[str, Method]) -> Rows:
    """The same for the linear problems; methods that need starts begin at 0 (1 is the answer to some of them)."""
    out: Rows = {}
    for name in NIST.LINEAR:
        problem = NIST.linear(name)
        zeros = dict.fromkeys(problem.names, 0.0)
        out[name, ""] = {label: count(method, problem, zeros, LINEAR_DIGITS) for label, method in methods.items()}
    return out


# ---- writing -------------------------------------------------------------------------------------------------------------------


def table(rows: Rows, methods: Sequence[str], first: Sequence[str]) -> list[str]:
    lines = [f"| {' | '.join([*first, *methods])} |", "|" + "---|" * (len(first) + len(methods))]
    for key, cells in rows.items():
        label = f"{key[0]} [^lanczos]" if key[0] == "Lanczos1" else f"{key[0]} [^zero]" if key[0] in ("Wampler1", "Wampler2") else key[0]
        lines.append(f"| {' | '.join([label, *key[1 : len(first)], *(str(cells[m]) for m in methods)])} |")
    return lines


def summary(rows: Rows, methods: Sequence[str]) -> list[str]:
    """Counts of at least so many digits, and the worst of all."""
    bars = [f">= {bar:g}" for bar in BARS]
    lines = [f"| method | values {' | '.join(bars)} | worst | errors {' | '.join(bars)} | worst |", "|" + "---|" * (2 * len(BARS) + 3)]
    for method in methods:
        cells = [method]
        for which in ("value", "error"):
            found = [getattr(row[method], which) for row in rows.values()]
            known = [digits for digits in found if digits is not None]
            cells += [str(sum(digits >= bar for digits in known)) if known else NONE for bar in BARS]
            cells.append(_shown(min(known)) if known else NONE)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def document(nonlinear: Rows, linear: Rows) -> str:
    """The page."""
    packages = ("numpy", "scipy", "lmfit", "statsmodels")
    versions = ", ".join([f"surffit {sf.__version__}", *(f"{name} {metadata.version(name)}" for name in packages)])
    lines = [
        "# Right digits on NIST's certified problems",
        "",
        f"Written by `python benchmarks/accuracy.py`: {versions}.",
        "",
        "The [Statistical Reference Datasets](https://www.itl.nist.gov/div898/strd/) of NIST/ITL come with values and standard errors that",
        "were computed in long arithmetic. A cell shows the log relative error, -log10(|found - certified| / |certified|), of the worst",
        "value and of the worst standard error: about the number of right digits. 0.0 means none (a wrong minimum, an exception, no",
        f"number); {NONE} means that the method does not give it, or does not apply. At most {NONLINEAR_DIGITS:.0f} digits are counted for",
        f"the non-linear problems, which are certified to {NONLINEAR_DIGITS:.0f}, and {LINEAR_DIGITS:.0f} for the linear ones.",
        "",
        "Every method gets the same plain function, the same data, the same start, and as many evaluations as it asks for:",
        "",
        "- **surffit**: `SurfaceModel(func).fit(...)`, default settings.",
        '- **surffit, surface**: `PolynomialSurface(degree, ("x",)).fit(...).to_basis("monomial")`, default settings (linear problems that',
        "  are polynomials).",
        "- **lmfit**: `Model(func).fit(...)`, default (leastsq); **lmfit, tight**: the same with ftol = xtol = 1e-15 and epsfcn = 2.2e-16.",
        '- **curve_fit**: scipy, method "lm". **least_squares**: scipy, method "trf", x_scale="jac"; it gives no standard errors.',
        "- **polyfit**: numpy, with its covariance. **Polynomial.fit**: numpy, fitted on [-1, 1] and converted; no standard errors.",
        "- **OLS**: statsmodels, its default (pinv) and QR, on the columns of the function.",
        "",
        f"## Non-linear: {len(NIST.NONLINEAR)} problems from two starts each",
        "",
        f"How many of the {len(nonlinear)} starts end with at least so many digits:",
        "",
        *summary(nonlinear, list(NONLINEAR_METHODS)),
        "",
        *table(nonlinear, list(NONLINEAR_METHODS), ("problem", "start")),
        "",
        f"## Linear: {len(NIST.LINEAR)} problems",
        "",
        "Methods that need a start begin at 0 for every parameter.",
        "",
        *table(linear, list(LINEAR_METHODS), ("problem",)),
        "",
        "**The limit of the input.** Data and coordinates are read into float64 numbers, and not all decimal numbers are such: the exact",
        "solution of what is read differs from the certified one. For Norris, Pontius and Longley it agrees to 14.0, 13.5 and 14.7 digits,",
        "and no method can be right beyond that but by chance. A plain function of powers adds the rounding of its columns: for Filip",
        "(degree 10, condition 1e15) the exact solution of the rounded columns has 7.6 digits, while the data hold 14.3. These digits are",
        "had in a conditioned basis, and kept on the way back by changing the basis in double-double arithmetic. With residuals a thousand",
        "times the signal (Wampler4, Wampler5) it is the other way round: there columns that are exact whole numbers, as powers of whole",
        "numbers are, keep more digits than any rounded basis.",
        "",
        "[^lanczos]: The data of Lanczos1 lie on the model but for their 14th digit, so the residuals are the roundings of the data, and",
        "    float64 keeps three digits of those: the exact solution of the float64 numbers has 3.4 digits of the certified errors.",
        "[^zero]: The data lie on the model, and the certified errors are 0: shown is -log10 of the largest error found. surffit never",
        "    claims an error below the rounding of the data, which reach 3.4e6 in Wampler1.",
    ]
    return "\n".join(lines) + "\n"


def faults(nonlinear: Rows, linear: Rows) -> list[str]:
    """What is below surffit's bars."""
    out = []
    for (name, start), row in nonlinear.items():
        digits, least = row["surffit"], 2.9 if name == "Lanczos1" else 9.5
        if not (digits.value or 0) >= 9.5 or not (digits.error or 0) >= least:
            out.append(f"{name} from start {start}: {digits}")
    for (name, _), row in linear.items():
        best = row["surffit, surface"] if name == "Filip" else row["surffit"]
        exact = name in ("Wampler1", "Wampler2")
        if not (best.value or 0) >= (13 if name == "Filip" else 10) or (not exact and not (best.error or 0) >= 10):
            out.append(f"{name}: {best}")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page. Returns the exit status."""
    parser = argparse.ArgumentParser(description="right digits on NIST's certified problems")
    parser.add_argument("--print", action="store_true", help="print the page instead of writing it")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a bar of surffit's fails")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("statsmodels") is None:
        print('the table needs statsmodels: pip install "surffit[bench]"', file=sys.stderr)
        return 2
    nonlinear, linear = nonlinear_rows(NONLINEAR_METHODS), linear_rows(LINEAR_METHODS)
    text = document(nonlinear, linear)
    if options.print:
        print(text, end="")
    else:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(text, encoding="utf-8")
        print("\n".join(summary(nonlinear, list(NONLINEAR_METHODS))))
    below = faults(nonlinear, linear)
    print("\n".join(below) if below else "all bars hold", file=sys.stderr)
    return 1 if below and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
