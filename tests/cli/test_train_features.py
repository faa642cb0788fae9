"""relumen train features as a user meets it; the training itself is tested in tests/training."""

import pytest

from relumen.training import start


def test_help_has_an_example(relumen):
    code, said = relumen("train", "features", "--help")
    assert code == 0 and "Example: relumen train features" in said


def test_a_run_is_prepared_and_what_comes_next_is_said(relumen, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(start, "go", lambda run, **_: trained.append(run))
    code, said = relumen("train", "features", "-o", tmp_path / "run", "--set", "steps=7")
    assert code == 0 and f"features_weights={tmp_path / 'run'}" in said.replace("\n", "")
    assert trained[0].config()["steps"] == 7
    code, _ = relumen("train", "features", "--resume", tmp_path / "run")
    assert code == 0 and trained[1].path == trained[0].path


def test_a_run_is_not_resumed_with_other_options_or_as_another_system(relumen, tmp_path, monkeypatch):
    monkeypatch.setattr(start, "go", lambda run, **_: pytest.fail("it trains"))
    run = tmp_path / "run"
    start.prepare(run, system="features", preset="microscopy")
    code, said = relumen("train", "features", "--resume", run, "--set", "steps=7", "--preset", "microscopy")
    assert code == 2 and "leave out --preset, --set." in said
    code, said = relumen("train", "cgan", "--share", 0.5, "--resume", run)
    assert code == 2 and "leave out --share." in said
    code, said = relumen("train", "cascade", "--resume", run)
    assert code == 2 and f"relumen train features --resume {run}" in said


def test_an_interrupted_training_says_how_to_go_on(relumen, tmp_path, monkeypatch):
    def interrupted(run, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "go", interrupted)
    code, said = relumen("train", "features", "-o", tmp_path / "run")
    assert code == 130 and f"relumen train features --resume {tmp_path / 'run'}" in said
    assert said.endswith("Interrupted.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--set", "steps=none"], "steps: Input should be a valid integer"),
        (["--set", "photons=[30, 10]"], "the smaller first"),
        (["--set", "procedural_size=64", "--set", "patch=96"], "does not fit"),
        (["--preset", "huge"], "microscopy"),
    ],
)
def test_faults_are_told(relumen, tmp_path, changes, words):
    code, said = relumen("train", "features", "-o", tmp_path / "run", *changes)
    assert code == 2 and words in said
    assert not (tmp_path / "run").exists()
