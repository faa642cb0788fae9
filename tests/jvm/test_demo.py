"""The demo from its trained network on: what it leaves, and that it does not praise a network that learned nothing."""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.jvm

SMALL = """
import importlib
demo = importlib.import_module("relumen.cli.demo")
demo.FIELDS, demo.PHOTONS = demo.FIELDS[:1], demo.PHOTONS[:2]
from relumen.cli import main
main()
"""
"""The command, with one field at two noise levels."""


def test_the_demo_goes_on_from_a_trained_network_and_judges_it(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "runs" / "esrgan-demo")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = [sys.executable, "-c", SMALL, "demo"]
    answer = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert "runs/esrgan-demo is trained already" in answer.stdout
    assert "5/5 The same in a real ImageJ" in answer.stdout, answer.stdout + answer.stderr
    assert answer.returncode == 1 and "dB" in answer.stderr, answer.stderr
    left = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"before-after.png", "comparison.md", "comparison.csv", "verify.json", "images"} <= left
    assert (tmp_path / "packages" / "esrgan-demo" / "rdf.yaml").is_file()
