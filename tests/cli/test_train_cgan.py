"""relumen train cgan as a user meets it: real pairs, and made ones."""

import pytest

from relumen.run import RunFolder

SMALL = (
    "generator={network: resnet, width: 2, blocks: 1, downsampling: 0, norm: none, dropout: 0, activation: linear}",
    "losses.content=0", "data.patch=16", "batch=1", "steps=2", "log_every=1", "check_every=2",
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], {"share": 0.5, "until": 0.5}),
        (["--until", "1"], {"share": 0.5, "until": 1}),
        (["--pairs", "0"], {"share": 1, "until": 1}),
        (["--share", "0.2", "--until", "0.8"], {"share": 0.2, "until": 0.8}),
    ],
)
def test_made_pairs_begin_a_training_with_real_ones(relumen, tmp_path, defects_folder, options, shown):
    changes = [part for change in SMALL for part in ("--set", change)]
    made = ["--synthetic", defects_folder / "noise", *options]  # any folder of pairs will do here
    data = ["--data", defects_folder / "noise", "-o", tmp_path / "run"]
    code, said = relumen("train", "cgan", *data, *made, *changes)
    assert code == 0, said
    synthetic = RunFolder.open(tmp_path / "run").config()["synthetic"]
    assert {name: synthetic[name] for name in shown} == shown
    assert synthetic["folder"] == str(defects_folder / "noise")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--until", "0.5"], "--share and --until are those of made pairs: name their folder with --synthetic"),
        (["--synthetic", "made", "--until", "0"], "synthetic.until"),
        (["--synthetic", "made", "--pairs", "0", "--until", "0.5"], "made ones must be shown to the end"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(relumen, tmp_path, defects_folder, options, words):
    code, said = relumen("train", "cgan", "--data", defects_folder, "-o", tmp_path / "run", *options)
    assert code == 2 and words in said
    assert not (tmp_path / "run").exists()
