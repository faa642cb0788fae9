"""The loop: what a killed training leaves, and that going on from it gives the same losses."""

import csv
import errno
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen.errors import CheckFailedError, UserError
from relumen.images import read_image
from relumen.run import RunFolder
from relumen.training import loop, start
from relumen.training.config import parse_config
from relumen.training.esrgan import ESRGAN

TRAIN = """
import sys
from pathlib import Path
from relumen.run import RunFolder
from relumen.training import start
run = RunFolder(Path(sys.argv[1]))
start.go(run, command="relumen train", machine="test", say=lambda text: print(text, flush=True))
"""


def train(run):
    command = [sys.executable, "-c", TRAIN, str(run.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_a_killed_training_goes_on_to_the_same_losses_to_the_bit(tmp_path, data_folder, tiny):
    straight, killed = (
        start.prepare(tmp_path / name, preset="compact", data=data_folder, degrade=True, overrides=tiny)
        for name in ("straight", "killed")
    )
    process = train(straight)
    assert process.wait(300) == 0
    process = train(killed)
    for line in process.stdout:
        if line.startswith("step 5"):  # phase 1's last step is the 6th: the kill falls around the change of phase
            break
    deadline = time.monotonic() + 60
    while not rows(killed, after=5) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert not killed.about().finished
    assert [int(row["step"]) for row in rows(killed)][:5] == [1, 2, 3, 4, 5]
    process = train(killed)
    said = process.stdout.read()
    assert process.wait(300) == 0
    assert "Going on from step 5 of 10." in said
    assert killed.history_file.read_bytes() == straight.history_file.read_bytes()
    assert killed.validation_file.read_bytes() == straight.validation_file.read_bytes()
    assert [int(row["step"]) for row in rows(straight)] == list(range(1, 11))
    weights = [keras.models.load_model(run.model_file).get_weights() for run in (straight, killed)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    check_run_folder(straight)


def rows(run, after=0):
    if not run.history_file.exists():
        return []
    with run.history_file.open() as file:
        return [row for row in csv.DictReader(file) if int(row["step"]) > after]


def check_run_folder(run):
    about = run.about()
    assert (about.finished, about.steps, about.scale, about.channels) == (True, 10, 2, 1)
    assert [figures.condition for figures in about.figures] == ["600 photons", "110 photons", "20 photons"]
    assert all(figures.bicubic_psnr > 0 for figures in about.figures)
    assert {path.name for path in run.pictures.iterdir()} == {"step-0000005.png", "step-0000010.png"}
    assert any(os.scandir(run.tensorboard))
    assert read_image(run.sample_file).pixels.shape == (80, 80)
    first, last = rows(run)[0], rows(run)[-1]
    assert first["adversarial"] == "" and float(last["adversarial"]) > 0


def test_a_full_disk_is_told_and_the_run_goes_on_from_its_last_checkpoint(tmp_path, data_folder, tiny, monkeypatch):
    run = start.prepare(tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=tiny)
    save = loop.write_picture

    def full(path, picture):
        if "10" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, picture)

    monkeypatch.setattr(loop, "write_picture", full)
    said = []
    with pytest.raises(CheckFailedError, match="No space left on device.*train esrgan --resume"):
        start.go(run, command="", machine="", say=said.append)
    assert run.about().steps == 5
    monkeypatch.setattr(loop, "write_picture", save)
    start.go(run, command="", machine="", say=said.append)
    assert "Going on from step 5 of 10." in said
    assert run.about().finished


@pytest.mark.parametrize("part", ["train_step", "validate", "about"])
def test_exhausted_memory_names_what_can_be_made_smaller(part, tmp_path, data_folder, tiny, monkeypatch):
    def exhausted(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    monkeypatch.setattr(ESRGAN, part, exhausted)
    run = start.prepare(
        tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=[*tiny, "check_every=1"]
    )
    with pytest.raises(CheckFailedError, match="too little memory.*--set batch="):
        start.go(run, command="", machine="", say=lambda text: None)


def test_a_row_that_spans_two_phases_has_the_terms_of_both(tmp_path, data_folder, tiny):
    changes = [*tiny, "log_every=5", "phase_1.steps=3", "phase_2.steps=2"]
    run = start.prepare(tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=changes)
    start.go(run, command="", machine="", say=lambda text: None)
    (row,) = rows(run)
    assert all(float(row[name]) > 0 for name in ("pixel", "adversarial", "discriminator"))


ROWS = {
    "pixel only": ["phase_2=null"],
    "pixel + perceptual": ["phase_2.losses={pixel: 1, perceptual: 1}"],
    "pixel + texture": ["phase_2.losses={pixel: 1, texture: 1}"],
    "full, L2": ["phase_2.losses={pixel: 1, perceptual: 1, adversarial: 1, distance: l2}"],
}


@pytest.mark.parametrize("row", ROWS)
def test_each_ablation_is_an_override_and_has_just_its_terms(row, tmp_path, data_folder, tiny):
    changes = [*tiny, "features=microscopy", "phase_1.steps=2", "phase_2.steps=2", *ROWS[row]]
    run = start.prepare(tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=changes)
    start.go(run, command="", machine="", say=lambda text: None)
    phase = parse_config(run.config()).phase_2
    weights = phase.losses.model_dump(exclude={"distance"}) if phase else {"pixel": 1}
    terms = {name for name, weight in weights.items() if weight}
    assert {name for name, value in rows(run)[-1].items() if value} == {"step", *terms} | (
        {"discriminator"} if "adversarial" in terms else set()
    )


def test_the_pixel_only_network_is_kept(tmp_path, data_folder, tiny):
    run = start.prepare(tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=tiny)
    start.go(run, command="", machine="", say=lambda text: None)
    alone = start.prepare(
        tmp_path / "alone", preset="compact", data=data_folder, degrade=True, overrides=[*tiny, "phase_2=null"]
    )
    start.go(alone, command="", machine="", say=lambda text: None)
    weights = [
        keras.models.load_model(file).get_weights()
        for file in (run.milestone_file("pixel"), alone.model_file, run.model_file)
    ]
    assert all(np.array_equal(kept, only) for kept, only in zip(weights[0], weights[1], strict=True))
    assert not all(np.array_equal(kept, last) for kept, last in zip(weights[0], weights[2], strict=True))


def test_a_run_is_never_overwritten(tmp_path, data_folder, tiny):
    arguments = {"preset": "compact", "data": data_folder, "degrade": True, "overrides": tiny}
    run = start.prepare(tmp_path / "run", **arguments)
    before = run.config_file.read_text()
    with pytest.raises(UserError, match="--resume"):
        start.prepare(tmp_path / "run", **arguments)
    assert run.config_file.read_text() == before


def test_faulty_images_show_before_a_run_is_made(tmp_path, data_folder, tiny):
    (data_folder / "a.tif").write_bytes(b"II*\0 damaged")
    with pytest.raises(UserError, match=r"a\.tif"):
        start.prepare(tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=tiny)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_checkpoint_says_how_to_get_one(tmp_path, data_folder, tiny):
    run = start.prepare(tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=tiny)
    with pytest.raises(UserError, match="--resume"):
        RunFolder.open(run.path).about()


def test_a_checkpoint_that_is_damaged_or_of_another_network_is_told(tmp_path, data_folder, tiny):
    changes = [*tiny, "phase_1.steps=1", "phase_2=null", "check_every=1"]
    run = start.prepare(tmp_path / "run", preset="compact", data=data_folder, degrade=True, overrides=changes)
    start.go(run, command="", machine="", say=lambda text: None)
    config = run.config()
    run.write_config(config | {"generator": config["generator"] | {"width": 4}})
    with pytest.raises(UserError, match="does not hold what .*config.yaml tells of"):
        start.go(run, command="", machine="", say=lambda text: None)
    run.write_config(config)
    (data,) = run.checkpoints.glob("*.data-*")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(UserError, match="is damaged, or does not hold"):
        start.go(run, command="", machine="", say=lambda text: None)
