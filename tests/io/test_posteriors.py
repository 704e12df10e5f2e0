"""Saved posteriors: two files that belong together."""

import json
import zipfile

import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.core.posterior import Evidence, Posterior
from surffit.exceptions import DocumentError

X = np.linspace(0, 3, 30)


@pytest.fixture(scope="module")
def posterior():
    """A chain of a real fit, short, with a derived parameter."""
    model = sf.SurfaceModel.from_expression("a*exp(-b*x) + c", ["x"])
    params = model.make_params(b=1.0)
    params.add("half", expr="log(2.0)/b")
    result = model.fit(2 * np.exp(-X) + 1 + 0.01 * np.sin(50 * X), params, x=X)
    return result.sample(steps=150, rng=3)


def made(value=0.0, steps=20, walkers=4, **more):
    rng = np.random.default_rng(1)
    chain = value + rng.normal(size=(steps, walkers, 2))
    facts = dict(acceptance=0.5, tau=[1.0, 2.0], converged=False, burn=2, thin=3, seed=11)
    return Posterior(("p", "q"), chain, rng.normal(size=(steps, walkers)), **{**facts, **more})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_everything_comes_back_bit_for_bit(posterior, tmp_path):
    posterior.save(tmp_path / "p.json")
    loaded = sf.load(tmp_path / "p.json")
    assert isinstance(loaded, Posterior)
    assert np.array_equal(loaded.chain, posterior.chain)
    assert np.array_equal(loaded.log_prob, posterior.log_prob)
    assert np.array_equal(loaded.tau, posterior.tau, equal_nan=True)
    for name in ("names", "derived", "marginalised", "acceptance", "converged", "burn", "thin", "seed", "notes", "steps", "walkers"):
        assert getattr(loaded, name) == getattr(posterior, name), name
    assert "half" in loaded.derived
    assert loaded.summary().equals(posterior.summary())
    assert loaded.to_frame().equals(posterior.to_frame())
    assert repr(loaded) == repr(posterior)


def test_pictures_of_a_loaded_posterior(posterior, tmp_path):
    pytest.importorskip("corner")
    posterior.save(tmp_path / "p.json")
    assert sf.load(tmp_path / "p.json").corner(names=["a", "b"]) is not None


def test_what_needs_the_fit_says_so(posterior, tmp_path):
    posterior.save(tmp_path / "p.json")
    loaded = sf.load(tmp_path / "p.json")
    with pytest.raises(DocumentError, match=r"needs the model and the data.*result\.sample\(\) again"):
        loaded.more(10)
    with pytest.raises(DocumentError, match="needs the model and the data"):
        _ = loaded.evidence


def test_an_evidence_that_was_computed_comes_along(tmp_path):
    one = made()
    one._evidence = Evidence(-12.5, 0.25)
    one.save(tmp_path / "p.json")
    assert sf.load(tmp_path / "p.json").evidence == Evidence(-12.5, 0.25)


def test_seeds_of_any_size(tmp_path):
    for seed in (0, 2**128 - 1):
        made(seed=seed).save(tmp_path / "p.json")
        assert sf.load(tmp_path / "p.json").seed == seed


def test_numbers_that_are_none_come_back(tmp_path):
    one = made(tau=[np.nan, np.inf], acceptance=np.nan)
    one.chain[0, 0] = [np.nan, -np.inf]
    one.save(tmp_path / "p.json")
    loaded = sf.load(tmp_path / "p.json")
    assert np.array_equal(loaded.tau, one.tau, equal_nan=True)
    assert np.array_equal(loaded.chain, one.chain, equal_nan=True)


def test_numpy_reads_the_chain_too(tmp_path):
    one = made()
    one.save(tmp_path / "p.json")
    (path,) = tmp_path.glob("*.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert np.array_equal(arrays["chain"], one.chain)
        assert np.array_equal(arrays["log_prob"], one.log_prob)


def test_the_same_posterior_makes_the_same_files(tmp_path):
    made().save(tmp_path / "p.json")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    made().save(tmp_path / "p.json")
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    sf.load(tmp_path / "p.json").save(tmp_path / "p.json")
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_a_new_pair_replaces_the_old_one(tmp_path):
    made(0.0).save(tmp_path / "p.json")
    made(0.0).save(tmp_path / "other.json")
    (tmp_path / "p.0123456789abcdef.npz").write_bytes(b"somebody else's")
    first = set(names(tmp_path))
    made(5.0).save(tmp_path / "p.json")
    assert len(names(tmp_path)) == 5
    assert len(first - set(names(tmp_path))) == 1  # the old chain of p.json
    assert sf.load(tmp_path / "p.json").chain.mean() > 4
    assert abs(sf.load(tmp_path / "other.json").chain.mean()) < 1


def test_a_document_of_another_kind_takes_no_chain_along(tmp_path):
    """Replacing something else by a posterior removes nothing but the document."""
    sf.get_model("linear").save(tmp_path / "p.json")
    made().save(tmp_path / "p.json")
    assert len(names(tmp_path)) == 2
    (tmp_path / "p.json").write_text("damaged")
    made(1.0).save(tmp_path / "p.json")
    assert len(names(tmp_path)) == 3  # whose chain the old one was is not known any more


def test_a_missing_chain_is_named(tmp_path):
    made().save(tmp_path / "p.json")
    (path,) = tmp_path.glob("*.npz")
    path.rename(tmp_path / "elsewhere.npz")
    with pytest.raises(DocumentError, match=f"the chain of 'p.json' is missing: it stands in '{path.name}'"):
        sf.load(tmp_path / "p.json")


def test_another_chain_is_refused(tmp_path):
    made(0.0).save(tmp_path / "p.json")
    made(1.0).save(tmp_path / "q.json")
    one, two = (next(tmp_path.glob(f"{name}.*.npz")) for name in "pq")
    one.write_bytes(two.read_bytes())
    with pytest.raises(DocumentError, match=r"is not the chain that was saved with 'p\.json'"):
        sf.load(tmp_path / "p.json")


def test_renamed_documents_ask_for_their_chain(tmp_path):
    made().save(tmp_path / "p.json")
    (tmp_path / "p.json").rename(tmp_path / "q.json")
    with pytest.raises(DocumentError, match=r"stands in 'q\.[0-9a-f]{16}\.npz', which must be in the same folder"):
        sf.load(tmp_path / "q.json")


def test_links_lead_to_the_pair(tmp_path):
    (tmp_path / "folder").mkdir()
    made(0.0).save(tmp_path / "folder" / "p.json")
    (tmp_path / "link.json").symlink_to("folder/p.json")
    assert sf.load(tmp_path / "link.json").steps == 20
    made(1.0).save(tmp_path / "link.json")
    assert names(tmp_path) == ["folder", "link.json"]
    assert len(names(tmp_path / "folder")) == 2


def test_names_without_the_ending(tmp_path):
    made().save(tmp_path / "chain")
    assert sf.load(str(tmp_path / "chain")).walkers == 4


def test_a_posterior_takes_no_model_and_no_text_alone(tmp_path):
    made().save(tmp_path / "p.json")
    with pytest.raises(DocumentError, match="model= is for saved fits"):
        sf.load(tmp_path / "p.json", model=sf.get_model("linear"))
    with pytest.raises(DocumentError, match="beside its document"):
        io.posteriors.read_posterior(json.loads((tmp_path / "p.json").read_text()))


def test_nothing_in_the_archive_is_packed(tmp_path):
    """Stored as they are, the arrays can't unfold into more than the file."""
    made().save(tmp_path / "p.json")
    with zipfile.ZipFile(next(tmp_path.glob("*.npz"))) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_limit_counts_for_the_chain(tmp_path):
    made(steps=2000).save(tmp_path / "p.json")
    size = (tmp_path / "p.json").stat().st_size
    with pytest.raises(DocumentError, match=f"larger than {16 * size} bytes"):
        sf.load(tmp_path / "p.json", max_bytes=size)
    assert sf.load(tmp_path / "p.json", max_bytes=200_000).steps == 2000
