"""A package written by hand, so that the checks of packages do not lean on the exporter that they check."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml


@pytest.fixture(scope="session")
def hand_made(tmp_path_factory, cells) -> Path:
    """Doubles an image with two small convolutions: receptive field 2 input pixels, halo 8, tile 64."""
    import keras
    import tensorflow as tf
    import tf2onnx
    import tifffile
    from PIL import Image
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    base = tmp_path_factory.mktemp("hand_made")
    folder = base / "package"
    folder.mkdir()
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 1), name="input")
    hidden = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(keras.layers.UpSampling2D(2)(hidden)))
    model.save(folder / "weights.keras")

    spec = tf.TensorSpec((None, None, None, 1), tf.float32, name="input")
    call = tf.function(lambda x: {"output": model(x)}, input_signature=[spec])
    frozen = convert_variables_to_constants_v2(call.get_concrete_function())
    module = tf.Module()
    module.call = tf.function(lambda x: {"output": frozen(x)[0]}, input_signature=[spec])  # type: ignore[attr-defined]
    signature = module.call.get_concrete_function(spec)  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(base / "saved"), signatures={"serving_default": signature})
    shutil.make_archive(str(folder / "saved_model"), "zip", base / "saved")
    tf2onnx.convert.from_function(call, [spec], opset=15, output_path=str(folder / "weights.onnx"))

    image = cells[300:364, 300:364].astype(np.float32)[np.newaxis, ..., np.newaxis]
    answer = np.asarray(model((image - image.mean()) / (image.std() + 1e-6)))
    for name, array in (("input", image), ("output", answer)):
        np.save(folder / f"test_{name}.npy", array)
        tifffile.imwrite(folder / f"sample_{name}.tif", array[0, ..., 0])
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(folder / "cover.png")
    (folder / "README.md").write_text(
        "# Cells x2\n\n## Training data\n\nFrom https://example.org/data.\n\n## Validation\n\nPSNR 30 dB.\n"
    )
    (folder / "rdf.yaml").write_text(yaml.safe_dump(_rdf(folder), sort_keys=False))
    return folder


@pytest.fixture
def package_copy(hand_made, tmp_path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(hand_made, tmp_path / "package"))


def _rdf(folder: Path) -> dict:
    def file(name: str) -> dict:
        return {"source": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}

    def axes(channel: str, **space: object) -> list:
        each = [{key: value[name] if key == "size" else value for key, value in space.items()} for name in "yx"]
        return [
            {"type": "batch"},
            *({"type": "space", "id": name, **about} for name, about in zip("yx", each, strict=True)),
            {"type": "channel", "id": "channel", "channel_names": [channel]},
        ]

    normalise = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"], "eps": 1e-6}}
    follow = {name: {"tensor_id": "input", "axis_id": name} for name in "yx"}
    return {
        "format_version": "0.5.10",
        "type": "model",
        "name": "Cells x2",
        "description": "Doubles the resolution of images of cells",
        "authors": [{"name": "Ada"}],
        "maintainers": [{"name": "Ada", "github_user": "ada"}],
        "uploader": {"email": "ada@example.org"},
        "cite": [{"text": "A paper", "url": "https://example.org"}],
        "license": "CC-BY-4.0",
        "tags": ["deepimagej", "super-resolution"],
        "git_repo": "https://example.org/code",
        "documentation": "README.md",
        "covers": ["cover.png"],
        "version": "0.1.0",
        "timestamp": "2025-01-01T00:00:00",
        "inputs": [
            {
                "id": "input",
                "axes": axes("dna", size={"y": 64, "x": 64}, scale=4.0),
                "data": {"type": "float32"},
                "test_tensor": file("test_input.npy"),
                "sample_tensor": file("sample_input.tif"),
                "preprocessing": [normalise],
            }
        ],
        "outputs": [
            {
                "id": "output",
                "axes": axes("restored", size=follow, scale=2.0, halo=16),
                "data": {"type": "float32"},
                "test_tensor": file("test_output.npy"),
                "sample_tensor": file("sample_output.tif"),
            }
        ],
        "weights": {
            "tensorflow_saved_model_bundle": {
                **file("saved_model.zip"),
                "parent": "keras_v3",
                "tensorflow_version": "2.21.0",
            },
            "onnx": {**file("weights.onnx"), "parent": "keras_v3", "opset_version": 15},
            "keras_v3": {
                **file("weights.keras"),
                "keras_version": "3.15.1",
                "backend": ["tensorflow", "2.21.0"],
            },
        },
        "config": {
            "bioimageio": {"nickname": "brave-otter"},
            "deepimagej": {"allow_tiling": True},
            "relumen": {"tolerance": 1e-4, "pixel_size_um": 0.65},
        },
    }
