"""The commands in ImageJ's windows, on a virtual screen: menu, dialog, recorder, status, preview, Esc, macros."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from relumen.image_writing import write_image
from relumen.imagej_bridge.session import PLUGIN
from relumen.images import Image, PixelSize, read_image
from relumen.jvm import find_java

pytestmark = pytest.mark.jvm
STORY = Path(__file__).parent / "windows_story.py"
RELUMEN = (sys.executable, "-c", "from relumen.cli import main; main()")
LIMIT_S = 120


@pytest.fixture(scope="module")
def screen():
    """The name of a virtual screen."""
    if sys.platform != "linux" or shutil.which("Xvfb") is None:
        pytest.skip("There is no Xvfb, a screen for windows that nobody sees (on Debian and Ubuntu: apt install xvfb)")
    if not (find_java().home / "lib" / "libawt_xawt.so").is_file():
        pytest.skip("This Java has no windows (on Debian and Ubuntu: apt install default-jre)")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        yield f":{process.stdout.readline().strip()}"
        process.terminate()


@pytest.fixture(scope="module")
def seen(screen, tmp_path_factory, cells):
    """What the user of the story saw."""
    home = _home(tmp_path_factory.mktemp("windows") / "ImageJ", cells[300:364, 300:364], cells[400:464, 300:364])
    return _play(screen, home)


OPTIONS = {
    "Prior": "prior-cells",
    "Factor": "16",
    "Iterations": "200",
    "Lambda w": "5e-4",
    "Lambda c": "3e-4",
    "Blur": "0",
    "Reduction": "bicubic",
    "Channels": "",
    "Intensity": "auto",
    "Solutions": "1",
    "Seed": "0",
    "Preview": True,
}


def test_the_dialog_says_what_it_is_and_starts_with_the_defaults(seen):
    assert seen["words"][0] == "The result is synthesised: one of many images that fit this one."
    assert seen["asked"] == {**OPTIONS, "Server": seen["address"]}


def test_the_dialog_remembers_what_was_said(seen):
    said = {"Factor": "4", "Blur": "0.0625", "Seed": "7", "Solutions": "2", "Channels": "DNA=1 tubulin=none"}
    assert seen["asked again"] == {**OPTIONS, **said, "Server": seen["address"]}


def test_the_status_bar_the_progress_bar_and_one_preview_follow_the_search(seen):
    assert seen["status"] == "relumen: iteration 37 of 200, residual 0.0123, likelihood 2.31"
    assert seen["progress"] == pytest.approx(37 / 200)
    assert seen["same window"]
    assert seen["current meanwhile"] == "cells.tif"


def test_esc_cancels_and_leaves_nothing_behind(seen):
    assert seen["status after Esc"] == "relumen: cancelled"
    assert (seen["progress after Esc"], seen["preview after Esc"]) == (0, False)


def test_a_preview_that_was_closed_stays_closed(seen):
    assert not seen["preview after closing"]


def test_the_result_is_the_current_image(seen):
    assert (seen["result"], seen["current at the end"]) == ([256, 256, 2, 4, 1], "cells_rls")


def test_the_recorder_writes_the_line_that_a_macro_needs_and_no_token(seen):
    ran = [line for line in seen["recorded"] if line.startswith("run(")]
    search = (
        'run("RLS Super-Resolution...", "prior=prior-cells factor=4 iterations=200 lambda_w=5e-4 lambda_c=3e-4 '
        "blur=0.0625 reduction=bicubic channels=[DNA=1 tubulin=none] intensity=auto solutions=2 seed=7 preview "
        f'server={seen["address"]}");'
    )
    assert ran == [f'run("relumen Server...", "address={seen["address"]}");', search, search, search]
    assert not [line for line in seen["recorded"] if "preview of" in line or "s3cret" in line]


def test_failures_are_told_in_a_window(seen):
    assert seen["server"] == [f"relumen 1.2.3 at {seen['address']} is ready, with 2 priors."]
    assert seen["refused"] == ["seed: 7 is no good", "Take another."]


def test_a_failure_or_esc_ends_a_macro(seen):
    assert seen["refused in a macro"] == "seed: 7 is no good in line 1"
    assert seen["log"] == ["then cells_rls-1"]  # of the first of three macros


def test_a_recorded_line_gives_the_same_image_without_windows_and_through_relumen_fiji(
    screen, imagej, searchable_prior, tmp_path, cells
):
    home = _home(tmp_path / "ImageJ", cells[300:308, 300:308], cells[400:408, 300:308])
    with _server(searchable_prior, tmp_path / "server") as address:
        recorded = _play(screen, home, address)["recorded"]
        line = next(each for each in recorded if each.startswith('run("RLS'))
        macro = 'open("{0}/cells.tif"); ' + line + ' saveAs("Tiff", "{0}/{1}.tif");'
        imagej.run_macro(macro.format(home.as_posix(), "headless"))
        (home / "search.ijm").write_text(macro.format(home.as_posix(), "fiji"), encoding="utf-8")
        command = [*RELUMEN, "fiji", "--server", address, "--headless", str(home / "search.ijm")]
        subprocess.run(command, check=True, timeout=LIMIT_S, capture_output=True)
    windowed, *others = (read_image(home / f"{name}.tif") for name in ("windowed", "headless", "fiji"))
    assert (windowed.axes, windowed.pixels.shape) == ("ZCYX", (4, 2, 16, 16))
    assert windowed.pixels.std() > 0
    assert windowed.pixel_size.x == pytest.approx(0.25)
    assert "seed" in windowed.metadata["Info"]
    assert windowed.metadata["Labels"][0].startswith("solution 1")
    for other in others:
        np.testing.assert_array_equal(other.pixels, windowed.pixels)
        assert other.metadata["Labels"] == windowed.metadata["Labels"]


def _home(folder, *channels):
    (folder / "plugins").mkdir(parents=True)
    shutil.copy(PLUGIN, folder / "plugins")
    write_image(folder / "cells.tif", Image(np.stack(channels), "CYX", PixelSize(0.5, 0.5)))
    return folder


def _play(screen, home, *more):
    environment = {name: value for name, value in os.environ.items() if name != "RELUMEN_TOKEN"}
    command = [sys.executable, str(STORY), str(home), *more]
    done = subprocess.run(
        command, env={**environment, "DISPLAY": screen}, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _server(prior, folder):
    """A relumen server with one more prior; gives its address."""
    command = [*RELUMEN, "serve", "--port", "0", "--folder", str(folder), "--prior", str(prior)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watchdog = threading.Timer(LIMIT_S, process.kill)
        watchdog.start()
        said, address = "", None
        while not address and (line := process.stdout.readline()):
            said += line
            address = re.search(r"Listening at (http://\S+)", line)
        watchdog.cancel()
        assert address, f"The server did not start:\n{said}"
        threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would hold it up
        yield address[1]
        process.terminate()
        process.wait(LIMIT_S)
