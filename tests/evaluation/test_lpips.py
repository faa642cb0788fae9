"""LPIPS by its equation, over VGG-16 of random weights in both layouts, and what is refused."""

import os
import pickle
from collections import OrderedDict
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from relumen.errors import UserError
from relumen.evaluation.lpips import LAYERS, LPIPS

from ..prior.layouts import Tensor, saved, saved_old, written

PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
COMPARED = (1, 3, 6, 9, 12)
POOLED = (2, 4, 7, 10)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """Kernels and biases of a VGG-16, and files with them in Keras's and in torchvision's layout."""
    folder = tmp_path_factory.mktemp("vgg")
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3))
    rng = np.random.default_rng(0)
    values = [rng.normal(0, 0.1, w.shape) if w.ndim == 1 else he_normal(rng, w.shape) for w in network.get_weights()]
    network.set_weights(values)
    network.save_weights(folder / "vgg.weights.h5")
    state = OrderedDict()
    for place, kernel, bias in zip(PLACES, values[::2], values[1::2], strict=True):
        state[f"features.{place}.weight"] = Tensor(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        state[f"features.{place}.bias"] = Tensor(bias)
    state["classifier.6.bias"] = Tensor(np.zeros(1000))
    layers = list(zip(values[::2], values[1::2], strict=True))
    return SimpleNamespace(
        layers=layers,
        keras=str(folder / "vgg.weights.h5"),
        torch=str(written(folder / "vgg16.pth", saved_old(state))),
        state=state,
    )


@pytest.fixture(scope="module")
def linear():
    rng = np.random.default_rng(1)
    return [rng.uniform(size=channels).astype(np.float32) for channels in LAYERS.values()]


@pytest.fixture(scope="module")
def linear_file(linear, tmp_path_factory):
    return written(tmp_path_factory.mktemp("linear") / "vgg.pth", saved(state_of(linear)))


@pytest.fixture(scope="module")
def lpips(vgg, linear_file):
    return LPIPS.open(vgg.torch, linear_file)


def he_normal(rng, shape):
    return rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape).astype(np.float32)


def state_of(linear):
    return OrderedDict((f"lin{i}.model.1.weight", Tensor(w.reshape(1, -1, 1, 1))) for i, w in enumerate(linear))


def convolved(x, kernel, bias):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1))
    return np.maximum(np.tensordot(windows, kernel, ((3, 4, 2), (0, 1, 2))) + bias, 0)


def features(x, layers):
    for i, (kernel, bias) in enumerate(layers):
        if i in POOLED:
            x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max((1, 3))
        x = convolved(x, kernel, bias)
        if i in COMPARED:
            yield x / np.sqrt((x**2).sum(-1, keepdims=True))


def by_the_book(a, b, vgg, linear):
    """The distance of two inputs (y, x, 3) of VGG."""
    layers = zip(features(a, vgg.layers), features(b, vgg.layers), linear, strict=True)
    return sum(((one - other) ** 2 * weights).sum(-1).mean() for one, other, weights in layers)


def drawn(*shape):
    return np.random.default_rng(2).uniform(size=shape)


def test_it_is_the_equation_over_torchvisions_network_in_units_of_imagenet(lpips, vgg, linear):
    a, b = drawn(2, 1, 32, 48, 3)
    mean, deviation = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    expected = by_the_book((a[0] - mean) / deviation, (b[0] - mean) / deviation, vgg, linear)
    assert expected > 0.05
    np.testing.assert_allclose(lpips(a, b), [expected], rtol=1e-4)
    assert lpips.words == "LPIPS over torchvision's VGG-16"


def test_kerass_network_gets_its_own_input_and_the_words_say_that_it_is_no_published_lpips(vgg, linear, linear_file):
    a, b = drawn(2, 1, 32, 32, 3)
    official = keras.applications.vgg16.preprocess_input
    expected = by_the_book(official(255 * a[0]), official(255 * b[0]), vgg, linear)
    opened = LPIPS.open(vgg.keras, linear_file)
    np.testing.assert_allclose(opened(a, b), [expected], rtol=1e-4)
    assert "no published LPIPS" in opened.words


def test_equal_images_are_0_apart_and_noise_drives_them_apart_pair_by_pair(lpips, cells):
    image = np.stack([cells[300:340, x : x + 32, np.newaxis] / 255 for x in range(300, 309)])
    noise = np.random.default_rng(0).normal(0, 0.02, image.shape)
    np.testing.assert_array_equal(lpips(image, image), np.zeros(9))
    little, much = lpips(image, image + noise), lpips(image, image + 5 * noise)
    assert little.shape == (9,) and np.all((0 < little) & (little < much))
    np.testing.assert_allclose(lpips(image[8:], (image + noise)[8:]), little[8:], rtol=1e-3)
    assert lpips(image[:0], image[:0]).shape == (0,)


@pytest.mark.parametrize(("first", "second"), [((1, 31, 64, 3), (1, 31, 64, 3)), ((2, 32, 32, 1), (2, 32, 32, 2))])
def test_small_images_and_unequal_sets_are_refused(lpips, first, second):
    with pytest.raises(UserError, match="32 pixels or more"):
        lpips(np.zeros(first), np.zeros(second))


class Hostile:
    def __reduce__(self):
        return os.system, ("exit 3",)


def broken(linear):
    few, narrow = state_of(linear[:4]), state_of([w[1:] if i == 2 else w for i, w in enumerate(linear)])
    return {
        "'lin4.model.1.weight' is missing": saved(few),
        r"'lin2.model.1.weight' has shape \(1, 255, 1, 1\), not \(1, 256, 1, 1\)": saved(narrow),
        "names 'posix.system'": saved_old({"lin0.model.1.weight": Hostile()}),
        "holds a list": saved([1, 2]),
        "not a pickle": b"no file of PyTorch",
        "unknown version": pickle.dumps({}, 2) * 3,
    }


def test_wrong_or_hostile_weights_of_the_channels_are_refused_and_not_run(vgg, linear, tmp_path):
    for why, data in broken(linear).items():
        file = written(tmp_path / "wrong.pth", data)
        with pytest.raises(UserError, match=rf"(?s){why}.*Nothing in it has been run. Give vgg.pth"):
            LPIPS.open(vgg.torch, file)
    with pytest.raises(UserError, match="can't be read.*Give vgg.pth"):
        LPIPS.open(vgg.torch, tmp_path / "gone.pth")


def test_weights_of_another_network_are_refused(vgg, linear_file, tmp_path):
    other = OrderedDict(vgg.state) | {"features.10.bias": Tensor(np.zeros(3))}
    with pytest.raises(UserError, match=r"features.10.bias.*\(3,\), not \(256,\).*vgg16-397923af.pth"):
        LPIPS.open(str(written(tmp_path / "vgg.pth", saved(other))), linear_file)
    (tmp_path / "broken.weights.h5").write_text("no weights")
    for name in ("gone.h5", "broken.weights.h5"):
        with pytest.raises(UserError, match="leave LPIPS out"):
            LPIPS.open(str(tmp_path / name), linear_file)
