"""The flow: its determinant, its order, its masks, its density, and that it is the same after saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen.models.flow import MADE, MaskedAutoregressiveFlow, Normalisation

NORMS = ("batch", "actnorm")


def small(norm="batch", dimension=6, spread=0.4, **changes):
    """A flow with statistics of some codes, whose weights are as if it were trained."""
    rng = np.random.default_rng(0)
    flow = MaskedAutoregressiveFlow(dimension, **{"blocks": 3, "hidden": 32, "norm": norm, "seed": 0, **changes})
    for step in flow.steps:
        if isinstance(step, MADE):
            step.out.assign(rng.normal(0, spread, step.out.shape) * step.masks[1])
            step.out_bias.assign(rng.normal(0, 0.3, step.out_bias.shape))
        elif isinstance(step, Normalisation) and step.learned:
            step.gamma.assign(rng.normal(0, 0.2, step.gamma.shape))
    flow.adapt(codes(500, dimension))
    return flow


def codes(count, dimension=6, seed=1):
    """Correlated codes off the origin."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(2).normal(size=(dimension, dimension))
    return (2 + rng.normal(size=(count, dimension)) @ mixing).astype(np.float32)


def jacobians(layer, x, **options):
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        z, log_det = layer(x, **options)
    return tape.batch_jacobian(z, x).numpy(), log_det.numpy()


@pytest.mark.parametrize("slope", [None, 0.2])
@pytest.mark.parametrize("norm", NORMS)
def test_the_log_determinant_is_that_of_the_jacobian(norm, slope):
    jacobian, log_det = jacobians(small(norm, slope=slope), codes(5))
    sign, expected = np.linalg.slogdet(jacobian.astype(np.float64))
    np.testing.assert_allclose(log_det, expected, atol=1e-4)
    assert (sign == sign[0]).all()
    assert np.ptp(expected) > 0.3  # it isn't constant


@pytest.mark.parametrize("norm", NORMS)
def test_codes_far_away_have_finite_densities(norm):
    assert np.isfinite(small(norm).log_prob(1e6 * codes(5))).all()


@pytest.mark.parametrize("reverse", [False, True])
def test_an_output_depends_on_earlier_inputs_only(reverse):
    flow = small(blocks=2, hidden=40)
    made = next(step for step in flow.steps if isinstance(step, MADE) and step.reverse == reverse)
    jacobian = np.abs(jacobians(made, codes(50))[0]).max(0)  # over codes: a ReLU may be off for one
    if reverse:
        jacobian = jacobian[::-1, ::-1]
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0)
    assert (jacobian[np.tril_indices(6)] > 1e-4).all()


def test_gradient_reaches_every_weight_that_a_mask_lets_through_and_no_other():
    flow = small("actnorm")
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(codes(400), training=True))
    gradients = tape.gradient(loss, flow.trainable_variables)
    masks = {}
    for step in flow.steps:
        if isinstance(step, MADE):
            masks |= dict(zip((step.into.path, step.out.path), step.masks, strict=True))
    assert len(masks) == 6
    for variable, gradient in zip(flow.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        np.testing.assert_array_equal(gradient.numpy() != 0, masks.get(variable.path, np.ones(variable.shape, bool)))


@pytest.mark.parametrize("norm", NORMS)
def test_training_leaves_masked_weights_exactly_zero(norm):
    flow = small(norm)
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    for seed in range(3):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(codes(64, seed=seed), training=True))
        optimizer.apply(tape.gradient(loss, flow.trainable_variables), flow.trainable_variables)
    for step in flow.steps:
        if isinstance(step, MADE):
            for weights, mask in zip((step.into, step.out), step.masks, strict=True):
                np.testing.assert_array_equal(weights.numpy() != 0, mask)


def test_what_training_computes_is_what_is_computed_afterwards():
    """But for statistics: with actnorm there is no difference at all."""
    flow, w = small("actnorm"), codes(20)
    for after, during in zip(flow(w), flow(w, training=True), strict=True):
        np.testing.assert_allclose(after, during, rtol=1e-6, atol=1e-6)


def test_stored_statistics_of_batch_normalisation_are_those_of_the_whole_set():
    flow, w = small("batch"), codes(500)
    for stored, of_the_batch in zip(flow(w), flow(w, training=True), strict=True):
        np.testing.assert_allclose(stored, of_the_batch, atol=2e-4)
    first = [np.array(weight) for weight in flow.get_layer("standardisation").weights]
    flow.adapt(2 * w, batch_norm_only=True)
    np.testing.assert_allclose(np.mean(flow(2 * w)[0], 0), 0, atol=1e-3)
    np.testing.assert_allclose(np.std(flow(2 * w)[0], 0), 1, atol=1e-3)
    for before, after in zip(first, flow.get_layer("standardisation").weights, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("norm", NORMS)
def test_a_new_flow_standardises_and_tells_the_density_of_raw_codes(norm):
    flow, w = MaskedAutoregressiveFlow(6, blocks=2, hidden=16, norm=norm, seed=0), codes(1000)
    flow.adapt(w)
    z, _ = flow(w)
    np.testing.assert_allclose(np.mean(z, 0), 0, atol=1e-4)
    np.testing.assert_allclose(np.std(z, 0), 1, atol=1e-4)
    deviation = w.std(0)
    expected = -0.5 * (((w - w.mean(0)) / deviation) ** 2 + np.log(2 * np.pi)).sum(1) - np.log(deviation).sum()
    np.testing.assert_allclose(flow.log_prob(w), expected, rtol=1e-4)


@pytest.mark.parametrize(("norm", "slope"), [("batch", None), ("actnorm", 0.5)])
def test_the_density_integrates_to_1(norm, slope):
    flow = small(norm, dimension=2, spread=0.08, slope=slope)
    side = np.linspace(-58, 62, 1201, dtype=np.float32)  # wide: the tails are heavy
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    density = np.exp(flow.log_prob(grid).numpy().astype(np.float64))
    assert density.sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=0.01)


def test_a_leaky_relu_that_codes_come_out_of_is_undone():
    before = codes(500)
    w = np.where(before > 0, before, 0.2 * before)
    flow, plain = (MaskedAutoregressiveFlow(6, blocks=1, hidden=8, slope=slope) for slope in (0.2, None))
    flow.adapt(w)
    plain.adapt(before)
    np.testing.assert_allclose(flow(w)[0], plain(before)[0], atol=1e-4)
    expected = plain.log_prob(before) + np.log(5) * (w < 0).sum(1)
    np.testing.assert_allclose(flow.log_prob(w), expected, rtol=1e-4)


@pytest.mark.parametrize(("norm", "slope"), [("batch", None), ("actnorm", 0.2)])
def test_a_saved_flow_has_the_same_densities(norm, slope, tmp_path):
    flow, w = small(norm, slope=slope), codes(20)
    flow.save(tmp_path / "flow.keras")
    again = keras.models.load_model(tmp_path / "flow.keras")
    assert isinstance(again, MaskedAutoregressiveFlow)
    np.testing.assert_array_equal(again.log_prob(w), flow.log_prob(w))
    with tf.GradientTape() as tape:  # the masks are there again
        loss = tf.reduce_mean(again.log_prob(w, training=True))
    assert all(gradient is not None for gradient in tape.gradient(loss, again.trainable_variables))


def test_it_compiles_with_xla():
    flow, w = small(), codes(20)
    z, log_det = tf.function(flow, jit_compile=True)(w)
    np.testing.assert_allclose(z, flow(w)[0], atol=1e-5)
    np.testing.assert_allclose(log_det, flow(w)[1], atol=1e-5)


def test_everything_is_in_single_precision_under_any_policy(tmp_path):
    flow, w = small(), codes(20)
    flow.save(tmp_path / "flow.keras")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        for other in (small(), keras.models.load_model(tmp_path / "flow.keras")):
            np.testing.assert_array_equal(other.log_prob(w), flow.log_prob(w))
            assert {variable.dtype for variable in other.weights} == {"float32"}
    finally:
        keras.config.set_dtype_policy(before)


def test_first_weights_are_a_function_of_the_seed():
    first, again, other = (small(seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_one_dimension_is_only_scaled_and_shifted():
    flow = small(dimension=1)
    jacobian, log_det = jacobians(flow, codes(4, 1))
    np.testing.assert_allclose(np.log(np.abs(jacobian[:, 0, 0])), log_det, atol=1e-5)
    assert np.ptp(log_det) == 0


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="norm='layer'"):
        MaskedAutoregressiveFlow(4, norm="layer")
