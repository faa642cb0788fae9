import keras
import numpy as np
import pytest
from keras import layers

from relumen.errors import CheckFailedError
from relumen.halo import halo_curve, measure_halo


def network(*stack):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, None, 1)), *stack])
    return lambda batch: np.asarray(model(batch, training=False))


@pytest.fixture(scope="module")
def sample(cells):
    part = cells[300:460, 300:460, np.newaxis].astype(np.float32)
    return (part - part.mean()) / part.std()


def test_the_halo_of_a_conv_stack_is_its_receptive_field(sample):
    run = network(*(layers.Conv2D(4, 3, padding="same") for _ in range(5)), layers.Conv2D(1, 1))
    curve = halo_curve(run, sample, scale=1, tile=64)
    assert curve.errors[4] > 1e-3  # five convs reach five pixels
    assert curve.errors[5] < 1e-5
    assert curve.halo() == 8  # the next multiple of four


def test_the_halo_counts_input_pixels_of_a_magnifying_network(sample):
    run = network(layers.Conv2D(4, 9, padding="same"), layers.UpSampling2D(4), layers.Conv2D(1, 3, padding="same"))
    curve = halo_curve(run, sample, scale=4, tile=48)
    assert curve.errors[3] > 1e-4
    assert measure_halo(run, sample, scale=4, tiles=(48,)) == 8


def test_statistics_of_the_image_can_not_be_tiled(sample):
    run = network(layers.Conv2D(4, 3, padding="same"), layers.GroupNormalization(groups=1), layers.Conv2D(1, 1))
    with pytest.raises(CheckFailedError, match="instance, group or batch statistics"):
        measure_halo(run, sample, scale=1, tiles=(64, 96))


def test_an_answer_that_hardly_varies_has_the_halo_of_any_other(sample):
    stack = [layers.Conv2D(8, 3, padding="same") for _ in range(3)]
    run = network(*stack, layers.Conv2D(1, 1), layers.Rescaling(1e-3, offset=0.5))
    assert run(sample[np.newaxis]).std() < 0.01  # float32 near 0.5 has steps of some 1e-5 of that
    assert measure_halo(run, sample, scale=1, tiles=(64,)) == 4


def test_small_samples_are_mirrored(sample):
    run = network(layers.Conv2D(1, 3, padding="same"))
    assert measure_halo(run, sample[:20, :30], scale=1, tiles=(64,)) == 4


def test_larger_tiles_are_tried_where_a_small_one_is_all_halo(sample):
    run = network(*(layers.Conv2D(2, 5, padding="same") for _ in range(6)), layers.Conv2D(1, 1))
    with pytest.raises(CheckFailedError, match="equal the whole image"):
        measure_halo(run, sample, scale=1, tiles=(24,))
    assert measure_halo(run, sample, scale=1, tiles=(24, 64)) == 12


def test_a_network_that_halves_its_input_has_a_halo_of_a_multiple(sample):
    stack = [layers.Conv2D(4, 3, padding="same", strides=2) for _ in range(3)]
    run = network(*stack, layers.UpSampling2D(8), layers.Conv2D(1, 3, padding="same"))
    halo = measure_halo(run, sample, scale=1, tiles=(64,), multiple=8)
    assert halo % 8 == 0 and 8 <= halo <= 24
