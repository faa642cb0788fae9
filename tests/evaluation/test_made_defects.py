import shutil

import numpy as np
import pytest

from relumen.divergence import divergence_curves
from relumen.errors import UserError
from relumen.evaluation.limited import evaluate
from relumen.evaluation.limited_report import figures
from relumen.evaluation.limited_tables import as_markdown
from relumen.evaluation.made_defects import look_at_made, spread
from relumen.evaluation.synthesis import makers
from relumen.evaluation.telling import SHRINKAGE, Teller, by_inverse_covariance
from relumen.metrics import psnr
from relumen.models.layers import ConditionalAffine
from relumen.run import RunFolder
from relumen.training.defects import load_defects
from relumen.training.settings import DataConfig
from relumen.training.stand_ins import STRONG

SIDE = 32


@pytest.fixture(scope="module")
def defects(defects_folder):
    return load_defects(DataConfig(folder=defects_folder))


@pytest.fixture(scope="module")
def distinct_run(tiny_cin_gan_run, tmp_path_factory):
    """A copy of the run whose defects differ, as after a long training."""
    run = RunFolder(shutil.copytree(tiny_cin_gan_run, tmp_path_factory.mktemp("cin-gan") / "distinct"))
    network = run.network()
    for layer in network.layers:
        if isinstance(layer, ConditionalAffine):
            gamma, beta = (np.array(part) for part in layer.get_weights())
            layer.set_weights([gamma * np.array([[1], [2], [3]]), beta + np.array([[0], [1], [-1]])])
    network.save(run.model_file)
    return run.path


def patches(cells, defect, corner):
    """Squares of a field with a stand-in."""
    rng = np.random.default_rng(0)
    field = cells[corner : corner + 384, 200:712] / np.float32(np.percentile(cells, 99.9))
    image = STRONG.make(defect, field, rng)
    return [image[y : y + 64, x : x + 64] for y in range(0, 384, 64) for x in range(0, 512, 64)]


def test_real_defects_are_told_apart_on_images_not_seen(cells):
    teller = Teller({name: patches(cells, name, 200) for name in STRONG.describe()})
    for name in STRONG.describe():
        told = teller.tell(patches(cells, name, 600))
        assert told.count(name) / len(told) > 0.85, name
    assert teller.tell([]) == []


def test_what_can_not_be_told_apart_is_refused(cells):
    some = patches(cells, "noise", 200)
    for examples in ({"noise": some}, {"noise": some, "none": []}):
        with pytest.raises(ValueError, match="Two defects at least are told apart"):
            Teller(examples)


def test_the_inverse_of_few_directions_is_the_inverse():
    rows, columns = np.random.default_rng(0).normal(size=(7, 20)), np.eye(20)[:, :3]
    covariance = (1 - SHRINKAGE) * rows.T @ rows / 7 + SHRINKAGE * np.eye(20)
    np.testing.assert_allclose(by_inverse_covariance(rows, columns), np.linalg.solve(covariance, columns), atol=1e-9)


def test_gain_and_offset_tell_nothing(cells):
    teller = Teller({name: patches(cells, name, 200) for name in ("noise", "low-resolution")})
    shown = patches(cells, "noise", 600)[:6] + patches(cells, "low-resolution", 600)[:6]
    assert teller.tell(shown) == teller.tell([700 * image + 90 for image in shown])


def test_one_input_with_three_defects_gives_three_outputs(distinct_run, defects):
    """The mean absolute difference, in standard deviations of the input, worked out by hand for one image."""
    alone = [defect for defect in defects if defect.name == "noise"]
    found = look_at_made(distinct_run, "distinct", alone, SIDE)
    assert list(found.differences) == [
        ("low-resolution", "missing-planes"),
        ("low-resolution", "noise"),
        ("missing-planes", "noise"),
    ]
    made = makers([distinct_run])
    clean = alone[0].validation[0].high
    piece = next(part for part in made["noise"].pieces(clean) if part.std() >= 0.3 * clean.std())
    outputs = {name: maker.made([piece], clean)[0] for name, maker in made.items()}
    expected = {(a, b): np.abs(outputs[a] - outputs[b]).mean() / piece.std() for a, b in found.differences}
    assert found.compared == 1 and min(expected.values()) > 0.01
    assert found.differences == pytest.approx(expected, rel=1e-3)
    assert not found.real and not found.made  # one defect can't be told from others


def test_made_and_real_defects_are_told_and_measured(distinct_run, defects):
    found = look_at_made(distinct_run, "distinct", defects, SIDE)
    assert list(found.real) == list(found.made) == list(found.divergence) == [defect.name for defect in defects]
    assert all(0 <= share.right <= share.total == 4 for share in (*found.real.values(), *found.made.values()))
    assert found.real["noise"].right == 4
    for (name, clean, made, real), defect in zip(found.examples, defects, strict=True):
        assert name == defect.name and clean.shape == made.shape == real.shape == (SIDE, SIDE)
        whole = defect.validation[0]
        places = [(y, x) for y in range(65) for x in range(65)]
        (place,) = [p for p in places if np.array_equal(whole.high[p[0] : p[0] + SIDE, p[1] : p[1] + SIDE], clean)]
        np.testing.assert_array_equal(whole.low[place[0] : place[0] + SIDE, place[1] : place[1] + SIDE], real)
        assert psnr(clean, made) < 60
    assert found.finished and found.compared == 3


def test_curves_are_those_of_the_training(distinct_run):
    curves, real = divergence_curves(RunFolder(distinct_run))
    assert {name: [step for step, _ in points] for name, points in curves.items()} == {
        name: [2, 4] for name in ("low-resolution", "missing-planes", "noise")
    }
    measures = RunFolder(distinct_run).about().measures
    assert (
        real == {name.removeprefix("divergence, real "): value for name, value in measures.items()} and len(real) == 3
    )


def test_a_run_of_cin_gan_has_its_tables_and_figures(distinct_run, tiny_cgan_run, defects_folder, tmp_path):
    found = evaluate([tiny_cgan_run, distinct_run], defects_folder)
    assert [method.name for method in found.evaluation.methods] == ["input, untouched", "tiny"]
    text = as_markdown(found)
    assert "| real, held out, 32 x 32 |" in text and "| made by distinct |" in text
    assert "| distinct | missing-planes - noise | " in text and "linear discriminant analysis" in text
    drawn = dict(figures(found))
    assert list(drawn) == ["figure-3.png", "figure-6.png", "figure-7.png"]
    assert all(ax.images for ax in drawn["figure-6.png"].axes) and len(drawn["figure-7.png"].axes[0].lines) == 6
    other = shutil.copytree(distinct_run, tmp_path / "distinct")
    names = [made.run for made in evaluate([distinct_run, other], defects_folder / "noise").made]
    assert names == [str(distinct_run), str(other)]


def test_a_run_of_other_defects_has_nothing_to_be_compared_with(distinct_run, defects_folder, tmp_path):
    shutil.copytree(defects_folder / "noise", tmp_path / "mine")
    with pytest.raises(UserError, match="makes low-resolution, missing-planes, noise, and the data has mine"):
        evaluate([distinct_run], tmp_path / "mine")


def test_spread_takes_no_more_than_asked():
    assert [len(spread(range(n), 4)) for n in (0, 3, 4, 5, 99)] == [0, 3, 4, 3, 4]
