"""Batches in files: the same maps and tables come back, nothing in a file is executed, nothing odd is read."""

import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest

import surffit as sf
from surffit.batch.answer.result import BatchResult
from surffit.exceptions import DataError, DocumentError, UnsafeFileError

T = np.linspace(-5.0, 5.0, 30)
SUFFIXES = [".npz", ".nc", ".zarr"]


def peak(x, height, centre, width, floor):
    return height * np.exp(-0.5 * ((x - centre) / width) ** 2) + floor


def need(suffix):
    if suffix != ".npz":
        pytest.importorskip("xarray")
        pytest.importorskip({".nc": "h5netcdf", ".zarr": "zarr"}[suffix])


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(5)
    data = peak(T[:, None, None], 10.0, np.array([[-1.0, 0.0, 1.0], [0.5, -0.5, 0.2]]), 1.2, 3.0) + rng.normal(0.0, 0.3, (len(T), 2, 3))
    data[3, 0, 0] = np.nan
    model = sf.SurfaceModel(peak, independent_vars=["x"])
    params = model.make_params(height=5.0, centre={"value": 0.1, "max": 0.7}, width=1.0, floor={"value": 3.0, "vary": False})
    params.add("fwhm", expr="2.3548200450309493*width")
    return sf.fit_many(model, data, axis=0, params=params, sigma=0.3, x=T, covar=True, workers=1)


@pytest.fixture(scope="module")
def dressed(batch):
    xr = pytest.importorskip("xarray")
    coords = {"y": ("y", [0.5, 1.5], {"units": "arcsec"}), "x": [3, 4, 5], "band": ("x", ["g", "r", "i"])}
    template = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"), coords=coords, attrs={"telescope": "T1", "cards": [1, 2]})
    engine = type("Engine", (), {"name": "loop", "reason": "because"})
    return BatchResult(batch.task, batch.maps, (2, 3), lambda a: template.copy(data=a), engine, True, axes=(0,), elapsed=1.5)


def check_same(loaded, batch):
    for table in ("to_frame", "tidy", "glance"):
        pd.testing.assert_frame_equal(getattr(loaded, table)(), getattr(batch, table)(), check_index_type=False, check_column_type=False)
    np.testing.assert_array_equal(loaded.covar, batch.covar)
    assert loaded.shape == batch.shape
    assert (loaded.engine, loaded.engine_reason, loaded.complete) == (batch.engine, batch.engine_reason, batch.complete)
    assert loaded.elapsed == batch.elapsed
    assert loaded.summary() == batch.summary().replace(batch.model.name, loaded.model.name)
    assert dict(loaded.task.params) == dict(batch.task.params) or list(loaded.task.params) == list(batch.task.params)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_comes_back(batch, tmp_path, suffix):
    need(suffix)
    path = tmp_path / f"fits{suffix}"
    batch.save(path)
    loaded = sf.load(path)
    check_same(loaded, batch)
    assert type(loaded.values["width"]) is np.ndarray
    x = np.array([0.0, 0.5])
    np.testing.assert_array_equal(loaded.predict(x=x), batch.predict(x=x))
    np.testing.assert_array_equal(loaded.predict(level=0.9, x=x)["upper"], batch.predict(level=0.9, x=x)["upper"])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_come_back(dressed, tmp_path, suffix):
    need(suffix)
    path = tmp_path / f"fits{suffix}"
    dressed.save(path)
    loaded = sf.load(path)
    check_same(loaded, dressed)
    import xarray as xr

    xr.testing.assert_identical(loaded.values["width"].drop_attrs(), dressed.values["width"].drop_attrs())
    assert loaded.values["width"].attrs["telescope"] == "T1"
    assert loaded.values["width"].coords["y"].attrs["units"] == "arcsec"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_needs_the_data_says_so(batch, tmp_path, suffix):
    need(suffix)
    path = tmp_path / f"fits{suffix}"
    batch.save(path)
    loaded = sf.load(path)
    for ask in (lambda: loaded.to_lmfit((1, 1)), lambda: loaded.best_fit, loaded.residual, loaded.augment, loaded.predict):
        with pytest.raises(DataError, match="keeps the answers and not the data"):
            ask()
    # saved again it is the same file
    again = tmp_path / f"again{suffix}"
    loaded.save(again)
    check_same(sf.load(again), batch)


def test_a_model_that_can_not_travel(tmp_path):
    def counted(x, a, b):
        return a * np.array([float(v) for v in x]) + b

    model = sf.SurfaceModel(counted, independent_vars=["x"])
    batch = sf.fit_many(model, np.arange(12.0).reshape(2, 6), axis=1, params=model.make_params(a=1.0, b=1.0), x=np.arange(6.0), workers=1)
    batch.save(tmp_path / "fits.npz")
    loaded = sf.load(tmp_path / "fits.npz")
    np.testing.assert_array_equal(loaded.values["a"], batch.values["a"])
    with pytest.raises(DocumentError, match=r"holds no model.*model="):
        loaded.predict(x=np.arange(3.0))
    loaded = sf.load(tmp_path / "fits.npz", model=model)
    np.testing.assert_array_equal(loaded.predict(x=np.arange(3.0)), batch.predict(x=np.arange(3.0)))
    with pytest.raises(DocumentError, match="has the parameter 'slope', which the batch's file has not"):
        sf.load(tmp_path / "fits.npz", model=sf.get_model("linear"))


def test_fixed_values_that_differ(tmp_path, batch):
    from dataclasses import replace

    floor = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    task = replace(batch.task, value={**batch.task.value, "floor": floor})
    other = BatchResult(task, batch.maps, (2, 3), lambda a: a, type("E", (), {"name": "loop", "reason": ""}), False, axes=(0,))
    for suffix in SUFFIXES:
        need(suffix)
        other.save(tmp_path / f"fits{suffix}")
        loaded = sf.load(tmp_path / f"fits{suffix}")
        np.testing.assert_array_equal(loaded.values["floor"], floor.reshape(2, 3))
        assert not loaded.complete


def test_the_same_batch_gives_the_same_bytes(batch, tmp_path):
    for name in ("one.npz", "two.npz"):
        batch.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as plain:  # other programs read it, too
        np.testing.assert_array_equal(plain["chisqr"], batch.chisqr)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_coordinates_that_are_objects(batch, tmp_path, suffix):
    need(suffix)
    xr = pytest.importorskip("xarray")
    template = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"), coords={"kind": ("x", np.array([1, "b", None], dtype=object))})
    engine = type("Engine", (), {"name": "loop", "reason": ""})
    other = BatchResult(batch.task, batch.maps, (2, 3), lambda a: template.copy(data=a), engine, True, axes=(0,))
    with pytest.raises(DocumentError, match="the coordinate 'kind' holds int, which a file can't keep"):
        other.save(tmp_path / f"fits{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_data_sets_and_exceptions(tmp_path, suffix):
    need(suffix)

    def fussy(x, a):
        if float(a) > 2.9:
            raise RuntimeError("too \x1b[31m much")
        return a * x

    x = np.arange(1.0, 5.0)
    model = sf.SurfaceModel(fussy, independent_vars=["x"])
    with pytest.warns(sf.exceptions.SurffitWarning, match="CHUNK_FAILED"):
        batch = sf.fit_many(model, np.array([[1.0], [2.0], [3.0]]) * x, axis=1, params={"a": 1.0}, x=x, engine="loop", workers=1)
    batch.save(tmp_path / f"fits{suffix}")
    loaded = sf.load(tmp_path / f"fits{suffix}")
    assert len(loaded.errors) == len(batch.errors) > 0
    assert "\x1b" not in loaded.errors[0]
    assert "RuntimeError: too" in loaded.summary()
    none = sf.fit_many("linear", np.zeros((4, 0, 3)), axis=0, x=x, covar=True, workers=1)
    none.save(tmp_path / f"none{suffix}")
    assert sf.load(tmp_path / f"none{suffix}").shape == (0, 3)


def test_refused_paths(batch, tmp_path):
    with pytest.raises(DocumentError, match=r"give a path that ends in .npz, .nc, .zarr"):
        batch.save(tmp_path / "fits.json")
    with pytest.raises(FileNotFoundError):
        sf.load(tmp_path / "none.npz")
    need(".zarr")
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "precious").write_text("data")
    with pytest.raises(DocumentError, match="exists and is no batch of surffit"):
        batch.save(tmp_path / "mine.zarr")
    assert (tmp_path / "mine.zarr" / "precious").exists()
    with pytest.raises(DocumentError, match="no zarr store as surffit writes it"):
        sf.load(tmp_path / "mine.zarr")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_save_that_fails_leaves_the_old_file(batch, tmp_path, suffix, monkeypatch):
    need(suffix)
    path = tmp_path / f"fits{suffix}"
    batch.save(path)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        batch.save(path)
    monkeypatch.undo()
    check_same(sf.load(path), batch)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


# ---- files that nobody should trust


def rewritten(path, change):
    """The archive with its members as a dict, changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)


def document(change):
    def apply(members):
        content = json.loads(members["document.json"])
        change(content)
        members["document.json"] = json.dumps(content).encode()

    return apply


def npy(array, **kwargs):
    out = io.BytesIO()
    np.save(out, array, **kwargs)
    return out.getvalue()


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


HOSTILE = {
    "a pickle": lambda m: m.update({"values.npy": npy(np.array([Bomb()], dtype=object), allow_pickle=True)}),
    "another shape": lambda m: m.update({"values.npy": npy(np.zeros((3, 2, 2)))}),
    "another type": lambda m: m.update({"status.npy": npy(np.zeros((2, 3)))}),
    "one too many": lambda m: m.update({"more.npy": npy(np.zeros(2))}),
    "one is missing": lambda m: m.pop("chisqr.npy"),
    "no document": lambda m: m.pop("document.json"),
    "a huge shape": document(lambda d: d["arrays"].update(values=["<f8", [2**40, 2, 3]])),
    "an object type": document(lambda d: d["arrays"].update(values=["|O", [3, 2, 3]])),
    "a negative shape": document(lambda d: d.update(shape=[-1, 3])),
    "another key": document(lambda d: d.update(code="print()")),
    "a hostile constraint": document(lambda d: d["params"]["fwhm"].update(expr="__import__('os').system('true')")),
    "a hostile name": document(lambda d: d["coordinates"].append("__import__")),
    "names that are none": document(lambda d: d.update(free=["height", "width", "nobody"])),
    "an unknown model": document(lambda d: d.update(model={"kind": "pickle"})),
    "options": document(lambda d: d.update(options={"f": {"a": {"b": {"c": {"d": 1}}}}})),
    "axes beyond the data": document(lambda d: d.update(axes=[17])),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives(batch, tmp_path, what):
    path = tmp_path / "fits.npz"
    batch.save(path)
    rewritten(path, lambda members: None)
    check_same(sf.load(path), batch)  # it isn't the rewriting that is refused
    rewritten(path, HOSTILE[what])
    with pytest.raises(UnsafeFileError):
        sf.load(path)


def test_archives_that_are_not_ours(batch, tmp_path):
    path = tmp_path / "fits.npz"
    np.savez_compressed(path, a=np.zeros(1000))
    with pytest.raises(UnsafeFileError, match="stored, without compression"):
        sf.load(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(UnsafeFileError, match=r"document.json is missing"):
        sf.load(path)
    batch.save(path)
    with pytest.raises(UnsafeFileError, match="larger than 160 bytes"):
        sf.load(path, max_bytes=10)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnsafeFileError):
        sf.load(path)
    rest = zipfile.ZipFile(path, "w")
    rest.close()
    with pytest.raises(DocumentError):
        sf.load(path)


def test_a_zarr_store_that_would_run_code(batch, tmp_path):
    need(".zarr")
    path = tmp_path / "fits.zarr"
    batch.save(path)
    meta = path / "width" / ".zarray"
    content = json.loads(meta.read_text())
    for change in (
        {"filters": [{"id": "pickle"}], "dtype": "|O"},
        {"compressor": {"id": "pickle"}},
        {"dtype": "|O"},
        {"filters": [{"id": "vlen-utf8"}]},
    ):
        meta.write_text(json.dumps({**content, **change}))
        (path / "width" / "0.0").write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(UnsafeFileError, match="surffit writes numbers and texts without filters"):
            sf.load(path)
    meta.write_text(json.dumps(content))
    (path / "width" / "0.0").unlink()
    (path / "width" / "0.0").symlink_to("/etc/hostname")
    with pytest.raises(UnsafeFileError, match="holds the link"):
        sf.load(path)


def test_a_netcdf_file_that_points_elsewhere(batch, tmp_path):
    need(".nc")
    import h5py

    path = tmp_path / "fits.nc"
    batch.save(path)
    with h5py.File(path, "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(UnsafeFileError, match="no data of its own"):
        sf.load(path)
    path.write_bytes(b"CDF\x01 an old kind")
    with pytest.raises(DocumentError, match="no netCDF file as surffit writes it"):
        sf.load(path)


def test_a_document_alone_is_no_batch(batch):
    from surffit.io import read_batch
    from surffit.io.batches import batch_document

    with pytest.raises(DocumentError, match="stands with its maps in one file"):
        read_batch(batch_document(batch, {}, {}))
