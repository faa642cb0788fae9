"""relumen serve, killed in the middle of a real search: what it finds in the end is what it would have found."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from asking import until

from relumen.imagej_bridge.client import Client, HttpConnection
from relumen.imagej_bridge.server.parameters import SearchParameters
from relumen.images import Image
from relumen.search.loop import Searcher

SEARCH = {"prior": "tiny-prior", "factor": 2, "iterations": 3000, "seed": 4, "intensity": "0:255"}


@contextmanager
def serving(folder, prior):
    """A server in a process of its own; gives it with its client."""
    settings = folder / "serve.yaml"
    settings.write_text(f"priors: [{prior}]\nwarm: [{prior.name}]\ncheckpoint_s: 0.1\nbatch: 1\n")
    command = (sys.executable, "-c", "from relumen.cli import main; main()", "serve", "--port", "0")
    process = subprocess.Popen(
        [*command, "--config", str(settings), "--folder", str(folder / "server")], stdout=subprocess.PIPE, text=True
    )
    try:
        listening = re.compile(r"Listening at (\S+)")
        address = next(found[1] for line in process.stdout if (found := listening.search(line)))
        yield process, Client(HttpConnection(address))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def low(cells):
    return Image(np.stack([cells[300:304, 300:304], cells[400:404, 400:404]]), "CYX")


def test_a_search_whose_server_is_killed_finds_what_it_would_have_found(tmp_path, searchable_prior, low):
    with serving(tmp_path, searchable_prior) as (process, client):
        id = client.submit("search", low, SEARCH)
        state = tmp_path / "server" / "jobs" / id / "checkpoint" / "state-00000.npz"
        until(lambda: state.is_file() and client.status(id).iteration > 50)
        assert client.status(id).state == "running"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with np.load(state) as kept:
        done = len(kept["history"])
    assert 0 < done < SEARCH["iterations"]
    begun = []
    with serving(tmp_path, searchable_prior) as (_, client):
        client.wait(id, lambda status: begun.append(status.iteration))
        found = client.result(id).pixels
        assert client.result(id).metadata["Info"].startswith("synthesised")
    assert min(each for each in begun if each) > done  # it went on, and did not begin anew

    request = SearchParameters(**SEARCH).request(searchable_prior)
    plan = request.plan([low])
    (window,) = plan.windows(low)
    lows = plan.low(low, window)[np.newaxis]
    expected = Searcher(plan.prior, plan.operator, plan.config)(lows, seed=[window.seed])
    made = np.moveaxis(plan.intensities.undone(expected.images[0]), -1, 0)
    np.testing.assert_allclose(found, made, rtol=1e-6, atol=1e-4)  # but for the rounding of a field's blending
