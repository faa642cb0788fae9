"""relumen search, on small images with an untrained prior: files in, files out, and what they say."""

import csv

import numpy as np
import pytest
import tifffile

from relumen.degrade import forward_operator
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image

FAST = ("--factor", 2, "--set", "iterations=3")


@pytest.fixture
def images(tmp_path, cells):
    """Two channels of a real image: one view of the prior, a stack, and a field."""
    folder = tmp_path / "low"
    folder.mkdir()
    pixels = np.stack([cells[:8:2, :8:2], cells[100:108:2, 100:108:2]])
    write_image(folder / "a.tif", Image(pixels, "CYX", PixelSize(1.0, 1.0)))
    stack = np.stack([pixels, pixels + 1, pixels + 2]).astype(np.uint16)
    write_image(folder / "b.tif", Image(stack, "ZCYX", PixelSize(1.0, 1.0, 3.0)))
    field = np.stack([cells[:10, :14], cells[100:110, 100:114]])
    write_image(folder / "c.tif", Image(field, "CYX"))
    return folder


def info(path):
    with tifffile.TiffFile(path) as file:
        assert file.imagej_metadata is not None
        return dict(line.split(": ", 1) for line in file.imagej_metadata["Info"].splitlines())


def test_a_folder_of_images_stacks_and_fields(relumen, images, searchable_prior, tmp_path):
    out = tmp_path / "found"
    code, said = relumen("search", images, "--prior", searchable_prior, *FAST, "-o", out)
    assert code == 0, said
    assert "DNA from channel 1, NF-kB from channel 2" in said and "percentiles 2 and 98" in said
    shapes = {name: read_image(out / f"{name}_rls.tif") for name in "abc"}
    assert {name: each.pixels.shape for name, each in shapes.items()} == {
        "a": (2, 8, 8),
        "b": (3, 2, 8, 8),
        "c": (2, 20, 28),
    }
    assert shapes["b"].axes == "ZCYX" and shapes["b"].pixel_size == PixelSize(0.5, 0.5, 3.0)
    told = info(out / "a_rls.tif")
    assert told["synthesised"].startswith("by relumen search. No microscope took this image")
    assert told["prior"].startswith("tiny-prior, generator ") and told["D"] == "2x bicubic reduction, border: cut"
    assert "likelihood" in told["losses"] and told["seed"] == "0" and "1 is black to white" in told["residual"]
    with (out / "c_rls-windows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == int(info(out / "c_rls.tif")["windows"]) > 6
    assert {"top", "left", "residual", "prior_distance", "likelihood"} <= set(rows[0])
    with (out / "b_rls-windows.csv").open() as file:
        assert [row["Z"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert read_image(out / "a_rls.png").channels == 3


def test_the_result_is_in_the_units_of_the_image(relumen, images, searchable_prior, tmp_path):
    """A prior whose images fit at once: what is written, reduced again, is near what was given."""
    target = tmp_path / "a.tif"
    relumen("search", images / "a.tif", "--prior", searchable_prior, "--factor", 2, "-o", target,
            "--set", "iterations=60", "--set", "learning_rate=0.1", "--method", "unregularised")  # fmt: skip
    low, high = (read_image(path).pixels.astype(float) for path in (images / "a.tif", target))
    reduced = high.reshape(2, 4, 2, 4, 2).mean((2, 4))
    span = np.ptp(low, axis=(1, 2)).mean()
    assert np.abs(reduced - low).mean() < 0.25 * span
    assert float(info(target)["residual"].partition(",")[0]) > 0


def test_several_solutions_with_their_mean_and_spread(relumen, images, searchable_prior, tmp_path):
    code, said = relumen(
        "search", images / "a.tif", "--prior", searchable_prior, *FAST, "-n", 3, "--uncertainty", "restarts",
        "--type", "input", "-o", tmp_path / "r.tif",
    )  # fmt: skip
    assert code == 0, said
    each = np.stack([read_image(tmp_path / f"r-{i}.tif").pixels for i in (1, 2, 3)]).astype(float)
    mean, std = (read_image(tmp_path / f"r-{kind}.tif").pixels for kind in ("mean", "std"))
    assert each.max() <= 255 and mean.dtype == np.uint8 and std.dtype == np.float32
    np.testing.assert_allclose(mean, each.mean(0), atol=2)
    inside = (each > 2).all(0) & (each < 253).all(0)  # where nothing was clipped to 8 bits
    np.testing.assert_allclose(std[inside], each.std(0)[inside], atol=1.5)
    best = read_image(tmp_path / "r.tif").pixels
    assert any((best == one).all() for one in each)
    assert info(tmp_path / "r-std.tif")["this file"] == "their standard deviation"
    assert "restarts" in info(tmp_path / "r.tif")["uncertainty"]


def test_one_stain_alone_and_a_psf_of_a_file(relumen, images, searchable_prior, tmp_path, cells):
    write_image(tmp_path / "one.tif", Image(cells[:8:2, :8:2], "YX"))
    write_image(tmp_path / "psf.tif", Image(np.eye(3, dtype=np.float32), "YX"))
    code, said = relumen(
        "search", tmp_path / "one.tif", "--prior", searchable_prior, *FAST, "--channel", "DNA=1", "--channel",
        "NF-kB=none", "--intensity", "type", "--psf", tmp_path / "psf.tif", "--border", "mirror",
        "-o", tmp_path / "r.tif",
    )  # fmt: skip
    assert code == 0, said
    told = info(tmp_path / "r.tif")
    assert "NF-kB not measured: made up" in told["channels"]
    assert told["D"].startswith("a PSF of 3 x 3 pixels, 2x") and told["D"].endswith("border: mirror")
    assert "the whole range of uint8: DNA 0 to 255" in told["intensities, black to white"]


def test_one_bad_image_does_not_stop_the_others(relumen, images, searchable_prior, tmp_path):
    (images / "d.tif").write_bytes(b"no image")
    write_image(images / "g.tif", Image(np.full((2, 8, 9), np.nan, np.float32), "CYX"))
    write_image(images / "e.tif", Image(np.zeros((2, 3, 9), np.uint8), "CYX"))
    write_image(images / "f.tif", Image(np.zeros((4, 4), np.uint8), "YX"))
    code, said = relumen("search", images, "--prior", searchable_prior, *FAST, "-o", tmp_path / "found")
    assert code == 2 and "4 of 7 images failed" in said
    assert "At 2x the prior shows 4 x 4 pixels. The image has 3 x 9" in said
    assert "no finite numbers (NaN or infinite)" in said
    assert "f.tif has 1 channels, and the first image 2" in said
    assert sorted(path.name for path in (tmp_path / "found").glob("*.tif")) == ["a_rls.tif", "b_rls.tif", "c_rls.tif"]
    assert not list((tmp_path / "found").glob(".*"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--factor", 3], "divides the prior's 8 pixels: one of 1, 2, 4, 8. Received: 3"),
        (["--method", "magic"], "no preset 'magic'"),
        (["--border", "wrap"], "border"),
        (["--uncertainty", "guess"], "uncertainty"),
        (["--channel", "actin=1"], "DNA, NF-kB"),
        (["--intensity", "bright"], "LOW:HIGH"),
        (["--psf", "none.tif"], "no image at none.tif"),
        (["-o", "found.npy"], "Results of this command are .tif, .tiff"),
        (["-n", 2, "--method", "pulse", "--uncertainty", "paper"], "choose restarts"),
    ],
)
def test_wrong_use(relumen, images, searchable_prior, tmp_path, more, words):
    out = tmp_path / "found"
    code, said = relumen("search", images / "a.tif", "--prior", searchable_prior, *FAST, "-o", out, *more)
    assert code == 2 and words in said, said
    assert not list(out.glob("*.tif"))


def test_results_that_are_there_are_kept(relumen, images, searchable_prior, tmp_path):
    write_image(tmp_path / "done.tif", Image(np.zeros((8, 8), np.uint8), "YX"))
    skip = ("--existing", "skip", "-o", tmp_path / "done.tif")
    code, said = relumen("search", images / "a.tif", "--prior", searchable_prior, *FAST, *skip)
    assert code == 0 and said.endswith("All results are there already.")
    target = tmp_path / "r.tif"
    (tmp_path / "r-mean.tif").write_text("mine")
    command = ("search", images / "a.tif", "--prior", searchable_prior, *FAST, "-n", 2, "-o", target)
    code, said = relumen(*command)
    assert code == 2 and "r-mean.tif exists" in said and not target.exists()
    assert (tmp_path / "r-mean.tif").read_text() == "mine"


def test_reduced_images_are_those_of_the_forward_operator(relumen, tmp_path, cells):
    """Of stacks with channels; what makes no whole pixel is left out."""
    high = np.stack([cells[:49, :32], cells[200:249, 200:232]]).astype(np.uint16) * 100
    write_image(tmp_path / "high.tif", Image(high, "CYX", PixelSize(0.5, 0.5)))
    code, said = relumen("data", "reduce", tmp_path / "high.tif", "--factor", 8, "-o", tmp_path / "low.tif")
    assert code == 0, said
    low = read_image(tmp_path / "low.tif")
    assert low.pixels.shape == (2, 6, 4) and low.pixels.dtype == np.uint16 and low.pixel_size == PixelSize(4.0, 4.0)
    code, _ = relumen("data", "reduce", tmp_path / "high.tif", "--factor", 8, "--area", "--type", "float32",
                      "-o", tmp_path / "mean.tif")  # fmt: skip
    expected = high[:, :48].reshape(2, 6, 8, 4, 8).mean((2, 4))
    np.testing.assert_allclose(read_image(tmp_path / "mean.tif").pixels, expected, rtol=1e-5)
    square = forward_operator(32, 8)(high[1, :32, :, np.newaxis])[..., 0]
    inside = slice(0, 2)  # the third row sees what lies below 32
    np.testing.assert_allclose(low.pixels[1, inside], square[inside], atol=1)
    code, said = relumen("data", "reduce", tmp_path / "low.tif", "--factor", 8, "-o", tmp_path / "none.tif")
    assert code == 2 and "smaller than one pixel at 8x" in said
