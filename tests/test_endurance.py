"""A small share of what benchmarks/endurance/ does for hours: hostile inputs, and a training that is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "endurance"


@pytest.fixture
def corpus(tmp_path, tiny_run, small_package, searchable_prior):
    """The small files that the scripts begin with, of which the tests have some already."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    made = {"run": tiny_run.parent, "images": tiny_run.parent / "images", "package": small_package.parent}
    for name, place in (made | {"prior": searchable_prior.parent}).items():
        (folder / name).symlink_to(place)
    return folder


def run(script, corpus, *options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, SCRIPTS / script, "--corpus", corpus, *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=corpus.parent)


def test_hostile_inputs_crash_nothing_and_run_nothing(corpus):
    answer = run("hostile.py", corpus, "--count", "100", "--seed", "2", "--workers", "1")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    assert ": 100 inputs in" in answer.stdout and "; 0 faults." in answer.stdout


def test_a_killed_training_ends_as_one_that_was_not(corpus):
    answer = run("kills.py", corpus, "--what", "train", "--count", "1")
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    assert "train: 1 kills, 0 faults" in answer.stdout
