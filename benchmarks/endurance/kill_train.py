"""A training that is killed again and again, and what is in its run folder every time."""

from __future__ import annotations

import csv
import hashlib
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corpus
from killing import Found, Moment, run

if TYPE_CHECKING:
    from relumen.run import RunFolder

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
    folder, progress = work / "killed", Progress()
    while True:
        begun = (folder / "config.yaml").exists()
        command = ["train", "esrgan", "--resume", str(folder)] if begun else [*begin, "-o", str(folder)]
        over = found.kills == count  # the last life is left to its end
        ended = run(command, folder, work, Moment() if over else Moment.drawn(draw, changes, life_s))
        found.note(ended)
        if ended.code not in (0, -signal.SIGKILL):
            break
        _check(found, folder, straight, networks, progress)
        if ended.code == 0:
            _compare(found, folder, straight)
            folder, progress = work / f"killed-{found.kills}", Progress()
        if over:
            break
    found.check("the last life comes to its end", ended.code == 0, ended.phase)
    return found.done()


@dataclass
class Progress:
    """The greatest steps that one run folder was seen at.

    Attributes:
        network: of model.keras.
        checkpoint: of what the training is resumed from.
    """

    network: int = 0
    checkpoint: int = 0


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


def _check(found: Found, folder: Path, straight: Path, networks: dict[str, int], progress: Progress) -> None:
    """Looks at a run folder as it was left."""
    import imageio.v3 as iio

    from relumen.images import read_image
    from relumen.run import RunFolder

    if not folder.exists():
        return
    leftovers = [path for path in folder.rglob("*") if ".partial" in path.name]
    found.checks["files of a write that was cut short, and stayed hidden"] += len(leftovers)
    if not (folder / "config.yaml").exists():
        return  # nothing was begun; the command begins anew
    opened = found.tried("a run folder that was begun can be opened", lambda: RunFolder.open(folder))
    if opened is None:
        return
    system = found.tried("config.yaml can be read", lambda: opened.config()["system"])
    found.check("config.yaml is whole", system == "esrgan", system)
    for name in ("history.csv", "validation.csv"):
        found.tried("tables can be read", lambda name=name: _check_table(found, folder / name, straight / name))
    for picture in sorted(opened.pictures.glob("step-*.png")):
        found.tried("pictures are whole", lambda picture=picture: iio.imread(picture))
    if opened.sample_file.exists():
        found.tried("the sample is whole", lambda: read_image(opened.sample_file).pixels[...])
    for milestone in folder.glob("model-*.keras"):
        found.tried("milestones are whole", lambda milestone=milestone: _digest(milestone))
    step = found.tried("the last checkpoint is whole", lambda: _step_of_checkpoint(opened.checkpoints)) or 0
    what = "the step of the last checkpoint is that of an earlier life, or a later one"
    found.check(what, step >= progress.checkpoint, f"fell from {progress.checkpoint} to {step}")
    progress.checkpoint = max(progress.checkpoint, step)
    _check_network(found, opened, networks, progress)


def _step_of_checkpoint(folder: Path) -> int:
    """Of the last checkpoint, all of whose values are read; 0: there is none."""
    import tensorflow as tf

    last = tf.train.latest_checkpoint(str(folder))
    if last is None:
        return 0
    reader = tf.train.load_checkpoint(last)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    return int(values["step/.ATTRIBUTES/VARIABLE_VALUE"])


def _check_network(found: Found, opened: RunFolder, networks: dict[str, int], progress: Progress) -> None:
    """Looks at model.keras and what is told of it."""
    step = 0
    if opened.model_file.exists():
        digest = found.tried("model.keras can be loaded", lambda: _digest(opened.model_file))
        what = "model.keras is that of a checkpoint of the training without a break"
        found.check(what, digest in networks, "another network")
        step = networks.get(digest or "", 0)
    what = "the step of model.keras is that of an earlier life, or a later one"
    found.check(what, step >= progress.network, f"fell from {progress.network} to {step}")
    progress.network = max(progress.network, step)
    if not opened.about_file.exists():
        return  # the first network was written, and it was not
    about = found.tried("about.json can be read", opened.about)
    if about is not None:
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
    digest = found.tried("the finished network can be loaded", lambda: _digest(folder / "model.keras"))
    same = digest == _digest(straight / "model.keras")
    found.check("the finished network is that of the training without a break, to the bit", same, "it differs")
    for name in ("history.csv", "validation.csv"):
        read = found.tried("the finished tables can be read", lambda name=name: (folder / name).read_bytes())
        equal = read == (straight / name).read_bytes()
        found.check(f"the finished {name} is that of the training without a break", equal, "it differs")
    files = [
        {path.relative_to(each).as_posix() for path in each.rglob("*") if "tensorboard" not in path.parts}
        for each in (folder, straight)
    ]
    found.check("the finished run folder holds the same files", files[0] == files[1], str(files[0] ^ files[1]))
