"""What the server answers, and to whom."""

import re
import threading

import numpy as np
import pytest
from asking import RAW, TEXT, TIFF, read_tiff, tiff_bytes, until

from relumen.errors import UserError
from relumen.imagej_bridge.server.errors import TooLargeError

SECRET = "0123456789abcdef"


def fields(text):
    return dict(line.split("=", 1) for line in text.splitlines())


def test_from_an_image_to_its_result(served):
    accepted = served.search(title="cells\nof day 1", factor=4)
    assert accepted.status_code == 202
    id = accepted.json()["id"]
    assert accepted.headers["Location"] == f"/v1/jobs/{id}"
    assert re.fullmatch("[0-9a-f]{32}", id)
    status = served.ended(id)
    assert (status["state"], status["kind"], status["title"]) == ("finished", "search", "cells\nof day 1")
    assert (status["progress"], status["iteration"], status["iterations"], status["preview"]) == (1, 3, 3, 3)
    assert (status["residual"], status["terms"], status["reason"], status["place"]) == (0.5, {"density": 0.4}, "", 0)
    result = served.client.get(f"/v1/jobs/{id}/result")
    assert result.headers["Content-Type"] == "image/tiff"
    pixels, about = read_tiff(result)
    expected = np.arange(64, dtype=np.uint16).reshape(8, 8).repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == np.uint16
    assert f"id={id}" in about["Info"]


def test_a_restoration(served):
    query = {"package": "esrgan-tiny", "tile": 64}
    accepted = served.client.post("/v1/restorations", params=query, content=tiff_bytes(), headers=TIFF)
    assert accepted.status_code == 202
    assert served.ended(accepted.json()["id"])["kind"] == "restoration"


def test_text_for_those_without_json(served):
    accepted = served.search(headers=TEXT, title="a\\b\nc")
    assert accepted.headers["Content-Type"] == "text/plain; charset=utf-8"
    id = fields(accepted.text)["id"]
    served.ended(id)
    status = fields(served.client.get(f"/v1/jobs/{id}", headers=TEXT).text)
    assert (status["state"], status["title"], status["terms.density"]) == ("finished", r"a\\b\nc", "0.4")
    assert served.client.get("/v1/packages", headers=TEXT).text == "name=esrgan-tiny\nsummary=Made\\nup.\nfactor=2\n"
    missing = served.client.get("/v1/jobs/none", headers=TEXT)
    assert (missing.status_code, missing.text[:22]) == (404, "There is no such job h")
    wrong = served.search(headers={"Accept": "image/tiff, text/plain"}, factor=0)
    assert (wrong.status_code, wrong.text) == (400, "factor: Input should be greater than or equal to 1 (received '0')")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"factor": "many"}, "factor: .*integer.*received 'many'"),
        ({"factor": None}, "factor: Field required"),
        ({"prior": "none"}, "no 'none' here. Choose tiny"),
        ({"prior": "../secret"}, "prior: .*received '../secret'"),
        ({"prior": "/etc"}, "prior: "),
        ({"prior": "http://example.org/prior"}, "prior: "),
        ({"psf": "/etc/passwd"}, "psf: Extra inputs"),
        ({"method": "/etc/passwd"}, "method: "),
        ({"blur": "nan"}, "blur: "),
        ({"shape": "8,8"}, "Leave the parameter shape out"),
        ({"axes": "QQ"}, "Axes must be|do not fit"),
        ({"title": "x" * 201}, "title: "),
    ],
)
def test_wrong_parameters_in_plain_words(served, query, words):
    query = {"prior": "tiny", "factor": 2, **query}
    answer = served.client.post(
        "/v1/searches", params={k: v for k, v in query.items() if v is not None}, content=tiff_bytes(), headers=TIFF
    )
    assert answer.status_code == 400
    assert list(answer.json()) == ["detail"]
    assert re.search(words, answer.json()["detail"])
    assert served.store.counts()["waiting"] == 0


def test_a_full_queue_says_when_to_try_again(serving):
    served = serving(queue=2)
    with served.held():
        running = served.search().json()["id"]
        until(lambda: served.state(running) == "running")
        waiting = [served.search().json() for _ in range(2)]
        assert [each["place"] for each in waiting] == [1, 2]
        assert [each["message"] for each in waiting] == ["waiting, place 1", "waiting, place 2"]
        full = served.search()
        assert (full.status_code, full.headers["Retry-After"]) == (429, "10")
        assert served.client.get("/v1/health").json()["queue"] == 2
    for each in waiting:
        assert served.ended(each["id"])["state"] == "finished"
    with served.held():
        running = served.search().json()["id"]
        until(lambda: served.state(running) == "running")
        while (full := served.search()).status_code == 202:
            pass
        assert 1 <= int(full.headers["Retry-After"]) <= 600
    with_text = served.client.get("/metrics").text
    assert 'relumen_submissions_refused_total{code="429",kind="search"}' in with_text


def test_cancelling(served):
    with served.held():
        running = served.search().json()["id"]
        until(lambda: served.state(running) == "running")
        waiting = served.search().json()["id"]
        for id in (waiting, running, running):
            answer = served.client.delete(f"/v1/jobs/{id}")
            assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        result = served.client.get(f"/v1/jobs/{running}/result")
        assert (result.status_code, result.json()["detail"]) == (409, "There is no result: the job is cancelled.")
    finished = served.search().json()["id"]
    served.ended(finished)
    assert served.client.delete(f"/v1/jobs/{finished}").json()["state"] == "finished"
    assert served.client.get(f"/v1/jobs/{finished}/result").status_code == 200
    assert served.client.delete("/v1/jobs/none").status_code == 404


def test_a_failure_tells_its_reason(served):
    id = served.search(title="fail").json()["id"]
    status = served.ended(id)
    assert (status["state"], status["reason"]) == ("failed", "It failed,\nas it was asked to.")
    assert status["message"] == "failed: It failed, as it was asked to."
    result = served.client.get(f"/v1/jobs/{id}/result")
    assert result.status_code == 409
    assert "as it was asked to" in result.json()["detail"]


def test_results_expire(served):
    id = served.search().json()["id"]
    served.ended(id)
    served.store.expire(served.store.get(id).ended + 8 * 86_400)
    assert served.state(id) == "expired"
    gone = served.client.get(f"/v1/jobs/{id}/result")
    assert (gone.status_code, list(gone.json())) == (410, ["detail"])
    assert served.client.delete(f"/v1/jobs/{id}").json()["state"] == "expired"


def test_the_sweep_forgets_what_is_over(served):
    from relumen.imagej_bridge.server.serve import sweep

    id = served.search().json()["id"]
    ended = served.ended(id)
    now = served.store.get(id).ended
    sweep(served.store, served.board, now)
    assert served.board.known() == [id]
    sweep(served.store, served.board, now + 100)
    assert served.board.known() == []
    assert served.ended(id) == ended | {"iteration": 0, "iterations": 0, "windows": 0, "preview": 0} | {
        "residual": None,
        "terms": {},
    }


def test_events_tell_every_state_and_end(served):
    with served.held():
        id = served.search().json()["id"]
        until(lambda: served.state(id) == "running")
        answers = []
        listener = threading.Thread(target=lambda: answers.append(served.client.get(f"/v1/jobs/{id}/events")))
        listener.start()
        until(lambda: served.board._listeners)
    listener.join(30)
    (answer,) = answers
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = [each for each in answer.text.split("\n\n") if each]
    assert all(each.startswith('event: status\ndata: {"id":') for each in events)
    assert '"state":"running"' in events[0]
    assert '"state":"finished"' in events[-1]
    assert len(events) >= 2
    assert len(set(events)) == len(events)
    again = served.client.get(f"/v1/jobs/{id}/events").text
    assert again.count("event: status") == 1
    assert served.client.get("/v1/jobs/none/events").status_code == 404
    assert served.board._listeners == {}


def test_a_preview(served):
    with served.held():
        id = served.search(tiff_bytes(resolution=(2, 2), metadata={"unit": "um"})).json()["id"]
        missing = served.client.get(f"/v1/jobs/{id}/preview")
        assert (missing.status_code, list(missing.json())) == (404, ["detail"])
    served.ended(id)
    preview = served.client.get(f"/v1/jobs/{id}/preview")
    pixels, about = read_tiff(preview)
    assert preview.headers["Content-Type"] == "image/tiff"
    np.testing.assert_array_equal(pixels, np.arange(64, dtype=np.float32).reshape(8, 8))
    assert (pixels.dtype, about["unit"]) == (np.float32, "um")


def test_a_number_that_is_none_is_no_json(served):
    with served.held():
        id = served.search(iterations=1).json()["id"]
    status = served.ended(id)  # its residual was not a number
    assert status["residual"] is None
    assert "\nresidual=\n" in served.client.get(f"/v1/jobs/{id}", headers=TEXT).text


def test_jobs_are_accepted_while_the_server_starts(serving):
    from standin import StandIn

    class Slow(StandIn):
        def start(self):
            self.compiles.clear()
            super().start()

    served = serving(Slow)
    health = served.client.get("/v1/health")
    assert (health.status_code, health.json()["status"], health.headers["Retry-After"]) == (503, "starting", "5")
    accepted = served.search()
    assert accepted.status_code == 202
    served.worker.compiles.set()
    assert served.ended(accepted.json()["id"])["state"] == "finished"
    health = served.client.get("/v1/health")
    assert health.status_code == 200
    assert health.json() == {"status": "ready", "version": health.json()["version"], "queue": 0, "running": 0} | {
        "device": "a stand-in"
    }
    assert "status=ready\n" in served.client.get("/v1/health", headers=TEXT).text


def test_no_job_is_accepted_while_the_server_stops(served):
    with served.held():
        id = served.search().json()["id"]
        served.board.close()
        refused = served.search()
        assert (refused.status_code, list(refused.json())) == (503, ["detail"])
        assert int(refused.headers["Retry-After"]) >= 1
        health = served.client.get("/v1/health")
        assert (health.status_code, health.json()["status"]) == (503, "stopping")
        events = served.client.get(f"/v1/jobs/{id}/events").text
        assert events.count("event: status") == 1
    assert served.ended(id)["state"] == "finished"


def test_a_disk_with_too_little_room(serving):
    served = serving(min_free_bytes=1 << 60)
    refused = served.search()
    assert (refused.status_code, list(refused.json())) == (507, ["detail"])
    health = served.client.get("/v1/health")
    assert (health.status_code, health.json()["status"]) == (503, "disk full")


def test_the_workers_word_counts(serving):
    from standin import StandIn

    class Strict(StandIn):
        def check(self, kind, parameters, image):
            said = {8: TooLargeError(f"{image}: too large"), 4: UserError(f"{image}: no"), 2: RuntimeError("any")}
            raise said[parameters.factor]

    served = serving(Strict)
    answers = [served.search(factor=factor) for factor in (8, 4, 2)]
    assert [each.status_code for each in answers] == [413, 400, 500]
    assert [each.json()["detail"] for each in answers[:2]] == ["The image: too large", "The image: no"]
    assert "any" not in answers[2].json()["detail"]
    assert list(served.store.incoming.iterdir()) == []


def test_a_token_is_asked_for_everywhere_but_for_health(serving):
    served = serving(token=SECRET, host="0.0.0.0")
    paths = ["/v1/priors", "/v1/packages", "/v1/jobs/a", "/v1/jobs/a/events", "/metrics", "/docs", "/openapi.json", "/"]
    for given in (None, "", "Bearer", "Bearer wrong", f"Basic {SECRET}", SECRET, f"Bearer {SECRET}x", "Bearer \u00e9"):
        headers = {} if given is None else {"Authorization": given.encode()}
        answers = [served.client.get(path, headers=headers) for path in paths]
        answers.append(served.client.delete("/v1/jobs/a", headers=headers))
        answers.append(served.client.post("/v1/searches", content=tiff_bytes(), headers=headers))
        for answer in answers:
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert served.client.get("/v1/health").status_code in (200, 503)
    assert served.client.get("/v1/health", headers={"Host": "relumen.example.org"}).status_code in (200, 503)
    right = {"Authorization": f"bearer {SECRET}", "Host": "relumen.example.org"}
    assert served.client.get("/v1/priors", headers=right).status_code == 200
    assert served.search(headers=right).status_code == 202
    security = served.client.get("/openapi.json", headers=right).json()["paths"]
    assert security["/v1/priors"]["get"]["security"] == [{"token": []}]
    assert security["/v1/health"]["get"]["security"] == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "localhost:8765"}, 200),
        ({"Host": "127.0.0.1:8765"}, 200),
        ({"Host": "[::1]:8765"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:8765"}, 200),
        ({"Host": "example.org"}, 403),
        ({"Host": "localhost.example.org:8765"}, 403),
        ({"Host": "127.0.0.1.example.org"}, 403),
        ({"Host": "example.org@localhost.org"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "localhost", "Origin": "http://example.org"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
    ],
)
def test_without_a_token_only_this_machine_is_answered(served, headers, code):
    answer = served.client.get("/v1/priors", headers=headers)
    assert answer.status_code == code
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_what_the_server_has(served):
    (prior,) = served.client.get("/v1/priors").json()
    assert prior["name"] == "tiny"
    package = served.client.get("/v1/packages/esrgan-tiny")
    assert (package.status_code, package.headers["Content-Type"]) == (200, "application/zip")
    assert served.client.get("/v1/packages/none").status_code == 404
    assert served.client.get("/nowhere").json() == {"detail": "Not Found. See /docs."}
    assert served.client.put("/v1/priors").status_code == 405


def test_metrics_count(served):
    ids = [served.search().json()["id"] for _ in range(2)] + [served.search(title="fail").json()["id"]]
    for id in ids:
        served.ended(id)
    served.search(factor=0)
    text = served.client.get("/metrics").text
    for line in (
        'relumen_jobs_accepted_total{kind="search"} 3.0',
        'relumen_jobs_ended_total{kind="search",state="finished"} 2.0',
        'relumen_jobs_ended_total{kind="search",state="failed"} 1.0',
        'relumen_job_seconds_count{kind="search"} 2.0',
        'relumen_job_waiting_seconds_count{kind="search"} 3.0',
        'relumen_submissions_refused_total{code="400",kind="search"} 1.0',
        "relumen_iterations_total 6.0",
        "relumen_jobs_waiting 0.0",
        "relumen_jobs_running 0.0",
        "relumen_ready 1.0",
    ):
        assert line in text.splitlines(), line


def test_two_servers_in_one_process_share_nothing(serving, tmp_path):
    one, other = serving(), serving(folder=tmp_path / "other")
    id = one.search().json()["id"]
    one.ended(id)
    assert other.client.get(f"/v1/jobs/{id}").status_code == 404
    assert "relumen_iterations_total 0.0" in other.client.get("/metrics").text


def test_the_description_speaks_of_no_422(served):
    document = served.client.get("/openapi.json").json()
    assert "422" not in {
        code for path in document["paths"].values() for each in path.values() for code in each["responses"]
    }
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert set(document["paths"]["/v1/searches"]["post"]["requestBody"]["content"]) == set(
        [*TIFF.values(), *RAW.values()]
    )
