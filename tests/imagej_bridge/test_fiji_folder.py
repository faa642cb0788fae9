"""How pyimagej is asked to start a Fiji, with a stand-in for it that keeps what it was told."""

import os
import sys

import pytest

from relumen.errors import CheckFailedError
from relumen.imagej_bridge.fiji_folder import start_fiji
from relumen.imagej_bridge.session import PLUGIN

PYIMAGEJ = """
import scyjava
scyjava.config.endpoints.append("net.imglib2:imglib2-imglyb:1.1.0")  # as the real one, when it is imported
calls, callbacks, gateway = [], [], object()
def when_imagej_starts(callback):
    callbacks.append(callback)
def init(folder, mode):
    calls.append((folder, mode, list(scyjava.config.endpoints), scyjava.config.get_fetch_java()))
    if isinstance(gateway, Exception):
        raise gateway
    for callback in callbacks:
        callback(gateway)
    return None if mode == "gui" else gateway
"""


@pytest.fixture
def pyimagej(tmp_path, monkeypatch):
    import scyjava

    (tmp_path / "imagej.py").write_text(PYIMAGEJ)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "imagej", raising=False)
    monkeypatch.setattr(scyjava.config, "endpoints", ["an.old:endpoint"])
    monkeypatch.setenv("JAVA_HOME", os.environ.get("JAVA_HOME", ""))
    jars = []
    monkeypatch.setattr("jpype.addClassPath", jars.append)
    yield lambda: (sys.modules["imagej"], jars)
    sys.modules.pop("imagej", None)


def test_nothing_is_fetched_and_our_jar_comes_first(pyimagej, tmp_path):
    gateway = start_fiji(tmp_path, "headless")
    module, jars = pyimagej()
    assert gateway is module.gateway
    assert module.calls == [(str(tmp_path), "headless", [], "auto")]
    assert jars == [PLUGIN] and os.path.isdir(os.environ["JAVA_HOME"])


def test_in_a_window_that_blocks_the_commands_are_registered_from_within(pyimagej, tmp_path):
    seen = []
    assert start_fiji(tmp_path, "gui", seen.append) is None
    assert seen == [pyimagej()[0].gateway]


@pytest.mark.parametrize("gateway", [False, RuntimeError("Failed to create a JVM")])
def test_a_fiji_that_does_not_start(pyimagej, tmp_path, gateway):
    import imagej

    imagej.gateway = gateway
    with pytest.raises(CheckFailedError, match="does not start.*Does it start by itself"):
        start_fiji(tmp_path, "headless")
