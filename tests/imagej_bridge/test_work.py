"""The worker with a real search: what it makes is what a search makes, whatever happens on its way."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from relumen.configs import validated
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image
from relumen.imagej_bridge.server import packages, restoring, work
from relumen.imagej_bridge.server.board import Board
from relumen.imagej_bridge.server.checkpoints import Checkpoints
from relumen.imagej_bridge.server.config import ServeConfig
from relumen.imagej_bridge.server.engine import Engine
from relumen.imagej_bridge.server.errors import DiskFullError, NotFoundError, TooLargeError
from relumen.imagej_bridge.server.packages import Packages
from relumen.imagej_bridge.server.parameters import RestorationParameters, SearchParameters
from relumen.imagej_bridge.server.status import job_status
from relumen.imagej_bridge.server.store import JobStore
from relumen.imagej_bridge.server.work import Work
from relumen.images import Image, PixelSize, read_image
from relumen.search.loop import Searcher
from relumen.search.priors import Priors

DEADLINE_S = 120
FAST = {"prior": "tiny-prior", "factor": 2, "iterations": 12, "lambda_w": 5e-5, "lambda_c": 0.01, "intensity": "0:255"}


def parameters_of(kind, values):
    """A job's parameters of plain values; a UserError tells their faults."""
    return validated({"search": SearchParameters, "restoration": RestorationParameters}[kind], values)


def waited(condition):
    """Comes back once it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Watched(Engine):
    """An engine that says how many searches it had at once, does a few steps at a time, and can be stopped."""

    def __init__(self, priors, batch):
        super().__init__(priors, batch)
        self.sizes, self.on_moment, self.whole = [], lambda moment: None, False

    def advance(self, task, searches, state, seconds):
        self.sizes.append(len(searches))
        moment = super().advance(task, searches, state, seconds=60 if self.whole else 0)  # 0: one step
        self.on_moment(moment)
        return moment

    def close(self):
        """What is compiled serves the next worker too."""


class Bench:
    """A worker with its store, started and stopped again as often as a test likes."""

    def __init__(self, folder: Path, priors: Priors, engine: Watched, **config):
        self.config = ServeConfig(folder=folder, batch=engine.batch, **config)
        self.priors = priors
        self.engine = engine
        self.open()

    def open(self):
        self.board = Board()
        self.store = JobStore(self.config.folder, queue=100, expire_s=1000)
        archives = Packages(self.config.folder / "packages")
        self.work = Work(
            self.config, self.store, self.board, self.priors, archives, lambda: [self.engine], "the tests' machine"
        )

    def submit(self, image: Image, kind="search", **changes):
        parameters = parameters_of(kind, (FAST if kind == "search" else {}) | changes)
        path = self.config.folder / "a.tif"
        write_image(path, image)
        self.work.check(kind, parameters, path)
        job = self.store.add(kind, parameters.model_dump(), "a", lambda target: write_image(target, image))
        self.work.wake()
        return job.id

    def result(self, id: str) -> Image:
        waited(lambda: self.store.get(id).state not in ("waiting", "running"))
        assert self.store.get(id).state == "finished", self.store.get(id).reason
        return read_image(self.store.result_path(id))

    def close(self):
        self.work.stop(DEADLINE_S)
        self.store.close()


@pytest.fixture(scope="module")
def priors(searchable_prior):
    return Priors([searchable_prior])


@pytest.fixture(scope="module")
def engines(priors):
    """By their batch; what they have compiled is used again."""
    return {batch: Watched(priors, batch) for batch in (1, 2, 3)}


@pytest.fixture
def bench(tmp_path, priors, engines):
    benches = []

    def make(batch=1, **config):
        engine = engines[batch]
        engine.sizes.clear()
        engine.on_moment, engine.whole = lambda moment: None, False
        benches.append(Bench(tmp_path / "server", priors, engine, **config))
        return benches[-1]

    yield make
    for each in benches:
        each.close()


@pytest.fixture(scope="module")
def low(cells):
    """A small two-channel image of 8 bits with a pixel size."""
    return Image(np.stack([cells[300:304, 300:304], cells[400:404, 400:404]]), "CYX", PixelSize(0.8, 0.8))


def field(cells, height, width):
    return Image(np.stack([cells[300 : 300 + height, 300 : 300 + width]] * 2), "CYX", PixelSize(0.8, 0.8))


def test_the_result_is_what_the_search_finds(bench, low, priors):
    server = bench()
    server.work.start()
    id = server.submit(low, seed=3)
    found = server.result(id)
    request = parameters_of("search", FAST | {"seed": 3}).request(priors.open("tiny-prior").path)
    plan = request.plan([low])
    (window,) = plan.windows(low)
    expected = Searcher(plan.prior, plan.operator, plan.config)(plan.low(low, window)[np.newaxis], seed=[3])
    made = plan.intensities.undone(expected.images[0])  # the windows' blending rounds
    np.testing.assert_allclose(np.moveaxis(found.pixels, 0, -1), made, rtol=1e-6, atol=1e-4)
    assert found.axes == "CYX" and found.pixel_size == PixelSize(0.4, 0.4) and found.pixels.dtype == np.float32
    info = found.metadata["Info"]
    assert info.startswith("synthesised: by relumen search") and "seed: 3" in info and "tiny-prior" in info
    assert found.metadata["Labels"] == ["DNA", "NF-kB"]
    live, preview = server.board.read(id)
    assert live.iteration == live.iterations == 12 and live.message.startswith("iteration 12 of 12, residual 0.")
    assert set(live.terms) == {"likelihood", "density", "cross"} and preview > 0
    shown = server.board.newest(id)
    assert shown is not None and (shown.axes, shown.pixels.shape) == ("CYX", (2, 8, 8))


def test_several_solutions_lie_along_z_with_their_mean_and_spread(bench, low):
    server = bench()
    server.work.start()
    found = server.result(server.submit(low, solutions=3))
    assert found.axes == "ZCYX" and found.pixels.shape == (5, 2, 8, 8)
    each, mean, spread = found.pixels[:3], found.pixels[3], found.pixels[4]
    np.testing.assert_allclose(mean, each.mean(0), rtol=1e-4)
    np.testing.assert_allclose(spread, each.std(0), rtol=1e-3, atol=1e-3)
    assert found.metadata["Labels"][4:8] == ["solution 3, DNA", "solution 3, NF-kB", "mean, DNA", "mean, NF-kB"]
    assert "along Z: 1 to 3 are solutions" in found.metadata["Info"]


def test_of_a_stack_they_lie_along_t(bench, low):
    server = bench()
    server.work.start()
    stack = Image(np.stack([low.pixels, low.pixels[:, ::-1]]), "ZCYX")
    found = server.result(server.submit(stack, solutions=2, uncertainty="paper"))
    assert found.axes == "TZCYX" and found.pixels.shape == (4, 2, 2, 8, 8)
    np.testing.assert_allclose(found.pixels[2], found.pixels[:2].mean(0), rtol=1e-4)
    with pytest.raises(UserError, match="slices and frames"):
        server.submit(Image(stack.pixels[np.newaxis].repeat(2, 0), "TZCYX"), solutions=2)


def test_searches_of_several_jobs_share_a_batch_and_find_what_each_finds_alone(bench, low, tmp_path, priors):
    others = Image(low.pixels[:, ::-1].copy(), "CYX")
    server = bench(batch=3)
    first, second, apart = server.submit(low), server.submit(others), server.submit(low, iterations=5)
    server.work.start()
    together = [server.result(id).pixels for id in (first, second)]
    server.result(apart)
    assert server.engine.sizes[:12] == [2] * 12 and set(server.engine.sizes[12:]) == {1}
    for image, expected in ((low, together[0]), (others, together[1])):
        np.testing.assert_array_equal(server.result(server.submit(image)).pixels, expected)


def test_a_larger_field_is_searched_by_windows(bench, cells):
    server = bench(batch=2)
    server.work.start()
    id = server.submit(field(cells, 4, 8))
    found = server.result(id)
    assert found.pixels.shape == (2, 8, 16) and "windows: 3" in found.metadata["Info"]
    assert server.board.read(id)[0].windows == 3


def test_a_small_image_does_not_wait_for_all_of_a_large_one(bench, cells, low):
    server = bench()
    large, small, next_ = server.submit(field(cells, 4, 12)), server.submit(low), server.submit(low, seed=1)
    further = []
    server.store.progressed = further.append
    server.work.start()
    pixels = server.result(large).pixels
    ended = [server.store.get(id).ended for id in (small, next_, large)]
    assert ended == sorted(ended)
    assert further.count(small) == further.count(next_) == 1 and further.count(large) == 5
    np.testing.assert_array_equal(server.result(server.submit(field(cells, 4, 12))).pixels, pixels)


def stop_after(server, steps):
    """Stops the worker once so many steps were done; what it has is kept on disk."""
    done = []

    def on_moment(moment):
        done.append(moment)
        if len(done) == steps:
            server.work._stopping = True

    server.engine.on_moment = on_moment
    server.work.start()
    waited(lambda: len(done) >= steps)
    server.close()
    server.engine.on_moment = lambda moment: None
    return done


@pytest.mark.parametrize("form", ["restarts", "elbo"])
def test_a_stopped_search_goes_on_where_it_was(bench, low, form):
    whole = bench()
    whole.work.start()
    expected = whole.result(whole.submit(low, solutions=2, uncertainty=form)).pixels
    id = whole.submit(low, solutions=2, uncertainty=form)
    whole.close()
    for steps in (3, 5):  # twice
        whole.open()
        stop_after(whole, steps)
    whole.open()
    assert whole.store.get(id).state == "waiting"
    whole.engine.sizes.clear()
    whole.work.start()
    np.testing.assert_array_equal(whole.result(id).pixels, expected)
    assert len(whole.engine.sizes) == (16 if form == "restarts" else 4)  # of 24 and 12 steps


def test_a_cancelled_search_is_left_and_the_others_go_on(bench, low):
    server = bench(batch=2)
    first, second = server.submit(low, iterations=200), server.submit(low, iterations=200, seed=1)

    def on_moment(moment):
        if moment.state.iteration == 20:
            server.store.cancel(first)
            server.work.cancelled(first)

    server.engine.on_moment = on_moment
    server.work.start()
    server.result(second)
    assert server.store.get(first).state == "cancelled"
    assert server.engine.sizes == [2] * 20 + [1] * 180


def test_a_search_that_fails_takes_no_other_with_it(bench, low, monkeypatch):
    """Found out on the way, in a batch with a good one."""
    server = bench(batch=2)

    def advance(task, searches, state, seconds, own=server.engine.advance):
        if any((each.low == bad).all() for each in searches):
            raise FloatingPointError("boom")
        return own(task, searches, state, seconds)

    monkeypatch.setattr(server.engine, "advance", advance)
    bad = (np.full((2, 4, 4), 7, np.float32) / 255).transpose(1, 2, 0)
    worse = server.submit(Image(np.full((2, 4, 4), 7, np.uint8), "CYX"))
    good = server.submit(low)
    server.work.start()
    server.result(good)
    waited(lambda: server.store.get(worse).state == "failed")
    assert "FloatingPointError: boom" in server.store.get(worse).reason


def test_on_a_full_disk_a_search_goes_on_in_memory_and_its_result_waits_for_room(bench, low, monkeypatch):
    server = bench()
    expected = server.submit(low)
    server.work.start()
    expected = server.result(expected).pixels

    def full(*_):
        raise CheckFailedError("no room")

    monkeypatch.setattr(Checkpoints, "write_state", full)
    monkeypatch.setattr(Checkpoints, "write_found", full)
    monkeypatch.setattr(work, "_RETRY_S", 0.05)
    finish, room = server.store.finish, []

    def finish_with_room(id, write):
        if not room:
            raise DiskFullError("The server's disk is full.")
        return finish(id, write)

    monkeypatch.setattr(server.store, "finish", finish_with_room)
    id = server.submit(low)
    waited(lambda: server.board.read(id)[0].message == "waits for room: The server's disk is full.")
    assert server.store.get(id).state == "running"
    room.append(True)
    np.testing.assert_array_equal(server.result(id).pixels, expected)


def test_on_a_full_disk_searches_wait_and_do_not_fail(bench, low, monkeypatch):
    server = bench()
    monkeypatch.setattr(work, "_RETRY_S", 0.05)
    opened, room = work.SearchJob, []

    def opened_with_room(*args):
        if not room:
            raise DiskFullError("The server's disk is full.")
        return opened(*args)

    monkeypatch.setattr(work, "SearchJob", opened_with_room)
    ids = [server.submit(low) for _ in range(3)]
    server.work.start()
    waited(lambda: job_status(server.store, server.board, ids[0]).message.endswith("room: The server's disk is full."))
    assert {server.store.get(id).state for id in ids} <= {"waiting", "running"}
    room.append(True)
    assert len({server.result(id).pixels.shape for id in ids}) == 1


def test_a_job_has_its_time(bench, low):
    server = bench(max_seconds=0.2)
    server.work.start()
    id = server.submit(low, iterations=20_000)
    waited(lambda: server.store.get(id).state == "failed")
    assert "longer than the 0.2 seconds" in server.store.get(id).reason


def test_the_time_of_all_windows_counts(bench, cells):
    """Also where each of them is found before anyone looks."""
    server = bench(max_seconds=1e-9)
    server.engine.whole = True
    server.work.start()
    id = server.submit(field(cells, 4, 12))
    waited(lambda: server.store.get(id).state not in ("waiting", "running"))
    assert server.store.get(id).state == "failed" and len(server.engine.sizes) == 1


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"prior": "nobody"}, UserError, "no prior 'nobody'. There are: tiny-prior, prior-cells"),
        ({"factor": 3}, UserError, "3"),
        ({"factor": 1}, UserError, "the prior shows 8 x 8 pixels. The image has 4 x 4"),
        ({"channels": "DNA=1 NF-kB=3"}, UserError, "channels 1 to 2"),
        ({"intensity": "5"}, UserError, "LOW:HIGH"),
        ({"iterations": 30_000}, TooLargeError, "at most 20000 iterations"),
        ({"solutions": 65}, TooLargeError, "at most 64 solutions"),
        ({"method": "pulse", "solutions": 2, "uncertainty": "paper", "lambda_w": None}, UserError, "restarts"),
        ({"method": "without-cross"}, UserError, "no term that lambda_c could weigh"),
    ],
)
def test_what_can_not_be_is_said_before_it_is_accepted(bench, low, changes, kind, words):
    server = bench()
    with pytest.raises(kind, match=words):
        server.submit(low, **changes)


def test_a_restoration_by_a_package(bench, cells):
    server = bench()
    server.work.start()
    image = Image(cells[300:364, 300:364], "YX", PixelSize(0.2, 0.2))
    id = server.submit(image, kind="restoration", package="esrgan-widefield")
    found = server.result(id)
    assert found.pixels.shape == (128, 128) and found.pixel_size == PixelSize(0.1, 0.1)
    assert server.board.read(id)[0].message.startswith("tile 1 of 1")
    with pytest.raises(NotFoundError, match="no package 'nobody'"):
        server.submit(image, kind="restoration", package="nobody")


def test_a_restoration_waits_for_room(bench, cells, monkeypatch):
    server = bench()
    monkeypatch.setattr(restoring, "_LOOK_S", 0.05)
    finish, tries = server.store.finish, []

    def finish_at_the_second_try(id, write):
        tries.append(id)
        if len(tries) == 1:
            raise DiskFullError("The server's disk is full.")
        return finish(id, write)

    monkeypatch.setattr(server.store, "finish", finish_at_the_second_try)
    first, second = (
        server.submit(Image(cells[300:332, 300:332], "YX"), kind="restoration", package="esrgan-widefield")
        for _ in range(2)
    )
    server.work.start()
    assert server.result(first).pixels.shape == (64, 64)
    assert tries == [first, second, first]  # what has room goes before what has none


def test_packages_travel_as_zips_that_open(bench):
    from relumen.package import open_package

    server = bench()
    names = [entry["name"] for entry in server.work.packages()]
    assert "esrgan-widefield" in names
    archive = server.work.package_zip("esrgan-widefield")
    with open_package(archive) as package:
        assert package.scale == 2
    before = archive.read_bytes()
    archive.unlink()
    assert server.work.package_zip("esrgan-widefield").read_bytes() == before


def test_after_an_upgrade_a_package_is_zipped_anew(tmp_path, monkeypatch):
    source = tmp_path / "cells"
    source.mkdir()
    monkeypatch.setattr(packages, "shipped_packages", lambda: ["cells", "cells-2x"])
    monkeypatch.setattr(packages, "shipped_path", lambda name: source)
    kept = Packages(tmp_path / "zips")
    for version in ("one", "two"):
        (source / "rdf.yaml").write_text(version)
        archives = {kept.zipped("cells"), kept.zipped("cells-2x")}
        assert set((tmp_path / "zips").iterdir()) == archives
        for archive in archives:
            with zipfile.ZipFile(archive) as members:
                assert members.read("rdf.yaml").decode() == version


def test_priors_are_described(bench):
    entries = {entry["name"]: entry for entry in bench().work.priors()}
    assert entries["tiny-prior"]["size"] == 8 and entries["tiny-prior"]["stains"] == "DNA,NF-kB"
    assert entries["tiny-prior"]["factors"] == "1,2,4" and entries["tiny-prior"]["flow"] is True
    assert "prior-cells" in entries


def test_parameters_name_no_file(tmp_path):
    (tmp_path / "method.yaml").write_text("iterations: 1")
    for bad in (str(tmp_path / "method.yaml"), "../method", "nobody"):
        with pytest.raises(UserError, match="method"):
            parameters_of("search", FAST | {"method": bad})
    for bad in ("/etc/passwd", "../x", "", "a/b"):
        with pytest.raises(UserError, match="prior"):
            parameters_of("search", FAST | {"prior": bad})
        with pytest.raises(UserError, match="package"):
            parameters_of("restoration", {"package": bad})
    assert RestorationParameters(package="esrgan-widefield").tile is None
