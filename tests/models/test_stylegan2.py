"""StyleGAN2's networks. That images are those of the paper's equations is in tests/prior/test_import.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen.models.stylegan2 import Architecture, Generator, widths
from relumen.models.stylegan2_discriminator import Discriminator, deviation

SMALL = Architecture((8, 8, 6), channels=2, z_dim=12, w_dim=10)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def generator():
    """A generator whose noise is seen."""
    network = Generator(SMALL)
    for block in network.synthesis.blocks:
        for conv in block.convs:
            conv.noise_strength.assign(0.5)
    return network


def latents(count, length=12, seed=1):
    return np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "base", "most", "expected"),
    [(128, 16384, 512, (512, 512, 512, 512, 256, 128)), (128, 4096, 128, (128, 128, 128, 128, 64, 32))],
)
def test_widths_are_those_of_the_configurations(size, base, most, expected):
    assert widths(size, base, most) == expected
    a = Architecture(expected)
    assert (a.size, a.style_inputs, len(a.noise_sizes)) == (128, 12, 11)


@pytest.mark.parametrize("size", [4, 100, 0])
def test_a_size_that_is_no_power_of_two_is_told(size):
    with pytest.raises(ValueError, match=str(size)):
        widths(size, 64, 8)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 2), (32, 5)])
def test_generator_and_discriminator_fit_each_other_at_any_size_and_channels(size, channels):
    features = widths(size, 64, 8)
    generator = Generator(Architecture(features, channels, 12, 10))
    images = generator(latents(3))
    assert images.shape == (3, size, size, channels) and images.dtype == tf.float32
    logits = Discriminator(features, channels, group=3)(images)
    assert logits.shape == (3, 1) and logits.dtype == tf.float32


def test_every_style_input_changes_the_image(generator):
    """W+ has as many style vectors as are used, and each convolution takes its own."""
    styles = tf.Variable(latents(6, 10)[np.newaxis])
    with tf.GradientTape() as tape:
        image = generator.synthesis(styles)
        loss = tf.reduce_sum(image**2)
    assert (np.abs(tape.gradient(loss, styles)).sum((0, 2)) > 0).all()


def test_one_w_in_all_inputs_is_the_image_of_its_z(generator):
    z = latents(2)
    styles = generator.styles(generator.mapping(z))
    np.testing.assert_allclose(generator.synthesis(styles), generator(z), rtol=0, atol=1e-5)


def test_the_scale_of_z_does_not_matter(generator):
    np.testing.assert_allclose(generator.mapping(latents(2)), generator.mapping(7 * latents(2)), rtol=0, atol=1e-5)


def test_noise_is_stored_fresh_none_or_given(generator):
    z = latents(1)
    const, again, none = generator(z), generator(z), generator(z, noise="none")
    first, second = generator(z, noise="random"), generator(z, noise="random")
    np.testing.assert_array_equal(const, again)
    assert not np.allclose(first, second) and not np.allclose(const, none)
    maps = [conv.noise for block in generator.synthesis.blocks for conv in block.convs]
    given = generator(z, noise=[np.asarray(each)[np.newaxis, ..., np.newaxis] for each in maps])
    np.testing.assert_allclose(given, const, rtol=0, atol=1e-6)
    silent = generator(z, noise=[np.zeros((1, size, size, 1), np.float32) for size in SMALL.noise_sizes])
    np.testing.assert_allclose(silent, none, rtol=0, atol=1e-6)


@pytest.mark.parametrize("noise", ["konst", [np.zeros((1, 4, 4, 1))]])
def test_unknown_noise_is_told(generator, noise):
    with pytest.raises(ValueError, match="5 maps"):
        generator(latents(1), noise=noise)


def test_truncation_draws_images_to_that_of_the_mean_w(generator):
    z = latents(4)
    generator.w_avg.assign(np.asarray(generator.mapping(latents(500, seed=2))).mean(0))
    mean = generator.synthesis(generator.styles(generator.w_avg[np.newaxis]))
    distances = [np.abs(generator(z, truncation=share) - mean).mean() for share in (1.0, 0.5, 0.0)]
    assert distances[0] > distances[1] > 1e-4 and distances[2] < 1e-5


def test_activations_are_clamped(generator):
    config = generator.get_config()
    config["architecture"]["clamp"] = 0.01
    clamped = Generator.from_config(config)
    clamped.set_weights(generator.get_weights())
    bound = 0.01 * len(SMALL.widths)  # each ToRGB gives as much at most
    assert np.abs(clamped(latents(2))).max() <= bound < np.abs(generator(latents(2))).max()


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_saved_network_is_the_same(network, generator, tmp_path):
    made = generator if network == "generator" else Discriminator((8, 8, 6), 2)
    given = latents(2) if network == "generator" else np.asarray(generator(latents(2)))
    made.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(made(given), loaded(given))
    assert [w.path for w in made.weights] == [w.path for w in loaded.weights]


def test_gradients_reach_every_weight(generator):
    discriminator = Discriminator((8, 8, 6), 2, group=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(discriminator(generator(latents(4))))
    networks = [*generator.trainable_variables, *discriminator.trainable_variables]
    gradients = tape.gradient(loss, networks)
    # What is added to all logits alike is the verdict's bias; nothing else is without effect.
    assert [w.path for w, g in zip(networks, gradients, strict=True) if g is None or not np.any(g)] == []


@pytest.mark.parametrize("compiled", [{}, {"jit_compile": True}])
def test_a_compiled_network_gives_the_same_images(generator, compiled):
    made = tf.function(lambda z: generator(z), autograph=False, **compiled)
    np.testing.assert_allclose(made(tf.constant(latents(2))), generator(latents(2)), rtol=0, atol=1e-4)


def test_half_precision_gives_nearly_the_same_images_in_single_precision(generator):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = Generator(SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(generator.get_weights())
    images, close = generator(latents(8)), half(latents(8))
    assert close.dtype == tf.float32 and {w.dtype for w in half.trainable_variables} == {"float32"}
    assert 0 < np.abs(images - close).mean() < 0.02 * np.std(images)


def test_the_deviation_is_that_of_images_which_are_a_group():
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 3)).astype(np.float32)
    seen = np.asarray(deviation(tf.constant(x), 3))
    assert seen.shape == (6, 4, 4, 1)
    for i in range(2):
        expected = np.sqrt(x[i::2].var(0) + 1e-8).mean()
        np.testing.assert_allclose(seen[i::2], expected, rtol=1e-5)


def test_equal_images_are_told_by_their_deviation():
    discriminator = Discriminator((8, 8), 1, group=4)
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype(np.float32)
    others = np.random.default_rng(1).normal(size=(3, 8, 8, 1)).astype(np.float32)
    alone, among = (discriminator(np.concatenate([image, rest])) for rest in (np.repeat(image, 3, 0), others))
    assert abs(float(alone[0, 0] - among[0, 0])) > 1e-4
