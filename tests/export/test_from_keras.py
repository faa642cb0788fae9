"""Keras models of anyone, small and untrained, as packages: what is measured and refused, and what answers alike."""

import json
import zipfile

import keras
import numpy as np
import pytest
import yaml
from keras import layers
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from relumen.errors import CheckFailedError, UserError
from relumen.export.from_keras import Stated, citation, export_keras
from relumen.export.from_run import Credits
from relumen.export.keras_file import load_keras
from relumen.export.verify import verify_package
from relumen.images import Image, PixelSize
from relumen.package import open_package
from relumen.restore import open_model, restore_plane
from relumen.runners import package_runner

CREDITS = Credits(("Ada",), "githubuser2", "ada@example.org", "https://example.org/images")


def stated(**changes):
    values = {
        "name": "A model",
        "summary": "Answers.",
        "axes": "byxc",
        "normalise": "input",
        "answer": "image",
        "cite": (citation("A paper=10.1000/1"),),
        "credits": CREDITS,
        "git_repo": "https://example.org/code",
    }
    return Stated(**(values | changes))


def convolved(x, width=4, **options):
    return layers.Conv2D(width, 3, padding="same", activation="relu", **options)(x)


def u_net(channels=2, depth=2, shape=(None, None, 1), policy="float32"):
    """Halves its input twice; batch normalisation and dropout, as they were in training."""
    keras.utils.set_random_seed(2)
    keras.config.set_dtype_policy(policy)
    try:
        image = x = keras.Input(shape)
        skips = []
        for _ in range(depth):
            x = layers.BatchNormalization()(convolved(x))
            skips.append(x)
            x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(0.3)(convolved(x))
        for skip in reversed(skips):
            x = convolved(layers.Concatenate()([layers.UpSampling2D(2)(x), skip]))
        return keras.Model(image, layers.Conv2D(channels, 1)(x), name="u_net")
    finally:
        keras.config.set_dtype_policy("float32")


class Residual(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.first = layers.Conv2D(4, 3, padding="same", activation="relu")
        self.second = layers.Conv2D(1, 3, padding="same")

    def call(self, image):
        return image + self.second(self.first(image))


def sequential(*stack):
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((None, None, 1)), *stack])


@pytest.fixture(scope="module")
def sample(cells):
    return Image(cells[300:420, 300:440], "YX", PixelSize(0.2, 0.2))


def exported(model, sample, folder, said=None, **changes):
    lines = [] if said is None else said
    return export_keras(model, sample, folder, stated(**changes), say=lines.append)


def check_answers(folder, reference):
    """Every format answers to the test input as the model does, which takes it raw."""
    with open_package(folder) as package:
        image, stated = np.load(folder / "test_input.npy"), package.normalisation
        mean, deviation = stated.mean, stated.deviation
        if stated.measured:
            mean, deviation = image.mean(), image.std() + 1e-6
        entering = ((image - mean) / deviation).astype(np.float32)
        wanted = np.asarray(reference(entering), np.float32)
        for form in package.weights:
            found = package_runner(package, form)(entering)
            assert np.abs(found - wanted).max() <= 1e-4 * wanted.std(), form


def check_verified(folder):
    assert [
        check for check in verify_package(folder, sizes=(0.4, 1.7)).checks if check.status in ("failed", "skipped")
    ] == []


def test_a_segmentation_u_net_of_two_channels(sample, tmp_path):
    model, said = u_net(), []
    folder = exported(
        model,
        sample,
        tmp_path / "p",
        said,
        answer="own",
        output_channels=("background", "cells"),
        data="Cells of flies",
    )
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    assert rdf["inputs"][0]["axes"][3]["channel_names"] == ["intensity"]
    assert rdf["outputs"][0]["axes"][3]["channel_names"] == ["background", "cells"]
    ours = rdf["config"]["relumen"]
    assert (ours["multiple"], ours["answer"], ours["scale"], ours["pixel_size_um"]) == (4, "own", 1, 0.2)
    assert "restoration" not in rdf["tags"]
    card, macro = (folder / "README.md").read_text(), (folder / "run.ijm").read_text()
    assert "2 channels (background, cells), in units of its own" in card
    assert "relumen has seen neither the training nor its images" in card and "Cells of flies" in card
    assert "relumen restore image.tif" not in card and "from bioimageio.core import predict" in card
    assert "var UNDOES = false;" in macro and "var MEASURES = true;" in macro
    assert any("multiples of 4, 2 channel(s)" in line for line in said)
    check_answers(folder, lambda image: model(image, training=False))
    check_verified(folder)
    with pytest.raises(UserError, match="makes 2 channels of 1"), open_model(folder):
        pass


def test_a_subclassed_network_leaves_its_keras_file_out(sample, tmp_path):
    keras.utils.set_random_seed(2)
    model, said = Residual(), []
    folder = exported(model, sample, tmp_path / "p", said, normalise="20,40")
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    assert list(rdf["weights"]) == ["tensorflow_saved_model_bundle", "onnx"]
    assert "parent" not in rdf["weights"]["tensorflow_saved_model_bundle"]
    (step,) = rdf["inputs"][0]["preprocessing"]
    assert step == {"id": "scale_linear", "kwargs": {"gain": 1 / 40, "offset": -0.5}}
    assert not (folder / "model.keras").exists() and any("Residual" in line for line in said)
    assert "There is no Keras file" in (folder / "README.md").read_text()
    check_answers(folder, model)
    check_verified(folder)
    pixels = sample.pixels[:96, :96, np.newaxis].astype(np.float32)
    with open_model(folder) as opened:
        restored = restore_plane(pixels, opened)
    wanted = np.asarray(model((pixels[np.newaxis] - 20) / 40))[0] * 40 + 20
    inside = slice(8, -8)  # the model sees zeros beyond the border, and restore its mirror image
    np.testing.assert_allclose(restored[inside, inside], wanted[inside, inside], atol=0.01)


def test_preprocessing_inside_a_sequential_network_and_magnification(sample, tmp_path):
    model = sequential(layers.Rescaling(1 / 255), layers.Conv2D(3, 3, padding="same"), layers.UpSampling2D(2))
    model.compile("adam", "mse")
    folder = exported(model, sample, tmp_path / "p", normalise="none")
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    assert "preprocessing" not in rdf["inputs"][0] and rdf["config"]["relumen"]["scale"] == 2
    assert rdf["outputs"][0]["axes"][3]["channel_names"] == ["answer 1", "answer 2", "answer 3"]
    with zipfile.ZipFile(folder / "model.keras") as zipped:
        assert not json.loads(zipped.read("config.json")).get("compile_config")
    check_answers(folder, model)


def test_channels_first_become_last(sample, tmp_path):
    keras.utils.set_random_seed(2)
    first = {"data_format": "channels_first"}
    image = keras.Input((1, None, None))
    x = layers.BatchNormalization(axis=1)(convolved(image, strides=2, **first))
    x = layers.Conv2DTranspose(4, 2, strides=2, padding="same", **first)(x)
    x = layers.Concatenate(axis=1)([x, layers.AveragePooling2D(3, 1, "same", **first)(x)])
    x = layers.SeparableConv2D(4, 3, padding="same", **first)(x)
    model = keras.Model(image, layers.Conv2D(1, 1, **first)(x))
    folder = exported(model, sample, tmp_path / "p", axes="bcyx")
    assert np.load(folder / "test_input.npy").shape == (1, 128, 128, 1)
    with zipfile.ZipFile(folder / "saved_model.zip") as zipped:
        (graph,) = SavedModel.FromString(zipped.read("saved_model.pb")).meta_graphs
    nodes = [*graph.graph_def.node, *(node for each in graph.graph_def.library.function for node in each.node_def)]
    assert any(node.op == "Conv2D" for node in nodes)
    assert not any(node.attr["data_format"].s == b"NCHW" for node in nodes)
    check_answers(folder, lambda tiles: np.moveaxis(model(np.moveaxis(tiles, -1, 1), training=False), 1, -1))
    check_verified(folder)


def test_half_precision_is_exported_in_float32_and_stays_as_it_was(sample, tmp_path):
    model, said = u_net(1, 1, policy="mixed_bfloat16"), []
    folder = exported(model, sample, tmp_path / "p", said)
    assert any("computes in mixed_bfloat16; its package computes in float32" in line for line in said)
    assert {layer.dtype_policy.name for layer in model.layers if layer.weights} == {"mixed_bfloat16"}
    same = u_net(1, 1)
    same.set_weights(model.get_weights())
    check_answers(folder, lambda image: same(image, training=False))


def test_what_was_built_for_one_size_takes_any_where_it_can(sample, tmp_path):
    model = u_net(1, 1, (64, 64, 1))
    folder = exported(model, sample, tmp_path / "p")
    with open_package(folder) as package:
        assert package.tile == (128, 128) and not package.fixed_size and package.multiple == 2


def test_what_takes_one_size_alone_has_tiles_of_it(sample, tmp_path):
    image = keras.Input((48, 48, 1))
    part = keras.Input((48, 48, 1))
    inner = keras.Model(part, layers.Conv2D(2, 3, padding="same")(part))  # which checks what it is given
    folder = exported(keras.Model(image, inner(image)), sample, tmp_path / "p", answer="own")
    with open_package(folder) as package:
        assert package.fixed_size and package.tile_exact and package.tile == (48, 48) and package.halo == 4
    check_verified(folder)


def test_what_knows_whole_images_needs_a_word_more(sample, tmp_path):
    image = keras.Input((None, None, 1))
    centred = image - keras.ops.mean(image, (1, 2), keepdims=True)
    model = keras.Model(image, layers.Conv2D(1, 3, padding="same")(centred))
    with pytest.raises(CheckFailedError, match="No halo makes a tile.*--fixed-size: each tile is then"):
        exported(model, sample, tmp_path / "p")
    folder = exported(model, sample, tmp_path / "p", fixed_size=True)
    with open_package(folder) as package:
        assert package.fixed_size and not package.tile_exact
    assert "seams show between them" in (folder / "README.md").read_text()


def two_inputs():
    a, b = keras.Input((None, None, 1)), keras.Input((None, None, 1))
    return keras.Model([a, b], a + b)


def two_outputs():
    image = keras.Input((None, None, 1))
    return keras.Model(image, {"prob": layers.Conv2D(1, 1)(image), "dist": layers.Conv2D(8, 1)(image)})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (two_inputs, "has 2 inputs"),
        (two_outputs, r"gives 2: prob .*, dist .*keras.Model\(model.input, model.output\['prob'\]\)"),
        (
            lambda: sequential(layers.Conv2D(2, 5), layers.Conv2D(1, 4)),
            r"cuts off 7. Put keras.layers.ZeroPadding2D\(\(\(3, 4",
        ),
        (lambda: sequential(layers.Conv2D(2, 3, strides=2, padding="same")), r"UpSampling2D\(2\) after its last layer"),
        (lambda: sequential(layers.UpSampling2D((2, 1))), "alike along y and x"),
        (lambda: sequential(layers.GlobalAveragePooling2D()), "which is no image"),
        (
            lambda: keras.Sequential([keras.Input((None, None, None, 1)), layers.Conv3D(1, 3)]),
            "networks of single planes",
        ),
        (lambda: keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(1, 3)]), r"takes 3 channel\(s\)"),
    ],
)
def test_what_is_no_network_from_image_to_image_is_refused(sample, tmp_path, make, words):
    with pytest.raises(UserError, match=words):
        exported(make(), sample, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": "yxc"}, "byxc"),
        ({"axes": "bzyxc"}, "networks of single planes"),
        ({"axes": "byx"}, "needs an axis of channels"),
        ({"normalise": "percentile"}, "(?s)normalise: say input, together, none, or MEAN,DEVIATION.*Percentiles"),
        ({"normalise": "0,0"}, "deviation"),
        ({"answer": "labels"}, "answer: "),
        ({"credits": Credits(license="mine")}, "no licence 'mine' in the SPDX list"),
        ({"name": "x"}, "name: "),
        ({"channels": ("a", "b")}, r"--channel names 2 channel\(s\) \(a, b\), and the sample has 1"),
        ({"tile": 6}, "multiple of 1 pixels, and 16 or more"),
    ],
)
def test_what_is_stated_wrongly_is_told(sample, tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        exported(sequential(layers.Conv2D(1, 3, padding="same")), sample, tmp_path / "p", **changes)


def test_two_channels_enter_together(cells, tmp_path):
    image = keras.Input((None, None, 2))
    model = keras.Model(image, layers.Conv2D(2, 3, padding="same")(image))
    two = Image(np.stack([cells[300:400, 300:400], cells[500:600, 300:400] // 2]), "CYX")
    with pytest.raises(UserError, match="say together where one mean"):
        exported(model, two, tmp_path / "p")
    folder = exported(model, two, tmp_path / "p", normalise="together", channels=("a", "b"))
    with open_package(folder) as package:
        assert package.normalisation.together and package.input_channels == package.output_channels == 2
    check_answers(folder, model)
    assert "var MEASURES = true;" in (folder / "run.ijm").read_text()


def test_a_citation_is_a_text_and_a_place():
    assert citation("A, B = 2018=10.1038/s41592-018-0216-7").doi == "10.1038/s41592-018-0216-7"
    assert citation("Code = https://example.org/?a=b").url == "https://example.org/?a=b"
    with pytest.raises(UserError, match="TEXT=DOI"):
        citation("a paper")


MINE = """
import keras

class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def with_own_layer(folder):
    scope = {"__name__": "my_layers"}
    exec(MINE, scope)  # as another program would define it
    image = keras.Input((None, None, 1))
    keras.Model(image, scope["Doubled"]()(image)).save(folder / "model.keras")
    return folder / "model.keras"


def test_a_layer_of_ones_own_needs_its_file(tmp_path):
    path = with_own_layer(tmp_path)
    with pytest.raises(UserError, match=r"doesn't come with Keras: Doubled .*--code my_layers.py"):
        load_keras(path)
    code, said = tmp_path / "my_layers.py", []
    with pytest.raises(UserError, match="There is none at"):
        load_keras(path, [code])
    code.write_text(MINE)
    model = load_keras(path, [code], said.append)
    assert float(model(np.full((1, 2, 2, 1), 3.0))[0, 0, 0, 0]) == 6 and "its code runs" in said[0]
    for text, words in (("1 / 0", "ZeroDivisionError"), ("import sys; sys.exit()", "SystemExit")):
        code.write_text(text)
        with pytest.raises(UserError, match=f"can't be imported: {words}"):
            load_keras(path, [code])


def test_a_loss_of_ones_own_inside_a_model(tmp_path):
    """Keras leaves out the loss of the whole model, and not that of a model in it."""

    def my_loss(truth, answer):
        return keras.ops.mean(keras.ops.abs(truth - answer))

    inner = sequential(layers.Conv2D(1, 3, padding="same"))
    inner.compile(loss=my_loss)
    inner.save(tmp_path / "inner.keras")
    load_keras(tmp_path / "inner.keras")
    image = keras.Input((None, None, 1))
    keras.Model(image, inner(image)).save(tmp_path / "outer.keras")
    with pytest.raises(UserError, match="doesn't come with Keras: my_loss"):
        load_keras(tmp_path / "outer.keras")


def test_a_network_far_larger_than_its_file_is_not_built(tmp_path):
    sequential(layers.Conv2D(77, 3), layers.Conv2D(1, 3)).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name).replace(b'"filters": 77', b'"filters": 777777777'))
    with pytest.raises(UserError, match="which its size does not explain"):
        load_keras(tmp_path / "bad.keras")


def test_files_that_are_not_opened(tmp_path):
    sequential(layers.Lambda(lambda x: x + 1)).save(tmp_path / "lambda.keras")
    with pytest.raises(UserError, match="code is in the file itself"):
        load_keras(tmp_path / "lambda.keras")
    sequential(layers.Conv2D(1, 1)).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "two.keras", "w") as old:
        for name in good.namelist():
            old.writestr(name, good.read(name).replace(keras.__version__.encode(), b"2.15.0"))
    with pytest.raises(UserError, match="saved by Keras 2.15.0"):
        load_keras(tmp_path / "two.keras")
    (tmp_path / "bad.keras").write_bytes(b"no zip")
    (tmp_path / "old.h5").write_bytes(b"")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    for name, words in (
        ("bad.keras", "no .keras file, or it is damaged"),
        ("old.h5", "old HDF5 format.*load_model"),
        ("saved", "is a SavedModel"),
        ("none.keras", "There is no .keras file"),
    ):
        with pytest.raises(UserError, match=words):
            load_keras(tmp_path / name)
