"""What people read and see of a package: card, macro, cover."""

import re

import numpy as np
import pytest

from relumen.errors import CheckFailedError
from relumen.export import cover
from relumen.export.card import card_text
from relumen.export.cover import write_cover
from relumen.export.description import PackageDescription
from relumen.export.macro import macro_text
from relumen.export.rdf import Measured, PackageFiles

FIELDS = {
    "name": "Nuclei x2",
    "summary": "Doubles the resolution of nuclei.",
    "tile": 100,
    "authors": [{"name": "Ada"}, {"name": "Grace"}],
    "cite": [{"text": "A paper", "doi": "10.1000/1"}],
    "pixel_size_um": 0.325,
    "training": {
        "data": "12 fields of nuclei",
        "data_link": "https://example.org/nuclei",
        "command": "relumen train esrgan",
        "duration": "2 hours",
        "machine": "a laptop",
        "details": ["Inputs were blurred."],
    },
    "validation": [{"caption": "Four images", "columns": ["image", "PSNR"], "rows": [["a|b", 31.4159], ["c", 7]]}],
    "limitations": ["Not for membranes."],
}
MEASURED = Measured(
    halo=12,
    halo_error=3.2e-5,
    halo_curve=((0, 0.5), (4, 2e-3), (8, 1.2e-4), (12, 3.2e-5)),
    tolerance=1e-4,
    parameters=1,
    formats={"onnx": 2e-6},
)


def described(**changes):
    return PackageDescription.checked(FIELDS | changes)


def test_the_card_tells_what_a_user_should_know():
    text = card_text(described(), MEASURED, PackageFiles())
    assert re.findall("^#+ (.*)$", text, re.MULTILINE) == [
        "Nuclei x2", "What it takes and gives", "What it is not good for", "In Fiji", "In Python", "Training data",
        "Training", "Validation", "Cite, licence, code",
    ]  # fmt: skip
    for words in (
        "0.325 um",
        "the network answers in these units",
        "answer x standard deviation + mean",
        "halo of 12",
        "Not for membranes.",
        "<https://example.org/nuclei>",
        "`relumen train esrgan`",
        "Inputs were blurred.",
        "| a\\|b | 31.42 |",
        "| onnx | 2.0e-06 |",
        "| 8 | 1.2e-04 |",
        "<https://doi.org/10.1000/1>",
        "Ada, Grace",
        "TensorFlow 2.7.4",
        "TensorFlow 2.10.1",
        "ONNX Runtime 1.13.1",
        "Apple silicon",
        "at least 34 pixels",
        "modelPath",
        "relumen restore image.tif --model nuclei-x2",
        "model_path=[nuclei-x2] input_path=[/data/in.tif] output_folder=[/data/out] display_output=all",
    ):
        assert words in text


def test_the_card_says_so_where_nothing_is_known():
    plain = described(pixel_size_um=None, validation=[], normalise="none", training={"data": "Some images"})
    text = card_text(plain, MEASURED, PackageFiles())
    assert "No figures on held-out images were given" in text
    assert "um." not in text and "None" not in text and "standard deviation + mean" not in text


def test_the_macro_knows_its_model():
    text = macro_text(described())
    assert not re.search("@[A-Z_]+@", text)
    for line in (
        'var NICKNAME = "nuclei-x2";',
        "var SCALE = 2;",
        "var TILE = 100;",
        "var CHANNELS = 1;",
        "var MEASURES = true;",
        "var UNDOES = true;",
        "var EPS = 0.000001;",
        "var PIXEL_SIZE = 0.325;",
    ):
        assert line in text
    assert 'newArray("model_path", "input_path", "output_folder", "display_output")' in text
    assert 'newArray("modelPath", "inputPath", "outputFolder", "displayOutput")' in text
    assert "var PIXEL_SIZE = 0;" in macro_text(described(pixel_size_um=None))


@pytest.mark.parametrize(("size", "scale"), [(256, 2), (64, 8), (300, 1), (20, 2), (700, 1)])
def test_the_cover_shows_input_beside_output_in_one_contrast(tmp_path, cells, size, scale):
    import imageio.v3 as iio

    image = cells[300 : 300 + size, 300 : 300 + size].astype(np.float32)
    write_cover(tmp_path / "cover.png", image, np.kron(image, np.ones((scale, scale))))
    picture = iio.imread(tmp_path / "cover.png")
    height, width = picture.shape
    assert width == 2 * height and height >= 256
    assert (tmp_path / "cover.png").stat().st_size < 500_000
    np.testing.assert_array_equal(picture[:, :height], picture[:, height:])
    assert picture.min() == 0 and picture.max() == 255


def test_noise_makes_a_smaller_cover_and_never_a_large_file(tmp_path, monkeypatch):
    import imageio.v3 as iio

    noise = np.random.default_rng(0).normal(size=(512, 512))
    monkeypatch.setattr(cover, "MAX_BYTES", 200_000)
    write_cover(tmp_path / "cover.png", noise, noise)
    assert (tmp_path / "cover.png").stat().st_size <= 200_000
    assert iio.imread(tmp_path / "cover.png").shape[1] < 1024
    monkeypatch.setattr(cover, "MAX_BYTES", 100)
    with pytest.raises(CheckFailedError, match="at every size"):
        write_cover(tmp_path / "cover.png", noise, noise)
