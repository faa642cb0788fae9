"""Classifiers that tell conditions apart: what they are trained on, that they learn, and that they are kept."""

import csv
import dataclasses
from io import StringIO
from typing import Any

import keras
import numpy as np
import pytest

from relumen.errors import UserError
from relumen.evaluation import rls_classifier
from relumen.evaluation.rls_classifier import Answers, Recipe, kept_classifier, report_on, training_images
from relumen.evaluation.rls_methods import BICUBIC, BRGM, PULSE, RLS, UNREGULARISED, Made
from relumen.evaluation.rls_study import Study
from relumen.evaluation.rls_truth import TruthConfig
from relumen.image_writing import write_image
from relumen.images import Image
from relumen.prior.folder import Prior
from relumen.training.crops import CropsConfig, load_crops

SHORT = Recipe(steps=250, patience=4, batch=16)
BRIEF = Recipe(widths=(4, 4), steps=6, batch=8)


@pytest.fixture(scope="module")
def prior(cell_sized_prior):
    return Prior.open(cell_sized_prior)


@pytest.fixture(scope="module")
def study(prior, tmp_path_factory):
    cache = tmp_path_factory.mktemp("searches")
    return Study.begin(prior, TruthConfig(drawn="nfkb"), 16, cache, count=20, methods=[BICUBIC])


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rls_classifier, "RECIPE", SHORT)
        yield


@pytest.fixture(scope="module")
def report(study):
    return report_on(study, 60)


def rows(report, name):
    return list(csv.DictReader(StringIO(report.texts[name])))


def blobs(count=24, seed=0):
    """Images of two conditions, dark and bright."""
    images = np.random.default_rng(seed).random((2 * count, 32, 32, 2), np.float32) / 2
    images[count:] += 0.3
    return images, np.repeat([0, 1], count)


def test_it_learns_to_tell_drawn_phenotypes_that_it_never_saw(report):
    low, bicubic, high = rows(report, "table.csv")
    assert [row["tested_on"] for row in (low, bicubic, high)] == ["LR", BICUBIC.name, "HR"]
    assert [row["trained_on"] for row in (low, bicubic, high)] == ["LR", "HR", "HR"]
    assert float(high["accuracy"]) >= 80 and float(high["accuracy_low"]) > 60


def test_the_figures_are_those_of_the_images(report):
    images = rows(report, "images.csv")
    for row in rows(report, "table.csv"):
        mine = [each for each in images if each["tested_on"] == row["tested_on"]]
        right = [each["said"] == each["condition"] for each in mine]
        assert len(mine) == int(row["images"]) == 40
        assert float(row["accuracy"]) == pytest.approx(100 * np.mean(right))
        missed = sum((each["condition"], each["said"]) == ("tnf-alpha", "dmso") for each in mine)
        assert int(row["tnf-alpha said to be dmso"]) == missed


def test_both_classifiers_see_images_of_one_size(study, report):
    kept: list[Any] = [keras.models.load_model(path, compile=False) for path in study.cache.glob("classifier-*")]
    assert [network.input_shape for network in kept] == [(None, 128, 128, 2)] * 2


def test_kept_classifiers_are_used_again(study, report, monkeypatch):
    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(rls_classifier, "_train", never)
    assert report_on(study, 60).texts == report.texts
    with pytest.raises(AssertionError, match="trained again"):
        report_on(study, 40)


def test_columns_stand_in_the_papers_order_above_its_figures(study, report, monkeypatch):
    def make(self, on_done):
        return {each.name: Made(self.truth.images, *np.zeros((2, 40), np.float32)) for each in self.methods}

    monkeypatch.setattr(Study, "make", make)
    methods = (RLS, UNREGULARISED, PULSE, BRGM)
    text = report_on(dataclasses.replace(study, methods=methods), 60).texts["table.md"]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert lines[0][1:] == ["LR", BRGM.name, "PULSE", "w/o Regu.", RLS.name, "HR"] == lines[4][1:]
    assert lines[2][0] == "dmso / tnf-alpha" and len(set(lines[2][2:])) == 1  # all were HR images
    assert lines[6] == ["published: DMSO / TNF-alpha", "85.6", "79.2", "85.6", "85.8", "87.0", "97.6"]
    assert text.index("Published on other images") > text.index("dmso / tnf-alpha")


def test_equal_seeds_give_equal_classifiers_and_a_damaged_file_is_made_again(tmp_path):
    images, labels = blobs()
    first = kept_classifier(images, labels, tmp_path / "a", 0, BRIEF)
    expected = np.asarray(first(images))
    np.testing.assert_array_equal(kept_classifier(images, labels, tmp_path / "b", 0, BRIEF)(images), expected)
    (file,) = (tmp_path / "b").iterdir()
    file.write_bytes(file.read_bytes()[:2000])
    np.testing.assert_array_equal(kept_classifier(images, labels, tmp_path / "b", 0, BRIEF)(images), expected)
    changes = [(images[::-1], labels, 0, BRIEF), (images, labels, 1, BRIEF), (images, labels, 0, Recipe((4, 8), 6))]
    for changed, numbers, seed, recipe in changes:
        kept_classifier(np.ascontiguousarray(changed), numbers, tmp_path / "b", seed, recipe)
    assert len(list((tmp_path / "b").iterdir())) == 4


def test_the_classifier_that_is_kept_did_best_on_images_that_it_was_not_trained_on(tmp_path):
    """Noise of two names is learnt by heart in 150 steps; what is kept is from before, and answers nearly even."""
    images = np.random.default_rng(0).random((48, 32, 32, 2), np.float32)
    labels = np.repeat([0, 1], 24)
    recipe = Recipe((16, 32), steps=150, check_every=5, patience=30, batch=16)
    network = kept_classifier(images, labels, tmp_path, 0, recipe)
    back = np.arange(48) % 24 % recipe.held_back == 0
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert loss(labels[back], network(images[back])) < 0.75  # log 2 is what even answers have


def test_the_interval_is_that_of_equal_chances():
    labels = np.zeros(400, np.intp)
    said = np.repeat([0, 1], [320, 80])
    low, high = Answers("HR", "HR", ("a", "b"), labels, said).interval()
    half = 100 * 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert (low, high) == (pytest.approx(80 - half, abs=0.6), pytest.approx(80 + half, abs=0.6))


def test_drawn_training_images_are_others_of_the_same_conditions(study):
    seen = training_images(study, 25)
    assert seen.conditions.tolist() == ["dmso"] * 25 + ["tnf-alpha"] * 25
    assert all(np.abs(seen.images - each).max((1, 2, 3)).min() > 0.1 for each in study.truth.images)


def test_of_real_images_crops_are_taken_that_share_no_pixel_with_the_studys(prior, tmp_path):
    fields = tmp_path / "fields"
    fields.mkdir()
    for seed, name in enumerate(("train", "dark", "bright")):
        write_image(fields / f"{name}.tif", Image(field(seed), "CYX"))
    crops = CropsConfig(
        folder=fields,
        channels={"DNA": 0, "NF-kB": 1},
        hold_out=("dark.tif", "bright.tif"),
        sharpness=0,
        structure=0,
        solidity=0.5,
    )
    config = TruthConfig(crops=crops, conditions={"a": ("dark*",), "b": ("bright*",)})
    study = Study.begin(prior, config, 16, tmp_path, count=2, methods=[BICUBIC])
    cut = load_crops(crops, 128)
    places = {image.tobytes(): place for image, place in zip(cut.images, cut.places, strict=True)}
    seen = training_images(study, 30)
    used, taken = ([places[np.rint(i * 255).astype(np.uint8).tobytes()] for i in t.images] for t in (study.truth, seen))
    for each in taken:
        assert each.held_out
        assert all(p.field != each.field or abs(p.y - each.y) > 127 or abs(p.x - each.x) > 127 for p in used)
    assert [len(seen.of(name)) for name in ("a", "b")] == [30, 30]
    many = Study.begin(prior, config, 16, tmp_path, count=60, methods=[BICUBIC])
    with pytest.raises(UserError, match="20 images of each condition at least.*There are: a [01]?[0-9], b.*fewer"):
        training_images(many, 30)


def field(seed):
    """Discs on a jittered grid, in two channels (2, y, x), uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:640, :900]
    light = np.zeros((640, 900), bool)
    for row in range(40, 640, 70):
        for column in range(40, 900, 70):
            cy, cx = row + rng.uniform(-6, 6), column + rng.uniform(-6, 6)
            light |= np.hypot(y - cy, x - cx) < 15
    channels = np.stack([light, 0.5 * light]) * 180 + rng.normal(20, 3, (2, 640, 900))
    return np.clip(channels, 0, 255).astype(np.uint8)


def test_one_condition_is_nothing_to_tell_apart(prior, tmp_path):
    config = TruthConfig(drawn="nfkb", conditions={"all": ("dmso", "tnf-alpha")})
    one = Study.begin(prior, config, 16, tmp_path, count=2, methods=[BICUBIC])
    with pytest.raises(UserError, match=r"All 2 images are of one condition \(all\)"):
        report_on(one, 60)


def test_too_few_to_train_on(study):
    with pytest.raises(UserError, match="There are: dmso 5, tnf-alpha 5"):
        report_on(study, 5)
