"""Two devices that share a batch train as one does; the devices are logical CPUs, in a process of their own."""

import csv
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from relumen.errors import UserError
from relumen.training import start
from relumen.training.replicas import Replicas

TWO_CPUS = """
import sys
from pathlib import Path
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""
TRAIN = """
from relumen.run import RunFolder
from relumen.training import start
start.go(RunFolder(Path(sys.argv[1])), command="", machine="", say=lambda text: None)
"""
RELATIVISTIC = """
from relumen.training.losses import relativistic_average
from relumen.training.replicas import Replicas
real, fake = [[3.0], [-1.0], [0.5], [2.0]], [[0.2], [4.0], [-2.0], [1.0]]
weight = tf.Variable(1.0)
def step(a, b):
    with tf.GradientTape() as tape:
        loss = relativistic_average(weight * a, weight * b)
    return {"loss": loss, "gradient": tape.gradient(loss, weight)}
for devices in (("CPU:0",), ("CPU:0", "CPU:1")):
    replicas = Replicas(devices)
    with replicas.scope():
        weight = tf.Variable(1.0)
    terms = replicas.step(step)(tf.constant(real), tf.constant(fake))
    print(replicas.count, float(terms["loss"]), float(terms["gradient"]))
"""


def train(run):
    """Trains a run on its devices: the first alone here, two in a process that has them."""
    if "CPU:1" in run.config()["devices"]:
        python(TRAIN, run.path)
    else:
        start.go(run, command="", machine="", say=lambda text: None)


def python(code, *arguments):
    command = [sys.executable, "-c", TWO_CPUS + code, *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def test_two_devices_train_as_one(tmp_path, data_folder, tiny):
    losses = []
    for devices in ("[CPU:0]", '["CPU:0", "CPU:1"]'):
        changes = [*tiny, "batch=4", "phase_1.steps=6", "phase_2.steps=3", f"devices={devices}"]
        run = start.prepare(
            tmp_path / f"run-{len(losses)}", preset="compact", data=data_folder, degrade=True, overrides=changes
        )
        train(run)
        with run.history_file.open() as file:
            losses.append([float(row["pixel"]) for row in csv.DictReader(file)])
        assert run.about().finished
    # Phase 1 is the same mathematics; in phase 2 batch normalisation sees each device's share.
    np.testing.assert_allclose(losses[1][:6], losses[0][:6], rtol=1e-5)
    np.testing.assert_allclose(losses[1][6:], losses[0][6:], rtol=0.05)


def test_a_prior_is_regularised_by_the_whole_batch_of_two_devices(tmp_path):
    """What two devices draw is their own; R1 and r_t are of the real images, which they share."""
    told = []
    for devices in ("[CPU:0]", '["CPU:0", "CPU:1"]'):
        changes = [
            f"images={{stains: cells, drawn: 8, unseen: 8, binning: 4, cache: {tmp_path}}}",
            *("size=8", "generator={base: 64, most: 8, z_dim: 8, w_dim: 8}", "kimg=0.008", "batch=4", "judged_on=8"),
            *("discriminator={base: 64, most: 8, group: 1}", "learning_rate=1e-12", "precision=float32"),
            *("log_every=1", "check_every=2", "ada.target=null", f"devices={devices}"),
        ]
        run = start.prepare(tmp_path / f"run-{len(told)}", system="prior", preset="cells", overrides=changes)
        train(run)
        with run.history_file.open() as file:
            told.append(list(csv.DictReader(file)))
        assert run.about().finished
    for name in ("R1", "sign of real"):
        assert float(told[1][0][name]) == pytest.approx(float(told[0][0][name]), rel=1e-4)
    assert float(told[1][1]["discriminator"]) != float(told[0][1]["discriminator"])


def test_two_workers_train_as_one(tmp_path, data_folder, tiny):
    ports = free_ports(2)
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    changes = [*tiny, "batch=4", "phase_1.steps=4", "phase_2=null"]
    runs = [
        start.prepare(tmp_path / name, preset="compact", data=data_folder, degrade=True, overrides=changes)
        for name in ("first", "second", "alone")
    ]
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", f"import sys\nfrom pathlib import Path\n{TRAIN}", str(run.path)],
            env={**os.environ, **({"TF_CONFIG": json.dumps(task)} if task else {})},
        )
        for run, task in zip(runs, [*tasks, None], strict=True)
    ]
    assert [worker.wait(300) for worker in workers] == [0, 0, 0]
    first, second, alone = (np.loadtxt(run.history_file, delimiter=",", skiprows=1) for run in runs)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, alone, rtol=1e-5)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_relativistic_means_are_over_the_whole_batch():
    one, two = (line.split() for line in python(RELATIVISTIC))
    assert (one[0], two[0]) == ("1", "2")
    assert float(two[1]) == pytest.approx(float(one[1]), rel=1e-6)
    assert float(two[2]) == pytest.approx(float(one[2]), rel=1e-6)


def test_a_device_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UserError, match=r"no device GPU:7. It has CPU:0"):
        Replicas(("CPU:0", "GPU:7"))


@pytest.mark.parametrize(
    ("batch", "limits", "told"),
    [
        (32, {}, "A batch of 32 can't be shared evenly by 3 devices"),
        (18, {"group": 4}, "evenly, in multiples of 4, by 3 devices"),
        (3, {"least": 2}, "A batch of 3"),
    ],
)
def test_a_batch_that_devices_can_not_share_is_refused(batch, limits, told, monkeypatch):
    monkeypatch.setattr(Replicas, "count", 3)
    with pytest.raises(UserError, match=told):
        Replicas().check_batch(batch, **limits)
    Replicas().check_batch(24, group=4, least=2)
    Replicas().check_batch(6, group=4)  # a share smaller than a group is one


def test_one_device_is_a_plain_step():
    step = Replicas().step(lambda x: {"sum": tf.reduce_sum(x)})
    assert float(step(tf.ones(3))["sum"]) == 3
