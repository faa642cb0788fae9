"""Many clients at once, through sockets: each job that was accepted ends, and with its own result."""

import asyncio
import io
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import numpy as np
import tifffile
from asking import TEXT, TIFF, tiff_bytes

CLIENTS = 64
SECONDS = 4
DEADLINE_S = 60
ALLOWED = {200, 202, 409, 429}


@dataclass
class Seen:
    codes: Counter = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    ends: Counter = field(default_factory=Counter)
    retries: list[float] = field(default_factory=list)


async def one_client(number, address, seen, until):
    """Submits, waits, fetches and checks, again and again; each third job is cancelled."""
    # No certificates, which each client would read anew.
    async with httpx.AsyncClient(base_url=address, timeout=DEADLINE_S, verify=False) as client:

        async def ask(method, path, **what):
            answer = await client.request(method, path, **what)
            seen.codes[answer.status_code] += 1
            return answer

        turn = 0
        while time.monotonic() < until:
            turn += 1
            value = number * 1000 + turn
            body = tiff_bytes(np.full((5, 5), value, np.uint16))
            query = {"prior": "tiny", "factor": 2, "title": f"{value}"}
            answer = await ask("POST", "/v1/searches", params=query, content=body, headers=TIFF)
            if answer.status_code == 429:
                seen.retries.append(float(answer.headers["Retry-After"]))
                await asyncio.sleep(0.2)  # sooner than it was told to
                continue
            id = answer.json()["id"]
            seen.accepted.append(id)
            if turn % 3 == 0:
                await ask("DELETE", f"/v1/jobs/{id}", headers=TEXT)
            elif turn % 3 == 1:
                await ask("GET", f"/v1/jobs/{id}/events")  # until its end
            async with asyncio.timeout(DEADLINE_S):
                while (status := (await ask("GET", f"/v1/jobs/{id}")).json())["state"] in ("waiting", "running"):
                    await asyncio.sleep(0.05)
            assert (status["id"], status["title"]) == (id, f"{value}")
            seen.ends[status["state"]] += 1
            result = await ask("GET", f"/v1/jobs/{id}/result")
            if status["state"] == "finished":
                np.testing.assert_array_equal(tifffile.imread(io.BytesIO(result.content)), np.full((10, 10), value))
            else:
                assert (status["state"], result.status_code) == ("cancelled", 409)


def test_many_clients_lose_nothing(listening):
    served = listening(queue=24)
    address, seen = str(served.client.base_url), Seen()

    async def all_clients():
        until = time.monotonic() + SECONDS
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(one_client(number, address, seen, until))

    asyncio.run(all_clients())
    assert set(seen.codes) <= ALLOWED, seen.codes
    assert len(set(seen.accepted)) == len(seen.accepted) == sum(seen.ends.values())
    assert seen.ends["finished"] > CLIENTS / 4
    assert seen.codes[429] == len(seen.retries) > 0
    assert all(1 <= seconds <= 600 for seconds in seen.retries)
    counts = served.store.counts()
    assert counts["waiting"] == counts["running"] == counts["failed"] == 0
    assert (counts["finished"], counts["cancelled"]) == (seen.ends["finished"], seen.ends["cancelled"])
    text = served.client.get("/metrics").text
    assert f'relumen_jobs_accepted_total{{kind="search"}} {len(seen.accepted)}.0' in text
    assert f'relumen_submissions_refused_total{{code="429",kind="search"}} {seen.codes[429]}.0' in text
    assert not any(served.store.incoming.iterdir())
