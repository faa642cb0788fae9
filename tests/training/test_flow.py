"""Training of the flow: it learns what a Gaussian can't, keeps the best pass, and goes on to the bit."""

import dataclasses

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.evaluation.gaussianization import Norms
from relumen.training.flow import Epoch, FlowHistory, log_likelihoods, train_flow, transformed
from relumen.training.flow_config import FlowConfig


def curved(count, seed, dimension=4):
    """Codes on bent ridges: each second dimension is near the square of the one before, off the origin and scaled."""
    z = np.random.default_rng(seed).normal(size=(count, dimension))
    w = z.copy()
    w[:, 1::2] = 0.3 * z[:, 1::2] + z[:, ::2] ** 2
    return (5 + w * np.linspace(0.2, 3, dimension)).astype(np.float32)


def config(**changes):
    rate = {"initial": 5e-3, "schedule": "cosine"}
    values = {"epochs": 12, "hidden": 64, "blocks": 1, "batch": 100, "learning_rate": rate}
    return FlowConfig.model_validate(values | changes)


def gaussian_likelihood(fitted_on, w):
    """The mean log-likelihood of a Gaussian with the whole covariance of other codes."""
    centred = w - fitted_on.mean(0)
    covariance = np.cov(fitted_on.T)
    distances = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred)
    return -0.5 * (distances.mean() + np.linalg.slogdet(2 * np.pi * covariance)[1])


@pytest.mark.parametrize("norm", ["batch", "actnorm"])
def test_a_flow_learns_a_curved_density_that_a_gaussian_does_not(norm):
    w, others = curved(4000, 0), curved(2000, 1)
    flow, history = train_flow(w, config(norm=norm, blocks=2))
    likelihoods = log_likelihoods(flow, others)
    assert likelihoods.shape == (2000,)
    assert likelihoods.mean() > gaussian_likelihood(w, others) + 1.0
    assert likelihoods.mean() == pytest.approx(history.best.held_out, abs=0.3)
    standardised = (others - w.mean(0)) / w.std(0)
    z, _ = transformed(flow, others)
    before, after = Norms.of("w", standardised), Norms.of("F(w)", z)
    assert after.distance < 0.07 < before.distance
    assert abs(after.mean - 4) < 0.4


def test_the_best_pass_is_kept_and_training_stops_when_none_is_better():
    """A few codes and a high rate: they are soon learnt by heart."""
    w = curved(300, 0)
    changes = {"epochs": 60, "patience": 3, "learning_rate": {"initial": 0.02, "schedule": "constant"}}
    told = []
    flow, history = train_flow(w, config(**changes), on_epoch=told.append)
    assert told == list(history.epochs)
    assert len(history.epochs) == history.best.number + 3 < 60
    assert history.best.held_out == max(epoch.held_out for epoch in history.epochs)
    assert history.epochs[-1].training > history.best.training
    again, shorter = train_flow(w, config(**changes | {"epochs": history.best.number}))
    assert shorter.epochs == history.epochs[: history.best.number]
    for ours, theirs in zip(again.get_weights(), flow.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Killed(Exception):
    """Stands for a process that ends."""


def test_an_interrupted_training_goes_on_to_the_bit(tmp_path):
    w, chosen = curved(800, 0), config(epochs=4)
    straight, history = train_flow(w, chosen)

    def kill(epoch):
        if epoch.number == 2:
            raise Killed

    with pytest.raises(Killed):
        train_flow(w, chosen, folder=tmp_path / "flow", on_epoch=kill)
    told = []
    resumed, whole = train_flow(w, chosen, folder=tmp_path / "flow", on_epoch=told.append)
    assert [epoch.number for epoch in told] == [3, 4]
    assert whole == history and whole.seconds > 0
    for ours, theirs in zip(resumed.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    finished, same = train_flow(w, chosen, folder=tmp_path / "flow", on_epoch=told.append)
    assert len(told) == 2 and same == history
    assert same.seconds == whole.seconds  # of all sittings, and this one had nothing to do
    for ours, theirs in zip(finished.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_state_of_another_training_is_refused(tmp_path):
    w = curved(400, 0)
    train_flow(w, config(epochs=1), folder=tmp_path)
    for other in ((w, config(epochs=2)), (w + 1, config(epochs=1))):
        with pytest.raises(UserError, match="other codes or another configuration"):
            train_flow(*other, folder=tmp_path)


def test_a_damaged_state_is_told(tmp_path):
    w, file = curved(400, 0), tmp_path / "state.npz"
    train_flow(w, config(epochs=1), folder=tmp_path)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="state.npz is damaged.*Remove it"):
        train_flow(w, config(epochs=1), folder=tmp_path)


def test_codes_drawn_anew_for_each_pass_are_what_is_trained_on():
    w, asked = curved(600, 0), []

    def draw(number, count):
        asked.append((number, count))
        return curved(count, 100) if number < 2 else np.zeros((count, 4), np.float32)

    _, history = train_flow(w, config(epochs=3, fresh=True), draw=draw)
    assert asked == [(0, 540), (1, 540), (2, 540)]
    assert history.epochs[1].training > history.epochs[0].training
    assert history.epochs[2].training > history.epochs[1].training + 20  # all at one point


def test_codes_can_only_be_drawn_anew_where_there_is_who_draws_them():
    with pytest.raises(ValueError, match="draw=None"):
        train_flow(curved(600, 0), config(fresh=True))


def test_the_length_may_be_told_in_steps():
    _, history = train_flow(curved(600, 0), config(epochs=None, steps=8))
    assert len(history.epochs) == 2  # five steps, and three


def test_weight_decay_shrinks_matrices_alone():
    w = curved(400, 0)
    flows = [train_flow(w, config(epochs=2, weight_decay=decay))[0] for decay in (0.0, 5.0)]
    sizes = [float(np.abs(flow.get_layer("made_1").into).sum()) for flow in flows]
    assert sizes[1] < 0.95 * sizes[0]


def test_the_best_pass_is_the_first_of_the_greatest_likelihood():
    history = FlowHistory(tuple(Epoch(i + 1, 0.0, value) for i, value in enumerate([-5.0, -3.0, -4.0, -3.0])))
    assert history.best.number == 2
    assert history.stale(2) and not history.stale(3)
    assert not dataclasses.replace(history, epochs=()).stale(1)


@pytest.mark.parametrize(
    ("w", "told"),
    [
        (np.zeros(5, np.float32), r"shape \(5,\)"),
        (np.full((50, 3), np.inf), "finite: False"),
        (np.zeros((1, 3), np.float32), "Of 1 codes"),
        (np.eye(50, dtype=np.float32)[:, :3] * [1, 0, 1], "index 1"),
        (curved(100, 0), "only 90 are to be trained on"),
    ],
)
def test_codes_that_have_no_density_are_refused(w, told):
    with pytest.raises(UserError, match=told):
        train_flow(w, config(epochs=1))
