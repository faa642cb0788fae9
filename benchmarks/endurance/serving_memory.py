"""Shows whether a server's memory grows while it serves: `relumen serve` for an hour, jobs of changing kinds and sizes.

Each client draws a job (a search of any shipped prior, or a restoration by any shipped package, of an image of any
size), submits it, follows it in one of the ways there are, fetches the result, and draws the next. Some cancel, some
send nonsense. The server's memory is read every few seconds. It counts as flat only where the slope after the warm-up
is surely below the limit; memory.py says of what. Before the hour each package restores an image of every size of tile
once: TensorFlow makes kernels for a size where it first meets it, and keeps them, about a MiB for each.

    python benchmarks/endurance/serving_memory.py --warm-up 15 --picture docs/images/endurance-memory.png
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import memory
import numpy as np
from serving import LONGEST_S, Server, upload

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SEARCHES = (
    {"prior": "prior-cells", "factor": 16, "channels": 3},
    {"prior": "prior-cells", "factor": 32, "channels": 3},
    {"prior": "prior-golgi", "factor": 16, "channels": 2},
    {"prior": "prior-golgi", "factor": 16, "channels": 2, "solutions": 2},
    {"prior": "prior-nfkb", "factor": 16, "channels": 2, "method": "pulse"},
    {"prior": "prior-nfkb", "factor": 32, "channels": 2},
)
PACKAGES = ("esrgan-widefield", "cgan-fluorescence", "cascade-phase-2x", "cascade-phase-4x", "cascade-phase-8x")
VIEW = 128  # pixels of the priors' images
SIDES = (48, 384)  # least and most height and width of the images that are restored, pixels
SIZES_APART = 64  # pixels between the sizes of tiles that relumen uses
SHARE_OF_SEARCHES = 0.6
EXPIRE_S = 120  # results are removed within the hour, and their rows after ten times as long
POLL_S = 0.5


@dataclass
class Seen:
    """What all clients saw together; safe to use from any thread, for counters are only added to under the lock."""

    ends: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    """Serves and measures; prints Markdown, and exits with 1 where the memory isn't shown flat or anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=25, help="minutes that are left out of the slope")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples")
    parser.add_argument("--limit", type=float, default=20, help="MiB an hour that are no growth")
    parser.add_argument("--picture", type=Path, help="PNG to draw")
    parser.add_argument("--samples", type=Path, help="CSV to write; the samples so far, should the run be cut short")
    parser.add_argument("--again", type=Path, help="CSV of an earlier run's samples: serves nothing, judges them anew")
    given = parser.parse_args()
    seen = Seen()
    if given.again is not None:
        print(f"Of the samples of an earlier run, {given.again.name}:\n")
        samples, words = memory.read(given.again), []
    else:
        from relumen.device import describe_device

        words = ["minutes", "warm_up", "clients", "seed", "every", "limit"]
        command = " ".join(f"--{name.replace('_', '-')} {getattr(given, name):g}" for name in words)
        print(f"Made by `python benchmarks/endurance/serving_memory.py {command}`. {describe_device()}.\n", flush=True)
        samples = serve(given, seen)
        words = ["", *served(seen)]
    judged = memory.Judged.of(samples, given.warm_up * 60, given.limit)
    if given.picture is not None:
        memory.draw(samples, judged, given.picture)
    print("\n".join([*memory.report(samples, judged), *words]))
    sys.exit(0 if judged.flat and not seen.faults else 1)


def serve(given: argparse.Namespace, seen: Seen) -> list[memory.Sample]:
    """Serves while clients ask, and measures meanwhile."""
    with TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server", ["--queue", "32", "--expire-s", str(EXPIRE_S)])
        server.wait_until_ready()
        every_size(server.address, given.clients)
        over = threading.Event()
        clients = [
            threading.Thread(target=client, args=(server.address, random.Random(f"{given.seed} {number}"), seen, over))
            for number in range(given.clients)
        ]
        for each in clients:
            each.start()
        try:
            samples = watch(server, given.minutes * 60, given.every, given.samples)
        finally:
            over.set()
            for each in clients:
                each.join()
        if server.stop() != 0:
            seen.faults.append(f"The server ended badly: {server.complaints.read_text()[-500:]}")
    return samples


def every_size(address: str, clients: int) -> None:
    """Restores an image of every size of tile with each package, some at a time."""
    sides = [*range(SIDES[0], SIDES[1], SIZES_APART), SIDES[1]]
    wanted = [(package, (tall, wide)) for package in PACKAGES for tall in sides for wide in sides]

    def restore(package: str, shape: tuple[int, int]) -> None:
        noise = np.random.default_rng(0).normal(100, 20, shape).astype("<f4")
        with httpx.Client(base_url=address, timeout=LONGEST_S) as http:
            answer = http.post("/v1/restorations", **upload({"package": package}, noise)).raise_for_status()
            job = f"/v1/jobs/{answer.json()['id']}"
            http.get(f"{job}/events")  # until its end
            if (status := http.get(job).json())["state"] != "finished":
                raise RuntimeError(f"{package} on {shape}: {status}")

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda each: restore(*each), wanted))


def watch(server: Server, seconds: float, every: float, file: Path | None) -> list[memory.Sample]:
    """Samples of a server until the time is over, or it dies."""
    began, samples = time.monotonic(), []
    while (now := time.monotonic() - began) < seconds and server.alive:
        samples.append(memory.sample(server.pid, now))
        if file is not None:
            memory.write(samples, file)
        time.sleep(every)
    return samples


def client(address: str, draw: random.Random, seen: Seen, over: threading.Event) -> None:
    """One who submits jobs until it is over."""
    with httpx.Client(base_url=address, timeout=LONGEST_S) as http:
        while not over.is_set():
            try:
                end = _one_job(http, draw, seen)
            except Exception as error:  # is told in the report, and the others go on
                with seen.lock:
                    seen.faults.append(f"{type(error).__name__}: {error}")
                over.wait(POLL_S)
            else:
                with seen.lock:
                    seen.ends[end] += 1


def _one_job(http: httpx.Client, draw: random.Random, seen: Seen) -> str:
    """Submits a job, follows it, and gives how it ended."""

    def ask(method: str, path: str, **what: object) -> httpx.Response:
        answer = http.request(method, path, **what)  # type: ignore[arg-type]
        with seen.lock:
            seen.codes[answer.status_code] += 1
        if answer.status_code >= 500 and answer.status_code != 503:
            raise RuntimeError(f"{answer.status_code} {answer.text[:300]} to {method} {path}")
        return answer

    path, query, image = _drawn(draw)
    nonsense = draw.random() < 0.05
    wrong = {"content": draw.randbytes(draw.randint(1, 5000))} if nonsense else {}
    answer = ask("POST", path, **upload(query | {"title": f"{draw.random()}"}, image) | wrong)
    if answer.status_code == 429:
        time.sleep(float(answer.headers["Retry-After"]))
        return "asked to come again"
    if nonsense and answer.status_code == 400:
        return "refused, as it should be"
    if answer.status_code != 202:
        raise RuntimeError(f"{answer.status_code} {answer.text} to {query}")
    id, way = answer.json()["id"], draw.random()
    if way < 0.1:
        time.sleep(draw.random() * 3)
        ask("DELETE", f"/v1/jobs/{id}")
    elif way < 0.4:
        ask("GET", f"/v1/jobs/{id}/events")  # until its end
    while (status := ask("GET", f"/v1/jobs/{id}").json())["state"] in ("waiting", "running"):
        if status["preview"] and draw.random() < 0.3:
            ask("GET", f"/v1/jobs/{id}/preview")
        time.sleep(POLL_S)
    if status["state"] == "finished":
        result = ask("GET", f"/v1/jobs/{id}/result")
        if len(result.content) < 4 * image.size:
            raise RuntimeError(f"A result of {len(result.content)} bytes for {query}")
    elif status["state"] == "failed":
        raise RuntimeError(f"{query} failed: {status['reason']}")
    return f"{status['kind']} {status['state']}"


def _drawn(draw: random.Random) -> tuple[str, dict[str, object], np.ndarray]:
    """Path, query and image of a job."""
    noise = np.random.default_rng(draw.getrandbits(32))
    if draw.random() < SHARE_OF_SEARCHES:
        query: dict[str, object] = dict(draw.choice(SEARCHES))
        view = VIEW // int(str(query["factor"]))
        shape = (int(str(query.pop("channels"))), draw.randint(view, 2 * view), draw.randint(view, 2 * view))
        query |= {"iterations": draw.randint(1, 3), "seed": draw.getrandbits(32)}
        return "/v1/searches", query, noise.random(shape).astype("<f4")
    shape = (draw.randint(*SIDES), draw.randint(*SIDES))
    return "/v1/restorations", {"package": draw.choice(PACKAGES)}, noise.normal(100, 20, shape).astype("<f4")


def served(seen: Seen) -> list[str]:
    """What the clients saw, in words."""
    return [
        "Jobs: " + ", ".join(f"{count} {end}" for end, count in sorted(seen.ends.items())) + ".",
        "",
        "Answers by code: " + ", ".join(f"{count} times {code}" for code, count in sorted(seen.codes.items())) + ".",
        "",
        f"Faults: {len(seen.faults)}.",
        *(f"- {fault}" for fault in seen.faults[:10]),
    ]


if __name__ == "__main__":
    main()
