"""Networks stored small are read as what they were."""

import zipfile

import keras
import numpy as np
import pytest

from relumen.storage import store_small


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    made = keras.Sequential([layers.Input((32,)), layers.Dense(256), layers.BatchNormalization(), layers.Dense(256)])
    made.layers[1].set_weights([np.full(256, 1 / 3)] * 4)
    made.layers[2].set_weights([np.triu(np.ones((256, 256))) * made.layers[2].get_weights()[0], np.zeros(256)])
    return made


def test_half_precision_halves_a_file_and_zeros_take_no_room(network, tmp_path):
    network.save(tmp_path / "network.keras")
    store_small(tmp_path / "network.keras", tmp_path / "small.keras")
    before, after = ((tmp_path / name).stat().st_size for name in ("network.keras", "small.keras"))
    assert after < 0.4 * before


def test_keras_reads_it_in_single_precision(network, tmp_path):
    network.save(tmp_path / "network.keras")
    store_small(tmp_path / "network.keras", tmp_path / "network.keras")  # in place
    small = keras.models.load_model(tmp_path / "network.keras")
    for a, b in zip(network.weights, small.weights, strict=True):
        assert b.dtype == "float32"
        rounded = np.asarray(a).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(a if len(a.shape) < 2 else rounded, b)
    assert sorted(zipfile.ZipFile(tmp_path / "network.keras").namelist()) == sorted(
        ["metadata.json", "config.json", "model.weights.h5"]
    )


def test_fewer_bits_take_less_room_and_round_no_further_than_they_say(network, tmp_path):
    network.save(tmp_path / "network.keras")
    store_small(tmp_path / "network.keras", tmp_path / "half.keras")
    store_small(tmp_path / "network.keras", tmp_path / "fewer.keras", bits=6)
    half, fewer = ((tmp_path / name).stat().st_size for name in ("half.keras", "fewer.keras"))
    assert fewer < 0.85 * half
    small = keras.models.load_model(tmp_path / "fewer.keras")
    for a, b in zip(network.weights, small.weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=2**-6, atol=2**-24)
        assert not np.array_equal(a, b) or len(a.shape) < 2
    with pytest.raises(ValueError, match="Received: 12"):
        store_small(tmp_path / "network.keras", tmp_path / "more.keras", bits=12)


def test_weights_beyond_half_precision_are_told_and_nothing_is_written(network, tmp_path):
    network.layers[0].set_weights([np.full((32, 256), 1e5), np.zeros(256)])
    network.save(tmp_path / "network.keras")
    with pytest.raises(ValueError, match="beyond half precision"):
        store_small(tmp_path / "network.keras", tmp_path / "small.keras")
    assert not (tmp_path / "small.keras").exists()
