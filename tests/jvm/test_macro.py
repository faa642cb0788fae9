"""A package's macro in a real ImageJ, with a stand-in for DeepImageJ (see conftest)."""

import os
from pathlib import Path

import numpy as np
import pytest

from relumen.errors import CheckFailedError
from relumen.export.description import Citation, PackageDescription, Person, Training
from relumen.export.macro import macro_text
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image

pytestmark = pytest.mark.jvm


def described(**changes):
    values = {
        "name": "Cells x2",
        "summary": "Doubles the resolution.",
        "authors": (Person(name="Ada"),),
        "cite": (Citation(text="A paper", url="https://example.org"),),
        "training": Training(data="Cells"),
        "tile": 64,
        "pixel_size_um": 0.1,
    }
    return PackageDescription(**(values | changes))


def network(image):
    """Normalises as zero_mean_unit_variance does; each pixel becomes 2 x 2, the right ones half as bright."""
    normal = (image.astype(np.float64) - image.mean(dtype=np.float64)) / (image.std(dtype=np.float64) + 1e-6)
    return np.kron(normal, [[1.0, 0.5], [1.0, 0.5]]).astype(np.float32)


def expected(image):
    mean, deviation = image.mean(dtype=np.float64), image.std(dtype=np.float64) + 1e-6
    return network(image) * deviation + mean


@pytest.fixture
def restore(imagej, deepimagej, tmp_path):
    """Runs the macro of a package on an image; gives the result."""
    deepimagej.answers(network)
    package = tmp_path / "models" / "my cells"
    package.mkdir(parents=True)

    def run(image, **changes):
        macro = package / "restore.ijm"
        macro.write_text(macro_text(described(**changes)), encoding="utf-8")
        write_image(tmp_path / "in.tif", image)
        argument = f"input={tmp_path / 'in.tif'};output={tmp_path / 'out.tif'};model={package}"
        imagej.run_macro(macro, argument)
        return read_image(tmp_path / "out.tif")

    return run


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_result_has_the_inputs_intensities_and_half_the_pixel_size(restore, deepimagej, cells, tmp_path, dtype):
    pixels = cells[300:380, 300:400].astype(dtype)
    if dtype == "uint16":
        pixels *= 97
    result = restore(Image(pixels, "YX", PixelSize(0.1, 0.12)))
    np.testing.assert_allclose(result.pixels, expected(pixels), rtol=1e-6, atol=1e-6 * float(pixels.max()))
    assert result.pixels.dtype.newbyteorder("=") == np.float32  # ImageJ writes the bytes in the other order
    assert (result.pixel_size.y, result.pixel_size.x) == pytest.approx((0.05, 0.06))
    assert result.pixel_size.micrometres == pytest.approx(0.055)
    (call,) = deepimagej.calls
    assert call["model_path"] == (tmp_path / "models" / "my cells").as_posix()
    assert call["display_output"] == "null"
    assert not Path(call["input_path"]).parent.exists()  # the temporary folder is gone


@pytest.mark.parametrize(("axes", "shape"), [("ZYX", (3, 70, 80)), ("TZYX", (2, 3, 70, 80))])
def test_every_plane_is_restored_by_itself(restore, cells, axes, shape):
    count = int(np.prod(shape[:-2]))
    planes = [cells[300 + 20 * i : 370 + 20 * i, 300:380] // (i + 1) for i in range(count)]
    result = restore(Image(np.stack(planes).reshape(shape), axes, PixelSize(0.1, 0.1, 0.5)))
    assert result.axes == axes
    for found, plane in zip(result.pixels.reshape(count, 140, 160), planes, strict=True):
        np.testing.assert_allclose(found, expected(plane), rtol=1e-6, atol=1e-4)
    assert result.pixel_size.z == pytest.approx(0.5)


def test_without_normalisation_the_answer_is_left_as_it_is(restore, cells):
    pixels = cells[300:370, 300:380]
    np.testing.assert_array_equal(restore(Image(pixels, "YX"), normalise="none").pixels, network(pixels))


@pytest.mark.parametrize(("axes", "shape"), [("CYX", (2, 70, 80)), ("ZCYX", (3, 2, 70, 80))])
def test_channels_go_into_the_network_together(restore, cells, axes, shape):
    pixels = np.resize(cells[300:700, 300:380], shape)
    result = restore(Image(pixels, axes), normalise="none", input_channels=("a", "b"), output_channels=("a", "b"))
    assert result.axes == axes
    planes = [network(plane) for plane in pixels.reshape(-1, 70, 80)]
    np.testing.assert_array_equal(result.pixels, np.stack(planes).reshape(*shape[:-2], 140, 160))


@pytest.mark.parametrize(
    ("size", "warned"),
    [
        (PixelSize(0.1, 0.1), False),
        (PixelSize(120, 120, unit="nm"), False),
        (PixelSize(0.2, 0.2), True),
        (PixelSize(60, 60, unit="nm"), True),
        (None, False),
    ],
)
def test_another_pixel_size_than_the_trainings_is_told(imagej, restore, cells, size, warned):
    restore(Image(cells[300:370, 300:380], "YX", size))
    assert ("Warning: the image's pixels measure" in imagej.printed) == warned


@pytest.mark.parametrize(
    ("micrometres", "words", "other"),
    [
        (0.05, "of which it makes 0.0500. This image is already as fine as its results", "Rescale"),
        (0.2, "was trained on 0.1000. Rescale the image first, by 2.00 (Image > Scale...)", "already as fine"),
    ],
)
def test_an_image_as_fine_as_the_results_needs_none(imagej, restore, cells, micrometres, words, other):
    restore(Image(cells[300:370, 300:380], "YX", PixelSize(micrometres, micrometres)))
    assert words in imagej.printed and other not in imagej.printed


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (lambda cells: Image(cells[:160, :80].reshape(2, 80, 80), "CYX"), r"has 2 channel\(s\).*takes 1"),
        (lambda cells: Image(cells[:80, :20], "YX"), "80.*at least 22"),
        (lambda cells: Image(np.full((80, 80), np.nan, np.float32), "YX"), "no finite numbers"),
    ],
)
def test_images_that_it_cannot_take_are_refused_plainly(restore, deepimagej, cells, image, words):
    with pytest.raises(CheckFailedError, match=f"(?s){words}"):
        restore(image(cells))
    assert deepimagej.calls == []


@pytest.mark.parametrize(("height", "warned"), [(60, False), (61, True), (71, False)])
def test_small_images_of_odd_size_are_told_of_deepimagejs_shift(imagej, restore, cells, height, warned):
    restore(Image(cells[300 : 300 + height, 300:380], "YX"), tile=64)
    assert ("DeepImageJ shifts its result by half a pixel of the image" in imagej.printed) == warned


@pytest.mark.parametrize("planes", [1, 3])
def test_a_run_without_result_is_told_and_cleaned_up(restore, deepimagej, cells, planes):
    deepimagej.answers(network, runs=planes - 1)
    with pytest.raises(CheckFailedError, match="DeepImageJ gave no result"):  # and not that of the plane before
        restore(Image(np.stack([cells[:80, :80]] * planes), "ZYX"))
    assert len(deepimagej.calls) == planes
    assert not os.path.exists(os.path.dirname(deepimagej.calls[0]["input_path"]))
