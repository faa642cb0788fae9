"""Whatever goes wrong, no accepted job is lost, and what is told is plain."""

import io
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import tifffile
from asking import DEADLINE_S, TIFF, tiff_bytes, until

from relumen.errors import UserError
from relumen.imagej_bridge.server.config import ServeConfig
from relumen.imagej_bridge.server.errors import DiskFullError
from relumen.imagej_bridge.server.serve import _sweep, serve


def pixels_of(number):
    return np.full((6, 6), number, np.uint16)


def submit(client, number, **query):
    query = {"prior": "tiny", "factor": 2, "iterations": 4, "title": str(number), **query}
    return client.post("/v1/searches", params=query, content=tiff_bytes(pixels_of(number)), headers=TIFF)


def status(client, id):
    return client.get(f"/v1/jobs/{id}").json()


def check_result(client, id, number):
    """A job's result is its own; gives the step that its last life began with."""
    answer = client.get(f"/v1/jobs/{id}/result")
    assert answer.status_code == 200, answer.text
    with tifffile.TiffFile(io.BytesIO(answer.content)) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), pixels_of(number).repeat(2, 0).repeat(2, 1))
        told = dict(line.split("=") for line in tiff.imagej_metadata["Info"].splitlines())
    assert told["id"] == id
    return int(told["begun"])


def test_a_killed_server_loses_nothing(process, tmp_path):
    hold = tmp_path / "server" / "hold"
    first = process()
    with httpx.Client(base_url=first.address, timeout=DEADLINE_S) as client:
        done = submit(client, 1).json()["id"]
        until(lambda: status(client, done)["state"] == "finished")
        hold.write_text("2")
        running, waiting, failing, cancelled = (
            submit(client, number, title=title).json()["id"] for number, title in enumerate(("a", "b", "fail", "d"), 2)
        )
        until(lambda: status(client, running)["iteration"] == 2)
        client.delete(f"/v1/jobs/{cancelled}")
        first.kill()

    second = process()
    with httpx.Client(base_url=second.address, timeout=DEADLINE_S) as client:
        assert check_result(client, done, 1) == 0
        assert status(client, running)["state"] in ("waiting", "running")
        assert [status(client, id)["place"] > 0 for id in (waiting, failing)] == [True, True]
        assert status(client, cancelled)["state"] == "cancelled"
        hold.unlink()
        until(lambda: status(client, failing)["state"] == "failed")
        assert status(client, failing)["reason"] == "It failed,\nas it was asked to."
        assert check_result(client, running, 2) == 2  # it went on from its checkpoint
        assert check_result(client, waiting, 3) == 0
        accepted = {}

        def submit_on():
            with httpx.Client(base_url=second.address, timeout=DEADLINE_S) as other, pytest.raises(httpx.HTTPError):
                for number in range(100, 10_000):
                    if (answer := submit(other, number)).status_code == 202:
                        accepted[answer.json()["id"]] = number

        submitter = threading.Thread(target=submit_on)
        submitter.start()
        until(lambda: len(accepted) > 20)
        second.kill()
        submitter.join()

    third = process()
    with httpx.Client(base_url=third.address, timeout=DEADLINE_S) as client:
        for id, number in accepted.items():
            until(lambda id=id: status(client, id)["state"] == "finished")
            check_result(client, id, number)
        hold.write_text("1")
        running, waiting = submit(client, 7).json()["id"], submit(client, 8).json()["id"]
        until(lambda: status(client, running)["iteration"] == 1)
        with client.stream("GET", f"/v1/jobs/{running}/events") as events:
            lines = events.iter_lines()
            assert next(lines) == "event: status"
            third.terminate()
            rest = list(lines)  # comes to an end
        assert '"state":"finished"' not in "".join(rest)
    assert third.wait() == 0
    jobs = {path.name: {each.name for each in path.iterdir()} for path in (tmp_path / "server" / "jobs").iterdir()}
    assert jobs[running] == {"input.tif", "checkpoint"}
    assert jobs[waiting] == {"input.tif"}


@pytest.fixture
def small_disk(tmp_path):
    """A command that runs another with a disk of 3 MB in place of the server's folder."""
    mount = f'mount -t tmpfs -o size=3m tmpfs "{tmp_path / "server"}" && exec "$@"'
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    (tmp_path / "server").mkdir(exist_ok=True)
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this machine doesn't let a user mount a small disk")
    return command


def test_a_disk_that_is_full(process, small_disk):
    server = process(command=small_disk)
    large = np.random.default_rng(0).integers(0, 255, (550, 550), np.uint8)
    with httpx.Client(base_url=server.address, timeout=DEADLINE_S) as client:

        def send(pixels):
            query = {"prior": "tiny", "factor": 2}
            return client.post("/v1/searches", params=query, content=tiff_bytes(pixels), headers=TIFF)

        finished = send(large).json()["id"]
        until(lambda: status(client, finished)["state"] == "finished")
        failed = send(large).json()["id"]
        until(lambda: status(client, failed)["state"] == "failed")
        reason = status(client, failed)["reason"]
        assert "No space left on device" in reason
        assert str(server.folder) not in reason
        refused = send(np.zeros((1000, 1500), np.uint8))
        assert (refused.status_code, list(refused.json())) == (507, ["detail"])
        assert "No space left on device" in refused.json()["detail"]
        assert str(server.folder) not in refused.json()["detail"]
        result = tifffile.imread(io.BytesIO(client.get(f"/v1/jobs/{finished}/result").content))
        np.testing.assert_array_equal(result[::2, ::2], large)
        small = send(np.zeros((8, 8), np.uint8)).json()["id"]
        until(lambda: status(client, small)["state"] == "finished")
    server.terminate(signal.SIGINT)
    assert server.wait() == 0


@contextmanager
def files_up_to(length):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_stored_is_told_and_leaves_nothing(served):
    large = np.zeros((1000, 1000), np.uint8)
    folder = served.config.folder
    with files_up_to(500_000):
        refused = served.search(tiff_bytes(large))
        assert (refused.status_code, list(refused.json())) == (507, ["detail"])
        assert "File too large" in refused.json()["detail"]
        refused = served.search(tiff_bytes(large, imagej=False, compression="zlib"))
        assert (refused.status_code, list(refused.json())) == (507, ["detail"])
        too_large_once_enlarged = served.search(tiff_bytes(large[:400, :400])).json()["id"]
        status = served.ended(too_large_once_enlarged)
        assert status["state"] == "failed"
        assert "File too large" in status["reason"]
    id = served.search().json()["id"]
    assert served.ended(id)["state"] == "finished"
    with files_up_to((folder / "jobs.sqlite-wal").stat().st_size):
        refused = served.search()
        assert refused.status_code == 507
    assert served.ended(served.search().json()["id"])["state"] == "finished"
    assert list(served.store.incoming.iterdir()) == []
    kept = sorted(path.name for path in (folder / "jobs").iterdir() if any(path.iterdir()))
    assert len(kept) == 2
    assert served.store.counts() | {"finished": 2, "failed": 1, "waiting": 0, "running": 0} == served.store.counts()


@contextmanager
def connected(served, head, body=b""):
    """A socket that has sent some of a request."""
    address = (served.client.base_url.host, served.client.base_url.port)
    with closing(socket.create_connection(address, DEADLINE_S)) as link:
        link.sendall("\r\n".join([*head, f"Host: {address[0]}", "", ""]).encode() + body)
        yield link


def answer_of(link):
    received = b""
    while piece := link.recv(1 << 16):
        received += piece
    code = re.match(rb"HTTP/1.1 (\d+)", received)
    assert code, received
    return int(code[1]), received


POST = "POST /v1/searches?prior=tiny&factor=2 HTTP/1.1"


def test_a_client_that_goes_away_leaves_nothing(listening):
    served = listening()
    incoming = served.store.incoming
    with connected(served, [POST, "Content-Type: image/tiff", "Content-Length: 3000000"], bytes(2_000_000)):
        until(lambda: any(path.stat().st_size for path in incoming.iterdir()))
    until(lambda: not any(incoming.iterdir()))
    with served.held():
        id = served.search().json()["id"]
        with connected(served, [f"GET /v1/jobs/{id}/events HTTP/1.1"]) as link:
            assert link.recv(1 << 16)
            until(lambda: served.board.listeners == 1)
            assert "relumen_event_streams 1.0" in served.client.get("/metrics").text
        until(lambda: served.board.listeners == 0)
    assert served.ended(id)["state"] == "finished"
    assert served.store.counts()["finished"] == 1


def test_an_upload_that_stops_is_not_waited_for(listening):
    served = listening(upload_s=0.2)
    with connected(served, [POST, "Content-Type: image/tiff", "Content-Length: 3000"], bytes(2000)) as link:
        code, answer = answer_of(link)
    assert code == 408
    assert b"Nothing more of the image came" in answer
    assert not any(served.store.incoming.iterdir())


def test_bytes_are_counted_and_not_believed(listening):
    served = listening(max_bytes=100_000)
    piece = b"%x\r\n%s\r\n" % (50_000, bytes(50_000))
    head = [POST, "Content-Type: image/tiff", "Transfer-Encoding: chunked", "Connection: close"]
    with connected(served, head, piece * 4 + b"0\r\n\r\n") as link:
        code, answer = answer_of(link)
    assert code == 413
    assert b"100,000 bytes" in answer
    head = [POST, "Content-Type: image/tiff", f"Content-Length: {1 << 40}", "Expect: 100-continue", "Connection: close"]
    with connected(served, head) as link:
        code, answer = answer_of(link)
    assert code == 413  # before any of it was sent
    with served.client.stream("POST", POST.split()[1], content=iter([tiff_bytes()]), headers=TIFF) as accepted:
        assert accepted.status_code == 202


def test_an_address_that_is_taken(tmp_path):
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as taken,
        pytest.raises(UserError, match="can't listen.*--port"),
    ):
        serve(ServeConfig(folder=tmp_path, port=taken.getsockname()[1]), None, print)


def test_the_sweeper_outlives_what_it_stumbles_over(monkeypatch):
    swept, over = [], iter([False, False, False, True])

    def sweep(*_):
        swept.append(True)
        raise [sqlite3.OperationalError("locked"), DiskFullError("full"), RuntimeError("anything")][len(swept) - 1]

    monkeypatch.setattr("relumen.imagej_bridge.server.serve.sweep", sweep)
    _sweep(None, None, SimpleNamespace(wait=lambda seconds: next(over)))
    assert len(swept) == 3
