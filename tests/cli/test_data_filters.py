"""relumen data filters, as a user meets it."""

import re

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from relumen.data import image_path
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize

FRAME = image_path("phase_t98g/t37.tif")


def test_the_published_filters_are_told_to_be_one(relumen, tmp_path):
    code, said = relumen("data", "filters", FRAME, "-o", tmp_path / "filters.png")
    assert code == 0
    assert "1 (input) │ 6.936 │ 3 x 3 │ 0.0061 │ 0.9998" in said and "8 │ 0.867 │ 9 x 9 │ 0.0075" in said
    assert "At every level it brings next to nothing: all filters see the same image, up to sign." in said
    assert f"Written: {tmp_path / 'filters.png'}" in said
    height, width = iio.imread(tmp_path / "filters.png").shape[:2]
    assert width > height > 800


def test_physical_filters_at_any_level_and_for_any_objective(relumen, tmp_path):
    output = tmp_path / "filters.png"
    arguments = ("data", "filters", FRAME, "-o", output, "--mode", "physical")
    code, said = relumen(*arguments, "--scale", 4, "--level", 4)
    assert code == 0 and "1 (input) │ 3.468 │ 7 x 7 │ 0.5504" in said and "4 │ 0.867 │ 25 x 25" in said
    assert "all filters see the same image" not in said and "│ 8 │" not in said
    code, other = relumen(*arguments, "--scale", 4, "--set", "optics.focal_mm=40")
    assert code == 0 and "1 (input) │ 3.468 │ 7 x 7 │ 0.5504" not in other


def test_an_image_may_be_an_input_already(relumen, tmp_path, phase):
    image, output = tmp_path / "low.tif", tmp_path / "filters.png"
    write_image(image, Image(np.stack([phase[:1016:8, ::8]] * 2), "TYX", PixelSize(6.936, 6.936)))
    code, said = relumen("data", "filters", image, "-o", output, "--scale", 1, "--mode", "physical")
    assert code == 0 and "1 (input) │ 6.936 │ 7 x 7 │ 0.1280" in said and "│ 2 │" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mode", "physical"], "8 times that of the image, with --pixel-size"),
        (["--mode", "physical", "--pixel-size", "0"], "above 0"),
        (["--scale", "3"], "The scale is one of 1, 2, 4, 8, 16. Received: 3"),
        (["--level", "16"], "At scale 8 the level is one of 1, 2, 4, 8. Received: 16"),
        (["--scale", "16"], "The image is 120 x 130, .* should measure 128 at least"),
        (["--set", "optics.focus=3"], "optics.focus"),
        (["-o", "filters.txt"], "A figure is one of .png"),
        (["-o", "nowhere/filters.png"], "There is no folder nowhere"),
    ],
)
def test_what_can_not_be_drawn_is_said_plainly(relumen, tmp_path, monkeypatch, phase, options, words):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("image.tif", phase[:120, :130])
    code, said = relumen("data", "filters", "image.tif", *options)
    assert code == 2 and re.search(words, said), said
    assert not list(tmp_path.glob("*.png"))


def test_blank_and_missing_images(relumen, tmp_path):
    tifffile.imwrite(tmp_path / "blank.tif", np.full((128, 128), 7, np.uint8))
    code, said = relumen("data", "filters", tmp_path / "blank.tif", "-o", tmp_path / "filters.png")
    assert code == 2 and "shows nothing: all pixels are 7" in said
    code, said = relumen("data", "filters", tmp_path / "gone.tif", "-o", tmp_path / "filters.png")
    assert code == 2 and "There is no image at" in said
