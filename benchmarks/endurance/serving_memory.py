"""Shows whether a server's memory grows while it serves: `relumen serve` for an hour, jobs of changing kinds and sizes.

Each client draws a job (a search of any shipped prior, or a restoration by any shipped package, of an image of any
size), submits it, follows it in one of the ways there are, fetches the result, and draws the next. Some cancel, some
send nonsense. The server's memory is read every few seconds. It counts as flat where the slope after the warm-up is
not surely above the limit.

    python benchmarks/endurance/serving_memory.py --picture docs/images/endurance-memory.png
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
import numpy as np
from serving import LONGEST_S, RAW, Server

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
SHARE_OF_SEARCHES = 0.6
EXPIRE_S = 120  # results are removed within the hour, and their rows after ten times as long
BLOCK_S = 120  # samples whose mean is one point of the fit: jobs make the memory go up and down within it
POLL_S = 0.5
MIB = 1 << 20


class Sample(NamedTuple):
    """What the system says of the server's process.

    Attributes:
        seconds: since the first sample.
        resident: MiB in memory.
        own: MiB of it that are no files.
        threads: of the process.
        files: that it has open.
    """

    seconds: float
    resident: float
    own: float
    threads: int
    files: int


class Slope(NamedTuple):
    """MiB an hour, and the half width of its 95 % interval."""

    value: float
    uncertainty: float


@dataclass
class Seen:
    """What all clients saw together; safe to use from any thread, for counters are only added to under the lock."""

    ends: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    """Serves and measures; prints Markdown, and exits with 1 where the memory grows or anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=25, help="minutes that are left out of the slope")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples")
    parser.add_argument("--limit", type=float, default=20, help="MiB an hour that are no growth")
    parser.add_argument("--picture", type=Path, help="PNG to draw")
    parser.add_argument("--samples", type=Path, help="CSV to write; the samples so far, should the run be cut short")
    given = parser.parse_args()
    from relumen.device import describe_device

    device = describe_device()
    with TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server", ["--queue", "32", "--expire-s", str(EXPIRE_S)])
        server.wait_until_ready()
        seen, over = Seen(), threading.Event()
        clients = [
            threading.Thread(target=client, args=(server.address, random.Random(f"{given.seed} {number}"), seen, over))
            for number in range(given.clients)
        ]
        for each in clients:
            each.start()
        samples = watch(server, given.minutes * 60, given.every, given.samples)
        over.set()
        for each in clients:
            each.join()
        if server.stop() != 0:
            seen.faults.append(f"The server ended badly: {server.complaints.read_text()[-500:]}")
    slopes = {name: slope(samples, name, given.warm_up * 60) for name in ("resident", "own")}
    if given.picture is not None:
        draw(samples, slopes["resident"], given.warm_up * 60, given.picture)
    print(report(samples, slopes, seen, given, device))
    grows = slopes["resident"].value - slopes["resident"].uncertainty > given.limit
    sys.exit(1 if grows or seen.faults else 0)


def watch(server: Server, seconds: float, every: float, file: Path | None) -> list[Sample]:
    """Samples of a server until the time is over, or it dies."""
    began, samples = time.monotonic(), []
    while (now := time.monotonic() - began) < seconds and server.alive:
        samples.append(_sample(server.pid, now))
        if file is not None:
            with file.open("w", newline="") as stream:
                csv.writer(stream).writerows([Sample._fields, *samples])
        time.sleep(every)
    return samples


def _sample(pid: int, seconds: float) -> Sample:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = {name: int(lines[name].split()[0]) for name in ("VmRSS", "RssAnon", "Threads")}
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(seconds, kib["VmRSS"] / 1024, kib["RssAnon"] / 1024, kib["Threads"], files)


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
        return answer

    path, query, image = _drawn(draw)
    nonsense = draw.random() < 0.05
    body = draw.randbytes(draw.randint(1, 5000)) if nonsense else image.tobytes()
    query |= {"shape": ",".join(map(str, image.shape)), "axes": "CYX"[-image.ndim :], "title": f"{draw.random()}"}
    answer = ask("POST", path, params=query, content=body, headers=RAW)
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
    shape = (draw.randint(48, 384), draw.randint(48, 384))
    return "/v1/restorations", {"package": draw.choice(PACKAGES)}, noise.normal(100, 20, shape).astype("<f4")


def slope(samples: list[Sample], name: str, warm_up_s: float) -> Slope:
    """How fast it grows after the warm-up, by least squares over the means of blocks of two minutes."""
    from scipy.stats import linregress, t

    later = [each for each in samples if each.seconds >= warm_up_s]
    blocks: dict[int, list[Sample]] = {}
    for each in later:
        blocks.setdefault(int(each.seconds // BLOCK_S), []).append(each)
    if len(blocks) < 4:
        return Slope(float("nan"), float("nan"))
    hours = [np.mean([each.seconds for each in block]) / 3600 for block in blocks.values()]
    found = linregress(hours, [np.mean([getattr(each, name) for each in block]) for block in blocks.values()])
    return Slope(float(found.slope), float(found.stderr * t.ppf(0.975, len(blocks) - 2)))


def draw(samples: list[Sample], fitted: Slope, warm_up_s: float, path: Path) -> None:
    """The curves of resident and own memory."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    minutes = [each.seconds / 60 for each in samples]
    axes.plot(minutes, [each.resident for each in samples], label="resident", lw=1)
    axes.plot(minutes, [each.own for each in samples], label="resident, without files", lw=1)
    axes.axvspan(0, warm_up_s / 60, color="0.9", label="warm-up")
    axes.set(xlabel="minutes of serving", ylabel="MiB", ylim=(0, None))
    axes.set_title(f"{fitted.value:+.0f} ± {fitted.uncertainty:.0f} MiB an hour after the warm-up", fontsize=10)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def report(samples: list[Sample], slopes: dict[str, Slope], seen: Seen, given: argparse.Namespace, device: str) -> str:
    """The tables."""
    later = [each for each in samples if each.seconds >= given.warm_up * 60] or samples
    lines = [
        f"Made by `python benchmarks/endurance/serving_memory.py`: {given.clients} clients for {given.minutes:g} "
        f"minutes, seed {given.seed}. {device}.",
        "",
        "| memory, MiB | at the start | after the warm-up | at the end | most | slope after the warm-up, MiB an hour |",
        "|---|---|---|---|---|---|",
    ]
    for name, words in (("resident", "resident"), ("own", "of it no files")):
        values = [getattr(each, name) for each in (samples[0], later[0], later[-1])]
        most, fitted = max(getattr(each, name) for each in samples), slopes[name]
        shown = " | ".join(f"{value:.0f}" for value in (*values, most))
        lines.append(f"| {words} | {shown} | {fitted.value:+.0f} ± {fitted.uncertainty:.0f} |")
    threads, files = ({getattr(each, name) for each in later} for name in ("threads", "files"))
    lines += [
        "",
        f"After the warm-up ({given.warm_up:g} minutes) the process had {min(threads)} to {max(threads)} threads and "
        f"{min(files)} to {max(files)} open files.",
        "",
        "Jobs: " + ", ".join(f"{count} {end}" for end, count in sorted(seen.ends.items())) + ".",
        "",
        "Answers by code: " + ", ".join(f"{count} times {code}" for code, count in sorted(seen.codes.items())) + ".",
        "",
        f"Faults: {len(seen.faults)}.",
        *(f"- {fault}" for fault in seen.faults[:10]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
