"""A server that is killed and started again, and the jobs that it had accepted."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import corpus
import httpx
import numpy as np
import tifffile
from killing import Ended, Found, Moment, before
from serving import LONGEST_S, NotStartedError, Server, upload
from sudden_ends import MOST, SuddenEnds, rows

JOBS_A_LIFE = 1
PAUSE_S = 0.1
DIES_S = 60  # in which a server is gone that hangs up on its clients
_GIVEN_UP = "without warning, while it worked on this job and got no further"
_KNOWN = "an accepted job is known"
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
        return http.post(self.path, **upload(self.query, self.image))


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
    """All that was accepted in all lives of a server, and what became of it.

    Attributes:
        found: takes what is wrong.
        ends: of the server.
        accepted: the kind of each job, by its id.
        states: where each job stands, as told last; "lost": the server doesn't know it.
    """

    found: Found
    ends: SuddenEnds
    accepted: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def look(self, http: httpx.Client) -> None:
        """Asks where each job stands that had not ended."""
        for id in self.accepted:
            if self.states.get(id) in ("finished", "failed", "lost"):
                continue
            now = self._state(http, id)
            if now is None:
                continue
            state, reason, died = now["state"], now["reason"], self.ends.count(id)
            self.states[id] = state
            given_up = state == "failed" and _GIVEN_UP in reason
            what = "a job waits, runs, is finished, or was given up"
            self.found.check(what, state in ("waiting", "running", "finished") or given_up, f"{state}: {reason}", id)
            if given_up:
                what = f"a job is given up after {MOST} sudden ends without any progress between them, no sooner"
                self.found.check(what, died == MOST, f"{id} after {died}", id)
            elif state in ("waiting", "running"):
                what = f"a job is given up after {MOST} sudden ends without any progress between them, no later"
                self.found.check(what, died < MOST, f"{id} {state} after {died}", id)

    def look_back(self, http: httpx.Client) -> None:
        """Whether what was finished in earlier lives still is."""
        for id in [id for id, state in self.states.items() if state == "finished"][-10:]:
            now = self._state(http, id)
            if now is not None:
                self.found.check("a finished job stays finished", now["state"] == "finished", now["state"], id)
                self.found.check("its result can be fetched", _result(http, id) is not None, id, id)

    def wait_for_all(self, http: httpx.Client) -> None:
        """Until each job has ended, or none does for long."""
        end = time.monotonic() + 6 * LONGEST_S
        while waiting := [id for id in self.accepted if self.states.get(id, "waiting") in ("waiting", "running")]:
            if not self.found.check("all jobs come to an end", time.monotonic() < end, waiting, "all"):
                return
            self.look(http)
            time.sleep(PAUSE_S)

    def _state(self, http: httpx.Client, id: str) -> dict[str, Any] | None:
        """What the server says of a job; None where it doesn't know it."""
        answer = http.get(f"/v1/jobs/{id}")
        if self.found.check(_KNOWN, answer.status_code == 200, f"{id}: {answer.status_code} {answer.text}", id):
            return answer.json()
        self.states[id] = "lost"
        return None

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
    folder = work / "server"
    client = Client(found, SuddenEnds(folder))
    while found.kills < count:
        ended = _live(folder, options, Moment.drawn(draw, changes, life_s), kinds, client, draw)
        found.note(ended, may_end=False)
        if not ended.killed:
            break
        found.tried("the disk can be read after a kill", client.ends.note)
    found.tried("the last server serves until its end", lambda: _last(folder, options, client, expected))
    _check_left(found, folder, set(client.accepted))
    found.checks["jobs that were accepted"] = len(client.accepted)
    return found.done()


def _last(folder: Path, options: Sequence[str], client: Client, expected: list[np.ndarray]) -> None:
    """The life in which all jobs come to their end."""
    found, server = client.found, Server(folder, options)
    with httpx.Client(base_url=server.address, timeout=LONGEST_S) as http:
        client.look_back(http)
        client.wait_for_all(http)
        for id, kind in client.accepted.items():
            if client.states.get(id) == "finished":
                pixels = found.tried("a result can be read", lambda id=id: _result(http, id), id)
                same = pixels is not None and np.array_equal(pixels, expected[kind])
                what = "a result is that of a server that was never killed, to the bit"
                found.check(what, same, f"{id}, kind {kind}", id)
    found.check("the last server stops in good order", server.stop() == 0, server.complaints.read_text()[-500:])


def _check_left(found: Found, folder: Path, accepted: set[str]) -> None:
    """Looks at the folder of a server that has stopped.

    A server may have been killed between accepting a job and saying so: such jobs may wait still.
    """
    known = found.tried("the database can be read at the end", lambda: rows(folder)) or []
    unsaid = {row.id for row in known if row.state in ("waiting", "running")} - accepted
    jobs = folder / "jobs"
    wanted = {jobs / row.id for row in known} | {jobs / row.id / "result.tif" for row in known}
    left = [path for path in jobs.rglob("*") if path not in wanted and path.relative_to(jobs).parts[0] not in unsaid]
    found.check("of each job only its result is left", not left, left[:5])
    found.check("no upload is left", not any((folder / "incoming").iterdir()), "some are")
    complaints = folder.with_name(f"{folder.name}.stderr").read_text()
    found.check("no server complained", "Traceback" not in complaints, complaints[-1500:])


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
        client = Client(Found("serve"), SuddenEnds(folder), dict(zip(ids, range(len(ids)), strict=True)))
        client.wait_for_all(http)
        results = [_result(http, id) for id in ids]
    code = server.stop()
    if code or client.found.faults or any(result is None for result in results):
        raise RuntimeError(f"The server without a kill failed: {code} {client.found.faults}")
    changes = _changes(folder).read_text().splitlines()
    return [each for each in results if each is not None], sorted(set(changes)), life_s


def _program(folder: Path, moment: Moment) -> list[str]:
    script = str(Path(__file__).with_name("killed.py"))
    return [sys.executable, script, str(folder), moment.change or "-", str(moment.number)]


def _changes(folder: Path) -> Path:
    return folder.parent / "changes"


def _live(
    folder: Path,
    options: Sequence[str],
    moment: Moment,
    kinds: list[Asked],
    client: Client,
    draw: random.Random,
) -> Ended:
    """One life of the server, until it is killed; gives how it ended, and what it did then."""
    _changes(folder).unlink(missing_ok=True)
    phase, wanted = "starting", [draw.randrange(len(kinds)) for _ in range(JOBS_A_LIFE)]
    try:
        server = Server(folder, options, _program(folder, moment), moment.seconds)
    except NotStartedError as error:
        return _ended(error.code, folder, moment, phase, str(error))
    try:
        with httpx.Client(base_url=server.address, timeout=LONGEST_S) as http:
            client.look_back(http)
            while server.alive:
                client.look(http)
                phase = client.phase
                if wanted and draw.random() < 0.5:
                    answer = kinds[wanted[-1]].submit(http)
                    if client.found.check("a job is accepted", answer.status_code == 202, answer.text):
                        client.accepted[answer.json()["id"]] = wanted.pop()
                time.sleep(PAUSE_S)
    except GONE as error:
        try:
            server.wait(DIES_S)
        except subprocess.TimeoutExpired:
            client.found.check("a server that hangs up is gone", False, f"{type(error).__name__}: {error}")
    complaints = server.complaints.read_text()[-2000:]
    return _ended(server.wait(), folder, moment, phase, complaints)


def _ended(code: int, folder: Path, moment: Moment, phase: str, complaints: str) -> Ended:
    """An end, with what the server did, or what it complained of where it was not killed."""
    killed = code == -signal.SIGKILL
    return Ended(code, (before(_changes(folder), moment) or phase) if killed else complaints)
