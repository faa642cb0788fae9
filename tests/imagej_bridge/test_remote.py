"""Two replicas of Ray on this machine: what they find is what one process finds, also where one of them is killed."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from relumen.image_writing import write_image
from relumen.imagej_bridge.server.board import Board
from relumen.imagej_bridge.server.config import ServeConfig
from relumen.imagej_bridge.server.engine import Engine
from relumen.imagej_bridge.server.parameters import SearchParameters
from relumen.imagej_bridge.server.searching import SearchJob
from relumen.imagej_bridge.server.store import JobStore
from relumen.imagej_bridge.server.work import make_worker
from relumen.images import Image, read_image
from relumen.search.priors import Priors

from .test_work import FAST, waited

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")


@pytest.fixture(scope="module")
def low(cells):
    return Image(np.stack([cells[300:304, 300:304], cells[400:404, 400:404]]), "CYX")


def test_two_replicas_find_what_one_process_finds(tmp_path, searchable_prior, low):
    config = ServeConfig(folder=tmp_path / "server", replicas=2, priors=(searchable_prior,), warm=("tiny-prior",))
    store, board = JobStore(config.folder, queue=100, expire_s=1000), Board()
    work = make_worker(config, store, board)
    asked = [SearchParameters(**FAST | {"seed": seed, "iterations": 400}) for seed in range(4)]
    ids = [store.add("search", each.model_dump(), "", lambda path: write_image(path, low)).id for each in asked]
    work.start()
    try:
        waited(lambda: any(board.read(id)[0].iteration for id in ids))
        os.kill(_pid_of_a_replica(), signal.SIGKILL)
        waited(lambda: all(store.get(id).state == "finished" for id in ids))
        assert work.describe()["device"] == "2 replicas of Ray" and work.describe()["lanes"] == 2
    finally:
        work.stop(60)
    priors = Priors([searchable_prior])
    engine = Engine(priors, 1)
    write_image(tmp_path / "low.tif", low)
    for id, parameters in zip(ids, asked, strict=True):
        (tmp_path / id).mkdir()
        job = SearchJob(id, parameters, tmp_path / "low.tif", tmp_path / id, priors)
        found = engine.advance(job.task, job.searches(0), None, 1e9).found
        assert found is not None
        job.keep(0, found)
        job.write_result(tmp_path / f"{id}.tif")
        expected = read_image(tmp_path / f"{id}.tif").pixels
        np.testing.assert_array_equal(read_image(store.result_path(id)).pixels, expected)
    store.close()


def _pid_of_a_replica() -> int:
    """Ray names its processes by what runs in them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if b"ServeReplica:relumen" in (process / "cmdline").read_bytes():
                return int(process.name)
    raise AssertionError("no replica runs")
