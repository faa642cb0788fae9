"""Channels and intensities of a user's image, and those of a prior."""

import numpy as np
import pytest

from relumen.degrade import forward_operator
from relumen.errors import UserError
from relumen.prior.folder import Prior
from relumen.prior.samples import samples
from relumen.search.intensity import Channels, match_channels, matched, stated, whole_type

BOTH = Channels(("DNA", "NF-kB"), (0, 1), 2)


@pytest.fixture(scope="module")
def prior(searchable_prior):
    return Prior.open(searchable_prior)


def test_channels_are_in_order_or_as_they_are_named(prior):
    assert match_channels(prior, 2) == BOTH
    named = match_channels(prior, 5, ["NF-kB=1", "DNA=4"])
    assert named.source == (3, 0) and named.describe() == "DNA from channel 4, NF-kB from channel 1"
    alone = match_channels(prior, 1, ["DNA=1", "NF-kB=none"])
    assert alone.measured == [True, False] and "NF-kB not measured: made up" in alone.describe()


@pytest.mark.parametrize(
    ("available", "named", "words"),
    [
        (3, [], "shows DNA, NF-kB, and the image has 3 channels.*such as DNA=1 NF-kB=2"),
        (2, ["actin=1"], "shows DNA, NF-kB. Received: actin=1"),
        (2, ["DNA=1"], "Say where NF-kB is"),
        (2, ["DNA=0", "NF-kB=1"], "channels 1 to 2"),
        (2, ["DNA=1", "NF-kB=3"], "channels 1 to 2"),
        (2, ["DNA=none", "NF-kB=none"], "No channel is left"),
    ],
)
def test_channels_that_can_not_be(prior, available, named, words):
    with pytest.raises(UserError, match=words):
        match_channels(prior, available, named)


def test_matched_intensities_find_the_gain_and_offset_of_each_channel(prior):
    """Other samples of the prior itself, as a camera of another gain and offset would give them."""
    operator = forward_operator(8, 2)
    low = operator(samples(prior, 400, seed=7))
    camera = low * [300.0, 5.0] + [100.0, -2.0]
    found = matched(prior, operator, camera.reshape(-1, 2), BOTH)
    np.testing.assert_allclose(found.white - found.black, [300, 5], rtol=0.08)
    np.testing.assert_allclose(found.to_prior(camera), low, atol=0.06)
    np.testing.assert_allclose(found.undone(found.to_prior(camera)), camera, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.spread_undone(np.ones(2)), found.white - found.black)
    assert "percentiles 2 and 98" in found.describe(BOTH.stains) and "DNA" in found.describe(BOTH.stains)


def test_a_flat_channel_needs_a_range(prior):
    pixels = np.stack([np.arange(100.0), np.full(100, 7.0)], 1)
    with pytest.raises(UserError, match="NF-kB is flat.*7 throughout.*the intensity as LOW:HIGH"):
        matched(prior, forward_operator(8, 2), pixels, BOTH)
    alone = matched(prior, forward_operator(8, 2), pixels, Channels(("DNA", "NF-kB"), (0, None), 1))
    assert (alone.black[1], alone.white[1]) == (0, 1)


def test_intensities_as_stated():
    one, each = stated(["100:4095"], 2), stated(["0:1", "-5:1e3"], 2)
    assert one.black.tolist() == [100, 100] and one.white.tolist() == [4095, 4095]
    assert each.black.tolist() == [0, -5] and each.white.tolist() == [1, 1000]
    assert whole_type(np.dtype(np.uint8), 2).white.tolist() == [255, 255]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["bright"], "auto, type or LOW:HIGH.*bright"),
        (["10:5"], "10:5"),
        (["1:nan"], "1:nan"),
        (["1:2", "3:4", "5:6"], "one for each of 2 channels. Received: 3"),
    ],
)
def test_intensities_that_can_not_be(texts, words):
    with pytest.raises(UserError, match=words):
        stated(texts, 2)
    with pytest.raises(UserError, match="float32"):
        whole_type(np.dtype(np.float32), 2)
