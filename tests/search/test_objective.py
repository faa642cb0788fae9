"""The terms of the objective against the papers' equations, written out; presets; learning rates."""

import itertools

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.prior.folder import Prior
from relumen.search.config import Cross, Likelihood, load_search, presets
from relumen.search.objective import Objective, misfit, unlikeness

RNG = np.random.default_rng(0)
W = RNG.normal(size=(2, 5, 6)).astype(np.float32)
GIVEN, LOW = RNG.uniform(size=(2, 2, 4, 4, 3)).astype(np.float32)
ALL = np.ones(3, np.float32)


def pairs(of):
    """The sum of a function over all pairs of an image's style vectors."""
    return [sum(of(a, b) for a, b in itertools.combinations(w.astype(float), 2)) for w in W]


def test_the_likelihood_is_a_sum_or_a_mean_of_differences():
    away = np.abs(GIVEN - LOW).reshape(2, -1)
    np.testing.assert_allclose(misfit(LOW, GIVEN, ALL, Likelihood()), away.sum(1), rtol=1e-5)
    mean = Likelihood(norm="l2", reduce="mean")
    np.testing.assert_allclose(misfit(LOW, GIVEN, ALL, mean), (away**2).mean(1), rtol=1e-5)
    floor = Likelihood(norm="l2", reduce="mean", floor=0.9)
    np.testing.assert_allclose(misfit(LOW, GIVEN, ALL, floor), 0.9)


def test_channels_that_were_not_measured_do_not_count():
    seen = np.array([1, 0, 1], np.float32)
    away = np.abs(GIVEN - LOW)[..., [0, 2]]
    np.testing.assert_allclose(misfit(LOW, GIVEN, seen, Likelihood()), away.sum((1, 2, 3)), rtol=1e-5)
    mean = Likelihood(reduce="mean")
    np.testing.assert_allclose(misfit(LOW, GIVEN, seen, mean), away.mean((1, 2, 3)), rtol=1e-5)


def test_the_cross_terms_are_those_of_the_papers():
    def squared(a, b):
        return ((a - b) ** 2).sum()

    def angle(a, b):
        return 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))

    def away(a, b):
        return 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    expected = {
        "squared": pairs(squared),
        "distance": np.divide(pairs(lambda a, b: np.sqrt(squared(a, b))), 10),
        "cosine": np.multiply(pairs(away), 2),
        "geodesic": np.multiply(pairs(lambda a, b: angle(a, b) ** 2), 2 * 6 / 25 / 8),
    }
    for form, values in expected.items():
        np.testing.assert_allclose(unlikeness(W, Cross(form=form, weight=1)), values, rtol=1e-4, err_msg=form)


def test_equal_style_vectors_cost_nothing_and_have_a_slope(searchable_prior):
    """The search starts there: a root would have an infinite one."""
    import tensorflow as tf

    same = tf.constant(np.repeat(W[:, :1], 5, 1))
    for form in ("squared", "distance", "cosine", "geodesic"):
        with tf.GradientTape() as tape:
            tape.watch(same)
            value = unlikeness(same, Cross(form=form, weight=1))
        np.testing.assert_allclose(value, 0, atol=1e-4)
        assert np.isfinite(tape.gradient(value, same)).all(), form


def test_the_terms_of_rls_and_its_authors(searchable_prior):
    prior = Prior.open(searchable_prior)
    flow = prior.flow
    densities = np.asarray(flow.log_prob(W.reshape(-1, 6))).reshape(2, 5)
    norms = np.linalg.norm(np.asarray(flow(W.reshape(-1, 6))[0]), axis=1).reshape(2, 5)
    mean = np.zeros(6, np.float32)

    rls = Objective(load_search("rls"), mean, 2.0, flow)
    terms = rls(W, W, LOW, GIVEN, ALL)
    assert tuple(terms) == rls.names == ("likelihood", "density", "cross")
    np.testing.assert_allclose(terms["density"], -5e-5 * densities.mean(1), rtol=1e-4)
    np.testing.assert_allclose(terms["cross"], np.multiply(0.01, pairs(lambda a, b: ((a - b) ** 2).sum())), rtol=1e-4)

    author = Objective(load_search("author"), mean, 2.0, flow)
    terms = author(W, W, LOW, GIVEN, ALL)
    assert tuple(terms) == author.names == ("likelihood", "density", "shell", "cross")
    np.testing.assert_allclose(terms["likelihood"], 10 * np.abs(GIVEN - LOW).mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(terms["shell"], 0.004 * ((norms - np.sqrt(6)) ** 2).mean(1), rtol=1e-4)

    brgm = Objective(load_search("brgm"), mean + 0.5, 2.0, None)
    terms = brgm(W, W, LOW, GIVEN, ALL)
    assert tuple(terms) == brgm.names == ("likelihood", "cross", "gaussian")
    shades = 255 * (GIVEN - LOW).astype(float)
    np.testing.assert_allclose(terms["likelihood"], 1e-3 * (shades**2).mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(terms["gaussian"], 100 * (((W - 0.5) / 2) ** 2).mean((1, 2)), rtol=1e-5)


def test_presets_are_the_methods_of_the_paper():
    searches = ["author", "brgm", "pulse", "rls", "rls-annealed", "unregularised", "without-cross", "without-density"]
    assert presets() == searches
    rls, annealed = load_search("rls"), load_search()
    assert (rls.iterations, rls.learning_rate, rls.density, rls.start) == (200, 0.5, 5e-5, "mean")
    assert annealed == load_search("rls-annealed")
    changed = {"density", "cross", "learning_rate", "schedule"}
    assert annealed.model_dump(exclude=changed) == rls.model_dump(exclude=changed)
    assert annealed.cross is not None and rls.cross is not None and annealed.cross.form == rls.cross.form
    for name, changes in {
        "without-density": {"density": 0.0},
        "without-cross": {"cross": None},
        "unregularised": {"density": 0.0, "cross": None},
    }.items():
        assert load_search(name) == annealed.model_copy(update=changes)


def test_the_rate_rises_falls_and_drops():
    config = load_search("pulse")
    rates = np.array([config.rate(i) for i in range(100)])
    assert np.argmax(rates) == 45 and rates[45] == pytest.approx(0.4)
    assert rates[0] == pytest.approx(0.04) and rates[89] == pytest.approx(0.05, abs=0.01)
    assert (np.diff(rates[:46]) > 0).all() and (np.diff(rates[45:]) < 0).all() and rates[-1] > 0
    assert load_search("rls").rate(150) == 0.5


@pytest.mark.parametrize(
    ("preset", "overrides", "words"),
    [
        ("esrgan", [], "no preset 'esrgan'. Choose one of author, brgm"),
        ("rls", ["density=-1"], "density: Input should be greater than or equal to 0"),
        ("rls", ["cross"], "such as cross.weight=0.05"),
        ("rls", ["cross.form=manhattan"], "cross.form"),
        ("pulse", ["start=mean"], "middle of the sphere"),
        ("pulse", ["ball=1"], "ball is of style vectors"),
    ],
)
def test_settings_that_can_not_be(preset, overrides, words):
    with pytest.raises(UserError, match=words):
        load_search(preset, overrides)
