"""A real Fiji, where the variable RELUMEN_FIJI names its folder: it is not on Maven Central, and is not fetched."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image

from .test_bridge import python

sys.path.insert(0, str(Path(__file__).parents[1] / "imagej_bridge"))  # for the server with a worker that stands in

from asking import Process  # noqa: E402

FIJI = os.environ.get("RELUMEN_FIJI", "")
pytestmark = [
    pytest.mark.jvm,
    pytest.mark.skipif(not FIJI, reason="RELUMEN_FIJI names no Fiji's folder, such as /opt/Fiji.app"),
]
LOW = np.arange(96, dtype=np.uint8).reshape(2, 6, 8)


@pytest.fixture
def address(tmp_path):
    (tmp_path / "server").mkdir()
    server = Process(tmp_path / "server")
    yield server.address
    server.end()


def in_fiji(address, code):
    """Runs code in a process with a session in Fiji; gives (exit code, what it printed)."""
    opened = f"with relumen.imagej_bridge.open({FIJI!r}, server={address!r}) as session:"
    return python(f"import relumen.imagej_bridge\n{opened}\n" + "".join(f"    {line}\n" for line in code))


def test_macro_and_function_work_in_a_fiji(address, tmp_path):
    low, high, again = (str(tmp_path / f"{name}.tif") for name in ("low", "high", "again"))
    write_image(Path(low), Image(LOW, "CYX", PixelSize(1.0, 1.0)))
    line = f'open("{low}"); run("RLS Super-Resolution...", "prior=tiny factor=2"); saveAs("Tiff", "{high}");'
    code, said = in_fiji(
        address,
        [
            "from pathlib import Path",
            "print('gateway', session.gateway.getVersion(), 'ImageJ', session.imagej.version)",
            f"session.run_macro({line!r})",
            f"found = session.super_resolve(session.imagej.open_image(Path({low!r})), prior='tiny', factor=2)",
            f"session.imagej.save_tiff(found, Path({again!r}))",
        ],
    )
    assert code == 0 and "gateway" in said, said
    for path in (high, again):
        found = read_image(Path(path))
        np.testing.assert_array_equal(found.pixels, LOW.repeat(2, 1).repeat(2, 2))
        assert found.pixel_size == PixelSize(1.0, 1.0)  # which the worker leaves as it is


def test_a_refusal_stops_a_macro_in_a_fiji(address):
    line = 'newImage("x", "8-bit", 4, 4, 1); run("RLS Super-Resolution...", "prior=tiny factor=5000"); print("on");'
    code, said = in_fiji(address, [f"session.run_macro({line!r})"])
    assert code == 1 and "factor: Input should be less than or equal to 1024" in said, said
