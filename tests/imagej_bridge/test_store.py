import errno
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from relumen.errors import CheckFailedError, UserError
from relumen.imagej_bridge.server.errors import DiskFullError, NoSuchJobError, QueueFullError
from relumen.imagej_bridge.server.store import JobStore

PARAMETERS = {"prior": "tiny", "factor": 2, "lambda_w": None}


@contextmanager
def opened(folder, queue=10, expire_s=1000.0):
    store = JobStore(folder, queue=queue, expire_s=expire_s)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "server"


@pytest.fixture
def store(folder):
    with opened(folder) as store:
        yield store


def writes(text):
    return lambda path: path.write_text(text)


def added(store, text="image", title=""):
    return store.add("search", PARAMETERS, title, writes(text)).id


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in (folder / "jobs").rglob("*") if path.is_file())


def together(*work):
    """Runs functions at the same time, and gives what they gave."""
    answers, barrier = [None] * len(work), threading.Barrier(len(work))

    def run(index):
        barrier.wait()
        answers[index] = work[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_an_accepted_job_is_whole(store, folder):
    before = time.time()
    job = store.add("search", PARAMETERS, "a \u00b5m\ntitle", writes("image"))
    assert store.get(job.id) == job
    assert (job.kind, job.state, job.parameters, job.title) == ("search", "waiting", PARAMETERS, "a \u00b5m\ntitle")
    assert before <= job.created <= time.time()
    assert (job.started, job.ended, job.reason) == (None, None, "")
    assert store.input_path(job.id).read_text() == "image"
    assert files(folder) == [f"jobs/{job.id}/input.tif"]


def test_jobs_wait_in_their_order(store):
    ids = [added(store) for _ in range(3)]
    assert [job.id for job in store.waiting()] == ids
    assert [store.place(id) for id in ids] == [1, 2, 3]
    assert store.begin(ids[1])
    assert [store.place(id) for id in ids] == [1, 0, 2]
    store.checkpoint_folder(ids[1]).joinpath("step").write_text("7")
    store.requeue(ids[1])
    assert [job.id for job in store.waiting()] == ids
    assert store.checkpoint_folder(ids[1]).joinpath("step").read_text() == "7"
    assert store.place("none") == 0


def test_the_queue_has_an_end(folder):
    with opened(folder, queue=2) as store:
        first = added(store)
        added(store)
        with pytest.raises(QueueFullError, match="2 jobs wait"):
            added(store)
        store.begin(first)
        added(store)
        assert store.counts()["waiting"] == 2
        assert len(files(folder)) == 3


def test_the_queue_has_an_end_for_many_at_once(folder):
    def add():
        try:
            return added(store)
        except QueueFullError:
            return None

    with opened(folder, queue=3) as store:
        accepted = [id for id in together(*[add] * 12) if id]
        assert len(accepted) == 3
        assert sorted(accepted) == sorted(job.id for job in store.waiting())
        assert len(list((folder / "jobs").iterdir())) == 3


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFullError),
        (OSError(errno.EIO, "Input/output error"), DiskFullError),
        (UserError("no image"), UserError),
        (RuntimeError("any"), RuntimeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_image_that_cannot_be_stored_leaves_nothing(store, folder, error, told):
    def write(path):
        path.write_text("half an ima")
        raise error

    with pytest.raises(told):
        store.add("search", PARAMETERS, "", write)
    assert store.waiting() == []
    assert list((folder / "jobs").iterdir()) == []


def test_a_full_database_is_told_and_leaves_nothing(store, folder):
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFullError, match="disk is full"):
        for _ in range(100):
            store.add("search", {"text": "x" * 2000}, "", writes("image"))
            pages += 1
            if store.counts()["waiting"] == 9:
                store.begin(store.waiting()[0].id)
    jobs = store.counts()
    assert len(list((folder / "jobs").iterdir())) == jobs["waiting"] + jobs["running"]


def test_a_database_that_can_not_be_read_is_told_as_the_disks_fault(store, monkeypatch):
    id = added(store)

    class Broken:
        def execute(self, *_):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error

    with monkeypatch.context() as broken:
        broken.setattr(store, "_connection", Broken())
        for read in (store.waiting, store.counts, store.check_room, lambda: store.get(id), lambda: store.place(id)):
            with pytest.raises(DiskFullError, match="disk I/O error"):
                read()
    assert store.get(id).state == "waiting"


def test_of_many_who_want_a_job_one_gets_it(store):
    id = added(store)
    assert sorted(together(*[lambda: store.begin(id)] * 8)) == [False] * 7 + [True]
    assert store.get(id).state == "running"
    assert store.get(id).started is not None


def test_a_job_ends_once(store, folder):
    id = added(store)
    assert not store.finish(id, writes("early"))
    store.begin(id)
    store.checkpoint_folder(id).joinpath("step").write_text("7")
    assert store.finish(id, writes("result"))
    assert not store.finish(id, writes("another"))
    assert not store.fail(id, "late")
    assert not store.begin(id)
    store.requeue(id)
    assert store.cancel(id).state == "finished"
    assert store.result_path(id).read_text() == "result"
    assert files(folder) == [f"jobs/{id}/result.tif"]


def test_two_who_finish_one_job_leave_one_result(store, folder):
    id = added(store)
    store.begin(id)
    finished = together(*[lambda text=text: store.finish(id, writes(text)) for text in "abcdefgh"])
    assert sum(finished) == 1
    assert store.result_path(id).read_text() == "abcdefgh"[finished.index(True)]
    assert files(folder) == [f"jobs/{id}/result.tif"]


def test_a_job_that_is_cancelled_while_its_result_is_written_has_none(store, folder):
    id = added(store)
    store.begin(id)

    def write(path):
        path.write_text("result")
        assert store.cancel(id).state == "cancelled"

    assert not store.finish(id, write)
    assert store.get(id).state == "cancelled"
    assert files(folder) == [f"jobs/{id}/input.tif"]  # the worker may read it still


def test_cancelling_and_finishing_at_once(store, folder):
    for _ in range(20):
        id = added(store)
        store.begin(id)
        finished, job = together(lambda id=id: store.finish(id, writes("result")), lambda id=id: store.cancel(id))
        assert store.get(id).state == job.state == ("finished" if finished else "cancelled")
        assert store.result_path(id).is_file() is finished
        assert len(store.waiting()) == 0


def test_a_job_fails_with_its_reason(store, folder):
    waiting, running = added(store), added(store)
    store.begin(running)
    assert store.fail(waiting, "one")
    assert store.fail(running, "two\nlines")
    assert [store.get(id).reason for id in (waiting, running)] == ["one", "two\nlines"]
    assert not store.fail(waiting, "three")
    assert store.cancel(waiting).state == "failed"
    assert files(folder) == []


def test_cancelling_is_harmless(store, folder):
    id = added(store)
    assert store.cancel(id).state == store.cancel(id).state == "cancelled"
    assert not store.begin(id)
    assert files(folder) == []
    with pytest.raises(NoSuchJobError):
        store.cancel("none")
    with pytest.raises(NoSuchJobError, match="no such job"):
        store.get("none")


def test_a_result_that_cannot_be_written_leaves_the_job_running(store, folder):
    id = added(store)
    store.begin(id)

    def write(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckFailedError, match="No space left"):
        store.finish(id, write)
    assert store.get(id).state == "running"
    assert files(folder) == [f"jobs/{id}/input.tif"]
    assert store.fail(id, "The disk is full.")


def test_changes_are_told(store):
    told = []
    store.listen(lambda job: told.append(job.state))
    finished, cancelled, failed = added(store), added(store), added(store)
    store.begin(finished)
    store.requeue(finished)
    store.begin(finished)
    store.finish(finished, writes("result"))
    store.cancel(cancelled)
    store.cancel(cancelled)
    store.fail(failed, "any")
    states = ["waiting"] * 3 + ["running", "waiting", "running", "finished", "cancelled", "failed"]
    assert told == states
    store.expire(time.time() + 2000)
    assert told == [*states, "expired", "expired", "expired"]


def test_what_a_killed_server_left_is_put_right(folder):
    with opened(folder) as store:
        waiting, running, whole, gone, lost, no_result, cancelled = ids = [added(store) for _ in range(7)]
        for id in (running, whole, lost, no_result, cancelled):
            store.begin(id)
        store.checkpoint_folder(running).joinpath("step").write_text("7")
        store.checkpoint_folder(running).joinpath(".step.partial").write_text("8")
        store.finish(no_result, writes("result"))
        store.cancel(cancelled)
        jobs = folder / "jobs"
        (jobs / whole / "result.tif").write_text("result")  # and then it was killed
        (jobs / running / ".result-x.partial.tif").write_text("resu")
        (jobs / waiting / "result.tif").write_text("of a job that was put back")
        store.input_path(gone).unlink()
        store.input_path(lost).unlink()
        store.result_path(no_result).unlink()
        (jobs / "0123").mkdir()
        (jobs / "0123" / "input.tif").write_text("never accepted")
        (store.incoming / "upload").write_text("half")
    with opened(folder) as store:
        states = [store.get(id).state for id in ids]
        assert states == ["waiting", "waiting", "finished", "failed", "failed", "failed", "cancelled"]
        assert [job.id for job in store.waiting()] == [waiting, running]
        assert store.result_path(whole).read_text() == "result"
        assert "gone from the server's disk" in store.get(lost).reason
        assert "result is gone" in store.get(no_result).reason
        left = {f"jobs/{waiting}/input.tif", f"jobs/{running}/input.tif", f"jobs/{whole}/result.tif"}
        left |= {f"jobs/{running}/checkpoint/{name}" for name in ("step", ".step.partial")}
        assert set(files(folder)) == left
        assert list(store.incoming.iterdir()) == []
        assert not store.finish(running, writes("early"))
        assert store.begin(running)


def test_a_job_that_ends_every_server_is_given_up(folder):
    with opened(folder) as store:
        id = added(store)
    for _ in range(4):
        with opened(folder) as store:
            assert store.begin(id)
    with opened(folder) as store:
        assert store.begin(id)
        store.requeue(id)  # a stop in good order counts for nothing
        store.begin(id)
    with opened(folder) as store:
        assert store.get(id).state == "failed"
        assert "5 times" in store.get(id).reason


def test_a_job_that_gets_further_is_not_given_up(folder):
    with opened(folder) as store:
        id = added(store)
    for _ in range(8):
        with opened(folder) as store:
            assert store.begin(id)
            store.progressed(id)


def test_a_folder_has_one_server(folder):
    code = (
        "import sys; from pathlib import Path; from relumen.imagej_bridge.server.store import JobStore\n"
        "JobStore(Path(sys.argv[1]), queue=1, expire_s=1)"
    )
    with opened(folder) as store:
        with pytest.raises(UserError, match="Another server"):
            JobStore(folder, queue=1, expire_s=1)
        (store.incoming / "upload").write_text("half")
        environment = {"PYTHONPATH": ":".join(sys.path)}
        other = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, env=environment)
        assert "Another server uses" in other.stderr
        assert (store.incoming / "upload").exists()
        added(store)
    with opened(folder) as store:
        assert len(store.waiting()) == 1


def test_a_damaged_database_is_told(folder):
    folder.mkdir(parents=True)
    (folder / "jobs.sqlite").write_text("no database " * 100)
    with pytest.raises(UserError, match="can't be read"):
        JobStore(folder, queue=1, expire_s=1)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be made"):
        JobStore(tmp_path / "file" / "jobs", queue=1, expire_s=1)


def test_results_expire_and_rows_later(folder):
    with opened(folder, expire_s=1000) as store:
        finished, failed, cancelled, waiting = (added(store) for _ in range(4))
        store.begin(finished)
        store.finish(finished, writes("result"))
        store.fail(failed, "any")
        store.begin(cancelled)
        store.cancel(cancelled)
        store.checkpoint_folder(cancelled).joinpath("step").write_text("by a worker who was late")
        now = time.time()
        assert store.expire(now) == []
        assert len(files(folder)) == 4
        assert store.expire(now + 100) == []
        assert files(folder) == sorted([f"jobs/{finished}/result.tif", f"jobs/{waiting}/input.tif"])
        assert store.get(finished).state == "finished"
        assert sorted(store.expire(now + 1001)) == sorted([finished, failed, cancelled])
        assert store.expire(now + 1001) == []
        assert files(folder) == [f"jobs/{waiting}/input.tif"]
        assert [store.get(id).state for id in (finished, failed, waiting)] == ["expired", "expired", "waiting"]
        assert store.get(failed).reason == "any"
        assert store.counts() == {
            "waiting": 1, "running": 0, "finished": 0, "failed": 0, "cancelled": 0, "expired": 3,
        }  # fmt: skip
        store.expire(now + 10_002)
        with pytest.raises(NoSuchJobError):
            store.get(finished)
        assert store.get(waiting).state == "waiting"
    with opened(folder) as store:
        assert store.get(waiting).state == "waiting"


def test_how_long_jobs_take(store):
    assert store.typical_seconds() is None
    for seconds in (1, 5, 1000):
        id = added(store)
        store.begin(id)
        store.finish(id, writes("result"))
        store._connection.execute("UPDATE jobs SET started = ended - ? WHERE id = ?", (seconds, id))
    assert store.typical_seconds() == pytest.approx(5)


def test_room_is_kept_for_the_end_of_jobs(store, folder, monkeypatch):
    assert (folder / "spare").stat().st_size == 1 << 20
    id = added(store)
    execute, full = store._execute, True

    def only_with_room(statement, values):
        if full and (folder / "spare").exists():
            raise DiskFullError("full")
        return execute(statement, values)

    monkeypatch.setattr(store, "_execute", only_with_room)
    assert store.fail(id, "The disk is full.")
    assert not (folder / "spare").exists()
    full = False
    store.expire(time.time())
    assert (folder / "spare").exists()


def test_the_room_of_a_disk_is_told(store, folder):
    assert abs(store.free_bytes() - shutil.disk_usage(Path(folder)).free) < 1 << 30
