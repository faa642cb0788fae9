import errno
import struct

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from relumen import whole
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import image_writer, write_image
from relumen.images import Image, PixelSize, list_images, read_image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("axes", "shape"), [("YX", (5, 7)), ("CYX", (2, 5, 7)), ("TZCYX", (2, 3, 4, 5, 7))])
def test_hyperstacks_come_back_as_they_were(tmp_path, dtype, axes, shape):
    pixels = np.random.default_rng(0).integers(0, 250, shape).astype(dtype)
    size = PixelSize(0.2, 0.1, 0.5 if "Z" in axes else None, "um")
    write_image(tmp_path / "a.tif", Image(pixels, axes, size, {"Info": "sample 7"}))
    back = read_image(tmp_path / "a.tif")
    assert (back.axes, back.pixel_size, back.metadata["Info"]) == (axes, size, "sample 7")
    np.testing.assert_array_equal(back.pixels, pixels)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.is_imagej


def test_axes_pixel_size_and_unit_of_a_file_written_by_imagej_itself(tmp_path):
    stack = np.arange(24, dtype=np.uint16).reshape(2, 1, 3, 4)
    tifffile.imwrite(
        tmp_path / "fiji.tif", stack, imagej=True, resolution=(4.0, 2.0),
        metadata={"axes": "TCYX", "unit": "\\u00B5m", "finterval": 3.0},
    )  # fmt: skip
    image = read_image(tmp_path / "fiji.tif")
    assert image.axes in ("TYX", "TCYX") and image.sizes["T"] == 2
    assert image.pixel_size == PixelSize(y=0.5, x=0.25, unit="um")
    assert image.metadata["finterval"] == 3.0


@pytest.mark.parametrize(("unit", "back"), [("µm", "um"), ("Å", "Å"), ("\ud800\n", "?\n")])
def test_a_unit_beyond_ascii_is_kept_as_imagej_keeps_it(tmp_path, unit, back):
    write_image(tmp_path / "a.tif", Image(np.zeros((8, 9), np.uint8), "YX", PixelSize(0.5, 0.5, unit=unit)))
    assert read_image(tmp_path / "a.tif").pixel_size == PixelSize(0.5, 0.5, unit=back)


def test_entries_that_imagej_does_not_know_are_not_kept(tmp_path):
    odd = {"axes": "CYX", "mode": "sepia", "min": "low", "max": 7, "loop": True}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 8, 9), np.uint8), imagej=True, metadata=odd)
    assert read_image(tmp_path / "a.tif").metadata == {"max": 7, "loop": True}


def test_ome_pixel_size(tmp_path):
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": 80,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 90,
        "PhysicalSizeZ": 300,
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 8, 9), np.uint8), metadata=metadata)
    image = read_image(tmp_path / "a.ome.tif")
    assert (image.axes, image.pixel_size) == ("ZYX", PixelSize(90, 80, 300, "nm"))
    assert image.pixel_size.micrometres == pytest.approx(0.085)


@pytest.mark.parametrize("size", ["0", "-1", "nan", "1e400", "wide"])
def test_a_pixel_size_that_is_no_length_is_none(tmp_path, size):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((8, 9), np.uint8), metadata={"axes": "YX"})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        described = tiff.ome_metadata.replace("SizeX=", f'PhysicalSizeX="{size}" PhysicalSizeY="1" SizeX=', 1)
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((8, 9), np.uint8), description=described, metadata=None)
    assert read_image(tmp_path / "b.tif").pixel_size is None


def test_a_tiff_that_claims_what_it_cannot_hold_is_refused(tmp_path):
    one_tag = struct.pack("<HHHIII", 1, 65000, 1, 1 << 30, 8, 0)  # a GiB of bytes
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHI", b"II", 42, 8) + one_tag)
    with pytest.raises(UserError, match="claim over 67 MB, and it has 0.0 MB. It is damaged"):
        read_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.ome.tif", np.zeros((8, 9), np.uint8), metadata={"axes": "YX"})
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tiff:
        described = tiff.ome_metadata.replace('SizeT="1"', 'SizeT="9999999999"')
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((8, 9), np.uint8), description=described, metadata=None)
    with pytest.raises(UserError, match="tells of 9,999,999,999 planes"):
        read_image(tmp_path / "c.tif")


def test_directories_of_a_tiff_that_lead_in_a_circle_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.uint8), bigtiff=True, metadata=None)
    whole = bytearray((tmp_path / "a.tif").read_bytes())
    first = int.from_bytes(whole[8:16], "little")
    end = first + 8 + 20 * int.from_bytes(whole[first : first + 8], "little")
    whole[end : end + 8] = first.to_bytes(8, "little")
    (tmp_path / "a.tif").write_bytes(whole)
    with pytest.raises(UserError, match="lead in a circle"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_of_several_images_is_refused_and_not_read_in_part(tmp_path):
    large, small = np.ones((16, 16), np.uint8), np.ones((4, 4), np.uint8)
    for name, images, is_refused in (
        ("positions.ome.tif", (large, large), True),
        ("sizes.tif", (large, np.ones((16, 20), np.uint8)), True),
        ("preview.tif", (large, small), False),
    ):
        with tifffile.TiffWriter(tmp_path / name) as tiff:
            for image in images:
                tiff.write(image, photometric="minisblack")
        if is_refused:
            with pytest.raises(UserError, match="it holds 2 images, of which one would be read"):
                read_image(tmp_path / name)
        else:
            assert read_image(tmp_path / name).pixels.shape == (16, 16)


def test_dots_per_inch_are_no_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.uint8), resolution=(72, 72), resolutionunit="INCH")
    assert read_image(tmp_path / "a.tif").pixel_size is None


def test_colour_pictures_become_channels(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (6, 5, 4)).astype(np.uint8)
    iio.imwrite(tmp_path / "rgba.png", picture)
    iio.imwrite(tmp_path / "rgb.png", picture[..., :3])
    for name in ("rgba.png", "rgb.png"):
        image = read_image(tmp_path / name)
        assert (image.axes, image.channels) == ("CYX", 3)
        np.testing.assert_array_equal(image.pixels, np.moveaxis(picture[..., :3], -1, 0))
    tifffile.imwrite(tmp_path / "rgb.tif", picture[..., :3], photometric="rgb")
    assert read_image(tmp_path / "rgb.tif").axes == "CYX"


@pytest.mark.parametrize("name", ["a.png", "a.npy"])
def test_png_and_npy_come_back(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 65535, (6, 5)).astype(np.uint16)
    write_image(tmp_path / name, Image(pixels, "YX"))
    np.testing.assert_array_equal(read_image(tmp_path / name).pixels, pixels)


def test_axes_can_be_overridden(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 6, 5), np.float32))
    assert read_image(tmp_path / "a.npy").axes == "ZYX"
    assert read_image(tmp_path / "a.npy", axes="tyx").axes == "TYX"
    with pytest.raises(UserError, match="TZCYX"):
        read_image(tmp_path / "a.npy", axes="YXT")


def test_planes_are_found_by_position_and_channel():
    pixels = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2).astype(np.uint16)
    image = Image(pixels, "TCYX")
    assert [image.plane(p, 2).tolist() for p in image.positions()] == [pixels[0, 2].tolist(), pixels[1, 2].tolist()]


def damaged(path, kind):
    good = np.random.default_rng(0).integers(0, 9999, (64, 64)).astype(np.uint16)
    if kind == "text":
        path.write_text("not an image")
    elif kind == "empty":
        path.touch()
    elif kind == "cut":
        tifffile.imwrite(path, good)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "cut, compressed":
        tifffile.imwrite(path, good, compression="zlib")
        path.write_bytes(path.read_bytes()[:-3000])
    elif kind == "flipped":
        tifffile.imwrite(path, good, compression="zlib")
        content = bytearray(path.read_bytes())
        content[400:2000] = bytes(1600)
        path.write_bytes(content)


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "cut, compressed", "flipped"])
def test_a_damaged_tiff_gets_a_plain_message(tmp_path, kind):
    path = tmp_path / "damaged.tif"
    damaged(path, kind)
    with pytest.raises(UserError, match="damaged.tif"):
        read_image(path)


@pytest.mark.parametrize("kind", [{"imagej": True, "metadata": {"axes": "TYX"}}, {"ome": True}, {}])
def test_a_stack_whose_last_planes_are_missing_is_not_taken_for_a_shorter_one(tmp_path, kind):
    """tifffile only logs that, and goes on with the planes that are left."""
    stack = np.random.default_rng(0).integers(0, 9999, (6, 64, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, **kind)
    whole = (tmp_path / "a.tif").read_bytes()
    for kept in (0.3, 0.6, 0.9):
        (tmp_path / "a.tif").write_bytes(whole[: int(kept * len(whole))])
        with pytest.raises(UserError, match="damaged"):
            read_image(tmp_path / "a.tif")


def test_damage_is_told_once_and_not_by_the_librarys_log(tmp_path, caplog):
    damaged(tmp_path / "a.tif", "cut")
    with pytest.raises(UserError):
        read_image(tmp_path / "a.tif")
    assert caplog.records == []


@pytest.mark.parametrize("name", ["a.png", "a.npy"])
def test_damaged_png_and_npy_get_a_plain_message(tmp_path, name):
    write_image(tmp_path / name, Image(np.zeros((64, 64), np.uint8), "YX"))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=name):
        read_image(tmp_path / name)


def test_an_npy_with_objects_runs_no_code(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[print]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="a.npy"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "words"), [("a.jpg", "TIFF, PNG, npy or OME-Zarr"), ("gone.tif", "There is no image")]
)
def test_other_files_get_a_plain_message(tmp_path, name, words):
    if name == "a.jpg":
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=words):
        read_image(tmp_path / name)


def test_an_empty_folder_gets_a_plain_message(tmp_path):
    with pytest.raises(UserError, match="no image"):
        list_images(tmp_path)


def test_nothing_is_left_when_writing_fails_halfway(tmp_path):
    target = tmp_path / "a.tif"
    target.write_text("the user's own")
    with pytest.raises(CheckFailedError, match="No space left"):
        with image_writer(target, (8, 8), "YX", np.uint8) as writer:
            writer.write((), 0, np.zeros((4, 8), np.uint8))
            raise OSError(errno.ENOSPC, "No space left on device")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    assert target.read_text() == "the user's own"


def test_too_little_space_is_told_before_the_work(tmp_path):
    with pytest.raises(CheckFailedError, match="MB free"):
        with image_writer(tmp_path / "a.tif", (10**7, 1000, 1000), "ZYX", np.float32):
            pytest.fail("the writer was opened")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(whole, "_new", refuse)  # tests may run as root, whom no mode stops
    with pytest.raises(UserError, match="can't be written to"):
        write_image(tmp_path / "a.tif", Image(np.zeros((2, 2), np.uint8), "YX"))


def test_a_plane_too_large_for_tiff_is_told_before_the_work(tmp_path):
    with pytest.raises(UserError, match="less than 4 GiB. Received: 32768 x 32768 of float32. Choose .*: a.ome.zarr"):
        with image_writer(tmp_path / "a.tif", (2, 32768, 32768), "CYX", np.float32):
            pytest.fail("the writer was opened")


def test_png_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(UserError, match="PNG holds one plane"):
        write_image(tmp_path / "a.png", Image(np.zeros((2, 2), np.float32), "YX"))
