"""relumen data, as a user meets it."""

import json
from io import StringIO

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from rich.console import Console

from relumen.cli import data as commands
from relumen.cli import progress
from relumen.run import RunFolder


def test_copy_then_train_as_it_says(relumen, tmp_path):
    folder = tmp_path / "cells"
    code, said = relumen("data", "copy", folder, "--hold-out", "kc167/POS218", "--hold-out", "ht29")
    assert code == 0
    assert "13 images to train on, 6 held out" in said and f"relumen train esrgan --data {folder} --degrade" in said
    assert json.loads((folder / "manifest.json").read_text())["held out"] == ["ht29/D03", "kc167/POS218"]
    code, said = relumen("data", "copy", folder, "--hold-out", "nowhere")
    assert code == 2 and "No field named nowhere. There are: ht29/D03" in said


@pytest.mark.parametrize("command", ["list", "check", "describe", "copy", "filters", "cells"])
def test_every_command_has_help_with_an_example(relumen, command):
    code, said = relumen("data", command, "--help")
    assert code == 0 and f"Example: relumen data {command}" in said


def test_list_what_is_shipped(relumen):
    code, said = relumen("data", "list")
    assert code == 0
    for words in ("kc167/POS218", "translocation/A-12", "CC0-1.0", "human HT29 cells", "relumen data copy"):
        assert words in said


@pytest.fixture
def pairs(tmp_path, cells):
    folder = tmp_path / "pairs"
    for part, step in (("wf", 2), ("sim", 1)):
        (folder / part).mkdir(parents=True)
        for i in range(3):
            tifffile.imwrite(folder / part / f"{i}.tif", cells[300:364:step, 100 * i : 100 * i + 64 : step])
    return folder


def test_list_check_and_describe_a_folder(relumen, tmp_path, pairs):
    names = ("--set", "data.source=wf", "--set", "data.target=sim")
    code, said = relumen("data", "list", pairs, *names)
    assert code == 0 and "pairs in wf/ and sim/, 2 to train on, 1 held out" in said
    assert "wf/2.tif │ sim/2.tif" in said
    assert relumen("data", "check", pairs, *names) == (0, f"{pairs}: no faults.")
    sheet = tmp_path / "sheet.png"
    code, said = relumen("data", "describe", pairs, *names, "-o", sheet)
    assert code == 0 and "YX 64 x 64, uint8" in said and f"Written: {sheet}" in said
    assert iio.imread(sheet).shape[1] > 1000
    code, said = relumen("data", "describe", pairs, *names, "-o", tmp_path / "sheet.txt")
    assert code == 2 and "one of .png" in said


def test_phase_contrast_with_a_band_held_out(relumen, tmp_path, phase):
    for i in range(3):
        tifffile.imwrite(tmp_path / f"{i}.tif", phase[:320, 320 * i : 320 * i + 320])
    how = ("--set", "data.degradation={reduction: area, blur: 0, photons: null}", "--set", "data.patch=16")
    how += ("--set", "data.keep_empty=1")
    how += ("--set", "data.region={side: bottom, share: 0.5, gap: 4}")
    code, said = relumen("data", "list", tmp_path, *how)
    assert code == 0 and "not trained on: the bottom 50 % (and 4 rows or columns beside it)" in said
    assert relumen("data", "check", tmp_path, "--scale", "8", *how) == (0, f"{tmp_path}: no faults.")
    code, said = relumen("data", "describe", tmp_path, "--scale", "8", *how)
    assert code == 0 and "8 of 16 x 16 input pixels" in said  # two images of 16 x 40, four patches each
    code, said = relumen("data", "check", tmp_path, "--scale", "8", *how, "--set", "data.degradation.factor=4")
    assert code == 2 and "scale is 8 and data.degradation.factor is 4" in said
    code, said = relumen("data", "check", tmp_path, "--set", "steps=4")
    assert code == 2 and "is changed by such as data.source=wf. Received: 'steps=4'" in said


def test_faults_end_with_exit_code_1_and_all_of_them(relumen, pairs):
    (pairs / "wf" / "0.tif").write_bytes(b"damaged")
    (pairs / "wf" / "1.tif").unlink()
    code, said = relumen("data", "check", pairs, "--set", "data.source=wf", "--set", "data.target=sim")
    assert code == 1
    assert "0.tif can't be read" in said and "Without a partner: 1.tif" in said and "has 2 faults." in said
    code, said = relumen("data", "check", pairs)
    assert code == 1 and "--set data.source=sim --set data.target=wf" in said
    assert relumen("data", "check", pairs / "nowhere")[0] == 2


def test_long_lists_are_cut_short(relumen, tmp_path):
    low = np.random.default_rng(0).random((50, 1, 8, 8))
    np.savez(tmp_path / "many.npz", X=low, Y=np.kron(low, np.ones((2, 2))), axes="SCYX")
    code, said = relumen("data", "list", tmp_path / "many.npz")
    assert code == 0 and "X[39]" in said and "X[40]" not in said and "And 10 more; see them with --all." in said
    assert "X[49]" in relumen("data", "list", tmp_path / "many.npz", "--all")[1]


def test_train_on_w2s_and_on_a_npz_of_csbdeep(relumen, tmp_path, cells, tiny):
    """From a folder of the published layout, and a file, to figures that tell the channel and the condition."""
    names = ["001_0", "001_1", "081_0", "081_1"]
    for i, name in enumerate(names):
        part = tmp_path / "w2s" / "data" / ("train" if name < "081" else "test")
        high = cells[300 : 300 + 96, 100 * i : 100 * i + 96]
        for folder, pixels in (("avg1", high[::2, ::2]), ("avg4", high[::2, ::2]), ("sim", high)):
            (part / folder).mkdir(parents=True, exist_ok=True)
            iio.imwrite(part / folder / f"{name}.png", pixels)
    high = cells[300:396, :960].reshape(96, 10, 96).swapaxes(0, 1)[..., np.newaxis]
    np.savez(tmp_path / "my.npz", X=high[:, ::2, ::2], Y=high, axes="SYXC")
    short = [part for change in [*tiny, "phase_1.steps=1", "phase_2=null"] for part in ("--set", change)]
    told = {}
    for data, more in (("w2s", ("--set", "data.averages=[1, 4]")), ("my.npz", ())):
        run = tmp_path / "runs" / data
        code, said = relumen("train", "esrgan", "--data", tmp_path / data, "-o", run, *short, *more)
        assert code == 0, said
        about = RunFolder.open(run).about()
        assert about.data.partition(":")[0] in said
        told[data] = about.data.partition(":")[0], [(figures.image, figures.condition) for figures in about.figures]
    assert told["w2s"][0] == "W2S (avg1, avg4 to sim)"
    assert told["w2s"][1] == [(f"081_{c}.png", average) for c in range(2) for average in ("avg1", "avg4")]
    assert told["my.npz"] == ("patches of my.npz (SYXC, CSBDeep)", [("my.npz 09", "as given")])


def test_cells_are_drawn_with_masks_and_features(relumen, tmp_path):
    code, said = relumen("data", "cells", "nfkb", "-n", 3, "--phenotype", "tnf-alpha", "-o", tmp_path / "drawn")
    assert code == 0 and "not taken by a microscope" in said
    names = [f"0000{i}-tnf-alpha.tif" for i in range(3)]
    for part in ("images", "nuclei", "cells"):
        assert sorted(path.name for path in (tmp_path / "drawn" / part).iterdir()) == names
    image, nuclei = (tifffile.imread(tmp_path / "drawn" / part / names[0]) for part in ("images", "nuclei"))
    assert image.shape == (2, 128, 128) and nuclei[64, 64] == 1
    assert image[0][nuclei == 1].mean() > 3 * image[0][nuclei == 0].mean()
    lines = (tmp_path / "drawn" / "features.csv").read_text().splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert int(row["nuclear_area"]) == (nuclei == 1).sum()
    assert float(row["translocation"]) > 1 and row["golgi_spots"] == ""
    code, said = relumen("data", "cells", "nfkb", "-o", tmp_path / "drawn")
    assert code == 2 and "holds something already" in said


@pytest.fixture
def undrawable(monkeypatch):
    """Nothing may be drawn."""

    def draw(*arguments):
        raise AssertionError("drawn")

    monkeypatch.setattr("relumen.training.cells_writing.draw_one", draw)


def test_what_cells_can_not_be_written_to_is_told_before_any_is_drawn(relumen, tmp_path, undrawable):
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    for name, words in (
        ("cells.tif", "into a folder, named without a suffix"),
        ("notes", "can't be made a folder"),
        ("notes/drawn", "can't be made a folder"),
        ("full", "holds something already"),
        ("nowhere/cells.png", "There is no folder"),
    ):
        code, said = relumen("data", "cells", "-o", tmp_path / name)
        assert code == 2 and words in said, (name, said)
    code, said = relumen("data", "cells", "-n", 10000, "-o", tmp_path / "many.png")
    assert code == 2 and "1000 cells at most. Name a folder with -o. Received: 10000" in said
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "notes", "notes"]
    assert (tmp_path / "notes").read_text() == (tmp_path / "full" / "notes").read_text() == "mine"


def test_cells_are_counted_while_they_are_drawn(relumen, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "console", Console(file=StringIO(), force_terminal=True))  # a bar counts if it shows
    bar = progress.progress_bar("cell")
    monkeypatch.setattr(commands, "progress_bar", lambda unit: bar)
    (tmp_path / "scale-0.7").mkdir()
    assert relumen("data", "cells", "-n", 2, "--scale", 0.7, "-o", tmp_path / "scale-0.7")[0] == 0
    assert [(task.completed, task.total) for task in bar.tasks] == [(2, 2)]
    assert len(list((tmp_path / "scale-0.7" / "images").iterdir())) == 2


def test_a_picture_of_drawn_cells_has_a_row_for_each_phenotype(relumen, tmp_path):
    assert relumen("data", "cells", "golgi", "-n", 5, "-o", tmp_path / "golgi.png")[0] == 0
    assert iio.imread(tmp_path / "golgi.png").shape == (4 * 128, 2 * 128, 3)
    code, said = relumen("data", "cells", "golgi", "--phenotype", "taxol", "-o", tmp_path / "other.png")
    assert code == 2 and "cytochalasin" in said
