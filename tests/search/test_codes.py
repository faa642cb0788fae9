"""Where codes are put back to."""

import numpy as np
from scipy.optimize import minimize

from relumen.prior.whitening import Whitening
from relumen.search.codes import Styles, Whitened, into_l1_ball

RNG = np.random.default_rng(0)


def test_the_point_in_the_ball_is_the_nearest():
    """Against a general minimiser over the ball: x = p - q, p and q positive."""
    for x in RNG.normal(scale=2, size=(4, 5)):
        found = minimize(
            lambda pq, x=x: ((pq[:5] - pq[5:] - x) ** 2).sum(),
            np.full(10, 0.01),
            bounds=[(0, None)] * 10,
            constraints={"type": "ineq", "fun": lambda pq: 2 - pq.sum()},
            options={"ftol": 1e-12},
        )
        np.testing.assert_allclose(into_l1_ball(x[np.newaxis], 2.0)[0], found.x[:5] - found.x[5:], atol=1e-4)


def test_points_in_the_ball_stay():
    x = np.array([[0.5, -0.4, 0.0], [0.1, 0.1, 0.1]])
    np.testing.assert_array_equal(into_l1_ball(x, 1.0), x)


def test_style_vectors_stay_in_the_ball_around_the_mean():
    mean = RNG.normal(size=4).astype(np.float32)
    styles = Styles((2, 3, 4), mean, ball=0.5)
    styles.begin(mean + RNG.normal(size=(2, 3, 4)).astype(np.float32), [])
    styles.put_back()
    away = np.abs(np.asarray(styles.styles()) - mean).sum(-1)
    assert (away <= 0.5 * 2 + 1e-5).all() and away.max() > 0.99


def test_whitened_codes_are_the_start_and_keep_their_norms():
    w = RNG.normal(size=(500, 4))
    whitening = Whitening.of(np.where(w > 0, w, 0.2 * w))
    start = np.where(w > 0, w, 0.2 * w)[:6].reshape(2, 3, 4).astype(np.float32)
    codes = Whitened((2, 3, 4), whitening, sphere=True)
    codes.begin(start, [])
    np.testing.assert_allclose(codes.styles(), start, atol=1e-5)
    before = np.linalg.norm(codes.codes(), axis=-1)
    codes.variables[0].assign(3 * np.asarray(codes.codes()) + 1)
    codes.put_back()
    np.testing.assert_allclose(np.linalg.norm(codes.codes(), axis=-1), before, rtol=1e-5)
