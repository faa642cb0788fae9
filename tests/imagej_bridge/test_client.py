"""The client in Python: the same whether the server is in this process or behind an address."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from asking import until

from relumen.errors import CheckFailedError, UserError
from relumen.imagej_bridge.client import AppConnection, Client, GoneError, HttpConnection
from relumen.images import Image, PixelSize

SEARCH = {"prior": "tiny", "factor": 2}
TOKEN = "a-token-of-some-length"


@pytest.fixture(params=["in process", "http"])
def start(request, serving, listening):
    """Starts a server, with changes to its settings; gives it and its client."""
    connections = []

    def start(**settings):
        served = serving(**settings) if request.param == "in process" else listening(**settings)
        connection = AppConnection(served.app) if request.param == "in process" else over_http(served)
        connections.append(connection)
        return served, Client(connection, busy_s=5, gone_s=5)

    yield start
    for connection in connections:
        connection.close()


def over_http(served, token=None):
    return HttpConnection(str(served.client.base_url), token)


def image(dtype=np.uint16, axes="CYX", **more):
    pixels = np.random.default_rng(0).integers(0, 200, (2, 2, 3, 5, 4)[5 - len(axes) :]).astype(dtype)
    return Image(pixels, axes, **more)


def repeated(pixels):
    return pixels.repeat(2, -1).repeat(2, -2)


def test_an_image_goes_there_and_back(start):
    _, client = start()
    given, seen = image(pixel_size=PixelSize(1.0, 0.5)), []
    id = client.submit("search", given, {**SEARCH, "iterations": 4, "lambda_w": None}, title="my cells & more")
    assert client.wait(id, seen.append).state == "finished"
    assert {status.title for status in seen} == {"my cells & more"} and seen[-1].progress == 1
    assert [status.iteration for status in seen] == sorted(status.iteration for status in seen)
    found = client.result(id)
    np.testing.assert_array_equal(found.pixels, repeated(given.pixels))
    assert (found.axes, found.pixel_size) == ("CYX", PixelSize(1.0, 0.5)) and f"id={id}" in found.metadata["Info"]
    shown = client.preview(id)
    assert shown is not None and shown.pixels.dtype == np.float32 and shown.pixels.shape == (5, 4)


@pytest.mark.parametrize(("dtype", "axes"), [("uint8", "YX"), ("int16", "TZCYX"), ("float32", "ZYX"), ("bool", "CYX")])
def test_all_types_and_axes_arrive(start, dtype, axes):
    _, client = start()
    given = image(dtype, axes)
    id = client.submit("restoration", given, {"package": "esrgan-tiny"})
    client.wait(id)
    found = client.result(id)
    assert found.axes == axes and found.pixels.dtype == (dtype if dtype != "bool" else "float32")
    np.testing.assert_array_equal(found.pixels, repeated(given.pixels))


def test_what_the_server_has_and_is(start):
    _, client = start()
    assert client.priors()[0]["stains"] == "DNA,NF-kB"
    assert client.packages()[0]["summary"] == "Made\nup."
    until(lambda: client.health()["status"] == "ready")
    assert client.health()["device"] == "a stand-in"


def test_refusals_are_the_servers_words(start):
    _, client = start(max_pixels=100)
    with pytest.raises(UserError, match="no 'none' here. Choose tiny"):
        client.submit("search", image(), {**SEARCH, "prior": "none"})
    with pytest.raises(UserError, match="factor: .* \\(received 'x'\\)"):
        client.submit("search", image(), {**SEARCH, "factor": "x"})
    with pytest.raises(UserError, match="takes 100"):
        client.submit("search", image(axes="TZCYX"), SEARCH)
    with pytest.raises(UserError, match="Not Found"):
        client.status("../health")
    with pytest.raises(UserError, match="no such job"):
        client.wait("0" * 32)


def test_jobs_that_fail_or_are_cancelled_say_why(start):
    served, client = start()
    with pytest.raises(CheckFailedError, match="It failed,\nas it was asked to."):
        client.wait(client.submit("search", image(), SEARCH, title="fail"))
    with served.held():
        id = client.submit("search", image(), SEARCH)
        assert client.preview(id) is None
        with pytest.raises(UserError, match="There is no result"):
            client.result(id)
        assert client.cancel(id).state == client.cancel(id).state == "cancelled"
        with pytest.raises(CheckFailedError, match="is cancelled on the server"):
            client.wait(id)


def test_ctrl_c_cancels_the_job(start):
    served, client = start()

    def press(status):
        raise KeyboardInterrupt

    with served.held():
        id = client.submit("search", image(), SEARCH)
        with pytest.raises(KeyboardInterrupt):
            client.wait(id, press)
        assert client.status(id).state == "cancelled"


def test_a_full_queue_is_asked_again_for_a_while(start, monkeypatch):
    served, client = start(queue=1)
    monkeypatch.setattr("relumen.imagej_bridge.server.app._USUAL_S", 1)
    with served.held(), ThreadPoolExecutor() as pool:
        running = client.submit("search", image(), SEARCH)
        until(lambda: client.status(running).state == "running")
        client.submit("search", image(), SEARCH)
        with pytest.raises(CheckFailedError, match="1 jobs wait already"):
            Client(client.connection, busy_s=0).submit("search", image(), SEARCH)
        send, answers = client.connection.send, []

        def listened(*request):
            answers.append(send(*request))
            return answers[-1]

        monkeypatch.setattr(client.connection, "send", listened)
        third = pool.submit(client.submit, "search", image(), SEARCH)
        until(lambda: answers)
        assert (answers[0].status, answers[0].retry_after) == (429, 1)
        client.cancel(running)
        served.worker.hold.unlink()
        client.wait(third.result())
        served.worker.hold.touch()


def test_a_token_is_asked_for_and_given(listening, monkeypatch):
    served = listening(token=TOKEN)
    monkeypatch.delenv("RELUMEN_TOKEN", raising=False)
    with pytest.raises(UserError, match="asks for its token.*Set the variable RELUMEN_TOKEN"):
        Client(over_http(served)).priors()
    assert Client(over_http(served, TOKEN)).priors()
    monkeypatch.setenv("RELUMEN_TOKEN", TOKEN)
    assert Client(over_http(served)).priors()


def test_a_server_that_goes_away_and_comes_back(process):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = f"port={listener.getsockname()[1]}"
    first = process(port)
    client = Client(HttpConnection(first.address), gone_s=60)
    (first.folder / "hold").write_text("2")
    id = client.submit("search", image(), {**SEARCH, "iterations": 4})
    until(lambda: client.status(id).iteration == 2)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.wait, id)
        first.kill()
        with pytest.raises(GoneError, match=f"does not answer.*It keeps job {id}"):
            Client(client.connection, gone_s=0).wait(id)
        (first.folder / "hold").unlink()
        process(port)
        assert waiting.result(60).state == "finished"
    np.testing.assert_array_equal(client.result(id).pixels, repeated(image().pixels))


def test_a_closed_server_in_this_process_is_told(serving):
    connection = AppConnection(serving().app)
    connection.close()
    connection.close()
    with pytest.raises(GoneError, match="is closed"):
        Client(connection).priors()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "localhost:8765", "http://", "http://a?b=c", "http://a:x"])
def test_addresses_that_are_none(address):
    with pytest.raises(UserError, match="address is such as http"):
        HttpConnection(address)


def test_another_server_is_none_of_ours_and_leads_nowhere():
    """It gets the token that was meant for it, and can't send us on with it."""
    asked = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(302 if self.path == "/v1/priors" else 200)
            self.send_header("Location", "/stolen")
            self.end_headers()
            self.wfile.write(json.dumps("hello").encode() if self.path == "/json" else b"<html>")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = Client(HttpConnection(f"http://127.0.0.1:{server.server_port}/", TOKEN))
        with pytest.raises(CheckFailedError, match="answered 302. Is it a relumen server"):
            client.priors()
        with pytest.raises(CheckFailedError, match="is no relumen server"):
            client.health()
        server.shutdown()
    assert asked == [("/v1/priors", f"Bearer {TOKEN}"), ("/v1/health", f"Bearer {TOKEN}")]
