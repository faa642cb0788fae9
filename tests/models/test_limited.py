import keras
import numpy as np
import pytest
from scipy.signal import correlate2d

from relumen.halo import measure_halo
from relumen.models import limited
from relumen.models.layers import Clipped, ConditionalAffine

SMALL = {"width": 4, "blocks": 2, "dropout": 0.5, "activation": "linear"}
NORMS = ("instance", "frozen", "pixel", "none")


def conditional(norm, **settings):
    """A generator of three defects whose scales, shifts and statistics are none of the initial ones."""
    keras.utils.set_random_seed(3)
    network = limited.generator(**SMALL, norm=norm, defects=3, **settings)
    rng = np.random.default_rng(4)
    for layer in network.layers:
        if isinstance(layer, ConditionalAffine | keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return network


def patch(cells, side=64, y=300, x=300):
    image = cells[y : y + side, x : x + side].astype(np.float32)
    return ((image - image.mean()) / image.std())[np.newaxis, ..., np.newaxis]


def test_author_numbers_of_weights():
    # 7x7 to 64; 3x3 to 128, 256; 9 blocks of two 3x3 of 256; back by 128, 64; 7x7 to 1. Biases, and two for each norm.
    convs = [(49, 1, 64), (9, 64, 128), (9, 128, 256), *[(9, 256, 256)] * 18, (9, 256, 128), (9, 128, 64)]
    counted = sum(k * i * o + o + 2 * o for k, i, o in convs) + 49 * 64 + 1
    assert limited.generator().count_params() == counted


@pytest.mark.parametrize("norm", NORMS)
def test_one_input_with_three_indices_gives_three_outputs(norm, cells):
    network, image = conditional(norm), patch(cells)
    answers = np.asarray(network([np.repeat(image, 3, 0), np.eye(3, dtype=np.float32)]))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(answers[a] - answers[b]).mean() > 0.01 * answers.std()


@pytest.mark.parametrize("norm", NORMS)
def test_a_defect_folded_in_is_the_conditional_network(norm, cells):
    network, image = conditional(norm), patch(cells)
    for defect in range(3):
        single = limited.with_defect(network, defect, **SMALL, norm=norm)
        together = np.asarray(network([image, np.eye(3, dtype=np.float32)[[defect]]]))
        np.testing.assert_allclose(single(image), together, atol=2e-4 * together.std())
    with pytest.raises(ValueError, match="0 to 2"):
        limited.with_defect(network, 3, **SMALL, norm=norm)


def test_each_defect_lets_in_its_own_share_of_random_numbers(cells):
    keras.utils.set_random_seed(0)
    settings = {**SMALL, "norm": "none", "draw": True}
    network, image = limited.generator(**settings, defects=3), patch(cells)
    rng, defects = np.random.default_rng(0), np.eye(3, dtype=np.float32)
    some, others = (rng.normal(size=image.shape).astype(np.float32) for _ in range(2))
    network.get_layer("draw_scale").set_weights([np.array([[0.0], [1.0], [2.0]], np.float32)])
    for defect, moved in ((0, False), (1, True), (2, True)):
        answers = [np.asarray(network([image, defects[[defect]], drawn])) for drawn in (some, others)]
        assert (np.abs(answers[0] - answers[1]).max() > 0.01) == moved
        single = limited.with_defect(network, defect, **settings)
        np.testing.assert_allclose(single([image, some]), answers[0], atol=2e-4 * answers[0].std())


def test_every_normalisation_is_conditional():
    network = limited.generator(**SMALL, defects=3)
    norms = [layer for layer in network.layers if layer.name.endswith("_norm")]
    affine = [layer for layer in network.layers if isinstance(layer, ConditionalAffine)]
    convs = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(norms) == len(affine) == len(convs) - 1  # all but the last
    assert all(not layer.weights for layer in norms)
    for scale, shift in (layer.get_weights() for layer in affine):
        assert len(scale) == len(shift) == 3
        assert 0.3 < scale.std() < 0.7  # defects whose scales begin alike take long to part
        assert not shift.any()


def test_instance_norm_and_the_affine_by_hand():
    x = np.random.default_rng(0).normal(2, 3, (2, 5, 4, 3)).astype(np.float32)
    layer = ConditionalAffine()
    norm = keras.layers.GroupNormalization(groups=-1, epsilon=1e-5, center=False, scale=False)
    which = np.array([[0, 1], [1, 0]], np.float32)
    layer([x, which])
    gamma, beta = np.array([[1, 2, 3], [4, 5, 6]], np.float32), np.array([[0, 1, 2], [3, 4, 5]], np.float32)
    layer.set_weights([gamma, beta])
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    normalised = (x - mean) / np.sqrt(variance + 1e-5)
    expected = [normalised[0] * gamma[1] + beta[1], normalised[1] * gamma[0] + beta[0]]
    np.testing.assert_allclose(layer([norm(x), which]), expected, rtol=1e-4, atol=1e-4)


def test_the_output_is_the_mean_of_input_and_answer(cells):
    network, image = limited.generator(**{**SMALL, "activation": "tanh"}, span=8.0), patch(cells)
    last = network.get_layer("conv_last")
    last.set_weights([np.zeros_like(last.kernel), np.array([np.arctanh(0.25)], np.float32)])
    np.testing.assert_allclose(network(image), (image + 8 * 0.25) / 2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["frozen", "pixel", "none"])
def test_the_tile_exact_variant_has_a_halo_and_the_paper_s_has_none(norm, cells):
    sample = patch(cells, 256)[0]
    exact = limited.generator(4, 2, downsampling=0, dilations=(1, 2), norm=norm, activation="linear", dropout=0)
    assert 0 < measure_halo(lambda x: np.asarray(exact(x)), sample, scale=1, tiles=(64,)) <= 24
    paper = limited.generator(4, 2, downsampling=0, norm="instance", activation="linear", dropout=0)
    whole, tile = paper(sample[np.newaxis]), paper(sample[np.newaxis, 64:128, 64:128])
    inside = np.abs(np.asarray(whole)[0, 64:128, 64:128] - np.asarray(tile)[0])[24:40, 24:40]
    assert inside.max() > 0.01 * np.asarray(whole).std()


def test_blocks_without_normalisation_begin_near_the_identity(cells):
    keras.utils.set_random_seed(0)
    network = limited.generator(16, 8, downsampling=0, norm="none", dropout=0, activation="linear")
    stages = [network.get_layer(name).output for name in ("conv_first_relu", "block_8_add", "conv_last")]
    first, last, answer = (np.asarray(each) for each in keras.Model(network.inputs[0], stages)(patch(cells)))
    assert last.std() < 1.2 * first.std()
    assert answer.std() < 0.5


def test_dilated_blocks_see_as_far_as_they_say():
    network = limited.generator(1, 2, downsampling=0, dilations=(1, 4), norm="none", activation="linear", dropout=0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([np.ones_like(layer.kernel), np.zeros_like(layer.bias)])
    point = np.zeros((1, 64, 64, 1), np.float32)
    point[0, 32, 32] = 1
    reached = np.flatnonzero(np.asarray(network(point))[0, 32, :, 0])
    assert reached.max() - 32 == 3 + 2 * 1 + 2 * 4 + 3


def test_the_discriminator_judges_patches_of_70_pixels():
    network = limited.discriminator((2, 2, 2, 2), channels=2, norm=False)
    assert network(np.zeros((1, 64, 64, 2))).shape == (1, 8, 8, 1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([np.ones_like(layer.kernel), np.zeros_like(layer.bias)])
    judged = []
    for at in range(256):
        image = np.zeros((1, 1, 256, 2), np.float32).repeat(256, 1)
        image[0, :, at] = 1
        judged.append(float(np.asarray(network(image))[0, 16, 16, 0]) > 0)
    assert sum(judged) == 70


def test_each_kind_of_image_is_judged_by_logits_of_its_own(cells):
    network = limited.discriminator((4, 8), channels=2, kinds=3, norm=False)
    image = np.repeat(patch(cells, 32), 2, -1)
    logits = keras.Model(network.inputs[0], network.get_layer("logits").output)
    for kind in range(3):
        planes = np.zeros((1, 32, 32, 3), np.float32)
        planes[..., kind] = 1
        judged = np.concatenate([image, planes], -1)
        np.testing.assert_allclose(network(judged)[..., 0], logits(judged)[..., kind], rtol=1e-5)


def test_a_clipped_critic_stays_within_its_limit():
    network = limited.discriminator((4, 4), channels=1, norm=False, clip=0.01)
    optimizer = keras.optimizers.Adam(1.0)
    optimizer.build(network.trainable_variables)
    optimizer.apply([np.ones(w.shape, np.float32) for w in network.trainable_variables], network.trainable_variables)
    assert max(np.abs(w).max() for w in network.get_weights()) == pytest.approx(0.01)
    assert Clipped.from_config(Clipped(0.5).get_config()).limit == 0.5


def test_a_convolution_of_the_generator_is_a_correlation(cells):
    network = limited.generator(1, 1, downsampling=0, norm="none", activation="linear", dropout=0)
    image = patch(cells, 16)
    kernel, bias = network.get_layer("conv_first").get_weights()
    features = keras.Model(network.inputs[0], network.get_layer("conv_first").output)(image)
    expected = correlate2d(image[0, ..., 0], kernel[..., 0, 0], "same") + bias[0]
    np.testing.assert_allclose(np.asarray(features)[0, ..., 0], expected, rtol=1e-3, atol=1e-4)


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="block"):
        limited.generator(blocks=0)
