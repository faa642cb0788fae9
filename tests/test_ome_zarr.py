"""OME-Zarr: what others wrote is read by regions, what is written is whole, and valid for the specification."""

from __future__ import annotations

import errno
import json
import shutil

import numcodecs
import numpy as np
import pytest
import zarr
from ome_zarr_models.v04.image import ImageAttrs as Attributes04
from ome_zarr_models.v05.image import ImageAttrs as Attributes05

from relumen.chunked import ChunkedPixels
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import image_writer, write_image
from relumen.images import Image, PixelSize, list_images, read_image
from relumen.jobs import plan_jobs

AXES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def described(axes, unit="micrometer", scale=None, **more):
    """The metadata of an image of one level, as the specification has them."""
    named = [{"name": a, "type": AXES[a], **({"unit": unit} if a in "zyx" and unit else {})} for a in axes]
    steps = [{"type": "scale", "scale": scale or [1.0] * len(axes)}]
    return {"axes": named, "datasets": [{"path": "s0", "coordinateTransformations": steps}], **more}


def write_directly(path, pixels, multiscale, version="0.4", chunks=None, shards=None, compressor="auto", **more):
    """An OME-Zarr image by Zarr alone."""
    old = version == "0.4"
    group = zarr.open_group(path, mode="w", zarr_format=2 if old else 3)
    array = group.create_array(
        "s0", shape=pixels.shape, dtype=pixels.dtype, chunks=chunks or pixels.shape, shards=shards, fill_value=0,
        compressors=compressor, chunk_key_encoding={"name": "v2" if old else "default", "separator": "/"},
    )  # fmt: skip
    array[...] = pixels
    about = {"multiscales": [{**multiscale, **({"version": version} if old else {})}], **more}
    group.attrs.update(about if old else {"ome": {"version": version, **about}})
    return path


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 60000, (2, 2, 3, 40, 50)).astype(np.uint16)  # t, c, z, y, x


@pytest.mark.parametrize(
    ("version", "layout"),
    [
        ("0.4", {"chunks": (1, 2, 1, 16, 16)}),
        ("0.4", {"compressor": None}),
        ("0.5", {"chunks": (1, 1, 1, 16, 50)}),
        ("0.5", {"chunks": (1, 1, 1, 8, 10), "shards": (1, 2, 1, 40, 50), "compressor": zarr.codecs.ZstdCodec()}),
    ],
)
def test_images_by_others_are_read_as_they_are(tmp_path, pixels, version, layout):
    colours = [("DNA", "0000FF", 10, 2000), ("actin", "00FF00", 5, 900)]
    channels = [
        {"label": label, "color": colour, "window": {"start": start, "end": end, "min": 0, "max": 65535}}
        for label, colour, start, end in colours
    ]
    multiscale = described("tczyx", scale=[2.0, 1.0, 0.5, 0.2, 0.1])
    multiscale["axes"][0]["unit"] = "minute"
    multiscale["coordinateTransformations"] = [{"type": "scale", "scale": [1.0, 1.0, 1.0, 2.0, 2.0]}]
    path = write_directly(tmp_path / "a.zarr", pixels, multiscale, version, omero={"channels": channels}, **layout)
    image = read_image(path)
    assert (image.axes, image.pixel_size) == ("TZCYX", PixelSize(0.4, 0.2, 0.5))
    np.testing.assert_array_equal(np.asarray(image.pixels), pixels.transpose(0, 2, 1, 3, 4))
    assert (image.metadata["Labels"], image.metadata["finterval"]) == (["DNA", "actin"] * 6, 120)
    assert image.metadata["Ranges"] == (10, 2000, 5, 900)
    assert [table[:, -1].tolist() for table in image.metadata["LUTs"]] == [[0, 0, 255], [0, 255, 0]]


def test_pixels_are_read_when_they_are_asked_for(tmp_path, pixels, monkeypatch):
    path = write_directly(tmp_path / "a.zarr", pixels, described("tczyx"), chunks=(1, 1, 1, 16, 16))
    read = []
    plain = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda self, at: read.append(at) or plain(self, at))
    plane = read_image(path).plane({"T": 1, "Z": 2}, 0)
    assert isinstance(plane, ChunkedPixels) and plane.shape == (40, 50) and not read
    np.testing.assert_array_equal(plane[5:9], pixels[1, 0, 2, 5:9])
    np.testing.assert_array_equal(plane[-3:, 1:30:2], pixels[1, 0, 2, -3:, 1:30:2])
    assert read == [(1, 0, 2, slice(5, 9), slice(None)), (1, 0, 2, slice(-3, None), slice(1, 30, 2))]
    with pytest.raises(IndexError):
        plane[40]


def test_chunks_that_are_missing_hold_the_fill_value(tmp_path, pixels):
    path = write_directly(tmp_path / "a.zarr", pixels[0, 0, 0], described("yx"), chunks=(20, 50), compressor=None)
    (path / "s0" / "1" / "0").unlink()
    assert not np.asarray(read_image(path).pixels)[20:].any()


@pytest.mark.parametrize(
    ("unit", "scale", "size"),
    [
        ("nanometer", [300.0, 90.0, 80.0], PixelSize(90, 80, 300, "nm")),
        (None, [1.0, 1.0, 1.0], None),
        (None, [1.0, 0.5, 0.5], PixelSize(0.5, 0.5, 1.0, "units")),
        ("micrometer", [1.0, 0.0, 0.5], None),
    ],
)
def test_pixel_sizes(tmp_path, pixels, unit, scale, size):
    image = read_image(write_directly(tmp_path / "a.zarr", pixels[0, 0], described("zyx", unit, scale)))
    assert image.pixel_size == size


def test_axes_in_other_units_are_brought_to_one(tmp_path, pixels):
    multiscale = described("zyx", scale=[0.5, 0.2, 100.0])
    multiscale["axes"][2]["unit"] = "nanometer"
    size = read_image(write_directly(tmp_path / "a.zarr", pixels[0, 0], multiscale)).pixel_size
    assert size is not None and (size.unit, size.z) == ("um", 0.5) and size.x == pytest.approx(0.1)


def test_a_container_of_one_image_is_that_image_and_of_several_they_are_named(tmp_path, pixels):
    path = tmp_path / "cells.zarr"
    zarr.open_group(path, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    write_directly(path / "0", pixels, described("tczyx"))
    assert read_image(path).axes == read_image(path / "0").axes == "TZCYX"
    write_directly(path / "1", pixels, described("tczyx"))
    with pytest.raises(UserError, match="holds 2 images: 0, 1. Name one, such as .*cells.zarr/0"):
        read_image(path)


def broken(path, change):
    """Changes the attributes of an image in Zarr 2."""
    place = path / ".zattrs"
    about = json.loads(place.read_text())
    change(about)
    place.write_text(json.dumps(about))


def plate(about):
    about.clear()
    about["plate"] = {"wells": [{"path": "B/3"}, {"path": "B/4"}]}


HOSTILE = {
    "plate of 2 wells.*B/3/0": plate,
    "It is a well. Name one of its fields": lambda a: (a.clear(), a.update(well={"images": [{"path": "0"}]})),
    "no OME-Zarr image in it": lambda a: a.clear(),
    "wrong at multiscales": lambda a: a.update(multiscales="none"),
    "wrong at multiscales.axes": lambda a: a["multiscales"][0].pop("axes"),
    "wrong at multiscales.axes.0: .* Received: 'x'": lambda a: a["multiscales"][0].update(axes=["x", "y"]),
    "wrong at multiscales.datasets": lambda a: a["multiscales"][0].update(datasets=[]),
    "wrong at omero": lambda a: a.update(omero={"channels": [{"color": "blue"}]}),
    "Received: version 0.2": lambda a: a["multiscales"][0].update(version="0.2"),
    "Axes are t, c, z, y and x. Received: angle, x": lambda a: a["multiscales"][0]["axes"][0].update(name="angle"),
    "do not fit the image's shape": lambda a: a["multiscales"][0].update(axes=[{"name": n} for n in "zyx"]),
    "should be at '../../b'": lambda a: a["multiscales"][0]["datasets"][0].update(path="../../b"),
    "should be at 'gone'": lambda a: a["multiscales"][0]["datasets"][0].update(path="gone"),
}


@pytest.mark.parametrize("words", HOSTILE)
def test_wrong_metadata_get_a_plain_message(tmp_path, pixels, words):
    path = write_directly(tmp_path / "a.zarr", pixels[0, 0, 0], described("yx"))
    broken(path, HOSTILE[words])
    with pytest.raises(UserError, match=words):
        read_image(path)


def test_axes_can_be_named(tmp_path, pixels):
    path = write_directly(tmp_path / "a.zarr", pixels[0, 0], described("zyx"))
    assert read_image(path, "TYX").axes == "TYX"
    with pytest.raises(UserError, match="do not fit"):
        read_image(path, "YX")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("compressor", ["Blosc", "zip", None])
def test_chunks_that_were_cut_short(tmp_path, pixels, version, compressor):
    """Blosc itself says nothing of it."""
    if version == "0.4":
        packed = {"Blosc": numcodecs.Blosc(), "zip": numcodecs.Zlib()}.get(compressor)
    else:
        packed = {"Blosc": zarr.codecs.BloscCodec(), "zip": zarr.codecs.GzipCodec()}.get(compressor)
    path = write_directly(tmp_path / "a.zarr", pixels[0, 0, 0], described("yx"), version, compressor=packed)
    image = read_image(path)
    np.testing.assert_array_equal(np.asarray(image.pixels), pixels[0, 0, 0])
    chunk = path / "s0" / ("0/0" if version == "0.4" else "c/0/0")
    whole = chunk.read_bytes()
    for kept in (9, 99, len(whole) - 1):
        chunk.write_bytes(whole[:kept])
        with pytest.raises(UserError, match="a.zarr: pixels can't be read; it may be damaged"):
            np.asarray(image.pixels)


def test_damage(tmp_path, pixels):
    path = write_directly(tmp_path / "a.zarr", pixels[0, 0, 0], described("yx"))
    (path / "s0" / ".zarray").write_text("{")
    with pytest.raises(UserError, match="a.zarr"):
        read_image(path)
    with pytest.raises(UserError, match="plain Zarr array.*name the folder above: .*b.zarr"):
        read_image(write_directly(tmp_path / "b.zarr", pixels[0, 0, 0], described("yx")) / "s0")
    (tmp_path / "c.zarr").mkdir()
    with pytest.raises(UserError, match="c.zarr is no OME-Zarr"):
        read_image(tmp_path / "c.zarr")


def test_chunks_larger_than_the_memory_are_refused(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("s0", shape=(10**7, 10**7), chunks=(10**7, 10**7), dtype="uint16")
    group.attrs["multiscales"] = [described("yx")]
    with pytest.raises(UserError, match="chunks of 10000000 x 10000000 pixels, 200,000 GB"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(("axes", "count"), [("YX", 1), ("CYX", 2), ("CYX", 3)])
def test_names_and_colours_go_by_tiff_and_back(tmp_path, pixels, axes, count):
    channels = [
        {"label": f"stain {i}", "color": colour, "window": {"start": i, "end": 9.5, "min": 0, "max": 65535}}
        for i, colour in enumerate(("0000FF", "00FF00", "FF0000")[:count])
    ]
    plane = pixels[0, 0, :count] if axes == "CYX" else pixels[0, 0, 0]
    write_directly(tmp_path / "a.zarr", plane, described(axes.lower()), omero={"channels": channels})
    for source, target in (("a.zarr", "a.tif"), ("a.tif", "b.zarr")):
        write_image(tmp_path / target, read_image(tmp_path / source))
    back = zarr.open_group(tmp_path / "b.zarr", mode="r").attrs["omero"]["channels"]
    assert [{key: each[key] for key in channels[0]} for each in back] == channels


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("axes", "shape"), [("YX", (700, 1301)), ("TZCYX", (2, 1, 2, 20, 600))])
def test_what_is_written_is_valid_and_comes_back(tmp_path, version, axes, shape):
    pixels = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    told = {"Info": "sample 7\nrestored", "finterval": 3.0, "Labels": ["DNA", "actin"] * 2}
    told["Ranges"] = (1.0, 9.0, 2.0, 8.0)
    size, path = PixelSize(0.2, 0.1, 0.5 if "Z" in axes else None), tmp_path / "a.ome.zarr"
    with image_writer(path, shape, axes, np.uint16, size, told if "C" in axes else {"Info": "x"}, version) as writer:
        for plane in np.ndindex(shape[:-2]):
            for top in (0, 7, 300, 600):  # bands that overlap, and don't end where chunks do
                if top < shape[-2]:
                    writer.write(plane, top, pixels[plane][top : top + 400])
    image = read_image(path)
    assert (image.axes, image.pixel_size) == (axes, size)
    np.testing.assert_array_equal(np.asarray(image.pixels), pixels)
    if "C" in axes:
        assert {key: image.metadata[key] for key in told} == told
    group = zarr.open_group(path, mode="r")
    attributes = group.attrs.asdict()
    if version == "0.4":
        Attributes04.model_validate(attributes)
    else:
        Attributes05.model_validate(attributes["ome"])
        assert group["0"].metadata.dimension_names == tuple(a for a in "tczyx" if a.upper() in axes)
    about = attributes if version == "0.4" else attributes["ome"]
    levels = [group[each["path"]] for each in about["multiscales"][0]["datasets"]]
    assert max(levels[-1].shape[-2:]) <= 512 < max(levels[-2].shape[-2:])
    for fine, coarse in zip(levels, levels[1:], strict=False):
        height, width = coarse.shape[-2:]
        blocks = fine[..., : 2 * height, : 2 * width].reshape(*fine.shape[:-2], height, 2, width, 2)
        np.testing.assert_array_equal(coarse[...], np.rint(blocks.mean((-3, -1))))
    scale, shift = (each[key] for each, key in zip(
        about["multiscales"][0]["datasets"][1]["coordinateTransformations"], ("scale", "translation"), strict=True
    ))  # fmt: skip
    np.testing.assert_allclose([*scale[-2:], *shift[-2:]], [0.4, 0.2, 0.1, 0.05])


def test_a_failure_leaves_nothing_and_the_old_image_stays(tmp_path):
    old = Image(np.arange(12, dtype=np.uint8).reshape(3, 4), "YX")
    path = tmp_path / "a.ome.zarr"
    write_image(path, old)
    full = OSError(errno.ENOSPC, "No space left on device")
    for error, raised in ((full, CheckFailedError), (KeyboardInterrupt(), KeyboardInterrupt)):
        with pytest.raises(raised):
            with image_writer(path, (8, 8), "YX", np.uint8) as writer:
                writer.write((), 0, np.zeros((4, 8), np.uint8))
                raise error
    assert [each.name for each in tmp_path.iterdir()] == ["a.ome.zarr"]
    np.testing.assert_array_equal(np.asarray(read_image(path).pixels), old.pixels)
    write_image(path, Image(np.zeros((2, 2), np.uint8), "YX"))
    assert read_image(path).pixels.shape == (2, 2) and len(list(tmp_path.iterdir())) == 1


def test_nothing_but_one_image_is_replaced(tmp_path):
    image = Image(np.zeros((2, 2), np.uint8), "YX")
    path = tmp_path / "a.zarr"
    for make in (
        lambda: (path.mkdir(), (path / "notes.txt").touch()),
        lambda: zarr.open_group(path, mode="w", zarr_format=2).create_group("0"),
        lambda: (write_image(path, image), zarr.open_group(path).create_group("labels")),
        lambda: path.symlink_to(tmp_path),
    ):
        make()
        with pytest.raises(UserError, match="it is not replaced"):
            write_image(path, image)
        path.unlink() if path.is_symlink() else shutil.rmtree(path)


def test_jobs_take_folders_of_zarr_for_images(tmp_path, monkeypatch, pixels):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day1").mkdir()
    image = Image(pixels[0, 0, 0], "YX")
    for name in ("a.ome.zarr", "b.zarr", "c.tif"):
        write_image(tmp_path / "day1" / name, image)
    zarr.open_group("day1/d.zarr", mode="w", zarr_format=2)
    write_directly(tmp_path / "day1" / "d.zarr" / "0", pixels[0, 0, 0], described("yx"))
    assert [each.name for each in list_images(tmp_path / "day1")] == ["a.ome.zarr", "b.zarr", "c.tif", "d.zarr"]

    def names(images, **changes):
        return [job.target.name for job in plan_jobs(images, tmp_path / "out", **changes)]

    assert names(["day1"])[:3] == ["a_restored.ome.zarr", "b_restored.ome.zarr", "c_restored.tif"]
    assert names(["day1/*.zarr"])[-1] == "d_restored.ome.zarr"
    assert names(["day1/d.zarr/0", "day1/a.ome.zarr"]) == ["d_0_restored.ome.zarr", "a_restored.ome.zarr"]
    assert names(["day1/a.ome.zarr"], suffixes=(".tif",)) == ["a_restored.tif"]
    write_image(tmp_path / "r.ome.zarr", image)
    assert not plan_jobs(["day1/a.ome.zarr"], tmp_path / "r.ome.zarr", existing="skip")
    assert len(plan_jobs(["day1/a.ome.zarr"], tmp_path / "r.ome.zarr", existing="overwrite")) == 1
    for images, output, changes, words in (
        (["day1/a.ome.zarr"], "r.ome.zarr", {}, "exists. Add --existing"),
        (["day1/a.ome.zarr"], "day1/a.ome.zarr", {"existing": "overwrite"}, "replace the image itself"),
        (["day1/d.zarr/0"], "day1/d.zarr", {"existing": "overwrite"}, "replace the image itself"),
        (["day1/d.zarr"], "day1/d.zarr/0", {}, "no folder for results"),
        (["day1/c.tif"], "day1/d.zarr/new.ome.zarr", {}, "no folder for results"),
        (["day1"], "all.ome.zarr", {}, "4 images need a folder"),
        (["https://example.org/a.zarr"], "out", {}, "Download it first"),
        (["day1/c.tif"], "r2.ome.zarr", {"ome_zarr": "0.3"}, "--ome-zarr is 0.4 or 0.5"),
        (["day1/c.tif"], "r2.ome.zarr", {"suffixes": (".tif",)}, "Results of this command are .tif"),
    ):
        with pytest.raises(UserError, match=words):
            plan_jobs(images, tmp_path / output, **changes)
