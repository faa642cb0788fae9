"""relumen prior, train prior, train flow and evaluate prior as a user meets them."""

import pytest

from relumen.training import start

TINY_FLOW = ["blocks=2", "hidden=16", "samples=400", "epochs=2", "batch=64"]


def set_(changes):
    return [part for change in changes for part in ("--set", change)]


@pytest.mark.parametrize("command", [("prior", "import"), ("prior", "sample"), ("train", "prior"), ("train", "flow")])
def test_help_has_an_example(relumen, command):
    code, said = relumen(*command, "--help")
    assert code == 0 and f"Example: relumen {' '.join(command)}" in said


def test_a_flow_is_trained_and_judged(relumen, tiny_prior, tmp_path):
    code, said = relumen("train", "flow", tiny_prior, *set_(TINY_FLOW))
    assert code == 0 and f"relumen evaluate prior {tiny_prior}" in said
    assert len((tiny_prior / "flow-history.csv").read_text().splitlines()) == 3
    assert not (tiny_prior / "flow-training").exists()
    code, said = relumen("evaluate", "prior", tiny_prior, "-o", tmp_path / "judged", "--count", 200)
    assert code == 0 and "F(w)" in said and "PULSE" in said
    names = {"table.md", "table.csv", "figure-1.png", "figure-samples.png"}
    assert {path.name for path in (tmp_path / "judged").iterdir()} == names
    code, said = relumen("evaluate", "prior", tiny_prior, "-o", tmp_path / "judged")
    assert code == 2 and "--overwrite" in said
    code, said = relumen("train", "flow", tiny_prior, *set_(TINY_FLOW))
    assert code == 2 and "--overwrite" in said
    (tiny_prior / "flow.json").unlink()
    code, said = relumen("train", "flow", tiny_prior, *set_(TINY_FLOW))
    assert code == 2 and f"relumen train flow {tiny_prior} --overwrite" in said
    code, said = relumen("train", "flow", tiny_prior, "--overwrite", *set_(TINY_FLOW))
    assert code == 0 and "Trained:" in said


def test_what_comes_with_relumen_is_not_changed(relumen, tiny_prior, monkeypatch):
    monkeypatch.setattr("relumen.shipped.shipped_names", lambda: ["tiny-prior"])
    monkeypatch.setattr("relumen.shipped.shipped_path", lambda name: tiny_prior)
    code, said = relumen("train", "flow", "tiny-prior", *set_(TINY_FLOW))
    assert code == 2 and f"a copy of {tiny_prior}" in said
    assert not (tiny_prior / "flow.keras").exists()


def test_a_prior_without_a_flow_is_not_judged(relumen, tiny_prior, tmp_path):
    code, said = relumen("evaluate", "prior", tiny_prior, "-o", tmp_path / "judged")
    assert code == 2 and f"relumen train flow {tiny_prior}" in said


@pytest.mark.parametrize("name", ["samples.png", "samples.tif", "samples.npy"])
def test_samples_are_written(relumen, tiny_prior, tmp_path, name):
    code, said = relumen("prior", "sample", tiny_prior, "-n", 3, "-o", tmp_path / name)
    assert code == 0 and (tmp_path / name).is_file() and "synthesised" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sample", "nowhere"), "nowhere is no prior"),
        (("sample", "PRIOR", "-o", "samples.jpg"), ".png, .tif, .tiff, .npy"),
        (("sample", "PRIOR", "-o", "no/folder/samples.png"), "Make it first"),
        (("import", "nowhere.pkl"), "nowhere.pkl cannot be read"),
    ],
)
def test_faults_are_told(relumen, tiny_prior, arguments, told):
    code, said = relumen("prior", *(tiny_prior if each == "PRIOR" else each for each in arguments))
    assert code == 2 and told in said


def test_a_pickle_that_wants_to_run_something_is_refused(relumen, tmp_path):
    bait = tmp_path / "bait.pkl"
    bait.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "caught").encode() + b"'\ntR.")
    code, said = relumen("prior", "import", bait, "-o", tmp_path / "prior")
    assert code == 2 and "Nothing in it has been run" in said
    assert not (tmp_path / "caught").exists() and not (tmp_path / "prior").exists()


def test_a_run_is_prepared_with_what_it_begins_as(relumen, tiny_prior, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(start, "go", lambda run, **_: runs.append(run))
    few = [
        *("images={stains: cells, drawn: 8, unseen: 8}", "size=8", "images.binning=4", f"images.cache={tmp_path}"),
        "generator={base: 64, most: 8, z_dim: 6, w_dim: 6}",
    ]
    code, said = relumen("train", "prior", "--init", tiny_prior, "-o", tmp_path / "run", *set_(few))
    assert code == 0 and "relumen train flow" in said
    assert runs[0].config()["init"] == str(tiny_prior)


def test_bbbc021_takes_the_place_of_the_presets_images(relumen, tmp_path):
    code, said = relumen("train", "prior", "--data", tmp_path, "-o", tmp_path / "run")
    assert code == 2 and "BBBC021_v1_image.csv" in said
    assert not (tmp_path / "run").exists()
