"""What every network must keep: shapes, any size, saving, and gradients that reach every weight."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen.models import cascade, esrgan, features
from relumen.models.baselines import care, lapsrn
from relumen.models.optics import Optics


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


SMALL = {"widths": (8, 8, 6, 4), "stem": 1, "convs": 1}
PHYSICAL = Optics(mode="physical", pixel_um=6.936)


def levels(batch, y, x, factor):
    """Shapes of the images of all levels."""
    return [(batch, 2**i * y, 2**i * x, 1) for i in range(1, factor.bit_length())]


NETWORKS = {
    "generator": (lambda: esrgan.generator(2, 8, 4), (2, 12, 12, 1), (2, 24, 24, 1)),
    "generator of odd size": (lambda: esrgan.generator(1, 8, 4), (1, 13, 7, 1), (1, 26, 14, 1)),
    "generator x8": (lambda: esrgan.generator(1, 8, 4, scale=8), (1, 5, 4, 1), (1, 40, 32, 1)),
    "generator x1": (lambda: esrgan.generator(1, 8, 4, scale=1), (1, 9, 9, 1), (1, 9, 9, 1)),
    "generator of colours": (lambda: esrgan.generator(1, 8, 4, channels=3), (1, 6, 6, 3), (1, 12, 12, 3)),
    "discriminator": (lambda: esrgan.discriminator(32, 4, 8), (3, 32, 32, 1), (3, 1)),
    "cascade": (lambda: cascade.generator(8, **SMALL), (2, 8, 8, 1), levels(2, 8, 8, 8)),
    "cascade of odd size": (lambda: cascade.generator(8, **SMALL), (1, 7, 5, 1), levels(1, 7, 5, 8)),
    "cascade x2": (lambda: cascade.generator(2, **SMALL), (1, 8, 6, 1), levels(1, 8, 6, 2)),
    "cascade x16": (lambda: cascade.generator(16, **SMALL), (1, 4, 4, 1), levels(1, 4, 4, 16)),
    "cascade as the paper draws it": (
        lambda: cascade.generator(8, widths=(8, 8, 6, 4), stem=0, convs=1, norm="paper"), (1, 8, 8, 1),
        levels(1, 8, 8, 8),
    ),
    "cascade as the authors' scripts": (
        lambda: cascade.generator(8, multiplier=1 / 64, norm="paper"), (2, 6, 6, 1), levels(2, 6, 6, 8),
    ),
    "cascade of physical filters": (
        lambda: cascade.generator(4, optics=PHYSICAL, keep_image=True, **SMALL), (1, 8, 8, 1), levels(1, 8, 8, 4),
    ),
    "cascade of copies": (
        lambda: cascade.generator(4, enrichment="repeat", **SMALL), (1, 8, 8, 1), levels(1, 8, 8, 4),
    ),
    "cascade of the image": (
        lambda: cascade.generator(4, enrichment="none", **SMALL), (1, 8, 8, 1), levels(1, 8, 8, 4),
    ),
    "cascade with a skip": (lambda: cascade.generator(4, skip=True, **SMALL), (1, 8, 8, 1), levels(1, 8, 8, 4)),
    "cascade's last level": (
        lambda: cascade.last_level(cascade.generator(4, convs=1, widths=(8,), stem=1)), (1, 8, 8, 1), (1, 32, 32, 1),
    ),
    "cascade's discriminator": (lambda: cascade.discriminator((4, 4, 8, 8)), (2, 32, 48, 1), (2, 2, 3, 1)),
    "cascade's discriminator of one logit": (
        lambda: cascade.discriminator((4, 4, 8, 8), patches=False), (2, 32, 48, 1), (2, 1),
    ),
    "lapsrn": (lambda: lapsrn.generator(8, width=4, depth=2), (2, 6, 6, 1), levels(2, 6, 6, 8)),
    "lapsrn of odd size": (lambda: lapsrn.generator(4, width=4, depth=1), (1, 7, 5, 1), levels(1, 7, 5, 4)),
    "care": (lambda: care.generator(4), (2, 12, 16, 1), (2, 12, 16, 1)),
    "care of three levels": (lambda: care.generator(2, 3, kernel=3), (1, 8, 24, 1), (1, 8, 24, 1)),
    "features": (lambda: features.trunk(4), (2, 16, 24, 1), (2, 4, 6, 16)),
    "features of odd size": (lambda: features.trunk(4), (1, 19, 5, 1), (1, 4, 1, 16)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_contract(name, tmp_path):
    build, shape, expected = NETWORKS[name]
    network = build()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with tf.GradientTape() as tape:
        outputs = images(network(x, training=True))
        loss = tf.add_n([tf.reduce_mean(tf.square(y - 1.0)) for y in outputs])
    assert [tuple(y.shape) for y in outputs] == images(expected)
    for weight, gradient in zip(
        network.trainable_variables, tape.gradient(loss, network.trainable_variables), strict=True
    ):
        assert gradient is not None and np.abs(gradient).max() > 0, weight.path
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    for mine, theirs in zip(images(network(x, training=False)), images(again(x, training=False)), strict=True):
        np.testing.assert_array_equal(theirs, mine)


def images(outputs):
    """All outputs of a network, which may have one or several, or their shapes."""
    return outputs if isinstance(outputs, list) else [outputs]


def test_the_papers_generator_has_the_published_size():
    assert round(esrgan.generator().count_params() / 1e6, 1) == 16.6


def test_he_initialisation_is_scaled_by_a_tenth():
    kernel = esrgan.generator(1, 64, 32).get_layer("conv_trunk").kernel
    assert np.std(kernel) == pytest.approx(0.1 * np.sqrt(2 / (9 * 64)), rel=0.02)


@pytest.mark.parametrize("scale", [0, 3, 6])
def test_scales_are_powers_of_two(scale):
    with pytest.raises(ValueError, match="power of two"):
        esrgan.generator(1, 8, 4, scale=scale)


def test_patches_fill_the_discriminators_strides():
    with pytest.raises(ValueError, match="multiple of 16"):
        esrgan.discriminator(40)


def test_the_cascade_has_the_authors_size():
    """Han and Yin's scripts: two convolutions, then three levels of two, each with its norm, and an image of each."""
    widths = [12, 512, 512, 512, 512, 256, 256, 256, 256]
    convs = sum(3 * 3 * a * b + b for a, b in zip(widths[:-1], widths[1:], strict=True))
    norms = sum(2 * width for width in widths[1:])
    heads = sum(width + 1 for width in (512, 256, 256))
    for norm in ("pixel", "paper"):
        assert cascade.generator(norm=norm).count_params() == convs + norms + heads


def test_the_authors_discriminator_ends_in_a_map():
    widths = [1, 32, 64, 128, 256]
    modules = sum(3 * 3 * a * b + b + 2 * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    for patches in (True, False):
        assert cascade.discriminator(patches=patches).count_params() == modules + 256 + 1


def test_the_last_level_is_the_cascades_last_image():
    network = cascade.generator(4, **SMALL)
    last = cascade.last_level(network)
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype(np.float32)
    np.testing.assert_array_equal(last(x), network(x)[-1])
    network.set_weights([2 * weight for weight in network.get_weights()])
    np.testing.assert_array_equal(last(x), network(x)[-1])


@pytest.mark.parametrize(("kernel", "size"), [(5, 922_977), (3, 332_641)])
def test_cares_u_net_has_its_published_size(kernel, size):
    convs = [(1, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 64), (128, 64), (64, 32), (64, 32), (32, 32)]
    last = 32 + 1
    assert sum(kernel**2 * a * b + b for a, b in convs) + last == size
    assert care.generator(kernel=kernel).count_params() == size


def test_cares_u_net_predicts_what_is_added_to_the_image():
    network = care.generator(4)
    *_, last = (layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    last.set_weights([np.zeros((1, 1, 4, 1)), np.array([0.5])])
    x = np.random.default_rng(0).normal(size=(1, 8, 12, 1)).astype(np.float32)
    np.testing.assert_allclose(network(x), x + 0.5, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"depth": 0}, {"kernel": 4}])
def test_cares_u_net_halves_and_has_odd_kernels(arguments):
    with pytest.raises(ValueError, match="by kernels of odd size. Received: depth="):
        care.generator(4, **arguments)


@pytest.mark.parametrize("build", [cascade.generator, lapsrn.generator])
@pytest.mark.parametrize("factor", [0, 1, 3, 12])
def test_pyramids_magnify_by_powers_of_two(build, factor):
    with pytest.raises(ValueError, match=f"power of two, such as 8. Received: factor={factor}"):
        build(factor)
