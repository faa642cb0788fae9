"""Several solutions: how they differ by form, and what their distribution is charged."""

import numpy as np
import pytest
from scipy import stats

from relumen.degrade import forward_operator
from relumen.errors import UserError
from relumen.prior.folder import Prior
from relumen.search.config import UncertaintyConfig, load_search
from relumen.search.uncertainty import Joint, Several, Variational, log_inverse_gamma, make_searcher, searches

SETTINGS = UncertaintyConfig(weight=0.5)
STARTS = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def prior(searchable_prior):
    return Prior.open(searchable_prior)


@pytest.fixture(scope="module")
def low(prior):
    w = prior.style_vectors(1, 1)[1]
    images = (np.asarray(prior.generator.synthesis(prior.generator.styles(w))) + 1) / 2
    return forward_operator(8, 2)(images)[0]


def test_the_inverse_gamma_is_scipys():
    sigma = np.linspace(0.1, 3, 20)
    expected = stats.invgamma(SETTINGS.alpha, scale=SETTINGS.beta).logpdf(sigma)
    np.testing.assert_allclose(log_inverse_gamma(np.log(sigma), SETTINGS), expected, rtol=1e-6)


def begun(make):
    codes = make(STARTS.shape, SETTINGS)
    codes.begin(STARTS, [np.random.default_rng(i) for i in range(5)])
    return codes


def test_the_papers_penalty_adds_the_density_of_the_codes():
    codes = begun(Joint)
    mu, sigma = STARTS.mean(0), STARTS.std(0) + 1e-3
    density = stats.norm(mu, sigma).logpdf(STARTS).sum()
    expected = -0.5 * (density + stats.invgamma(0.1, scale=0.95).logpdf(sigma).sum())
    np.testing.assert_allclose(codes.penalty(), expected, rtol=1e-4)
    np.testing.assert_array_equal(codes.styles(), STARTS)


def test_the_lower_bound_subtracts_it():
    codes = begun(Variational)
    mu, sigma = STARTS.mean(0), STARTS.std(0) + 1e-3
    draws = (np.asarray(codes.styles()) - mu) / sigma
    density = stats.norm(mu, sigma).logpdf(np.asarray(codes.styles())).sum()
    constant = stats.norm().logpdf(draws).sum()  # of the draws, which no variable changes
    expected = 0.5 * (density - constant - stats.invgamma(0.1, scale=0.95).logpdf(sigma).sum())
    np.testing.assert_allclose(codes.penalty(), expected, rtol=1e-4)


@pytest.mark.parametrize("form", ["paper", "elbo", "restarts"])
def test_solutions_fit_and_differ(prior, low, form):
    config = load_search("rls", ["iterations=20", "learning_rate=0.1"])
    several = Several(prior, forward_operator(8, 2), config, UncertaintyConfig(form=form), 3)
    found = several(low, seed=1)
    assert len(found) == 3 and found.images.shape == (3, 8, 8, 2)
    assert found.history[-1].mean() < found.history[0].mean()
    assert found.images.std(0).mean() > 1e-4
    np.testing.assert_array_equal(found.images, several(low, seed=1).images)
    best = set(found.iteration.tolist())
    assert len(best) == 1 or form == "restarts"  # the best step is that of all together


def test_restarts_are_searched_a_few_at_a_time(prior, low):
    config = load_search("rls", ["iterations=4"])
    settings = UncertaintyConfig(form="restarts")
    whole = Several(prior, forward_operator(8, 2), config, settings, 5)(low)
    few = Several(prior, forward_operator(8, 2), config, settings, 5, batch=2)
    parts = few(low)
    np.testing.assert_allclose(parts.images, whole.images, atol=1e-4)
    ended = few(low, on_step=lambda _: False)
    assert len(ended) == 2 and ended.ended


@pytest.mark.parametrize("method", ["rls", "pulse"])
def test_a_restart_begins_at_its_own_start_whatever_is_searched_beside(prior, low, method):
    searcher = make_searcher(
        prior, forward_operator(8, 2), load_search(method, ["iterations=4"]), UncertaintyConfig(), 1, batch=2
    )
    first, second = searches(prior, UncertaintyConfig(form="restarts"), 2, low, seed=3)
    other = searches(prior, UncertaintyConfig(), 1, low, seed=9)[0]
    alone, beside = searcher.run([second]), searcher.run([second, other])
    np.testing.assert_allclose(beside.images[:1], alone.images, atol=1e-4)
    assert np.abs(alone.images - searcher.run([other, first]).images[1]).max() > 0.01


def test_what_can_not_be(prior):
    operator = forward_operator(8, 2)
    with pytest.raises(UserError, match="2 or more. Received: 1"):
        Several(prior, operator, load_search("rls"), UncertaintyConfig(), 1)
    for method in ("pulse", "author"):
        with pytest.raises(UserError, match="'paper'.*choose restarts"):
            Several(prior, operator, load_search(method), UncertaintyConfig(form="paper"), 2)


@pytest.mark.parametrize("form", ["paper", "elbo"])
def test_solutions_that_are_searched_together_go_on_as_a_whole(prior, low, form):
    settings = UncertaintyConfig(form=form)
    config = load_search("rls", ["iterations=6", "learning_rate=0.1"])
    searcher = make_searcher(prior, forward_operator(8, 2), config, settings, 3, 1)
    each = searches(prior, settings, 3, low, 1)
    expected = searcher.run(each)
    states = []
    searcher.run(each, on_step=lambda progress: states.append(progress.state()) if progress.iteration < 3 else False)
    found = searcher.run(each, resume=states[-1])
    np.testing.assert_array_equal(found.images, expected.images)
    np.testing.assert_array_equal(found.history, expected.history)
