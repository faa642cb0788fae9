import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.transform import rescale

import relumen
from relumen.chunked import ChunkedPixels
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image
from relumen.normalisation import Normalisation
from relumen.restore import Restorer, open_model, restore_file, restore_plane


def double(batch):
    """A network that only magnifies: each pixel four times."""
    return batch.repeat(2, axis=1).repeat(2, axis=2)


def model(**changes):
    values = {"name": "double", "run": double, "scale": 2, "channels": 1, "tile": (32, 32), "any_size": True, "halo": 4}
    return Restorer(**{**values, **changes})


@pytest.mark.parametrize(("axes", "shape"), [("YX", (50, 70)), ("CYX", (2, 50, 70)), ("TZCYX", (2, 2, 2, 20, 33))])
def test_every_plane_keeps_its_place_and_its_values(tmp_path, cells, axes, shape):
    pixels = np.resize(cells[300:400], shape).astype(np.uint16)
    pixels = pixels * 257 if axes == "YX" else pixels + np.arange(np.prod(shape[:-2])).reshape(*shape[:-2], 1, 1)
    write_image(tmp_path / "in.tif", Image(pixels.astype(np.uint16), axes, PixelSize(0.4, 0.2), {"Info": "kept"}))
    restore_file(tmp_path / "in.tif", model(), tmp_path / "out.tif")
    result = read_image(tmp_path / "out.tif")
    assert (result.axes, result.pixel_size) == (axes, PixelSize(0.2, 0.1))
    assert result.metadata["Info"] == f"kept\nrestored: with double (2x), by relumen {relumen.__version__}"
    expected = pixels.repeat(2, -1).repeat(2, -2)
    np.testing.assert_allclose(result.pixels, expected, rtol=1e-5, atol=1e-3)


def test_8_and_16_bit_copies_give_the_same_picture(cells):
    def sharpen(batch):
        return double(batch + 0.3 * np.tanh(batch - np.roll(batch, 1, 1)))

    small = cells[300:360, 300:380, np.newaxis].astype(np.float32)
    a, b = restore_plane(small, model(run=sharpen)), restore_plane(small * 257 + 1000, model(run=sharpen))
    np.testing.assert_allclose((b - 1000) / 257, a, rtol=0, atol=1e-4 * a.std())


def test_integer_results_are_rounded_and_clipped(tmp_path):
    pixels = np.array([[0, 255], [3, 9]], np.uint8)
    write_image(tmp_path / "in.tif", Image(pixels, "YX"))
    overshoot = model(run=lambda batch: double(batch * 1.5))
    restore_file(tmp_path / "in.tif", overshoot, tmp_path / "out.tif", output="input")
    result = read_image(tmp_path / "out.tif").pixels
    mean = pixels.mean()
    expected = np.clip(np.rint(mean + 1.5 * (pixels - mean)), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(result, expected.repeat(2, 0).repeat(2, 1))


def test_networks_of_several_channels_see_them_together(tmp_path, cells):
    stack = np.stack([cells[:40, :40], cells[40:80, :40]])
    write_image(tmp_path / "in.tif", Image(stack, "CYX"))
    swap = model(run=lambda batch: double(batch[..., ::-1]), channels=2, normalisation=Normalisation())
    restore_file(tmp_path / "in.tif", swap, tmp_path / "out.tif")
    np.testing.assert_allclose(read_image(tmp_path / "out.tif").pixels[0, ::2, ::2], stack[1])


@pytest.mark.parametrize("together", [False, True])
def test_normalisation_of_several_channels(cells, together):
    seen = []

    def spy(batch):
        seen.append(batch)
        return double(batch)

    planes = np.stack([cells[:40, :40], 3.0 * cells[40:80, :40] + 7], -1).astype(np.float32)
    whole = Normalisation(measured=True, together=together)
    several = model(run=spy, channels=2, normalisation=whole, tile=(40, 40), halo=0)
    np.testing.assert_allclose(restore_plane(planes, several)[::2, ::2], planes, rtol=1e-4)
    axes = (0, 1, 2) if together else (0, 1)
    expected = (planes - planes.mean(axes, keepdims=True)) / planes.std(axes, keepdims=True)
    np.testing.assert_allclose(seen[0][0], expected, atol=1e-4)


def test_a_wrong_channel_count_names_both(tmp_path, cells):
    write_image(tmp_path / "in.tif", Image(np.stack([cells[:20, :20]] * 3), "CYX"))
    with pytest.raises(UserError, match="takes images of 2 channels. This one has 3"):
        restore_file(tmp_path / "in.tif", model(channels=2), tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()


def test_pixels_that_are_no_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", np.full((8, 8), np.nan, np.float32))
    with pytest.raises(UserError, match="finite"):
        restore_file(tmp_path / "in.tif", model(), tmp_path / "out.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


def test_tiles_are_few_and_hardly_larger_than_an_image_needs():
    large = Restorer.of_network("large", double, halo=32, scale=2)
    assert large.tile == (512, 512)
    assert (large.plan(4000, 40).tile, large.plan(4000, 40).grid) == ((512, 128), (9, 1))
    assert (large.plan(1024, 512).tile, large.plan(1024, 512).grid) == ((448, 320), (3, 2))


def test_a_network_that_divides_by_three_restores_what_is_larger_than_a_tile(cells):
    def third(batch):
        assert batch.shape[1] % 3 == batch.shape[2] % 3 == 0
        return double(batch)

    thirds = Restorer.of_network("thirds", third, halo=12, scale=2, multiple=3)
    image = cells[:700, :600, np.newaxis].astype(np.float32)
    np.testing.assert_allclose(restore_plane(image, thirds), double(image[np.newaxis])[0], rtol=1e-5, atol=1e-3)


def test_a_network_that_magnifies_otherwise_than_it_says_is_told(cells):
    with pytest.raises(UserError, match="answers a tile of 32 x 32 pixels with 32 x 32, and not with 64 x 64"):
        restore_plane(cells[:60, :60, np.newaxis].astype(np.float32), model(run=lambda batch: batch))


def test_a_constant_image_stays_constant(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", np.full((40, 40), 1000, np.uint16))
    restore_file(tmp_path / "in.tif", model(), tmp_path / "out.tif")
    np.testing.assert_allclose(read_image(tmp_path / "out.tif").pixels, 1000)


@pytest.mark.parametrize(("micrometres", "warned"), [(0.2, False), (0.25, False), (0.3, True), (0.1, True)])
def test_other_pixel_sizes_are_warned_of(tmp_path, cells, micrometres, warned):
    write_image(tmp_path / "in.tif", Image(cells[:40, :40], "YX", PixelSize(micrometres, micrometres)))
    said = []
    restore_file(tmp_path / "in.tif", model(pixel_size_um=0.2), tmp_path / "out.tif", say=said.append)
    assert any("trained on 0.2 um" in line for line in said) == warned
    info = read_image(tmp_path / "out.tif").metadata["Info"].splitlines()
    told = [line for line in said if line.startswith("Warning: ")]
    assert len(told) == warned and [line.replace("warning: ", "Warning: ") for line in info[1:]] == told


@pytest.mark.parametrize(
    ("micrometres", "words"),
    [
        (0.867, "of which it makes 0.867 um. This image is already as fine as its results"),
        (0.434, "already as fine as its results"),
        (2.6, "trained on 6.94 um: .* Rescale the image first, by 0.37 along each side"),
        (13, "Rescale the image first, by 1.9 along each side"),
    ],
)
def test_the_warning_says_which_way_the_image_is_out_of_range(phase, micrometres, words):
    cascade = model(scale=8, pixel_size_um=6.936)
    assert re.search(words, cascade.pixel_size_warning(PixelSize(micrometres, micrometres)))


def test_a_network_of_one_size_is_tiled_plainly_and_it_is_said(tmp_path, cells, fixed_run, fixed_package):
    write_image(tmp_path / "in.tif", Image(cells[300:340, 300:350], "YX"))
    results = []
    for source in (fixed_run, fixed_package):
        with open_model(source) as opened:
            assert (opened.tile, opened.any_size, opened.halo) == ((16, 16), False, 0)
            said: list[str] = []
            restore_file(tmp_path / "in.tif", opened, tmp_path / f"{len(results)}.tif", say=said.append)
            assert any(re.search("^Warning: .* takes tiles of 16 x 16 only.* seams", line) for line in said)
            assert opened.seams_warning(12, 16) is None
        results.append(read_image(tmp_path / f"{len(results)}.tif").pixels)
        for option in ("tile", "halo"):
            refused = pytest.raises(UserError, match=f"16 x 16 only. Leave out --{option}")
            with refused, open_model(source, **{option: 32}):
                pass
    assert results[0].shape == (320, 400)
    np.testing.assert_allclose(results[0], results[1], rtol=0, atol=1e-4 * results[1].std())


def test_a_halo_that_is_too_small_is_told(tiny_cascade_run):
    with open_model(tiny_cascade_run) as measured:
        needed = measured.halo
    for halo, tile in ((0, 32), (needed, None), (needed + 4, 64)):
        with open_model(tiny_cascade_run, tile, halo=halo) as opened:
            assert opened.halo == halo and opened.tile == ((tile, tile) if tile else measured.tile)
            warning = opened.seams_warning(300, 300)
        assert (warning is None) if halo >= needed else f"halo of 0 pixels is less than the {needed}" in warning


def test_smaller_tiles_when_memory_runs_out_and_it_is_said(tmp_path, cells):
    def greedy(batch):
        if batch.shape[1] > 20:
            raise MemoryError
        return double(batch)

    write_image(tmp_path / "in.tif", Image(cells[:60, :60], "YX"))
    said = []
    restore_file(tmp_path / "in.tif", model(run=greedy, tile=(64, 64)), tmp_path / "out.tif", say=said.append)
    assert said[1:] == [f"Out of memory with tiles of {a} pixels; trying {b}." for a, b in ((64, 32), (32, 16))]
    large = model(run=greedy, tile=(512, 512))  # of which the image needs a part
    restore_file(tmp_path / "in.tif", large, tmp_path / "out.tif", say=said.append)
    assert "Out of memory with tiles of 128 pixels; trying 64." in said
    np.testing.assert_allclose(read_image(tmp_path / "out.tif").pixels[::2, ::2], cells[:60, :60], rtol=1e-5)
    with pytest.raises(CheckFailedError, match="too little memory"):
        restore_file(tmp_path / "in.tif", model(run=greedy, tile=(64, 64), halo=16), tmp_path / "out2.tif")
    assert not (tmp_path / "out2.tif").exists()


@pytest.mark.parametrize(("axes", "shape"), [("YX", (70, 90)), ("TZCYX", (2, 2, 2, 40, 33))])
def test_an_ome_zarr_is_restored_as_its_tiff_is(tmp_path, cells, axes, shape):
    pixels = np.resize(cells[300:400], shape).astype(np.uint16)
    image = Image(pixels, axes, PixelSize(0.4, 0.2), {"Info": "kept"})
    results = []
    for source in ("in.tif", "in.ome.zarr"):
        write_image(tmp_path / source, image)
        for target in ("out.tif", "out.ome.zarr"):
            together = model(pixel_size_um=1.0, channels=2) if "C" in axes else model(pixel_size_um=1.0)
            restore_file(tmp_path / source, together, tmp_path / target, say=lambda text: None)
            results.append(read_image(tmp_path / target))
    for other in results[1:]:
        np.testing.assert_array_equal(np.asarray(other.pixels), np.asarray(results[0].pixels))
        assert (other.axes, other.pixel_size) == (axes, PixelSize(0.2, 0.1))
        assert other.metadata["Info"] == results[0].metadata["Info"]
    assert results[0].metadata["Info"].startswith("kept\nrestored: with double (2x)")
    assert "\nwarning: The image's pixels measure" in results[0].metadata["Info"]


def test_a_shipped_model_restores_an_ome_zarr_as_its_tiff(tmp_path, cells):
    image = Image(cells[300:364, 300:390], "YX")
    results = []
    with open_model(Path("esrgan-widefield"), tile=96) as opened:
        for source, target in (("in.tif", "out.tif"), ("in.ome.zarr", "out.ome.zarr")):
            write_image(tmp_path / source, image)
            restore_file(tmp_path / source, opened, tmp_path / target, say=lambda text: None)
            results.append(np.asarray(read_image(tmp_path / target).pixels))
    np.testing.assert_array_equal(*results)


def test_of_a_large_plane_no_more_than_a_band_is_read_at_once(tmp_path, cells, monkeypatch):
    write_image(tmp_path / "in.ome.zarr", Image(np.tile(cells[:100, :100], (12, 1)), "YX"))
    rows, plain = [], ChunkedPixels._read

    def read(self, slices):
        block = plain(self, slices)
        rows.append(block.shape[0])
        return block

    monkeypatch.setattr(ChunkedPixels, "_read", read)
    restore_file(tmp_path / "in.ome.zarr", model(tile=(64, 64)), tmp_path / "out.tif", say=lambda text: None)
    assert max(rows) == 256 and set(rows[-15:]) <= {60, 64}


def test_progress_counts_every_tile_once(tmp_path, cells):
    write_image(tmp_path / "in.tif", Image(np.stack([cells[:60, :60]] * 2), "CYX"))
    counts = []
    restore_file(tmp_path / "in.tif", model(), tmp_path / "out.tif", on_tile=lambda *count: counts.append(count))
    assert counts == [(i + 1, 18) for i in range(18)]  # two channels of 3 x 3 tiles with a core of 24


def test_values_outside_tiles_do_not_leak_in(cells):
    """What a tile answers is the same whether it is cut from a large or a small image."""
    blurring = model(run=lambda batch: np.stack([rescale(b, 2, order=1, channel_axis=-1) for b in batch]))
    image = cells[300:380, 300:390, np.newaxis].astype(np.float32)
    by_tiles = restore_plane(image, blurring)
    at_once = restore_plane(image, model(run=blurring.run, tile=(256, 256)))
    np.testing.assert_allclose(by_tiles, at_once, rtol=0, atol=1e-3)
