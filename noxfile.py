"""Sessions for developers: `nox` runs the tests and the linters, `nox -s mintest` the oldest versions allowed."""

import nox

nox.options.sessions = ["lint", "tests"]
OLDEST = ["numpy==2.0.*", "scipy==1.13.*", "lmfit==1.3.3", "pandas==2.2.*", "matplotlib==3.8.*", "numba==0.60.*"]


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff and mypy."""
    session.install("-e", ".", *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """The tests, against the newest releases."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def mintest(session: nox.Session) -> None:
    """The tests, against the oldest releases allowed."""
    session.install(".[test]", *OLDEST)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def maxtest(session: nox.Session) -> None:
    """The tests, against the pre-releases of tomorrow."""
    session.install("--pre", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)
