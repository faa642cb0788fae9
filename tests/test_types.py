"""Who imports relumen knows its types: pyright's measure of how much of the interface is told in full."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

LEAST = 0.965


def test_the_interface_tells_its_types() -> None:
    spec = find_spec("relumen")
    assert spec is not None and spec.origin is not None
    if "site-packages" not in Path(spec.origin).parts:
        pytest.skip("pyright measures installed packages alone: make install")
    command = [sys.executable, "-m", "pyright", "--ignoreexternal", "--outputjson", "--verifytypes", "relumen"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # pyright asks its python
    answer = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
    found = json.loads(answer.stdout)["typeCompleteness"]
    assert found["packageName"] == "relumen" and found["completenessScore"] >= LEAST, _untold(found["symbols"])


def _untold(symbols: list[dict]) -> str:
    return "\n".join(each["name"] for each in symbols if each["isExported"] and not each["isTypeKnown"])
