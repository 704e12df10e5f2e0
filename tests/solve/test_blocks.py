"""Blocks against whole columns: the same steps, the same covariance, the same ranks, whatever is private or shared."""

import numpy as np
import pytest

from surffit.solve import block_walk, blocks
from surffit.solve.arrow import ArrowSurveyor
from surffit.solve.block_walk import BlockEngine
from surffit.solve.blocks import JointMoments, JointProblem
from surffit.solve.covariance import from_factor
from surffit.solve.minimum import Options, minimise
from surffit.solve.polish import DenseSurveyor, curvature, newton_step
from surffit.solve.posterior import Target, divide
from surffit.solve.problem import Problem
from surffit.solve.separable import DenseEngine


class Decays:
    """A sum of c_j exp(-a_j x), and a last linear parameter alone: exact derivatives, as kernels give them."""

    def __init__(self, x, m, k):
        self.x, self.m, self.k = x, m, k

    def settle(self, alpha, c):
        pass

    def patch(self, alpha, c, value, arrays):
        return arrays

    def _terms(self, alpha):
        columns = [np.exp(-a * self.x) for a in alpha]
        return columns + [self.x**j for j in range(self.k - self.m)]

    def value(self, alpha, c):
        return sum(v * column for v, column in zip(c, self._terms(alpha), strict=True))

    def columns(self, alpha):
        return None, self._terms(alpha)

    def full(self, alpha, c):
        terms = self._terms(alpha)
        bent = [-self.x * c[j] * terms[j] for j in range(self.m)]
        return sum(v * t for v, t in zip(c, terms, strict=True)), bent + terms

    def second(self, alpha, c):
        terms = self._terms(alpha)
        out = [(j, j, self.x**2 * c[j] * terms[j]) for j in range(self.m)]
        return out + [(self.m + j, j, -self.x * terms[j]) for j in range(self.m)]


NONE = np.empty(0)

# name: for every block (m, k, joint places of its non-linear, of its linear parameters); joint m, k
LAYOUTS = {
    "private linear": ([(1, 2, [0], [1, 2]), (1, 2, [0], [3, 4]), (1, 2, [0], [5, 6])], 1, 6),
    "shared linear": ([(1, 3, [0], [1, 2, 3]), (1, 3, [0], [4, 2, 3]), (1, 2, [0], [5, 2])], 1, 5),
    "private searched": ([(2, 3, [0, 1], [3, 4, 5]), (2, 3, [0, 2], [6, 7, 5])], 3, 5),
    "nothing shared": ([(1, 2, [0], [2, 3]), (1, 2, [1], [4, 5])], 2, 4),
    "all shared": ([(1, 2, [0], [1, 2]), (1, 2, [0], [1, 2])], 1, 2),
}


def joint(layout, bounds=None, noise=1e-2, seed=3):
    """A joint problem of decays, and a start near its solution."""
    parts, m, k = LAYOUTS[layout]
    rng = np.random.default_rng(seed)
    truth = np.concatenate([0.7 + 0.6 * np.arange(m), rng.uniform(1.0, 3.0, k)])
    made = []
    for mb, kb, searched, solved in parts:
        x = np.sort(rng.uniform(0.0, 4.0, 25 + 5 * len(made)))
        kernel = Decays(x, mb, kb)
        y = kernel.value(truth[searched], truth[solved]) + noise * rng.standard_normal(x.size)
        w = rng.uniform(0.5, 2.0, x.size) / 1e-2
        free = np.full(mb + kb, np.inf)
        made.append((Problem(kernel, y, w, mb, kb, -free, free), np.array(searched + solved), None))
    lower, upper = np.full(m + k, -np.inf), np.full(m + k, np.inf)
    for i, (low, high) in (bounds or {}).items():
        lower[i], upper[i] = low, high
    return JointProblem(made, m, k, lower, upper), truth


@pytest.fixture
def always_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "DENSE", 0)


@pytest.fixture
def never_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "DENSE", 1e30)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_are_those_of_whole_columns(layout):
    problem, truth = joint(layout)
    alpha = 1.1 * truth[: problem.m]
    one, two = BlockEngine(problem), DenseEngine(problem)
    a, b = one.inner(alpha), two.inner(alpha)
    assert a.c == pytest.approx(b.c, rel=1e-10)
    assert a.chi2 == pytest.approx(b.chi2, rel=1e-12)
    (A, g), (B, h) = one.system(a), two.system(b)
    assert np.abs(A - B).max() <= 1e-11 * np.abs(B).max()
    assert np.abs(g - h).max() <= 1e-9 * np.sqrt(B.diagonal().max() * b.chi2)
    assert np.abs(B).max() > 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("held", [(), (0,), (-1,), (0, -1)])
def test_covariance_and_newton_step_are_those_of_whole_columns(layout, held):
    problem, truth = joint(layout, noise=1e-5)
    p = truth * 1.0001
    mask = np.zeros(problem.n, dtype=bool)
    mask[list(held)] = True
    arrow, dense = ArrowSurveyor(problem), DenseSurveyor(problem)
    a, b = arrow.local(p, mask), dense.local(p, mask)
    assert a.f.rank == b.f.rank == problem.n - mask.sum()
    one, two = from_factor(a, problem.n, None), from_factor(b, problem.n, None)
    assert one.sd == pytest.approx(two.sd, rel=1e-10, nan_ok=True)
    assert one.correlation == pytest.approx(two.correlation, abs=1e-10, nan_ok=True)
    assert one.root @ one.root.T == pytest.approx(two.root @ two.root.T, rel=1e-9, abs=1e-12)
    assert one.spectrum()[0] == pytest.approx(two.spectrum()[0], rel=1e-9)
    # units of the errors differ by a rotation: steps and their lengths don't
    assert np.linalg.norm(a.qtr) == pytest.approx(np.linalg.norm(b.qtr), rel=1e-9)
    assert a.step(a.qtr) == pytest.approx(b.step(b.qtr), rel=1e-8, abs=1e-12)
    second_a, second_b = curvature(arrow, problem, a), curvature(dense, problem, b)
    assert newton_step(second_b, b.qtr) is not None
    assert a.step(newton_step(second_a, a.qtr)) == pytest.approx(b.step(newton_step(second_b, b.qtr)), rel=1e-8, abs=1e-12)
    assert np.linalg.eigvalsh(second_a[0]) == pytest.approx(np.linalg.eigvalsh(second_b[0]), abs=1e-9)
    assert np.asarray(second_a[1]) == pytest.approx(second_b[1], abs=1e-9 * np.abs(second_b[1]).max(initial=1.0))


def test_newton_refuses_where_the_hessian_is_not_positive():
    problem, truth = joint("private linear", noise=1e-2)
    p = truth.copy()
    p[0] = 3.0  # far from the minimum chi-square curves down
    p[1:] *= -1.0
    none = np.zeros(problem.n, dtype=bool)
    arrow, dense = ArrowSurveyor(problem), DenseSurveyor(problem)
    a, b = arrow.local(p, none), dense.local(p, none)
    one, two = curvature(arrow, problem, a), curvature(dense, problem, b)
    assert np.linalg.eigvalsh(two[0])[-1] > 1.0
    assert newton_step(two, b.qtr) is None
    assert newton_step(one, a.qtr) is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_norms_and_sums(layout):
    problem, truth = joint(layout)
    none = np.zeros(problem.n, dtype=bool)
    a, b = ArrowSurveyor(problem).local(truth, none), DenseSurveyor(problem).local(truth, none)
    assert a.gradient() == pytest.approx(b.gradient(), rel=1e-9, abs=1e-7)
    assert a.norms() == pytest.approx(b.norms(), rel=1e-12)
    assert a.largest_sum() == pytest.approx(b.largest_sum(), rel=1e-12)
    assert not a.dead().any()
    G, g, rr = JointMoments(problem).full(truth)
    assert pytest.approx(b.J @ b.J.T, rel=1e-10) == G
    assert g == pytest.approx(b.gradient(), rel=1e-9, abs=1e-7)
    assert rr == pytest.approx(b.chi2, rel=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fits_end_at_one_place(layout, monkeypatch):
    found = []
    for dense in (0, 1e30):
        monkeypatch.setattr(blocks, "DENSE", dense)
        problem, truth = joint(layout)
        found.append(minimise(problem, 1.2 * truth[: problem.m], None, Options(1000), None, lambda *_: False))
        assert found[-1].status.success
        assert block_walk.is_blockwise(problem) == (dense == 0)
    one, two = found
    assert one.engine == "blocks"
    sd = from_factor(two.here, two.here.p.size, None).sd * two.sigma
    assert np.abs((one.p - two.p) / sd).max() < 1e-9
    assert one.here.chi2 == pytest.approx(two.here.chi2, rel=1e-12)


@pytest.mark.parametrize("layout", ["private linear", "shared linear"])
def test_bounded_linear_parameters(layout, monkeypatch):
    _, truth = joint(layout)
    bounds = {2: (truth[2] + 0.1, np.inf), 1: (-np.inf, truth[1] - 0.05)}
    found = []
    for dense in (0, 1e30):
        monkeypatch.setattr(blocks, "DENSE", dense)
        problem, _ = joint(layout, bounds)
        found.append(minimise(problem, 1.1 * truth[: problem.m], None, Options(2000), None, lambda *_: False))
    one, two = found
    assert one.held.any()
    assert (one.held == two.held).all()
    assert one.here.chi2 == pytest.approx(two.here.chi2, rel=1e-10)
    assert one.p == pytest.approx(two.p, rel=1e-7)


def redundant(where):
    """Two blocks of three linear columns each; two of them coincide, privately or with a shared one."""
    x = np.linspace(0.0, 1.0, 12)

    class Columns(Decays):
        def _terms(self, alpha):
            return [np.ones_like(x), x, 2.0 * x if where == "private" else x]

    class Plain(Decays):
        def _terms(self, alpha):
            return [np.ones_like(x), x, x**2]

    free = np.full(3, np.inf)
    rng = np.random.default_rng(1)
    y = rng.standard_normal((2, 12))
    # the last column is shared if it shall coincide with a private one of the first block only
    first, second = ([0, 1, 2], [3, 4, 5]) if where == "private" else ([0, 1, 4], [2, 3, 4])
    k = 6 if where == "private" else 5
    parts = [
        (Problem(Columns(x, 0, 3), y[0], None, 0, 3, -free, free), np.array(first), None),
        (Problem((Columns if where == "both" else Plain)(x, 0, 3), y[1], None, 0, 3, -free, free), np.array(second), None),
    ]
    wide = np.full(k, np.inf)
    return JointProblem(parts, 0, k, -wide, wide)


@pytest.mark.parametrize("where", ["private", "shared", "both"])
def test_ranks_and_null_directions(where):
    problem = redundant(where)
    none = np.zeros(problem.n, dtype=bool)
    p = np.ones(problem.n)
    a, b = ArrowSurveyor(problem).local(p, none), DenseSurveyor(problem).local(p, none)
    lost = {"private": 1, "shared": 0, "both": 1}[where]  # what only one block can't tell apart, the other can
    assert a.f.rank == b.f.rank == problem.n - lost
    one, two = from_factor(a, problem.n, None), from_factor(b, problem.n, None)
    assert (one.undetermined == two.undetermined).all()
    assert one.undetermined.any() == bool(lost)
    assert one.sd == pytest.approx(two.sd, rel=1e-10)
    assert one.correlation == pytest.approx(two.correlation, abs=1e-10, nan_ok=True)
    assert one.null.T @ one.null == pytest.approx(two.null.T @ two.null, abs=1e-10)
    # the shortest L: orthogonal to the null space
    assert np.abs(a.f.null_space() @ a.f.left).max(initial=0.0) < 1e-12
    J = (b.J / a.f.scale[:, None]).T
    Q = J @ a.f.left
    assert pytest.approx(np.eye(a.f.rank), abs=1e-12) == Q.T @ Q


def test_rows_of_very_different_size_get_one_unit():
    x = np.linspace(0.0, 3.0, 20)
    free = np.full(2, np.inf)
    parts = []
    for i, size in enumerate((1e-120, 1e-118)):
        y = size * (2.0 * np.exp(-x) + 1e-3 * np.cos(9 * x + i))
        parts.append((Problem(Decays(x, 1, 1), y, None, 1, 1, -free, free), np.array([0, 1 + i]), None))
    wide = np.full(3, np.inf)
    problem = JointProblem(parts, 1, 2, -wide, wide)
    assert problem.unit > 1.0
    solution = minimise(problem, np.array([1.5]), None, Options(500))
    assert solution.status.success
    assert solution.p[0] == pytest.approx(1.0, abs=1e-2)
    assert solution.p[2] / solution.p[1] == pytest.approx(100.0, rel=1e-2)


def test_a_second_try_without_whole_columns(always_blocks):
    problem, truth = joint("private searched")
    p, status = block_walk.second_try(problem, truth * 1.2, 500, False)
    assert status.success
    solution = minimise(problem, truth[: problem.m], None, Options(500))
    assert p == pytest.approx(solution.p, rel=1e-2)


def test_everything_linear(always_blocks):
    problem = redundant("shared")
    solution = minimise(problem, NONE, None, Options(100))
    assert solution.status.success
    assert solution.engine == "blocks"
    expected = np.linalg.lstsq(problem.columns(NONE)[1].T, problem.y, rcond=None)[0]
    assert solution.p == pytest.approx(expected, rel=1e-10)


def test_cost_and_limits():
    problem, truth = joint("private linear")
    r = problem.residual(truth)
    assert problem.cost(truth) == pytest.approx(float(r @ r))
    assert problem.least_squares
    assert problem.ndata == problem.N == sum(block.problem.N for block in problem.blocks)
    assert problem.cost(np.full(problem.n, np.nan)) == np.inf
    assert problem.full(np.full(problem.n, np.nan)) is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_posterior_density_and_draws_are_those_of_whole_columns(layout, monkeypatch):
    problem, truth = joint(layout)
    here = DenseSurveyor(problem).local(truth, np.zeros(problem.n, dtype=bool))
    cov = from_factor(here, problem.n, None)
    targets = []
    for dense in (0, 1e30):
        monkeypatch.setattr(blocks, "DENSE", dense)
        targets.append(Target(problem, truth, divide(problem, here, cov.null, cov.sd), 1.0))
    one, two = targets
    assert one._blocks is not None
    assert two._blocks is None
    alpha = truth[: problem.m]
    for factor in (1.0, 1.01, 0.97):
        assert one.density(factor * alpha)[0] == pytest.approx(two.density(factor * alpha)[0], rel=1e-10)
    # draws of the linear parameters: Gaussian with the covariance of the columns
    found = one.density(alpha)[1]
    rng = np.random.default_rng(8)
    draws = np.array([one.draw(found, rng) for _ in range(4000)])
    _, phi = problem.columns(alpha)
    expected = np.linalg.inv(phi @ phi.T)
    white = np.linalg.solve(np.linalg.cholesky(expected), (draws - found.c).T)
    assert np.abs(np.cov(white) - np.eye(problem.k)).max() < 6 / np.sqrt(4000)
    assert np.abs(white.mean(axis=1)).max() < 5 / np.sqrt(4000)
    # a triangle of its own, without what the shared columns take from the private ones, would be seen
    if (problem.uses[problem.m :] > 1).any():
        wrong = found.c + (draws - found.c) * np.where(problem.uses[problem.m :] > 1, 1.0, 0.8)
        white = np.linalg.solve(np.linalg.cholesky(expected), (wrong - found.c).T)
        assert np.abs(np.cov(white) - np.eye(problem.k)).max() > 6 / np.sqrt(4000) or not (problem.uses[problem.m :] == 1).any()
