import csv
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from relumen.errors import UserError
from relumen.evaluation.judging import Limits
from relumen.evaluation.limited import evaluate
from relumen.evaluation.limited_report import figures
from relumen.evaluation.limited_rows import INPUT, Training, training_of
from relumen.evaluation.limited_tables import as_markdown, for_terminal, images_csv, table_csv
from relumen.evaluation.razdaibiedina import (
    CARE,
    CYCLEGAN,
    DEBLURGAN,
    OURS,
    OURS_ALONE,
    PAPER,
    RAW,
    REAL,
    SEPARATE,
    SEPARATE_ALONE,
    published_row,
)
from relumen.metrics import psnr, rescaled, ssim
from relumen.restore import open_model, restore_plane
from relumen.run import RunFolder
from relumen.training.config import load_config

DEFECTS = ["low-resolution", "missing-planes", "noise"]
UNET = {"network": "unet", "width": 8, "depth": 2}
WASSERSTEIN = {"form": "wasserstein", "adversarial": 0.1, "penalty": 10.0}
TABLE = """\
| raw | 19.92 / 0.63 | 12.51 / 0.33 | 7.27 / 0.08 |
| CARE, 10 pairs | 21.6 / 0.56 | 12.8 / 0.29 | 14.1 / 0.20 |
| DeblurGAN, 10 pairs | 18.0 / 0.33 | 14.6 / 0.20 | 11.2 / 0.14 |
| ours, 10 pairs | 22.4 / 0.56 | 17.4 / 0.38 | 14.3 / 0.22 |
| CycleGAN, no pairs | 21.3 / 0.49 | 15.3 / 0.27 | 12.7 / 0.14 |
| ours, no pairs | 21.9 / 0.57 | 15.1 / 0.32 | 8.9 / 0.07 |
"""
"""As the poster prints them."""


def changed(run, folder, weaker=1.0, **changes):
    """A copy of a run that tells of another training, and whose network changes its input by so much of what it did."""
    copy = RunFolder(shutil.copytree(run, folder))
    copy.write_config({**copy.config(), **changes})
    if weaker != 1:
        network = copy.network()
        last = network.get_layer("conv_last")
        last.set_weights([weaker * part for part in last.get_weights()])
        network.save(copy.model_file)
    return copy.path


def made_by(folder, *runs):
    """What `relumen data synthesise` tells of a folder that it wrote."""
    folder.mkdir()
    told = {"runs": list(runs), "defects": {name: {"run": runs[i % len(runs)]} for i, name in enumerate(DEFECTS)}}
    (folder / "manifest.json").write_text(json.dumps(told))
    return {"folder": str(folder), "share": 0.5}


@pytest.fixture(scope="module")
def runs(tiny_cgan_run, tmp_path_factory):
    """CARE apart for each defect, all others for all; ours with two seeds."""
    place = tmp_path_factory.mktemp("runs")
    one, several = made_by(place / "one", "runs/a"), made_by(place / "several", "runs/a", "runs/b")
    adversarial = {"discriminator": {"widths": [4, 4, 4], "conditional": False}}
    losses = {**RunFolder(tiny_cgan_run).config()["losses"], **WASSERSTEIN}
    found = {
        f"care-{name}": changed(tiny_cgan_run, place / f"care-{name}", generator=UNET, defects=[name], pairs=10)
        for name in DEFECTS
    }
    for name, weaker, changes in (
        ("deblurgan", 0.9, {**adversarial, "losses": losses, "pairs": 10}),
        ("real-10", 0.8, {"pairs": 10}),
        ("real-50", 0.8, {"pairs": 50}),
        ("ours-0", 0.7, {"pairs": 10, "synthetic": one}),
        ("ours-1", 0.5, {"pairs": 10, "synthetic": one, "seed": 1}),
        ("ours-then-real", 0.6, {"pairs": 10, "synthetic": {**one, "until": 0.5}}),
        ("separate", 0.6, {"pairs": 10, "synthetic": several}),
        ("none", 0.4, {"pairs": 0, "synthetic": one}),
    ):
        found[name] = changed(tiny_cgan_run, place / name, weaker, **changes)
    return found


@pytest.fixture(scope="module")
def found(runs, defects_folder):
    return evaluate(list(runs.values()), defects_folder)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_rows_are_as_published():
    assert "".join(f"| {row.name} | {' | '.join(row.figures)} |\n" for row in PAPER.rows) == TABLE
    assert published_row(CARE, 50) is published_row(CARE, None) is published_row(REAL, 10) is None
    assert published_row(OURS_ALONE, 0) is PAPER.rows[-1]


@pytest.mark.parametrize(
    ("system", "overrides", "training"),
    [
        ("cgan", [], (REAL, None)),
        ("cgan", ["pairs=10", "losses.adversarial=0.1"], (REAL, 10)),
        ("cgan", ["pairs=10", "generator={network: unet}"], (CARE, 10)),
        (
            "cgan",
            ["losses={form: wasserstein, adversarial: 0.1, penalty: 10}", "discriminator.conditional=false"],
            (DEBLURGAN, None),
        ),
        ("cgan", ["losses={form: wasserstein, adversarial: 0.1, penalty: 10}"], (REAL, None)),
        ("cgan", ["pairs=10", "synthetic.folder=ONE"], (OURS, 10)),
        ("cgan", ["pairs=0", "synthetic.folder=ONE"], (OURS_ALONE, 0)),
        ("cgan", ["pairs=50", "synthetic.folder=SEVERAL"], (SEPARATE, 50)),
        ("cgan", ["pairs=0", "synthetic.folder=SEVERAL"], (SEPARATE_ALONE, 0)),
        ("cgan", ["pairs=10", "synthetic.folder=GONE"], ("real + made pairs", 10)),
        ("cgan", ["pairs=10", "synthetic={folder: ONE, until: 0.5}"], (OURS, 10, True)),
        ("cgan", ["pairs=10", "synthetic.folder=ONE", "generator={network: unet}"], (f"{CARE}, {OURS}", 10)),
        ("cyclegan", [], (CYCLEGAN, 0)),
    ],
)
def test_a_run_tells_its_method(tmp_path, system, overrides, training):
    made_by(tmp_path / "ONE", "runs/a")
    made_by(tmp_path / "SEVERAL", "runs/a", "runs/b")
    overrides = [re.sub(r"(ONE|SEVERAL|GONE)", rf"{tmp_path}/\1", each) for each in overrides]
    assert training_of(load_config(system, "compact", overrides, **{"data.folder": "images"})) == Training(*training)


def test_networks_of_one_training_are_one_row(found):
    assert [(row.method, row.pairs, row.networks, row.apart) for row in found.rows] == [
        (INPUT, "", (INPUT,), False),
        (CARE, "10", tuple(f"care-{name}" for name in DEFECTS), True),
        (DEBLURGAN, "10", ("deblurgan",), False),
        (REAL, "10", ("real-10",), False),
        (SEPARATE, "10", ("separate",), False),
        (OURS, "10", ("ours-0", "ours-1"), False),
        (f"{OURS}, then real alone", "10", ("ours-then-real",), False),
        (REAL, "50", ("real-50",), False),
        (OURS_ALONE, "none", ("none",), False),
    ]
    published = [row.published and row.published.name for row in found.rows]
    assert published == ["raw", "CARE, 10 pairs", "DeblurGAN, 10 pairs", None, None, "ours, 10 pairs", None, None,
                         "ours, no pairs"]  # fmt: skip


def test_a_network_is_judged_on_the_defects_that_it_was_trained_on(found):
    judged = {(score.method, score.condition) for score in found.evaluation.scores}
    assert {defect for method, defect in judged if method == INPUT} == set(DEFECTS)
    assert {defect for method, defect in judged if method == "ours-0"} == set(DEFECTS)
    assert [defect for method, defect in judged if method == "care-noise"] == ["noise"]


def test_seeds_are_pooled(found):
    ours = found.rows[5]
    means = [s.psnr for s in found.evaluation.scores if s.method in ours.networks and s.condition == "noise"]
    pooled = ours.pooled(found.evaluation, "noise")
    assert (pooled.seeds, pooled.mean.image) == (2, "1")
    assert pooled.mean.psnr == pytest.approx(np.mean(means))
    assert pooled.deviation["psnr"] == pytest.approx(abs(means[0] - means[1]) / np.sqrt(2))
    assert pooled.deviation["psnr"] > 0.01
    row = next(row for row in rows_of(table_csv(found)) if (row["method"], row["defect"]) == (OURS, "noise"))
    assert (row["networks"], row["seeds"], row["published denoising"]) == ("ours-0; ours-1", "2", "22.4 / 0.56")
    assert float(row["psnr_sd"]) == pytest.approx(pooled.deviation["psnr"])
    cell = f"{np.mean(means):.2f} +- {pooled.deviation['psnr']:.2f} / "
    assert cell in as_markdown(found)
    assert any("standard deviation" in note for note in found.evaluation.notes)


def test_figures_are_those_of_the_images(found, runs, defects_folder):
    low, high = (tifffile.imread(defects_folder / "noise" / "validation" / part / "c.tif") for part in ("low", "high"))
    low, high = low.astype(np.float32), high.astype(np.float32)
    with open_model(runs["real-10"]) as model:
        output = restore_plane(low[..., np.newaxis], model)[..., 0]
    scores = {s.method: s for s in found.evaluation.scores if s.condition == "noise"}
    for name, image in ((INPUT, low), ("real-10", output)):
        assert scores[name].psnr == pytest.approx(psnr(high, image), abs=1e-3)
        assert scores[name].ssim == pytest.approx(ssim(high, image), abs=1e-4)
        both = rescaled(high), rescaled(image)
        assert scores[name].psnr_rescaled == pytest.approx(psnr(*both, span=1.0), abs=1e-2)
        assert scores[name].ssim_rescaled == pytest.approx(ssim(*both, span=1.0), abs=1e-3)
    images = [row for row in rows_of(images_csv(found)) if row["defect"] == "noise"]
    assert {row["network"] for row in images} >= {INPUT, "care-noise", "ours-1"}
    assert {row["method"] for row in images if row["network"].startswith("care")} == {CARE}


def test_the_three_ways_and_what_is_published_stand_in_tables_of_their_own(found):
    text = as_markdown(found)
    order = ["- Data: ", "as they are", "after CSBDeep's affine fit", "as the authors rescaled", "## Published on CARE"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    assert text.count(f"| {CARE} | 10 | 1 for each defect |") == 3
    here, there = text.split("## Published on")
    assert "22.4 / 0.56" not in here and "| ours, 10 pairs | real + CIN-GAN, 10 | 22.4 / 0.56 |" in there
    assert there.count(", other images |") == 3
    *ours, published = for_terminal(found)
    assert len(ours) == 3 and [c.header for c in ours[0].columns] == ["method", "real pairs", "networks", *DEFECTS]
    assert list(published.columns[0].cells) == ["raw", *(row.name for row in PAPER.rows if row is not RAW
                                                          and "CycleGAN" not in row.name)]  # fmt: skip


def test_figures_are_drawn_where_there_are_networks_for_them(found, runs, defects_folder):
    drawn = dict(figures(found))
    assert list(drawn) == ["figure-3.png", "figure-4.png", "figure-5.png"]
    titles = [ax.get_title().split("\n")[0] for ax in drawn["figure-4.png"].axes]
    assert titles[:6] == ["input", CARE, DEBLURGAN, OURS, f"{OURS}, then real alone", "truth"] and len(titles) == 18
    assert all(ax.images for ax in drawn["figure-4.png"].axes)
    assert [ax.get_title() for ax in drawn["figure-5.png"].axes] == DEFECTS
    assert [tick.get_text() for tick in drawn["figure-5.png"].axes[0].get_xticklabels()] == ["10", "50"]
    for name, figure in (("real-10", "figure-3.png"), ("care-noise", "figure-4.png")):
        assert list(dict(figures(evaluate([runs[name]], defects_folder)))) == [figure]


def test_one_for_all_and_one_for_each_are_two_rows_with_names_of_their_own(runs, tmp_path, defects_folder):
    every = changed(runs["care-noise"], tmp_path / "care-all", defects=None)
    rows = evaluate([runs["care-noise"], every], defects_folder).rows
    assert [row.method for row in rows] == [INPUT, "CARE (care-noise)", "CARE (care-all)"]


def test_a_folder_of_one_defect(runs, tmp_path, tiny_cgan_run, defects_folder):
    """A run on one defect's own folder is judged on it among others, and every run of the whole on it alone."""
    noise = defects_folder / "noise"
    config = RunFolder(tiny_cgan_run).config()
    run = changed(tiny_cgan_run, tmp_path / "noise-run", data={**config["data"], "folder": str(noise)})
    several = evaluate([run], defects_folder)
    assert [s.condition for s in several.evaluation.scores if s.method == "noise-run"] == ["noise"]
    assert "Trained on this folder's other images: noise-run." in several.evaluation.notes
    alone = evaluate([run, runs["real-10"]], noise, limits=Limits(crop=48))
    assert {s.condition for s in alone.evaluation.scores} == {"noise"} and not any(row.apart for row in alone.rows)
    assert alone.evaluation.samples[0].target.shape == (48, 48)


def test_other_data_is_judged_as_a_whole_and_that_is_said(tiny_cgan_run, tmp_path, defects_folder):
    shutil.copytree(defects_folder / "noise", tmp_path / "mine")
    shutil.copytree(defects_folder / "noise" / "low", tmp_path / "more" / "alone")
    shutil.copytree(defects_folder / "noise", tmp_path / "more" / "mine")
    found = evaluate([tiny_cgan_run], tmp_path / "mine")
    assert [s.condition for s in found.evaluation.scores] == ["mine", "mine"]
    notes = "\n".join(found.evaluation.notes)
    assert "Trained on other data: tiny." in notes and "those of its training are not in the data: tiny." in notes
    found = evaluate([tiny_cgan_run], tmp_path / "more")
    assert "Not judged, since there are no clean partners: alone." in found.evaluation.notes
    with pytest.raises(UserError, match="has defective images alone"):
        evaluate([tiny_cgan_run], tmp_path / "more" / "alone")


def test_an_unfinished_training_has_no_published_row(runs, tmp_path, defects_folder):
    half = RunFolder(changed(runs["care-noise"], tmp_path / "half"))
    half.write_about(half.about().model_copy(update={"finished": False}))
    found = evaluate([half.path], defects_folder)
    assert found.rows[1].published is None
    assert "The training has not come to its end: half." in found.evaluation.notes


def test_what_magnifies_is_refused(small_package, defects_folder):
    with pytest.raises(UserError, match="give images of their input's size. Received: .* 2x"):
        evaluate([small_package], defects_folder)


def test_cares_own_sets_are_said_to_be(found):
    evaluation = replace(found.evaluation, papers_data=True)
    _, text = as_markdown(replace(found, evaluation=evaluation)).split("## Published on")
    assert ", other images" not in text and "| denoising, images not named |" in text
    assert PAPER.has("CARE's patches of data_label.npz (SCYX)") and not PAPER.has("pairs in low/ and high/")


def test_a_held_out_band_is_told(tiny_cgan_run, defects_folder):
    region = "data.region={side: bottom, share: 0.25}"
    found = evaluate([tiny_cgan_run], defects_folder, overrides=[region], limits=Limits(images=1))
    assert "1 of noise, of each the bottom 25 %." in found.evaluation.notes[0]
