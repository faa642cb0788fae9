"""A training that is killed again and again, and what is in its run folder every time."""

from __future__ import annotations

import csv
import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import corpus
from killing import Found, Moment, run

CHECK_EVERY = 4
STEPS_A_KILL = 8  # so that a training is not done before it was killed often enough
CHECKS_A_LIFE = 3  # checkpoints that a life may come to by the clock


def kill_trainings(work: Path, kept: Path, count: int, seed: int) -> Found:
    """Trains once without a break and once with many, and compares.

    Args:
        work: an empty folder.
        kept: of the corpus.
        count: of kills.
        seed: of their moments.
    """
    found, draw = Found("train"), random.Random(f"{seed} train")
    steps = max(8, count * STEPS_A_KILL) // 8 * 8
    begin = ["train", "esrgan", "--data", str(corpus.images(kept)), "--degrade"]
    changed = (*corpus.TRAINING, f"phase_1.steps={steps // 2}", f"phase_2.steps={steps // 2}")
    begin += [word for each in (*changed, f"check_every={CHECK_EVERY}") for word in ("--set", each)]
    straight = work / "straight"
    networks, life_s = _straight([*begin, "-o", str(straight)], straight, work)
    changes = sorted(set((work / "changes").read_text().splitlines()))
    folder = work / "killed"
    over = False
    while not over:
        begun = (folder / "config.yaml").exists()
        command = ["train", "esrgan", "--resume", str(folder)] if begun else [*begin, "-o", str(folder)]
        over = found.kills == count  # the last life is left to its end
        ended = run(command, folder, work, Moment() if over else Moment.drawn(draw, changes, life_s))
        found.note(ended)
        if ended.code not in (0, -signal.SIGKILL):
            break
        _check(found, folder, straight, networks)
        if ended.code == 0:
            _compare(found, folder, straight)
            folder = work / f"killed-{found.kills}"
    return found.done()


def _straight(command: list[str], folder: Path, work: Path) -> tuple[dict[str, int], float]:
    """Trains without a break.

    Returns:
        The network of each checkpoint, as a digest, with its step; and the seconds until a few of them were made.
    """
    words = [sys.executable, str(Path(__file__).with_name("killed.py")), str(folder), "-", "0", *command]
    (work / "changes").unlink(missing_ok=True)
    networks: dict[str, int] = {}
    began, life_s = time.monotonic(), 0.0
    with subprocess.Popen(words, cwd=work, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step "):
                process.send_signal(signal.SIGSTOP)  # or the next checkpoint comes before this one is read
                if len(networks) < CHECKS_A_LIFE:
                    life_s = time.monotonic() - began
                networks[_digest(folder / "model.keras")] = int(line.split()[1].rstrip(":"))
                process.send_signal(signal.SIGCONT)
    if process.returncode:
        raise RuntimeError("The training without a break failed.")
    return networks, life_s


def _digest(file: Path) -> str:
    import keras

    answer = hashlib.sha256()
    network: Any = keras.models.load_model(file)
    for weight in network.get_weights():
        answer.update(weight.tobytes())
    return answer.hexdigest()


def _check(found: Found, folder: Path, straight: Path, networks: dict[str, int]) -> None:
    """Looks at a run folder as it was left."""
    import imageio.v3 as iio
    import tensorflow as tf

    from relumen.errors import UserError
    from relumen.images import read_image
    from relumen.run import RunFolder

    if not folder.exists():
        return
    leftovers = [path for path in folder.rglob("*") if ".partial" in path.name]
    found.checks["files of a write that was cut short, and stayed hidden"] += len(leftovers)
    if not (folder / "config.yaml").exists():
        return  # nothing was begun; the command begins anew
    opened = RunFolder.open(folder)
    found.check("config.yaml is whole", opened.config().get("system") == "esrgan", str(folder))
    for name in ("history.csv", "validation.csv"):
        _check_table(found, folder / name, straight / name)
    for picture in sorted(opened.pictures.glob("step-*.png")):
        try:
            found.check("pictures are whole", iio.imread(picture).size, picture.name)
        except Exception as error:  # of any decoder
            found.check("pictures are whole", False, f"{picture.name}: {error}")
    if opened.sample_file.exists():
        found.check("the sample is whole", read_image(opened.sample_file).pixels.size, "sample.tif")
    for milestone in folder.glob("model-*.keras"):
        found.check("milestones are whole", _digest(milestone), milestone.name)
    if (last := tf.train.latest_checkpoint(str(opened.checkpoints))) is not None:
        reader = tf.train.load_checkpoint(last)
        sizes = [reader.get_tensor(name).size for name in reader.get_variable_to_shape_map() if "OBJECT" not in name]
        found.check("the last checkpoint is whole", sizes, last)
    if not opened.model_file.exists():
        return
    try:
        digest = _digest(opened.model_file)
    except Exception as error:  # of Keras's reader
        found.check("model.keras is that of a checkpoint of the training without a break", False, str(error))
        return
    found.check(
        "model.keras is that of a checkpoint of the training without a break", digest in networks, "another network"
    )
    try:
        about = opened.about()
    except UserError as error:
        found.check(
            "about.json is whole, and of model.keras or of the checkpoint before",
            not opened.about_file.exists(),
            str(error),
        )
        return
    step = networks.get(digest, 0)
    found.checks["of these, times that about.json was still that of the checkpoint before"] += about.steps < step
    found.check(
        "about.json is whole, and of model.keras or of the checkpoint before",
        about.steps in (step, step - CHECK_EVERY),
        f"says step {about.steps}, the network is that of step {step}",
    )


def _check_table(found: Found, file: Path, straight: Path) -> None:
    """Whether a table's rows are those of the training without a break, each once, none cut short."""
    if not file.exists():
        return
    rows, expected = ([*csv.DictReader(path.open(newline=""))] for path in (file, straight))
    lines = [{name: value for name, value in row.items() if value} for row in rows]
    wanted = [{name: value for name, value in row.items() if value} for row in expected[: len(rows)]]
    found.check(f"{file.name} has each row once, and none cut short", lines == wanted, f"{lines[-1:]} {wanted[-1:]}")


def _compare(found: Found, folder: Path, straight: Path) -> None:
    """Whether a training that was killed often became what it would have become."""
    same = _digest(folder / "model.keras") == _digest(straight / "model.keras")
    found.check("the finished network is that of the training without a break, to the bit", same, "it differs")
    for name in ("history.csv", "validation.csv"):
        equal = (folder / name).read_bytes() == (straight / name).read_bytes()
        found.check(f"the finished {name} is that of the training without a break", equal, "it differs")
    files = [
        {path.relative_to(each).as_posix() for path in each.rglob("*") if "tensorboard" not in path.parts}
        for each in (folder, straight)
    ]
    found.check("the finished run folder holds the same files", files[0] == files[1], str(files[0] ^ files[1]))
