"""The trained networks that come along: each has its card, is small enough, and does what the card says."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from relumen.data import image_path
from relumen.degrade import clean, reduced
from relumen.errors import UserError
from relumen.evaluation.prior import norms_of
from relumen.features import embedded, perceptual
from relumen.images import read_image
from relumen.metrics import kernel_distance, psnr
from relumen.prior.folder import Prior
from relumen.prior.samples import samples
from relumen.restore import open_model, restore_plane
from relumen.run import RunFolder
from relumen.shipped import shipped_names, shipped_packages, shipped_path
from relumen.training.cells import Culture, draw_images
from relumen.training.crops import shipped_crops
from relumen.training.prior_data import SHIPPED_ZOOM, signed
from relumen.training.prior_transfer import discriminator_of
from relumen.training.stand_ins import Strengths
from relumen.upsampling import bicubic

MEBIBYTE = 1 << 20
GAINS = {"noise": 9.0, "missing-planes": 0.8, "low-resolution": 1.5}
"""What a restorer of several defects gains at least, dB."""


def drawn_cells(count: int, seed: int) -> NDArray[np.uint8]:
    return draw_images(Culture("cells", confluence=0.2), count, seed)


def drawn_and_real_nfkb(count: int, seed: int) -> NDArray[np.uint8]:
    crops = shipped_crops("nfkb", zoom=SHIPPED_ZOOM)
    real = np.random.default_rng(seed).permutation(crops.held_out.images)[: count // 2]
    return np.concatenate([draw_images(Culture("nfkb", confluence=0.4), count - len(real), seed), real])


def drawn_golgi(count: int, seed: int) -> NDArray[np.uint8]:
    return draw_images(Culture("golgi", confluence=0.4), count, seed)


PRIORS = {"prior-cells": drawn_cells, "prior-nfkb": drawn_and_real_nfkb, "prior-golgi": drawn_golgi}
"""Images such as each prior was trained on, which it has not seen."""


def test_each_has_a_card_and_is_small():
    assert {"esrgan-widefield", "features-microscopy"} <= set(shipped_names())
    sizes = {name: sum(file.stat().st_size for file in shipped_path(name).rglob("*")) for name in shipped_names()}
    assert max(sizes.values()) <= 15 * MEBIBYTE
    assert sum(sizes.values()) <= 120 * MEBIBYTE
    for name in shipped_names():
        card = (shipped_path(name) / "README.md").read_text(encoding="utf-8")
        assert "not good for" in card
        assert "relumen train" in card


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(UserError, match="esrgan-widefield"):
        shipped_path("esrgan-confocal")
    with pytest.raises(UserError, match="esrgan-widefield"), open_model(Path("esrgan-confocal")):
        pass


@pytest.mark.parametrize("name", ["kc167/01_POS218_F.tif", "ht29/AS_09125_050116030001_D03f00d2.tif"])
@pytest.mark.parametrize("weights", ["tensorflow_saved_model_bundle", "onnx", "keras_v3"])
def test_widefield_restores_fields_and_stains_that_it_never_saw(name, weights):
    target = np.asarray(read_image(image_path(name)).pixels, np.float32)[:320, :320]
    low = clean(target, 1.0, 2).noisy(30.0, 2.0, np.random.default_rng(0))
    with open_model(Path("esrgan-widefield"), weights=weights) as model:
        restored = restore_plane(low[..., np.newaxis], model)[..., 0]
    assert psnr(target, restored) > psnr(target, bicubic(low, 2)) + 4


@pytest.mark.parametrize(("scale", "gain"), [(2, 2.0), (4, 2.0), (8, 1.0)])
def test_phase_contrast_restores_cells_that_it_never_saw(scale, gain):
    target = np.asarray(read_image(image_path("phase_t98g/t37.tif")).pixels, np.float32)[726:1014, :1016]
    low = reduced(target, scale)
    with open_model(Path(f"cascade-phase-{scale}x")) as model:
        assert model.scale == scale and model.pixel_size_um == pytest.approx(0.867 * scale)
        restored = restore_plane(low[..., np.newaxis], model)[..., 0]
    assert psnr(target, restored) > psnr(target, bicubic(low, scale)) + gain


@pytest.mark.parametrize("name", ["kc167/01_POS218_F.tif", "ht29/AS_09125_050116030001_D03f00d2.tif"])
@pytest.mark.parametrize("defect", ["noise", "missing-planes", "low-resolution"])
def test_one_restorer_takes_each_of_three_defects_from_fields_and_stains_that_it_never_saw(name, defect):
    target = np.asarray(read_image(image_path(name)).pixels, np.float32)[:320, :320]
    target /= np.percentile(target, 99.9)
    strengths = Strengths(photons=(30, 30), planes=(8, 8), coarse=(5, 5))
    low = strengths.make(defect, target, np.random.default_rng(0))
    with open_model(Path("cgan-fluorescence")) as model:
        restored = restore_plane(low[..., np.newaxis], model)[..., 0]
    assert psnr(target, restored) > psnr(target, low) + GAINS[defect]


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_makes_cells_like_those_that_it_was_trained_on(name):
    """Nearer to others of them than they are to themselves out of focus, in features that no prior has trained."""
    unseen = signed(PRIORS[name](60, 99))
    made = 2 * samples(Prior.open(Path(name)), 60, seed=0) - 1
    units = [(float(plane.mean()), float(plane.std())) for plane in np.moveaxis(unseen, -1, 0)]
    features = perceptual("microscopy")
    true, synthesised, blurred = (
        embedded(features, images, units) for images in (unseen, made, gaussian_filter(unseen, (0, 1.5, 1.5, 0)))
    )
    assert kernel_distance(true, synthesised).value < kernel_distance(true, blurred).value
    assert made.std(0).mean() > 0.7 * unseen.std(0).mean()


@pytest.mark.parametrize("name", PRIORS)
def test_the_flow_of_a_prior_makes_its_style_vectors_gaussian(name):
    distance = {row.name: row.distance for row in norms_of(Prior.open(Path(name)), count=2000)}
    assert 2 * distance["F(w)"] < distance["PULSE"] < distance["w"]
    assert distance["F(w)"] < 0.08


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_comes_with_a_discriminator_that_knows_its_stains_apart(name):
    critic = discriminator_of(RunFolder(shipped_path(name)))
    assert critic is not None
    unseen = signed(PRIORS[name](32, 98))
    assert np.median(critic(unseen)) > np.median(critic(unseen[..., ::-1])) + 1


def test_the_packages_are_packages():
    cascades = {f"cascade-phase-{scale}x" for scale in (2, 4, 8)}
    assert {"esrgan-widefield", "cgan-fluorescence", *cascades} == set(shipped_packages())
