"""The certified problems through the compiled engine: what it calls converged is the certified minimum."""

import numpy as np
import pytest

import surffit as sf
from surffit.batch import fit_many
from surffit.solve.status import Status

LOST = {("Bennett5", 0), ("Bennett5", 1), ("Eckerle4", 0), ("MGH10", 0), ("MGH10", 1), ("MGH17", 0)}
LOST |= {(f"Lanczos{k}", start) for k in (1, 2, 3) for start in (0, 1)}


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 1])
def test_nothing_false_is_called_converged(nist, start):
    for name in sorted(nist.NONLINEAR):
        problem = nist.nonlinear(name)
        model = sf.SurfaceModel(problem.func, independent_vars=list(problem.coords))
        params = model.make_params(**problem.starts[start])
        data = np.asarray(problem.data)
        maps = fit_many(model, data, axis=0, params=params, coords=problem.coords, engine="traced", max_nfev=400).maps
        success = Status(int(maps.status[0])).success
        assert success or (name, start) in LOST, name
        if success:
            assert nist.digits(maps.values[:, 0], problem.values.values()) >= 4, name
            assert nist.digits(maps.stderr[:, 0], problem.errors.values()) >= 4, name
