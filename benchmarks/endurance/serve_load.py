"""Shows how soon the server answers while it works and many clients ask it at once.

Starts `relumen serve` with the shipped priors on this machine; each client submits a search of one step of a field of
8 x 8 pixels, asks four times a second where it stands, fetches the result, and begins again. Where the queue is full
it waits as long as it is told to. When the time is up every job that was accepted is waited for.

    python benchmarks/endurance/serve_load.py > benchmarks/endurance/serve_load.md
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from serving import LONGEST_S, RAW, Server

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

QUERY = {"prior": "prior-cells", "factor": 16, "iterations": 1, "shape": "3,8,8", "axes": "CYX"}
QUEUE = 32
POLL_S = 0.25


@dataclass
class Seen:
    """What all clients saw together.

    Attributes:
        seconds: of the answers, by the kind of the request.
        codes: of HTTP.
        ends: of jobs.
        whole: seconds from a submission to its result.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    codes: Counter[int] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    whole: list[float] = field(default_factory=list)


def main() -> None:
    """Measures, and prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60, help="in which jobs are submitted")
    given = parser.parse_args()
    from relumen.device import describe_device

    device = describe_device()
    with TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server", ["--queue", str(QUEUE)])
        try:
            server.wait_until_ready()
            seen = asyncio.run(load(server.address, given.clients, given.seconds))
        finally:
            server.stop()
    print(report(seen, given.clients, given.seconds, device))


async def load(address: str, clients: int, seconds: float) -> Seen:
    """What so many clients see."""
    seen, until = Seen(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number, address, until, seen))
    return seen


async def client(number: int, address: str, until: float, seen: Seen) -> None:
    """One who submits, waits and fetches until the time is up."""
    image = np.random.default_rng(number).random((3, 8, 8)).astype("<f4").tobytes()
    async with httpx.AsyncClient(base_url=address, timeout=LONGEST_S, verify=False) as http:

        async def ask(kind: str, method: str, path: str, **what: Any) -> httpx.Response:  # noqa: ANN401
            began = time.perf_counter()
            answer = await http.request(method, path, **what)
            seen.seconds.setdefault(kind, []).append(time.perf_counter() - began)
            seen.codes[answer.status_code] += 1
            return answer

        while time.monotonic() < until:
            began = time.perf_counter()
            query = {**QUERY, "seed": number}
            answer = await ask("submit", "POST", "/v1/searches", params=query, content=image, headers=RAW)
            if answer.status_code == 429:
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                continue
            id = answer.json()["id"]
            while (state := (await ask("status", "GET", f"/v1/jobs/{id}")).json()["state"]) in ("waiting", "running"):
                await asyncio.sleep(POLL_S)
            seen.ends[state] += 1
            await ask("result", "GET", f"/v1/jobs/{id}/result")
            seen.whole.append(time.perf_counter() - began)


def report(seen: Seen, clients: int, seconds: float, device: str) -> str:
    """The tables."""
    lines = [
        "# How soon the server answers under load",
        "",
        f"Made by `python benchmarks/endurance/serve_load.py`: {clients} clients for {seconds:.0f} seconds,",
        f"searches of one step of a field of 8 x 8 pixels at 16x with prior-cells, a queue of {QUEUE}, all on",
        f"one machine. {device}.",
        "",
        "| request | answers | median, ms | 95 of 100 within, ms | slowest, ms |",
        "|---|---|---|---|---|",
    ]
    for kind, each in seen.seconds.items():
        middle, most, slowest = np.percentile(each, (50, 95, 100)) * 1000
        lines.append(f"| {kind} | {len(each)} | {middle:.0f} | {most:.0f} | {slowest:.0f} |")
    accepted = seen.codes[202]
    ends = ", ".join(f"{count} {state}" for state, count in seen.ends.items())
    codes = ", ".join(f"{count} times {code}" for code, count in sorted(seen.codes.items()))
    lines += [
        "",
        f"Accepted jobs: {accepted}; {ends}; lost: {accepted - sum(seen.ends.values())}. "
        f"From submission to result: {np.median(seen.whole):.1f} s (median).",
        "",
        f"Answers by code: {codes} (429: the queue was full).",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
