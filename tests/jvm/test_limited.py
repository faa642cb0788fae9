"""A restorer of several defects, and a package that makes one, as Fiji runs them: macro, tiles and engine."""

import numpy as np
import pytest

from relumen.export.engines import ENGINES, run_in_engine
from relumen.export.jdll import jdll_cut
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image
from relumen.package import open_package
from relumen.restore import open_model, restore_plane

pytestmark = pytest.mark.jvm


@pytest.mark.parametrize(
    ("fixture", "macro", "engine", "done"),
    [
        ("cgan_package", "restore.ijm", "onnxruntime-java-1.13.1", "Restored"),
        ("noise_package", "simulate.ijm", "tf-java-0.4.2", "Synthetic noise"),
    ],
)
def test_the_macro_gives_in_imagej_what_relumen_gives(
    imagej, deepimagej, cells, request, tmp_path, fixture, macro, engine, done
):
    folder = request.getfixturevalue(fixture)
    pixels = cells[300:450, 300:463].astype(np.uint16) * 100
    write_image(tmp_path / "in.tif", Image(pixels, "YX", PixelSize(0.2, 0.2)))
    with open_package(folder) as package:

        def in_tiles(plane):
            cut = jdll_cut(package.rdf, plane[..., np.newaxis])
            weights = package.weights[ENGINES[engine].weights_format]
            return cut.merge(run_in_engine(engine, weights, cut.tiles, input_id="input", output_id="output"))[..., 0]

        deepimagej.answers(in_tiles)
        argument = f"input={tmp_path / 'in.tif'};output={tmp_path / 'out.tif'};model={folder}"
        imagej.run_macro(folder / macro, argument)
    assert f"{done}: {tmp_path / 'out.tif'}" in imagej.printed
    shown = read_image(tmp_path / "out.tif")
    assert shown.pixel_size is not None and shown.pixel_size.micrometres == pytest.approx(0.2)
    assert shown.metadata["Info"].startswith(f"{done} with relumen tiny")
    with open_model(folder) as model:
        expected = restore_plane(pixels[..., np.newaxis].astype(np.float32), model)[..., 0]
    np.testing.assert_allclose(shown.pixels, expected, atol=2e-4 * expected.std())
