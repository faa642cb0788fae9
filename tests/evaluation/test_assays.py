"""What an analyst measures of cells, against what is exactly true of drawn ones."""

import numpy as np
import pytest

from relumen.evaluation.assays import ASSAYS, spot_area, translocation_ratio
from relumen.evaluation.rls_truth import load_truth, read_truth_config
from relumen.training.cells import Features

NFKB, GOLGI = ("DNA", "NF-kB"), ("DNA", "Golgi")


def cell(nucleus=(0.0, 0.0), inside=0.4, outside=0.2, background=0.0, size=128):
    """An image (size, size, 2): a nucleus 30 pixels across, offset from the middle, in a cell 70 pixels across."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    away = np.hypot(y - nucleus[0], x - nucleus[1])
    reporter = np.where(away < 15, inside, np.where(away < 35, outside, 0.0))
    return np.stack([np.where(away < 15, 0.6, 0.0), reporter + background], -1).astype(np.float32)


def spotted(*boxes):
    """A cell's DNA, and Golgi spots: (y, x, height, width)."""
    image = cell()
    image[..., 1] = 0.1
    for y, x, height, width in boxes:
        image[y : y + height, x : x + width, 1] = 0.7
    return image


@pytest.mark.parametrize(("name", "bound", "within"), [("translocation", 0.94, 0.8), ("golgi", 0.75, 0.6)])
def test_measurements_follow_the_exact_features_and_tell_the_conditions_apart(name, bound, within):
    assay = ASSAYS[name]
    truth = load_truth(read_truth_config({"translocation": "drawn:nfkb", "golgi": "drawn:golgi"}[name]), 128, 30, 5)
    assert truth.features is not None
    measured = np.array([assay.measure(image, truth.stains) for image in truth.images])
    exact = np.array([assay.exact(each) for each in truth.features])
    assert np.corrcoef(measured, exact)[0, 1] > bound
    control, treated = (measured[truth.conditions == each] for each in truth.names)
    assert np.corrcoef(control, exact[truth.conditions == truth.names[0]])[0, 1] > within
    larger, smaller = (treated, control) if assay.raises else (control, treated)
    assert (larger[:, np.newaxis] > smaller).mean() > 0.9


def test_the_wells_of_real_images_are_told_apart():
    truth = load_truth(read_truth_config("shipped:nfkb"), 128, 40)
    cytoplasmic, nuclear = (
        np.array([translocation_ratio(image, truth.stains) for image in truth.of(name).images]) for name in truth.names
    )
    assert (nuclear[:, np.newaxis] > cytoplasmic).mean() > 0.85


def test_the_ratio_is_that_of_the_brightnesses_whatever_the_background_and_the_order_of_stains():
    assert translocation_ratio(cell(), NFKB) == pytest.approx(2, rel=0.05)
    assert translocation_ratio(cell(background=0.3), NFKB) == pytest.approx(2, rel=0.05)
    assert translocation_ratio(cell(inside=0.1), NFKB) == pytest.approx(0.5, rel=0.15)
    assert translocation_ratio(cell()[..., ::-1], NFKB[::-1]) == translocation_ratio(cell(), NFKB)


def test_the_ring_leaves_out_what_is_no_cell():
    image = cell()
    image[:, 82:, 1] = 0  # the cell ends 3 pixels right of its nucleus
    assert translocation_ratio(image, NFKB) == pytest.approx(2, rel=0.06)


def test_the_area_is_the_mean_of_separate_spots_of_the_cell_in_the_middle():
    assert spot_area(spotted((85, 60, 4, 5)), GOLGI) == 20
    assert spot_area(spotted((85, 60, 4, 5), (60, 84, 2, 2)), GOLGI) == 12
    assert spot_area(spotted((85, 60, 4, 5), (5, 5, 9, 9)), GOLGI) == 20  # far from the nucleus
    assert spot_area(spotted((85, 60, 4, 5)) + 0.2, GOLGI) == 20


def test_what_cannot_be_measured_is_not_a_number():
    nothing = np.zeros((128, 128, 2), np.float32)
    flat = np.full((128, 128, 2), 0.5, np.float32)
    for image in (nothing, flat, cell(nucleus=(35, 0)), cell(inside=0, outside=0)):
        assert np.isnan(translocation_ratio(image, NFKB))
    for image in (nothing, flat, spotted(), cell(nucleus=(35, 0))):
        assert np.isnan(spot_area(image, GOLGI))
    undefined = Features(800, 3000, 0.3, False)
    assert all(np.isnan(assay.exact(undefined)) for assay in ASSAYS.values())
    assert np.isnan(ASSAYS["golgi"].exact(Features(800, 3000, 0.3, False, golgi_spots=0, golgi_spot_area=0.0)))
