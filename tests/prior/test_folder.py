"""A prior's folder: what it holds, what is told of a folder that is none, and images of it."""

import errno
import os

import imageio.v3 as iio
import numpy as np
import pytest

from relumen import shipped
from relumen.errors import CheckFailedError, UserError
from relumen.images import read_image
from relumen.models.flow import MaskedAutoregressiveFlow
from relumen.models.stylegan2 import Generator
from relumen.prior.folder import AboutFlow, Prior, digest, write_imported
from relumen.prior.samples import samples, write_samples
from relumen.prior.variables import Imported
from relumen.storage import store_small


@pytest.fixture
def prior(tiny_prior):
    return Prior.open(tiny_prior)


def about_flow(prior, **changes):
    known = {
        "samples": 100,
        "fresh": False,
        "seed": 0,
        "generator": digest(prior.generator.mapping),
        "epochs": 1,
        "log_likelihood": -1.0,
        "command": "relumen train flow",
        "seconds": 1.0,
    }
    return AboutFlow(**{**known, **changes})


def flow():
    return MaskedAutoregressiveFlow(6, blocks=1, hidden=12, seed=0)


def test_an_imported_prior_says_where_it_comes_from(prior):
    about = prior.about
    assert (about.system, about.channels, about.stains, about.tile) == ("prior", 2, ("DNA", "NF-kB"), 8)
    assert "checkpoint.pkl" in about.data and "SHA-256" in about.data and about.machine == "not trained by relumen"


def test_codes_are_a_function_of_their_seed_and_as_many_as_asked(prior):
    z, w = prior.style_vectors(2500, seed=3)
    again, _ = prior.style_vectors(2500, seed=3)
    other, _ = prior.style_vectors(2500, seed=(3, 1))
    np.testing.assert_array_equal(z, again)
    assert not np.array_equal(z, other) and z.shape == w.shape == (2500, 6)
    assert abs(z.mean()) < 0.05 and abs(z.std() - 1) < 0.05
    np.testing.assert_allclose(w[1000:1002], prior.generator.mapping(z[1000:1002]), atol=1e-5)


def test_the_flow_is_kept_beside_the_generator(prior):
    made = flow()
    prior.write_flow(made, about_flow(prior))
    again = Prior.open(prior.path)
    w = prior.style_vectors(5, seed=0)[1]
    np.testing.assert_array_equal(again.flow.log_prob(w), made.log_prob(w))
    assert again.about_flow == about_flow(prior)


@pytest.mark.parametrize("at", [0, 1], ids=["before both files", "between them"])
def test_a_kill_leaves_no_flow_beside_what_is_told_of_another(prior, monkeypatch, at):
    prior.write_flow(flow(), about_flow(prior))
    replaced = []

    def killed(source, target, replace=os.replace):
        if len(replaced) == at:
            raise KeyboardInterrupt
        replaced.append(replace(source, target))

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        prior.write_flow(flow(), about_flow(prior, epochs=2))
    monkeypatch.undo()
    assert not prior.has_flow
    prior.write_flow(flow(), about_flow(prior, epochs=2))
    assert prior.has_flow and prior.about_flow.epochs == 2


def test_a_flow_of_other_weights_is_refused(prior):
    prior.write_flow(flow(), about_flow(prior, generator="0" * 64))
    with pytest.raises(UserError, match="flow of another generator.*relumen train flow"):
        _ = prior.flow


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "flow.keras").unlink(), "has no flow yet.*relumen train flow"),
        (lambda folder: (folder / "flow.keras").write_bytes(b"no zip"), "can't be read"),
        (lambda folder: (folder / "flow.json").write_text("{}"), "missing or damaged"),
        (lambda folder: (folder / "flow.json").unlink(), "missing or damaged"),
    ],
)
def test_a_flow_that_is_missing_or_damaged_is_told(prior, spoil, told):
    prior.write_flow(flow(), about_flow(prior))
    spoil(prior.path)
    with pytest.raises(UserError, match=told):
        _ = Prior.open(prior.path).flow


def test_a_prior_stored_small_is_the_same_to_its_flow(prior, tmp_path):
    """Half precision rounds the weights; the digest, by which a flow knows its generator, does not see it."""
    before = digest(prior.generator.mapping)
    store_small(prior.path / "model.keras", prior.path / "model.keras")
    small = Prior.open(prior.path).generator
    assert digest(small.mapping) == before
    z = prior.style_vectors(8, seed=1)[0]
    assert 0 < np.abs(small(z) - prior.generator(z)).max() < 0.02


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a network of another system"])
def test_what_is_no_prior_is_told(tmp_path, tiny_run, what):
    folder = {"nothing": tmp_path / "none", "an empty folder": tmp_path, "a network of another system": tiny_run}[what]
    with pytest.raises(UserError, match="is no prior.*relumen train"):
        Prior.open(folder)


def test_a_run_without_a_checkpoint_is_told_to_go_on(tmp_path):
    (tmp_path / "config.yaml").write_text("system: prior\n")
    with pytest.raises(UserError, match=f"not come to a checkpoint.*relumen train prior --resume {tmp_path}"):
        Prior.open(tmp_path)


def test_shipped_priors_are_named_where_there_are_any(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "shipped")
    with pytest.raises(UserError, match=r"folder of relumen prior import\.$"):
        Prior.open(tmp_path / "none")
    for name in ("esrgan-a", "prior-b", "prior-c"):
        (tmp_path / "shipped" / name).mkdir(parents=True)
        (tmp_path / "shipped" / name / "README.md").touch()
    with pytest.raises(UserError, match=r"folder of relumen prior import, or one of prior-b, prior-c\.$"):
        Prior.open(tmp_path / "none")


def test_a_generator_that_can_not_be_read_is_told(prior):
    (prior.path / "model.keras").write_bytes(b"no zip")
    with pytest.raises(UserError, match="can't be read"):
        _ = Prior.open(prior.path).generator


def test_images_are_functions_of_the_seed_and_labelled_as_synthesised(prior, tmp_path):
    np.testing.assert_allclose(samples(prior, 3, 7), samples(prior, 30, 7)[:3], rtol=0, atol=1e-5)
    write_samples(prior, tmp_path / "stack.tif", count=3, seed=7)
    stack = read_image(tmp_path / "stack.tif")
    assert (stack.axes, stack.pixels.shape, stack.pixels.dtype) == ("TCYX", (3, 2, 8, 8), np.uint8)
    assert "synthesised by tiny-prior" in stack.metadata["Info"]
    np.testing.assert_array_equal(stack.pixels[:, 1], np.rint(samples(prior, 3, 7)[..., 1] * 255))
    write_samples(prior, tmp_path / "picture.png", count=11, seed=7)
    assert iio.imread(tmp_path / "picture.png").shape == (16, 64, 3)


def test_truncation_makes_images_more_alike(prior):
    prior.generator.w_avg.assign(prior.style_vectors(500, 1)[1].mean(0))
    spreads = [samples(prior, 40, 0, truncation).std(0).mean() for truncation in (1.0, 0.3)]
    assert spreads[1] < 0.6 * spreads[0]


@pytest.mark.parametrize("file", ["model.keras", "about.json", "config.yaml"])
def test_a_prior_or_a_training_is_not_written_over(prior, tmp_path, file):
    imported = Imported("a layout", prior.generator.architecture, {})
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / file).write_text("kept")
    for folder in (prior.path, tmp_path / "there"):
        with pytest.raises(UserError, match="another folder with -o"):
            write_imported(imported, tmp_path / "checkpoint.pkl", folder, command="", stains=())
    assert [path.name for path in (tmp_path / "there").iterdir()] == [file]


@pytest.mark.parametrize("theirs", [True, False])
@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), CheckFailedError, "disk is full"),
        (OSError(f"write failed: {os.strerror(errno.ENOSPC)}"), CheckFailedError, "disk is full"),  # as HDF5 tells it
        (OSError(errno.EIO, "Input/output error"), UserError, "Input/output error.*-o"),
        (KeyboardInterrupt("stopped"), KeyboardInterrupt, "stopped"),
    ],
)
def test_an_import_that_fails_leaves_the_folder_as_it_was(prior, tmp_path, monkeypatch, theirs, fault, error, told):
    def save(_, path):
        path.write_bytes(b"half of it")
        raise fault

    monkeypatch.setattr(Generator, "save", save)
    folder = tmp_path / "made" / "here"
    if theirs:
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("theirs")
    weights = {each.path.removeprefix("generator/"): each.numpy() for each in prior.generator.weights}
    imported = Imported("a layout", prior.generator.architecture, weights)
    with pytest.raises(error, match=told):
        write_imported(imported, tmp_path / "checkpoint.pkl", folder, command="", stains=())
    assert folder.exists() == theirs
    assert not theirs or [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_an_import_beside_other_files_leaves_them(prior, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "notes.txt").write_text("theirs")
    weights = {each.path.removeprefix("generator/"): each.numpy() for each in prior.generator.weights}
    imported = Imported("a layout", prior.generator.architecture, weights)
    made = write_imported(imported, tmp_path / "checkpoint.pkl", tmp_path / "here", command="", stains=())
    assert {path.name for path in made.path.iterdir()} == {"notes.txt", "model.keras", "about.json"}


@pytest.mark.parametrize("place", ["file", "file/inside"])
def test_a_file_in_the_place_of_the_folder_is_told(prior, tmp_path, place):
    (tmp_path / "file").write_text("theirs")
    imported = Imported("a layout", prior.generator.architecture, {})
    with pytest.raises(UserError, match="can't be written to.*-o"):
        write_imported(imported, tmp_path / "checkpoint.pkl", tmp_path / place, command="", stains=())
    assert (tmp_path / "file").read_text() == "theirs"


def test_stains_are_as_many_as_channels(prior, tmp_path):
    imported = Imported("a layout", prior.generator.architecture, {})
    with pytest.raises(UserError, match="images of 2 channels"):
        write_imported(imported, tmp_path / "checkpoint.pkl", tmp_path / "other", command="", stains=("DNA",))
    assert not (tmp_path / "other").exists()
