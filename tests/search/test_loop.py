"""The search itself: what it finds, that images don't know of each other, that it can be watched and ended."""

from pathlib import Path

import numpy as np
import pytest

from relumen.degrade import forward_operator
from relumen.errors import CheckFailedError, UserError
from relumen.prior.folder import Prior
from relumen.search.config import load_search
from relumen.search.loop import Searcher
from relumen.search.states import Search, SearchState

FEW = ["iterations=12"]


@pytest.fixture(scope="module")
def prior(searchable_prior):
    return Prior.open(searchable_prior)


@pytest.fixture(scope="module")
def searcher(prior):
    return Searcher(prior, forward_operator(8, 2), load_search("rls", FEW), batch=2)


@pytest.fixture(scope="module")
def low(prior):
    """Low-resolution images of codes of the prior."""
    w = prior.style_vectors(3, 1)[1]
    images = (np.asarray(prior.generator.synthesis(prior.generator.styles(w))) + 1) / 2
    return forward_operator(8, 2)(images)


def test_an_image_is_searched_as_if_it_were_alone(searcher, low):
    together, alone = searcher(low[:2]), searcher(low[:1])
    np.testing.assert_allclose(together.styles[:1], alone.styles, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together.history[:, :1], alone.history, rtol=1e-4)
    assert len(alone) == 1 and len(together) == 2


def test_equal_seeds_give_equal_results(prior, low):
    pulse = Searcher(prior, forward_operator(8, 2), load_search("pulse", [*FEW, "noise_maps=2"]), batch=1)
    first, again, other = (pulse(low[:1], seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.images, again.images)
    assert np.abs(first.images - other.images).max() > 0.01


def test_what_is_given_back_is_the_best_of_all_steps(searcher, low):
    found = searcher(low[:2])
    np.testing.assert_allclose(sum(found.terms.values()), found.history.min(0), rtol=1e-5)
    np.testing.assert_array_equal(found.iteration, found.history.argmin(0) + 1)
    made = (np.asarray(searcher.prior.generator.synthesis(found.styles)) + 1) / 2
    np.testing.assert_allclose(found.images, made, atol=1e-5)
    np.testing.assert_allclose(found.low, searcher.operator(made), atol=1e-5)
    np.testing.assert_allclose(found.residual, np.abs(found.low - low[:2]).mean((1, 2, 3)), rtol=1e-4)
    z = np.asarray(searcher.prior.flow(found.styles.reshape(-1, 6))[0])
    np.testing.assert_allclose(found.prior_distance.ravel(), np.linalg.norm(z, axis=1), rtol=1e-4)


def test_each_step_is_told_and_can_be_the_last(searcher, low):
    seen = []

    def watch(progress):
        seen.append(progress)
        return progress.iteration < 5

    found = searcher(low[:1], on_step=watch)
    assert [each.iteration for each in seen] == [1, 2, 3, 4, 5] and seen[0].iterations == 12
    assert seen[0].images.shape == (1, 8, 8, 2) and set(seen[0].terms) == {"likelihood", "density", "cross"}
    assert found.ended and len(found.history) == 5 and found.iterations == 12
    np.testing.assert_allclose(sum(seen[2].terms.values()), found.history[2], rtol=1e-5)
    assert not searcher(low[:1]).ended


def test_the_first_step_is_at_the_start(prior, low):
    searcher = Searcher(prior, forward_operator(8, 2), load_search("unregularised", ["iterations=1"]), batch=1)
    start = np.random.default_rng(0).normal(size=(1, 4, 6)).astype(np.float32)
    np.testing.assert_array_equal(searcher(low[:1], start=start).styles, start)


def test_other_methods_get_nearer(prior, low):
    for name in ("author", "brgm", "pulse"):
        found = Searcher(prior, forward_operator(8, 2), load_search(name, FEW), batch=1)(low[:1])
        assert found.history.min() < found.history[0, 0] - 1e-4 or name == "pulse", name
        assert np.isfinite(found.images).all()


def test_a_channel_that_was_not_measured_changes_nothing(searcher, low):
    spoilt = low[:1].copy()
    spoilt[..., 1] = 9.0
    found, expected = (searcher(each, measured=[True, False]) for each in (spoilt, low[:1]))
    np.testing.assert_array_equal(found.images, expected.images)
    np.testing.assert_array_equal(found.residual, expected.residual)


def test_a_code_of_the_prior_is_recovered_and_its_density_keeps_it_near():
    """Of the shipped prior, at 16x: the residual falls to a few hundredths, and without P_w codes leave the shell."""
    prior = Prior.open(Path("prior-cells"))
    operator = forward_operator(128, 16)
    w = prior.style_vectors(1, 5)[1]
    truth = (np.asarray(prior.generator.synthesis(prior.generator.styles(w))) + 1) / 2
    low = operator(truth)
    found, without = (
        Searcher(prior, operator, load_search(name, ["iterations=100"]))(low)
        for name in ("rls-annealed", "unregularised")
    )
    middle = np.abs(operator((np.asarray(prior.generator.synthesis(_mean_styles(prior))) + 1) / 2) - low).mean()
    assert found.residual[0] < 0.02 < middle
    assert np.median(found.prior_distance) < 1.5 * np.sqrt(prior.generator.architecture.w_dim)
    assert np.median(without.prior_distance) > 10 * np.median(found.prior_distance)


def _mean_styles(prior):
    return np.repeat(prior.style_vectors(2000, 0)[1].mean(0)[np.newaxis, np.newaxis], 12, axis=1)


@pytest.mark.parametrize(
    ("images", "more", "words"),
    [
        (np.zeros((1, 8, 8, 2)), {}, r"images of \(4, 4, 2\).*8 pixels are at 2x.*\(1, 8, 8, 2\)"),
        (np.zeros((3, 4, 4, 2)), {}, "1 to 2 images"),
        (np.full((1, 4, 4, 2), np.nan), {}, "no finite numbers"),
        (np.zeros((1, 4, 4, 2)), {"measured": [False, False]}, "one of them true"),
    ],
)
def test_images_that_can_not_be_searched(searcher, images, more, words):
    with pytest.raises(UserError, match=words):
        searcher(images, **more)


def test_searches_that_can_not_be(prior, tiny_prior):
    with pytest.raises(UserError, match="8 pixels.*operator of 16"):
        Searcher(prior, forward_operator(16, 2), load_search("rls"))
    with pytest.raises(UserError, match="batch is 1 or more. Received: 0"):
        Searcher(prior, forward_operator(8, 2), load_search("rls"), batch=0)
    with pytest.raises(UserError, match="no flow yet. Train it with: relumen train flow"):
        Searcher(Prior.open(tiny_prior), forward_operator(8, 2), load_search("rls"))


def test_without_a_flow_there_is_no_prior_distance(tiny_prior, low):
    config = load_search("unregularised", ["iterations=2"])
    found = Searcher(Prior.open(tiny_prior), forward_operator(8, 2), config)(low[:1])
    assert found.prior_distance is None and np.isfinite(found.residual).all()


def test_a_search_that_leaves_all_bounds_says_so(prior, low):
    searcher = Searcher(prior, forward_operator(8, 2), load_search("unregularised", FEW))
    with pytest.raises(CheckFailedError, match="lower learning rate"):
        searcher(low[:1], start=np.full((1, 4, 6), np.nan, np.float32))


def stopped_at(searcher, searches, step, **told):
    """The state of searches that were ended after a step."""
    states = []

    def watch(progress):
        if progress.iteration == step:
            states.append(progress.state())
        return progress.iteration < step

    searcher.run(searches, on_step=watch, **told)
    return states[0]


def same(found, expected):
    for name in ("styles", "images", "low", "residual", "prior_distance", "iteration", "history"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.terms.keys() == expected.terms.keys()


@pytest.mark.parametrize("method", ["rls-annealed", "author", "pulse"])
def test_a_search_that_goes_on_finds_what_one_in_one_go_finds(prior, low, method):
    """Codes in a ball or on a sphere, searched noise, a rate that changes: all of it is in the state."""
    more = ["noise_maps=2"] if method == "pulse" else []
    searcher = Searcher(prior, forward_operator(8, 2), load_search(method, [*FEW, *more]), batch=2)
    searches = [Search(low[0], (3, 0)), Search(low[1], (4, 0))]
    expected = searcher.run(searches)
    state = stopped_at(searcher, searches, 5)
    searcher.run([Search(low[2], (5, 0))])  # anything in between
    assert state.iteration == 5
    same(searcher.run(searches, resume=state), expected)
    # Each by itself, beside another one than before.
    other = stopped_at(searcher, [Search(low[2], (8, 0))], 5)
    mixed = searcher.run([Search(low[2], (8, 0)), searches[0]], resume=SearchState.joined([other, state.one(0)]))
    same(mixed.one(1), expected.one(0))


def test_a_compiled_step_serves_other_weights_rates_and_blurs(prior, low):
    operator, config = forward_operator(8, 2), load_search("rls", FEW)
    searcher = Searcher(prior, operator, config, batch=1)
    blurred, changed = forward_operator(8, 2, blur=1.0), load_search("rls-annealed", ["iterations=7", "density=1e-3"])
    one = [Search(low[0], (0, 0))]
    assert searcher.allows(blurred, changed)
    found = searcher.run(one, operator=blurred, config=changed)
    assert found.iterations == 7
    own = Searcher(prior, blurred, changed, batch=1).run(one)
    np.testing.assert_allclose(found.history, own.history, rtol=1e-3)
    for other in (load_search("without-cross", FEW), load_search("author", FEW)):
        assert not searcher.allows(operator, other)
        with pytest.raises(UserError, match="a searcher of its own"):
            searcher.run(one, config=other)


def test_the_residual_is_told_at_each_step(searcher, low):
    seen = []
    found = searcher(low[:1], on_step=seen.append)
    best = seen[found.iteration[0] - 1]
    np.testing.assert_allclose(best.residual, found.residual, rtol=1e-4)
