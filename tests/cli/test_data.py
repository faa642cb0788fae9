"""relumen data, as a user meets it."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile


def test_copy_then_train_as_it_says(relumen, tmp_path):
    folder = tmp_path / "cells"
    code, said = relumen("data", "copy", folder, "--hold-out", "kc167/POS218", "--hold-out", "ht29")
    assert code == 0
    assert "13 images to train on, 6 held out" in said and f"relumen train esrgan --data {folder} --degrade" in said
    assert json.loads((folder / "manifest.json").read_text())["held out"] == ["ht29/D03", "kc167/POS218"]
    code, said = relumen("data", "copy", folder, "--hold-out", "nowhere")
    assert code == 2 and "No field named nowhere. There are: ht29/D03" in said


@pytest.mark.parametrize("command", ["list", "check", "describe", "copy"])
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
