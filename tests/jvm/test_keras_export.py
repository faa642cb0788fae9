"""A Keras model from elsewhere, of other channels out than in, in the engines of Fiji."""

import keras
import numpy as np
import pytest
from keras import layers

from relumen.export.engines import ENGINES
from relumen.export.from_keras import Stated, citation, export_keras
from relumen.export.from_run import Credits
from relumen.export.verify import verify_package
from relumen.images import Image

pytestmark = pytest.mark.jvm


def test_a_segmentation_network_with_channels_first_passes_in_the_engines_of_fiji(cells, tmp_path):
    keras.utils.set_random_seed(2)
    first = {"padding": "same", "data_format": "channels_first"}
    image = keras.Input((1, None, None))
    low = layers.Conv2D(4, 3, strides=2, activation="relu", **first)(image)
    high = layers.Conv2DTranspose(4, 2, strides=2, **first)(low)
    model = keras.Model(image, layers.Conv2D(2, 3, activation="sigmoid", **first)(high))
    credits = Credits(("Ada",), "ada", "ada@example.org", "https://example.org/images")
    stated = Stated(
        name="Cell finder", summary="Marks cells.", axes="bcyx", normalise="0,255", answer="own",
        cite=(citation("A paper=10.1000/1"),), credits=credits, git_repo="https://example.org/code",
    )  # fmt: skip
    package = export_keras(model, Image(cells[300:420, 300:440], "YX"), tmp_path / "finder", stated)
    report = verify_package(package, jvm=True, sizes=(0.4, 1.7))
    assert [check for check in report.checks if check.status in ("failed", "skipped")] == []
    for engine in ENGINES.values():
        made = [check for check in report.checks if check.name.startswith(engine.name)]
        assert len(made) == 3 and all(check.value is not None and check.value <= 1e-4 for check in made)
    assert np.load(package / "test_output.npy").shape == (1, 128, 128, 2)
