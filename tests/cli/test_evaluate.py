"""relumen evaluate, as a user meets it."""

import csv
import shutil

import numpy as np
import pytest
import tifffile


@pytest.fixture
def pairs(tmp_path, cells):
    for part in ("low", "high"):
        (tmp_path / "pairs" / "validation" / part).mkdir(parents=True)
        (tmp_path / "pairs" / part).mkdir()
        tifffile.imwrite(tmp_path / "pairs" / part / "a.tif", cells[:64, :64] if part == "high" else cells[:32, :32])
    high = cells[300:364, 300:364]
    tifffile.imwrite(tmp_path / "pairs" / "validation" / "high" / "b.tif", high)
    tifffile.imwrite(tmp_path / "pairs" / "validation" / "low" / "b.tif", high[::2, ::2])
    return tmp_path / "pairs"


def test_evaluate_leaves_tables_and_figures(relumen, tiny_run, tmp_path):
    out = tmp_path / "evaluation"
    data = tiny_run.parent / "images"
    code, said = relumen("evaluate", "esrgan", tiny_run, "--data", data, "--degrade", "-o", out, "--crop", "48")
    assert (code, said.startswith("Device: ")) == (0, True)
    assert "are not comparable" in said and "Input: 20 photons" in said
    assert sorted(path.name for path in out.iterdir()) == [
        "figure-110-photons.png",
        "figure-20-photons.png",
        "figure-600-photons.png",
        "images.csv",
        "table.csv",
        "table.md",
    ]
    with (out / "images.csv").open() as file:
        psnr = [float(row["psnr"]) for row in csv.DictReader(file) if row["method"] == "tiny"]
    with (out / "table.csv").open() as file:
        means = [float(row["psnr"]) for row in csv.DictReader(file) if row["method"] == "tiny"]
    np.testing.assert_allclose(means, psnr)
    assert all(f"{mean:.2f} / " in (out / "table.md").read_text() for mean in means)


def test_an_evaluation_is_not_overwritten_unasked(relumen, tiny_run, tmp_path, pairs):
    out = tmp_path / "evaluation"
    out.mkdir()
    (out / "table.md").write_text("mine")
    (out / "figure-old.png").write_text("old")
    (out / "notes.txt").write_text("kept")
    command = ["evaluate", "esrgan", tiny_run, "--data", pairs, "-o", out]
    code, said = relumen(*command)
    assert code == 2 and "holds an evaluation already. Replace it with --overwrite" in said
    assert (out / "table.md").read_text() == "mine"
    assert relumen(*command, "--overwrite")[0] == 0
    assert (out / "table.md").read_text().startswith("# ESRGAN on held-out images")
    assert sorted(path.name for path in out.glob("*[gt]")) == ["figure-as-given.png", "notes.txt"]


def test_what_can_not_be_evaluated_is_said(relumen, tiny_run, tmp_path, pairs, data_folder):
    def said(model, data, *more):
        code, told = relumen("evaluate", "esrgan", model, "--data", data, "-o", tmp_path / "out", *more)
        return code, told[told.index("Error: ") :]

    assert said(tmp_path / "none", pairs)[1].startswith(f"Error: There is no model at {tmp_path / 'none'}.")
    assert said(data_folder, pairs)[0] == 2
    code, told = said(tiny_run, data_folder)
    assert code == 2 and "by --degrade" in told
    shutil.rmtree(data_folder / "validation")
    (data_folder / "b.tif").unlink()
    code, told = said(tiny_run, data_folder, "--degrade")
    assert code == 2 and "has one image; a second is needed to hold out" in told
    code, told = said(tiny_run, pairs, "--degrade")
    assert code == 2 and "pairs" in told
    high = tifffile.imread(pairs / "validation" / "high" / "b.tif")
    tifffile.imwrite(pairs / "validation" / "low" / "b.tif", high[::4, ::4])
    code, told = said(tiny_run, pairs)
    assert code == 2 and "must be 2 times as large" in told
    assert "There is no" in said(tiny_run.parent / "model-pixel.keras", pairs)[1]


def test_a_run_of_another_system_is_refused(relumen, tiny_run, tiny_cascade_run, tmp_path, pairs):
    code, said = relumen("evaluate", "esrgan", tiny_cascade_run, "--data", pairs, "-o", tmp_path / "out")
    assert code == 2 and "is a run of cascade. `relumen evaluate esrgan` takes runs of esrgan." in said
    code, said = relumen("evaluate", "cascade", tiny_run, "--data", pairs, "-o", tmp_path / "out")
    assert code == 2 and "is a run of esrgan. `relumen evaluate cascade` takes runs of cascade." in said


def test_evaluate_cascade_leaves_the_papers_table_and_figure(relumen, tiny_cascade_run, tmp_path):
    out = tmp_path / "evaluation"
    data = tiny_cascade_run.parent / "images"
    code, said = relumen("evaluate", "cascade", tiny_cascade_run, "--data", data, "-o", out)
    assert code == 0, said
    assert "8x binning, no added noise" in said and "is not comparable" in said
    assert sorted(path.name for path in out.iterdir()) == ["figure-4.png", "images.csv", "table.csv", "table.md"]
    table = (out / "table.md").read_text()
    assert "27.8591 (ours)" in table and "| single image input |  | 26.2914 |" in table
    with (out / "table.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert rows["tiny"]["published PSNR"] == "27.8591"
    assert f"| tiny | raw | {float(rows['tiny']['psnr']):.2f} / " in table
    code, said = relumen("evaluate", "cascade", tiny_cascade_run, "--data", data, "-o", out)
    assert code == 2 and "holds an evaluation already" in said


def test_evaluate_limited_leaves_the_papers_table(relumen, tiny_cgan_run, defects_folder, tmp_path):
    out = tmp_path / "evaluation"
    command = ["evaluate", "limited", tiny_cgan_run, "--data", defects_folder, "-o", out]
    code, said = relumen(*command)
    assert code == 0, said
    assert "Held out: 1 of low-resolution, 1 of missing-planes, 1 of noise." in said and "are not comparable" in said
    assert sorted(path.name for path in out.iterdir()) == ["figure-3.png", "images.csv", "table.csv", "table.md"]
    with (out / "table.csv").open() as file:
        rows = {(row["method"], row["defect"]): row for row in csv.DictReader(file)}
    mine = rows["real pairs only", "noise"]
    assert (
        f"| real pairs only | all | 1 | {float(rows['real pairs only', 'low-resolution']['psnr']):.2f} / "
        in (out / "table.md").read_text()
    )
    assert (mine["networks"], mine["published"], mine["psnr_sd"]) == ("tiny", "", "")
    assert relumen(*command)[0] == 2
    assert relumen(*command, "--overwrite", "--max-images", "1", "--crop", "32")[0] == 0


def test_a_run_that_restores_no_defects_is_refused(relumen, tiny_run, defects_folder, tmp_path):
    code, said = relumen("evaluate", "limited", tiny_run, "--data", defects_folder, "-o", tmp_path / "out")
    assert (
        code == 2 and "is a run of esrgan. `relumen evaluate limited` takes runs of cgan, cyclegan or cin-gan." in said
    )
