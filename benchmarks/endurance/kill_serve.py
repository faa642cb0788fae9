"""A server that is killed and started again, and the jobs that it had accepted."""

from __future__ import annotations

import io
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import corpus
import httpx
import numpy as np
import tifffile
from killing import Ended, Found, Moment
from serving import LONGEST_S, RAW, NotStartedError, Server

JOBS_A_LIFE = 1
PAUSE_S = 0.1
_GIVEN_UP = "without warning, while it worked on this job and got no further"
GONE = (httpx.TransportError, httpx.TimeoutException)


@dataclass(frozen=True)
class Asked:
    """What a client asks for.

    Attributes:
        path: of the kind of job.
        query: its parameters.
        image: that is sent.
    """

    path: str
    query: Mapping[str, object]
    image: np.ndarray

    def submit(self, http: httpx.Client) -> httpx.Response:
        """Sends it."""
        shape = ",".join(map(str, self.image.shape))
        query = {**self.query, "shape": shape, "axes": "CYX"[-self.image.ndim :]}
        return http.post(self.path, params=query, content=self.image.tobytes(), headers=RAW)


def asked(prior: str) -> list[Asked]:
    """Some searches, from short to long, and some restorations."""
    noise = np.random.default_rng(0)
    searches = [
        Asked(
            "/v1/searches",
            {"prior": prior, "factor": 2, "iterations": steps, "seed": steps, "solutions": solutions},
            noise.random((2, size, size)).astype("<f4"),
        )
        for steps, size, solutions in ((30, 4, 1), (300, 6, 1), (500, 4, 2), (1500, 8, 1), (6000, 4, 1))
    ]
    pixels = corpus.cells()
    restorations = [
        Asked("/v1/restorations", {"package": package}, pixels[300 : 300 + size, 300 : 300 + size].astype("<f4"))
        for package, size in (("esrgan-widefield", 300), ("cascade-phase-4x", 96))
    ]
    return searches + restorations


@dataclass
class Client:
    """All that was accepted in all lives of a server, and what became of it."""

    accepted: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def look(self, http: httpx.Client, found: Found) -> None:
        """Asks where each job stands that had not ended."""
        for id in self.accepted:
            before = self.states.get(id, "waiting")
            if before in ("finished", "failed"):
                continue
            answer = http.get(f"/v1/jobs/{id}")
            found.check("an accepted job is known", answer.status_code == 200, f"{answer.status_code} {answer.text}")
            now = answer.json()
            self.states[id] = now["state"]
            given_up = now["state"] == "failed" and _GIVEN_UP in now["reason"]
            found.checks["jobs given up after five sudden ends without any progress, as documented"] += given_up
            found.check(
                "a job waits, runs, is finished, or was given up",
                now["state"] in ("waiting", "running", "finished") or given_up,
                f"{now['state']}: {now['reason']}",
            )

    def look_back(self, http: httpx.Client, found: Found) -> None:
        """Whether what was finished in earlier lives still is."""
        for id in [id for id, state in self.states.items() if state == "finished"][-10:]:
            state = http.get(f"/v1/jobs/{id}").json()["state"]
            found.check("a finished job stays finished", state == "finished", state)
            found.check("its result can be fetched", _result(http, id) is not None, id)

    @property
    def phase(self) -> str:
        """What the server does, as far as clients know."""
        states = list(self.states.values())
        running = [self.accepted[id] for id, state in self.states.items() if state == "running"]
        if running:
            return "works on job kinds " + ", ".join(map(str, sorted(set(running))))
        return "has jobs that wait" if "waiting" in states else "has nothing to do"


def _result(http: httpx.Client, id: str) -> np.ndarray | None:
    answer = http.get(f"/v1/jobs/{id}/result")
    return tifffile.imread(io.BytesIO(answer.content)) if answer.status_code == 200 else None


def kill_servers(work: Path, kept: Path, count: int, seed: int) -> Found:
    """Serves in many lives, then looks at each job that was accepted in any.

    Args:
        work: an empty folder.
        kept: of the corpus.
        count: of kills.
        seed: of their moments, and of what is submitted.
    """
    found, draw = Found("serve"), random.Random(f"{seed} serve")
    prior = corpus.prior(kept)
    settings = work / "serve.yaml"
    settings.write_text(f"priors: [{prior}]\nwarm: [{prior.name}]\ncheckpoint_s: 0.5\nbatch: 1\n")
    options, kinds = ["--config", str(settings)], asked(prior.name)
    expected, changes, life_s = _without_a_kill(work / "straight", options, kinds)
    client, folder = Client(), work / "server"
    while found.kills < count:
        moment = Moment.drawn(draw, changes, life_s)
        phase = _live(folder, options, moment, kinds, client, found, draw)
        found.note(Ended(-9, phase))
    server = Server(folder, options)
    with httpx.Client(base_url=server.address, timeout=LONGEST_S) as http:
        _wait_for_all(http, client, found)
        client.look_back(http, found)
        for id, kind in client.accepted.items():
            if client.states[id] == "failed":
                continue
            pixels = _result(http, id)
            same = pixels is not None and np.array_equal(pixels, expected[kind])
            found.check("a result is that of a server that was never killed, to the bit", same, f"{id}, kind {kind}")
    found.check("the last server stops in good order", server.stop() == 0, server.complaints.read_text()[-500:])
    left = [path for path in folder.rglob("*") if path.is_file() and path.parent.parent.name == "jobs"]
    found.check("of each job only its result is left", {path.name for path in left} <= {"result.tif"}, str(left[:5]))
    found.check("no upload is left", not any((folder / "incoming").iterdir()), "some are")
    complaints = server.complaints.read_text()
    found.check("no server complained", "Traceback" not in complaints, complaints[-1500:])
    found.checks["jobs that were accepted"] = len(client.accepted)
    return found.done()


def _without_a_kill(
    folder: Path, options: Sequence[str], kinds: list[Asked]
) -> tuple[list[np.ndarray], list[str], float]:
    """The results of all kinds of jobs, the changes that a server makes on the disk, and seconds for a life.

    A life is twice as long as it takes a server to be ready, so that half of the lives by the clock come to work.
    """
    began = time.monotonic()
    server = Server(folder, options, _program(folder, Moment()))
    server.wait_until_ready()
    life_s = 2 * (time.monotonic() - began)
    with httpx.Client(base_url=server.address, timeout=LONGEST_S) as http:
        ids = [kind.submit(http).raise_for_status().json()["id"] for kind in kinds]
        found, client = Found("serve"), Client(dict(zip(ids, range(len(ids)), strict=True)))
        _wait_for_all(http, client, found)
        results = [_result(http, id) for id in ids]
    server.stop()
    if found.faults or any(result is None for result in results):
        raise RuntimeError(f"The server without a kill failed: {found.faults}")
    return [each for each in results if each is not None], sorted(set(_changes(folder))), life_s


def _program(folder: Path, moment: Moment) -> list[str]:
    script = str(Path(__file__).with_name("killed.py"))
    return [sys.executable, script, str(folder), moment.change or "-", str(moment.number)]


def _changes(folder: Path) -> list[str]:
    file = folder.parent / "changes"
    return file.read_text().splitlines() if file.exists() else []


def _live(
    folder: Path,
    options: Sequence[str],
    moment: Moment,
    kinds: list[Asked],
    client: Client,
    found: Found,
    draw: random.Random,
) -> str:
    """One life of the server, until it is killed; gives what it did then."""
    (folder.parent / "changes").unlink(missing_ok=True)
    phase, wanted = "starting", [draw.randrange(len(kinds)) for _ in range(JOBS_A_LIFE)]
    try:
        server = Server(folder, options, _program(folder, moment), moment.seconds)
    except NotStartedError:
        return _told(folder, moment, phase)
    try:
        with httpx.Client(base_url=server.address, timeout=LONGEST_S) as http:
            client.look_back(http, found)
            while server.alive:
                client.look(http, found)
                phase = client.phase
                if wanted and draw.random() < 0.5:
                    answer = kinds[wanted[-1]].submit(http)
                    if found.check("a job is accepted", answer.status_code == 202, answer.text):
                        client.accepted[answer.json()["id"]] = wanted.pop()
                time.sleep(PAUSE_S)
    except GONE:
        pass
    server.wait()
    return _told(folder, moment, phase)


def _told(folder: Path, moment: Moment, phase: str) -> str:
    made = _changes(folder)
    at_change = made[-1:] == [moment.change] and made.count(moment.change) == moment.number
    return f"before {moment.change}" if at_change else phase


def _wait_for_all(http: httpx.Client, client: Client, found: Found) -> None:
    end = time.monotonic() + 6 * LONGEST_S
    while any(client.states.get(id, "waiting") in ("waiting", "running") for id in client.accepted):
        if time.monotonic() > end:
            raise TimeoutError(f"Jobs did not end: {client.states}")
        client.look(http, found)
        time.sleep(PAUSE_S)
