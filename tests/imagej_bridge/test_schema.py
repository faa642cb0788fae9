"""The server does what its OpenAPI description says, also for requests that nobody would write."""

import numpy as np
import pytest
import schemathesis
from asking import tiff_bytes
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from schemathesis.transport.serialization import serialize_binary

SECRET = "0123456789abcdef"
AUTHORISED = {"Authorization": f"Bearer {SECRET}"}
SETTINGS = {
    "seed": 1,
    "headers": AUTHORISED,
    "generation": {"max-examples": 5, "deterministic": True, "database": "none", "no-shrink": True},
    # A description can't say which bytes are an image, nor which priors there are.
    "checks": {"positive_data_acceptance": {"enabled": False}},
    "phases": {"stateful": {"enabled": False}},
    "analysis": {"constants": {"enabled": False}},
}


@schemathesis.serializer("image/tiff")
def as_it_is(context, value):
    return serialize_binary(value)


@pytest.fixture
def served(serving):
    return serving(token=SECRET, host="0.0.0.0")


def described(served, settings=SETTINGS):
    config = SchemathesisConfig.from_dict(settings)
    return schemathesis.openapi.from_asgi("/openapi.json", served.app, config=config, headers=AUTHORISED)


def faults_of(schema):
    """What schemathesis found wrong, and how many requests it made of each operation."""
    faults, requests = [], {}
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            requests[event.label] = requests.get(event.label, 0) + len(event.recorder.cases)
            for check in (each for checks in event.recorder.checks.values() for each in checks):
                if check.failure_info is not None:
                    faults.append(f"{event.label}: {check.name}: {check.failure_info.failure}")
        elif isinstance(event, events.NonFatalError | events.FatalError):
            faults.append(f"{event}")
    return faults, requests


@pytest.mark.parametrize("known", [False, True])
def test_requests_that_nobody_would_write(served, known):
    settings = SETTINGS
    if known:
        id = served.search(headers=AUTHORISED).json()["id"]
        served.client.headers.update(AUTHORISED)
        assert served.ended(id)["state"] == "finished"
        settings = {**SETTINGS, "parameters": {"id": id, "name": "esrgan-tiny"}}
    schema = described(served, settings)
    faults, requests = faults_of(schema)
    assert not faults, "\n\n".join(faults)
    operations = {f"{method.upper()} {path}" for path, each in schema.raw_schema["paths"].items() for method in each}
    assert set(requests) == operations
    assert min(requests.values()) >= 3
    assert sum(requests.values()) > 200, requests


@pytest.mark.parametrize(
    ("path", "query", "body", "media_type"),
    [
        ("/v1/searches", {"prior": "tiny", "factor": 2, "seed": 7}, tiff_bytes(), "image/tiff"),
        (
            "/v1/searches",
            {"prior": "tiny", "factor": 2, "shape": "2,2"},
            np.zeros(4, "<f4").tobytes(),
            "application/octet-stream",
        ),
        ("/v1/restorations", {"package": "esrgan-tiny"}, tiff_bytes(), "image/tiff"),
    ],
)
def test_what_is_accepted_is_as_described(served, path, query, body, media_type):
    case = described(served)[path]["POST"].Case(query=query, body=body, media_type=media_type, headers=AUTHORISED)
    assert case.call_and_validate().status_code == 202
