"""What a prior is trained on: the shares of its sources, what it is judged by, and crops that are cut once."""

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.training import prior_data
from relumen.training.config import load_config
from relumen.training.cutter import Crops, Place
from relumen.training.prior_data import PriorData

STAINS = ("DNA", "NF-kB")
SHIPPED, OWN = 100, 200  # the grey of all pixels, by which a batch tells where an image comes from


def crops(training, held_out, size, grey):
    """So many crops of one grey, of which the held-out ones are a little darker."""
    places = (*[Place("a")] * training, *[Place("b", held_out=True)] * held_out)
    images = np.full((len(places), size, size, 2), grey, np.uint8)
    images[training:] -= 1
    return Crops(images, places, STAINS, ((0, 1),) * 2, len(places), {})


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Makes the data of a training on drawn images and on real ones of which (training, held out) are given."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # drawn in this process
    sizes = []

    def made(*changes, drawn=0, shipped=None, own=None, bbbc021=None):
        def cut(kind, grey, size):
            sizes.append(size)
            return crops(*kind, size, grey)

        monkeypatch.setattr(prior_data, "shipped_crops", lambda stains, size, zoom: cut(shipped, SHIPPED, size))
        monkeypatch.setattr(prior_data, "load_crops", lambda rules, size: cut(own, OWN, size))
        monkeypatch.setattr(prior_data, "load_bbbc021", lambda rules, size: cut(bbbc021, OWN, size))
        images = {"stains": "nfkb", "drawn": drawn, "unseen": 8, "shipped": shipped is not None}
        images["cache"] = str(tmp_path / f"cache-{drawn}-{shipped}-{own}-{bbbc021}")
        if own:
            images["crops"] = {"folder": str(tmp_path / "mine"), "channels": {"DNA": 0, "NF-kB": 1}}
        if bbbc021:
            images["bbbc021"] = {"folder": str(tmp_path / "published")}
        config = load_config("prior", "cells", ["size=32", "batch=64", *changes], images=images)
        return PriorData(config)

    made.sizes = sizes
    return made


def shares(data, greys):
    """Of images of these greys among some thousand."""
    seen = np.concatenate([np.round(127.5 * (data.batch(step)[:, 0, 0, 0] + 1)) for step in range(40)])
    return [(seen == grey).mean() for grey in greys]


def test_real_sources_have_their_share_together_in_proportion_to_their_images(data):
    mixed = data("images.share=0.4", drawn=24, shipped=(30, 20), own=(90, 60))
    assert shares(mixed, (SHIPPED, OWN)) == pytest.approx([0.1, 0.3], abs=0.03)
    for words in ("24 drawn images", "(60% of a batch)", "(10% of a batch)", "90 crops of mine (30% of a batch)"):
        assert words in mixed.describe()
    judges = mixed.held_out[:, 0, 0, 0]
    real = [(judges == grey - 1).sum() for grey in (SHIPPED, OWN)]
    assert real == [1, 4] and len(judges) == 8 + sum(real)  # 8 drawn ones are 60 %


def test_without_a_share_every_image_is_as_frequent(data):
    mixed = data(drawn=20, shipped=(20, 4), own=(40, 8))
    assert shares(mixed, (SHIPPED, OWN)) == pytest.approx([0.25, 0.5], abs=0.04)


@pytest.mark.parametrize("sources", [{"own": (20, 4)}, {"drawn": 20}, {"shipped": (20, 4), "own": (20, 4)}])
def test_a_share_of_one_kind_alone_is_refused(data, sources):
    with pytest.raises(UserError, match=r"images.share is of real crops beside drawn images: .* images.share=null"):
        data("images.share=0.4", **sources)


def test_images_that_were_trained_on_are_named_as_such_where_they_judge(data):
    alone = data(own=(20, 0))
    assert not alone.judged_unseen and set(alone.held_out[:, 0, 0, 0]) == {OWN}
    assert "20 crops of mine (100% of a batch), none held out: judged by training images" in alone.describe()
    beside = data(own=(20, 0), shipped=(20, 6))
    assert beside.judged_unseen and set(beside.held_out[:, 0, 0, 0]) == {SHIPPED - 1}
    assert "20 crops of mine (50% of a batch), none held out" in beside.describe()
    assert "judged by" not in beside.describe()


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_held_out_images_are_told_when_they_are_loaded(data, count):
    for source, words in (
        ("own", f"{count} of the crops of mine are held out, and 4 are the least .* images.crops.hold_out"),
        ("bbbc021", f"{count} of the crops of BBBC021 .* raise images.bbbc021.validation"),
        ("shipped", f"{count} of the real crops .* a smaller size"),
    ):
        with pytest.raises(UserError, match=words):
            data(**{source: (20, count)})
    assert len(data(own=(20, 4)).held_out) == 4


def test_kept_crops_are_those_of_the_size_that_is_trained(data):
    for changes in (("size=32",), ("size=32",), ("size=64",), ("size=32", "images.binning=2")):
        made = data(*changes, own=(20, 4))
        assert made.held_out.shape[1:] == (int(changes[0][5:]),) * 2 + (2,)
    assert data.sizes == [32, 64]


@pytest.mark.parametrize("source", ["crops", "bbbc021"])
def test_a_size_of_their_own_is_refused_for_crops(data, source):
    with pytest.raises(UserError, match=f"images.{source}.size"):
        data(f"images.{source}.size=64", own=(20, 4), bbbc021=(20, 4))
