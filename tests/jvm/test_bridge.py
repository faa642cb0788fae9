"""ImageJ in Python's process: menu command, macro, function and HTTP ask for the same and get the same."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import relumen.imagej_bridge
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image
from relumen.imagej_bridge.client import Client, HttpConnection
from relumen.imagej_bridge.convert import from_imageplus, to_imageplus
from relumen.imagej_bridge.program import _ctrl_c_stays_pythons
from relumen.imagej_bridge.transport import escape_by_ctrl_c
from relumen.images import Image, PixelSize, read_image

pytestmark = pytest.mark.jvm
MACROS = Path(str(files("relumen.imagej_bridge.macros")))
OPTIONS = "prior=tiny-prior factor=2 iterations=4 seed=7"
ASKED = {"prior": "tiny-prior", "factor": 2, "iterations": 4, "seed": 7}
LOW = np.random.default_rng(0).integers(0, 200, (2, 4, 4)).astype(np.uint8)


@pytest.fixture(scope="module")
def session(searchable_prior):
    with relumen.imagej_bridge.open(priors=[searchable_prior]) as session:
        yield session


@pytest.fixture(scope="module")
def address(searchable_prior, tmp_path_factory):
    """Of another server, with sockets and a worker of its own."""
    from relumen.imagej_bridge.server.config import ServeConfig
    from relumen.imagej_bridge.server.serve import Server, running
    from relumen.imagej_bridge.server.work import make_worker

    folder = tmp_path_factory.mktemp("server")
    config = ServeConfig(folder=folder, priors=(searchable_prior,), warm=("tiny-prior",))
    with running(config, make_worker) as parts, socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(*parts, config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def expected(address):
    """What a client over HTTP gets."""
    client = Client(HttpConnection(address))
    id = client.submit("search", Image(LOW, "CYX", PixelSize(1.0, 1.0)), ASKED)
    client.wait(id)
    return client.result(id)


def shown(pixels=LOW, axes="CYX"):
    return to_imageplus(Image(pixels, axes, PixelSize(1.0, 1.0)), "cells.ome.tif")


def python(code, *command):
    """Runs code in a process of its own; gives (exit code, what it printed)."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    program = [*command, sys.executable, "-c", textwrap.dedent(code)]
    answer = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120)
    return answer.returncode, " ".join((answer.stdout + answer.stderr).split())


def test_all_ways_give_the_same_image(session, expected):
    told = []
    array = session.super_resolve(LOW, **ASKED, on_status=told.append)
    np.testing.assert_array_equal(array, expected.pixels)
    assert array.dtype == np.float32 and told[-1].state == "finished"
    imp = session.super_resolve(shown(), **ASKED)
    assert str(imp.getTitle()) == "cells_rls"
    session.run_macro(f'run("RLS Super-Resolution...", "{OPTIONS}");', image=shown())
    for image in (from_imageplus(imp), from_imageplus(session.imagej.current_image())):
        np.testing.assert_array_equal(image.pixels, expected.pixels)
        assert image.pixel_size == PixelSize(0.5, 0.5)
        assert "No microscope took this image" in image.metadata["Info"] and "seed: 7" in image.metadata["Info"]
    assert not np.array_equal(session.super_resolve(LOW, **{**ASKED, "seed": 8, "solutions": 2})[0], expected.pixels)


def test_axes_stay_and_solutions_lie_along_a_free_one(session):
    stack = np.stack([LOW, LOW[:, ::-1], LOW // 2])
    fast = {**ASKED, "iterations": 1}
    assert session.super_resolve(stack, axes="ZCYX", **fast).shape == (3, 2, 8, 8)
    assert session.super_resolve(stack[:1], axes="TCYX", **fast).shape == (1, 2, 8, 8)
    found = session.super_resolve(Image(stack, "ZCYX"), solutions=2, **fast)
    assert (found.axes, found.pixels.shape) == ("TZCYX", (4, 3, 2, 8, 8))
    one, two, mean, deviation = found.pixels.astype(float)
    np.testing.assert_allclose(mean, (one + two) / 2, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(deviation, np.abs(one - two) / 2, rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="An array of 4 axes needs names"):
        session.super_resolve(stack, **fast)


def test_of_a_selection_the_bounds_are_taken(session, expected):
    field = np.zeros((2, 10, 12), np.uint8)
    field[:, 3:7, 5:9] = LOW
    imp = shown(field)
    imp.setRoi(5, 3, 4, 4)
    np.testing.assert_array_equal(from_imageplus(session.super_resolve(imp, **ASKED)).pixels, expected.pixels)
    session.run_macro(f'run("RLS Super-Resolution...", "{OPTIONS}");', image=imp)
    np.testing.assert_array_equal(from_imageplus(session.imagej.current_image()).pixels, expected.pixels)


def test_packages_restore(session, cells):
    image = Image(cells[300:332, 300:332], "YX")
    restored = session.restore(image, package="cgan-fluorescence")
    assert restored.axes == "YX" and restored.pixels.shape == (32, 32)
    assert "cgan-fluorescence" in [entry["name"] for entry in session.packages()]


def test_refusals_stop_a_macro(session):
    assert "tiny-prior" in [entry["name"] for entry in session.priors()]
    words = "A factor divides the prior's 8 pixels"
    with pytest.raises(UserError, match=words):
        session.super_resolve(LOW, prior="tiny-prior", factor=3)
    with pytest.raises(CheckFailedError, match=words):
        session.run_macro('run("RLS Super-Resolution...", "prior=tiny-prior factor=3"); print("on");', image=shown())
    assert "on" not in session.imagej.printed.split()


def test_ctrl_c_is_the_escape_key(session):
    import jpype

    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")
    imagej = jpype.JClass("ij.IJ")
    imagej.resetEscape()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), escape_by_ctrl_c():
        signal.raise_signal(signal.SIGINT)
        assert imagej.escapePressed()
    imagej.resetEscape()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_start_that_fails_leaves_ctrl_c_to_python():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(UserError), _ctrl_c_stays_pythons():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise UserError("Java does not start.")
    assert signal.getsignal(signal.SIGINT) == before


def test_a_folder_is_gone_on_with(session, expected, tmp_path):
    low, high = tmp_path / "low", tmp_path / "high"
    low.mkdir()
    for name in ("a.tif", "b.TIFF"):
        write_image(low / name, Image(LOW, "CYX", PixelSize(1.0, 1.0)))
    (low / "a.tif.txt").write_text("no image")
    argument = f"input={low}/;output={high};options={OPTIONS}"
    session.run_macro(MACROS / "super_resolve_folder.ijm", argument)
    assert sorted(path.name for path in high.iterdir()) == ["a_rls.tif", "b_rls.tif"]
    np.testing.assert_array_equal(read_image(high / "a_rls.tif").pixels, expected.pixels)
    (high / "b_rls.tif").unlink()
    kept = (high / "a_rls.tif").stat().st_mtime_ns
    session.run_macro(MACROS / "super_resolve_folder.ijm", argument)
    assert "1 done, 1 there already" in session.imagej.printed
    assert (high / "b_rls.tif").is_file() and (high / "a_rls.tif").stat().st_mtime_ns == kept
    with pytest.raises(CheckFailedError, match="There is no folder"):
        session.run_macro(MACROS / "super_resolve_folder.ijm", f"input={low}/none;output={high}")
    for name in ("A.PNG", "a-1.tif"):
        (low / name).touch()
    with pytest.raises(CheckFailedError, match=r"A\.PNG and a\.tif would have results of the same name. Rename one"):
        session.run_macro(MACROS / "super_resolve_folder.ijm", argument)


def test_the_command_line_gives_the_same_image(address, expected, tmp_path):
    low, high = tmp_path / "low.tif", tmp_path / "high.tif"
    write_image(low, Image(LOW, "CYX", PixelSize(1.0, 1.0)))
    argument = f"input={low};output={high};options={OPTIONS}"
    options = ["fiji", "--server", address, "--headless", str(MACROS / "super_resolve.ijm"), "--argument", argument]
    code, said = python(f"import sys; from relumen.cli import main; sys.argv = ['relumen', *{options}]; main()")
    assert code == 0 and f"Written: {high}" in said, said
    found = read_image(high)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.pixel_size == PixelSize(0.5, 0.5)


def test_a_macro_that_fails_ends_the_command_with_1(session, address, tmp_path, monkeypatch, capsys):
    from relumen import cli

    macro = tmp_path / "fails.ijm"
    fails = 'run("RLS Super-Resolution...", "prior=none")'  # other tests may have left an image open, or not
    macro.write_text(f'print("first"); newImage("a", "8-bit", 8, 8, 1); {fails}; print("on");')
    monkeypatch.setattr("relumen.imagej_bridge.fiji.open", lambda *_, **__: session)
    monkeypatch.setattr(session, "close", lambda: None)
    monkeypatch.setattr("sys.argv", ["relumen", "fiji", "--server", address, "--headless", str(macro)])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    said = capsys.readouterr()
    session.run_macro('close("*");')
    assert said.out.split()[-1] == "first" and 'There is no prior named "none"' in said.err


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="xvfb-run (of Debian's xvfb) is not installed")
def test_a_window_has_the_commands_until_it_is_closed(address, expected, tmp_path):
    low = tmp_path / "low.tif"
    write_image(low, Image(LOW, "CYX", PixelSize(1.0, 1.0)))
    code, said = python(
        f"""
        import threading
        import jpype, numpy
        import relumen.imagej_bridge
        from relumen.imagej_bridge.convert import from_imageplus
        with relumen.imagej_bridge.open(server={address!r}, headless=False) as session:
            menu = jpype.JClass("ij.Menus").getCommands()
            print(menu.get("RLS Super-Resolution..."), jpype.JClass("ij.IJ").getInstance().isShowing())
            session.run_macro('open("{low}"); run("RLS Super-Resolution...", "{OPTIONS}");')
            found = session.imagej.current_image()
            print(found.getWindow() is not None, float(from_imageplus(found).pixels.astype(float).sum()))
            found.changes = False
            closing = threading.Timer(0.5, jpype.JClass("ij.IJ").getInstance().quit)
            closing.start()
            session.wait_until_closed()
            print("closed")
        """,
        *("xvfb-run", "-a"),
    )
    assert code == 0, said
    assert said.endswith(f"relumen.SuperResolution True True {float(expected.pixels.astype(float).sum())} closed")


def test_the_guides_python_is_true(session, address, tmp_path, monkeypatch):
    """With a smaller prior; all else is as it stands there."""
    guide = (Path(__file__).parents[2] / "docs" / "fiji.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert snippets
    write_image(tmp_path / "cells.tif", Image(LOW, "CYX", PixelSize(1.0, 1.0)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relumen.imagej_bridge.fiji.open", lambda *_, **__: session)
    monkeypatch.setattr(session, "close", lambda: None)
    small = {"prior-cells": "tiny-prior", "factor=16": "factor=2", '"factor": 16': '"factor": 2', "=200": "=2"}
    names: dict[str, object] = {}
    for snippet in snippets:
        for real, stand_in in {**small, "http://127.0.0.1:8765": address}.items():
            snippet = snippet.replace(real, stand_in)
        exec(snippet, names)
    assert read_image(tmp_path / "cells_rls.tif").pixels.shape == (2, 8, 8)
    assert np.shape(names["mean"]) == (2, 8, 8) and np.shape(names["stack"]) == (2, 2, 8, 8)


def test_one_process_has_one_imagej(session, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":9")
    if sys.platform != "darwin":
        with pytest.raises(UserError, match="This process has plain ImageJ already. Start Python anew for .* windows"):
            relumen.imagej_bridge.open(headless=False)


def test_once_closed_the_commands_ask_over_http_again(session, address, expected):
    """The last test of this session."""
    session.close()
    session.close()
    with pytest.raises(CheckFailedError, match="The server in this process is closed"):
        session.super_resolve(LOW, **ASKED)
    start = time.monotonic()
    session.imagej.run_macro(f'run("RLS Super-Resolution...", "{OPTIONS} server={address}");', image=shown())
    np.testing.assert_array_equal(from_imageplus(session.imagej.current_image()).pixels, expected.pixels)
    assert time.monotonic() - start < 30
