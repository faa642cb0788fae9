"""A real ImageJ without windows."""

import time

import numpy as np
import pytest

from relumen.data import image_path
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image
from relumen.imagej_bridge.convert import from_imageplus, to_imageplus
from relumen.images import Image, PixelSize, read_image

pytestmark = pytest.mark.jvm
SHAPES = {"YX": (5, 7), "CYX": (3, 5, 7), "ZYX": (4, 5, 7), "TYX": (2, 5, 7), "TZCYX": (2, 4, 3, 5, 7)}


def noise(shape, dtype):
    raw = np.random.default_rng(7).integers(0, 1 << 32, shape, np.uint32)
    return raw.view(np.float32) if dtype == "float32" else raw.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("axes", SHAPES)
def test_round_trip_keeps_every_bit_axis_and_pixel_size(imagej, axes, dtype):
    size = PixelSize(0.103, 0.104, 0.3 if "Z" in axes else None, "um")
    image = Image(noise(SHAPES[axes], dtype), axes, size)
    back = from_imageplus(to_imageplus(image, "a title"))
    assert (back.axes, back.pixel_size, back.pixels.dtype) == (axes, size, image.pixels.dtype)
    assert back.pixels.tobytes() == image.pixels.tobytes()  # floats: also those that are not a number


def test_imagej_sees_channels_slices_frames_and_calibration(imagej):
    pixels = np.arange(2 * 4 * 3 * 5 * 7, dtype=np.float32).reshape(2, 4, 3, 5, 7)
    image = Image(pixels, "TZCYX", PixelSize(0.5, 0.25, 2.0), {"finterval": 1.5, "mode": "composite"})
    imp = to_imageplus(image, "cells")
    seen = imagej.run_macro(
        """
        getDimensions(width, height, channels, slices, frames);
        getVoxelSize(w, h, d, unit);
        Stack.setPosition(2, 3, 2);
        Stack.getDisplayMode(mode);
        return getTitle() + "," + width + "," + height + "," + channels + "," + slices + "," + frames + ","
            + w + "," + h + "," + d + "," + unit + "," + getPixel(6, 4) + "," + mode + "," + Stack.getFrameInterval();
        """,
        image=imp,
    )
    value = int(pixels[1, 2, 1, 4, 6])
    assert seen == f"cells,7,5,3,4,2,0.25,0.5,2,µm,{value},composite,1.5"


def test_big_endian_and_strided_pixels_arrive_unharmed(imagej):
    pixels = noise((2, 10, 14), "uint16")
    shown = Image(pixels.astype(">u2")[:, ::2, ::-2], "CYX")
    back = from_imageplus(to_imageplus(shown, "x"))
    np.testing.assert_array_equal(back.pixels, pixels[:, ::2, ::-2])
    assert back.pixel_size is None


def test_large_images_are_moved_as_blocks(imagej):
    image = Image(noise((4096, 4096), "float32"), "YX")
    start = time.perf_counter()
    back = from_imageplus(to_imageplus(image, "64 MiB"))
    assert time.perf_counter() - start < 10  # one by one it takes minutes
    assert back.pixels.tobytes() == image.pixels.tobytes()


def test_colour_images_become_three_channels(imagej):
    imagej.run_macro('newImage("colour", "RGB black", 4, 3, 1); setPixel(1, 2, 0x102030);')
    back = from_imageplus(imagej.current_image())
    assert (back.axes, back.pixels.dtype, back.pixels[:, 2, 1].tolist()) == ("CYX", np.uint8, [16, 32, 48])


def test_types_that_imagej_lacks_are_refused(imagej):
    with pytest.raises(UserError, match="Received: float64"):
        to_imageplus(Image(np.zeros((2, 2)), "YX"), "x")


@pytest.mark.parametrize("axes", SHAPES)
def test_a_saved_image_is_the_same_to_imagej_and_to_relumen(imagej, axes, tmp_path):
    size = PixelSize(0.5, 0.25, 2.0 if "Z" in axes else None)
    image = Image(noise(SHAPES[axes], "uint16"), axes, size, {"Info": "made by a test"})
    imp = to_imageplus(image, "kept")
    imagej.save_tiff(imp, tmp_path / "image.tif")
    assert str(imp.getTitle()) == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["image.tif"]
    for back in (from_imageplus(imagej.open_image(tmp_path / "image.tif")), read_image(tmp_path / "image.tif")):
        assert (back.axes, back.pixel_size, back.metadata["Info"]) == (axes, size, "made by a test")
        np.testing.assert_array_equal(back.pixels, image.pixels)


def test_what_relumen_writes_opens_the_same_in_imagej(imagej, tmp_path):
    image = Image(noise((2, 4, 3, 5, 7), "float32"), "TZCYX", PixelSize(0.5, 0.25, 2.0))
    write_image(tmp_path / "written.tif", image)
    back = from_imageplus(imagej.open_image(tmp_path / "written.tif"))
    assert (back.axes, back.pixel_size) == (image.axes, image.pixel_size)
    assert back.pixels.tobytes() == image.pixels.tobytes()


def test_colours_and_display_ranges_survive(imagej, tmp_path):
    ramp = np.arange(256, dtype=np.uint8)
    zero = np.zeros(256, np.uint8)
    tables = [np.stack([ramp, zero, zero]), np.stack([zero, ramp, ramp // 2])]
    metadata = {"mode": "composite", "Ranges": (10.0, 200.0, 30.0, 4000.0), "LUTs": tables, "Labels": ["a", "b"]}
    back = from_imageplus(to_imageplus(Image(noise((2, 5, 7), "uint16"), "CYX", None, metadata), "x"))
    write_image(tmp_path / "again.tif", back)
    for found in (back.metadata, read_image(tmp_path / "again.tif").metadata):
        assert found["mode"] == "composite"
        assert tuple(found["Ranges"]) == metadata["Ranges"]
        assert list(found["Labels"]) == ["a", "b"]
        np.testing.assert_array_equal(found["LUTs"], tables)


def test_a_real_microscope_image_reads_the_same(imagej):
    path = image_path("kc167/01_POS218_F.tif")
    ours, theirs = read_image(path), from_imageplus(imagej.open_image(path))
    np.testing.assert_array_equal(theirs.pixels, ours.pixels)


def test_files_that_are_no_images_are_refused(imagej, tmp_path):
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(UserError, match="ImageJ can't open .*text.tif"):
        imagej.open_image(tmp_path / "text.tif")
    with pytest.raises(UserError, match="There is no image at"):
        imagej.open_image(tmp_path / "none.tif")


def test_a_macro_gets_its_argument_and_gives_its_value(imagej, tmp_path):
    macro = tmp_path / "twice.ijm"
    macro.write_text('print("working"); return "" + 2 * getArgument();')
    assert imagej.run_macro(macro, "21") == "42"
    assert imagej.printed == "working"
    assert imagej.run_macro("a = 1;") == ""


def test_a_command_in_a_macro_works_on_the_image(imagej):
    pixels = np.zeros((9, 9), np.float32)
    pixels[4, 4] = 1
    imp = to_imageplus(Image(pixels, "YX"), "spot")
    imagej.run_macro('run("Gaussian Blur...", "sigma=1");', image=imp)
    blurred = from_imageplus(imp).pixels
    assert 0.1 < blurred[4, 4] < 0.2
    assert blurred.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("macro", "words"),
    [
        ("a = 1;\nb = nonsense(3);", "Undefined identifier.*in line 2"),
        ('run("No Such Command");', 'Unrecognized command: "No Such Command"'),
        ('exit("Too few cells");', "stopped itself. Too few cells"),
        ('open("/nowhere/none.tif");', "File not found.*none.tif"),
        ("x = (;", "expected"),
    ],
)
def test_a_failing_macro_is_reported_plainly(imagej, macro, words):
    with pytest.raises(CheckFailedError, match=f"(?s)The macro failed in ImageJ: .*{words}"):
        imagej.run_macro(macro)
    assert imagej.run_macro('return "still alive";') == "still alive"


def test_a_missing_macro_is_reported_plainly(imagej, tmp_path):
    with pytest.raises(UserError, match="There is no macro"):
        imagej.run_macro(tmp_path / "none.ijm")


def test_tensorflow_works_beside_imagej(imagej):
    import tensorflow as tf

    ramp = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    mean = tf.nn.avg_pool2d(ramp[None, :, :, None], 2, 1, "SAME").numpy()[0, :, :, 0]
    imp = to_imageplus(Image(mean, "YX"), "mean")
    assert float(imagej.run_macro('return d2s(getValue("Mean"), 4);', image=imp)) == pytest.approx(mean.mean())


def test_png_shows_the_chosen_range(imagej, tmp_path):
    imp = to_imageplus(Image(np.array([[100, 200, 300]], np.uint16), "YX"), "x")
    imagej.save_png(imp, tmp_path / "x.png", (100, 300))
    shown = read_image(tmp_path / "x.png").pixels
    assert abs(shown[0, 0].astype(int) - [0, 127, 255]).max() <= 1
    assert from_imageplus(imp).pixels.tolist() == [[100, 200, 300]]


def test_saving_into_no_folder_is_refused(imagej, tmp_path):
    imp = to_imageplus(Image(np.zeros((2, 2), np.uint8), "YX"), "x")
    with pytest.raises(UserError, match="There is no folder"):
        imagej.save_tiff(imp, tmp_path / "none" / "x.tif")
