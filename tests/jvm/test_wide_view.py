"""The shipped 8x network on cells that it never saw, as Fiji runs it: macro, tiles and engine."""

import numpy as np
import pytest

from relumen.data import image_path
from relumen.degrade import reduced
from relumen.export.engines import run_in_engine
from relumen.export.jdll import jdll_cut
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image
from relumen.metrics import psnr
from relumen.package import open_package
from relumen.restore import open_model, restore_plane
from relumen.seams import jump_ratio
from relumen.shipped import shipped_path
from relumen.tiling import TilePlan
from relumen.upsampling import bicubic

pytestmark = pytest.mark.jvm
ENGINE = "onnxruntime-java-1.13.1"
BELOW = 728  # of the frames, rows that were never trained on; DeepImageJ shifts small images of odd size


@pytest.fixture
def truth():
    """A frame and a region that no training saw, in 16 bit intensities."""
    return np.asarray(read_image(image_path("phase_t98g/t37.tif")).pixels, np.float32)[BELOW : BELOW + 288, :1016]


def test_a_region_that_was_never_seen_has_no_seams_in_imagej(imagej, deepimagej, truth, tmp_path):
    name = "cascade-phase-8x"
    low = reduced(truth, 8)
    write_image(tmp_path / "low.tif", Image(low, "YX", PixelSize(6.936, 6.936)))
    with open_package(shipped_path(name)) as package:

        def in_tiles(plane):
            cut = jdll_cut(package.rdf, plane[..., np.newaxis])
            weights = package.weights["onnx"]
            return cut.merge(run_in_engine(ENGINE, weights, cut.tiles, input_id="input", output_id="output"))[..., 0]

        deepimagej.answers(in_tiles)
        argument = f"input={tmp_path / 'low.tif'};output={tmp_path / 'out.tif'};model={shipped_path(name)}"
        imagej.run_macro(shipped_path(name) / "restore.ijm", argument)
        tile, halo = package.tile, package.halo
    shown = read_image(tmp_path / "out.tif")
    assert shown.pixel_size is not None and shown.pixel_size.micrometres == pytest.approx(0.867)
    with open_model(shipped_path(name)) as model:
        whole = restore_plane(low[..., np.newaxis], model)[..., 0]
    inside = slice(8 * halo, -8 * halo)
    np.testing.assert_allclose(shown.pixels[inside, inside], whole[inside, inside], atol=1e-3 * whole.std())
    plan = TilePlan(low.shape, tile, halo, 8)
    assert plan.grid[1] > 1
    assert jump_ratio(shown.pixels, plan) == pytest.approx(jump_ratio(whole, plan), rel=0.01)
    assert psnr(truth, shown.pixels) > psnr(truth, bicubic(low, 8)) + 0.8
