"""The start that outliers don't reach."""

import numpy as np
import pytest

from surffit.solve.resistant import resistant


class Columns:
    """What `resistant` asks of a problem."""

    def __init__(self, phi, y):
        self.phi, self.y, self.k = phi, y, len(phi)

    def columns(self, alpha):
        return self.y, self.phi


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_outliers_don_t_reach_it(share):
    rng = np.random.default_rng(5)
    x = np.linspace(-1, 1, 200)
    phi = np.stack([np.ones_like(x), 1e6 * x, x**2])
    y = np.array([1.0, 2e-6, -3.0]) @ phi + rng.normal(0, 0.01, x.size)
    wild = rng.choice(x.size, int(share * x.size), replace=False)
    y[wild] += 50.0
    found = resistant(Columns(phi, y), np.empty(0))
    assert found * [1, 1e6, 1] == pytest.approx([1.0, 2.0, -3.0], abs=0.02)
    least = np.linalg.lstsq(phi.T, y, rcond=None)[0]
    assert abs(least[0] - 1.0) > 1.0


def test_none_where_there_is_nothing_to_draw():
    assert resistant(Columns(np.ones((2, 3)), np.ones(3)), np.empty(0)) is None
    assert resistant(Columns(np.empty((0, 3)), np.ones(3)), np.empty(0)) is None
