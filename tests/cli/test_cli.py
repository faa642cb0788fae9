"""The command line as a user meets it: what it prints, what it leaves, and its exit codes."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import typer
import yaml

from relumen.cli import app, train
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image
from relumen.run import RunFolder
from relumen.training.config import presets


def commands(command, *names):
    """Yields the words of every command."""
    if not hasattr(command, "commands"):
        yield names
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, *names, name)


@pytest.mark.parametrize("command", commands(typer.main.get_command(app)), ids=" ".join)
def test_every_command_has_help_with_an_example(relumen, command):
    code, said = relumen(*command, "--help")
    assert code == 0
    assert f"Example: relumen {' '.join(command)}" in said


@pytest.mark.parametrize("system", typer.main.get_command(train.app).commands)
def test_the_help_of_a_training_names_every_preset(relumen, system):
    _, said = relumen("train", system, "--help")
    assert presets(system) and all(f"'{preset}'" in said for preset in presets(system))


def test_train_resume_restore_export(relumen, tmp_path, data_folder, tiny):
    run = tmp_path / "runs" / "cells"
    changes = [part for change in tiny for part in ("--set", change)]
    code, said = relumen("train", "esrgan", "--data", data_folder, "--degrade", "-o", run, *changes)
    assert (code, said.startswith("Device: ")) == (0, True)
    assert f"relumen export {run}" in said
    code, said = relumen("train", "esrgan", "--resume", run)
    assert code == 0 and "Going on from step 10 of 10" in said
    code, said = relumen("restore", data_folder / "a.tif", "-m", run, "-o", tmp_path / "out.tif")
    assert code == 0 and said.startswith("Device: ")
    assert read_image(tmp_path / "out.tif").pixels.shape == (320, 320)


def test_train_on_real_pairs(relumen, tmp_path, cells, tiny):
    data, run = tmp_path / "pairs", tmp_path / "run"
    for part in ("low", "high"):
        (data / part).mkdir(parents=True)
    for i in range(3):
        high = cells[300 : 300 + 96, 100 * i : 100 * i + 96]
        write_image(data / "high" / f"{i}.tif", Image(high, "YX", PixelSize(0.1, 0.1)))
        write_image(data / "low" / f"{i}.tif", Image(high[::2, ::2] + 40, "YX", PixelSize(0.2, 0.2)))
    changes = [part for change in tiny for part in ("--set", change)]
    assert relumen("train", "esrgan", "--data", data, "-o", run, *changes)[0] == 0
    about = RunFolder.open(run).about()
    assert [(f.image, f.condition) for f in about.figures] == [("2.tif", "as given")]
    assert (about.degradation, about.pixel_size_um) == (None, pytest.approx(0.2))


def test_a_run_and_its_package_restore_alike(relumen, tmp_path, tiny_run, small_package, cells):
    source = tmp_path / "in.tif"
    write_image(source, Image(cells[100:250, 100:300], "YX", PixelSize(0.2, 0.2)))
    zipped = shutil.make_archive(str(tmp_path / "package"), "zip", small_package)
    results = []
    for i, model in enumerate((tiny_run, small_package, zipped)):
        assert relumen("restore", source, "--model", model, "-o", tmp_path / f"{i}.tif")[0] == 0
        results.append(read_image(tmp_path / f"{i}.tif"))
    assert results[0].pixel_size == PixelSize(0.1, 0.1)
    for other in results[1:]:
        np.testing.assert_allclose(other.pixels, results[0].pixels, rtol=0, atol=1e-4 * results[0].pixels.std())


def test_many_files_and_one_that_is_damaged(relumen, tmp_path, small_package, cells):
    folder = tmp_path / "day1"
    folder.mkdir()
    for name in "abc":
        tifffile.imwrite(folder / f"{name}.tif", cells[:40, :40])
    (folder / "b.tif").write_bytes(b"II*\0 cut short")
    code, said = relumen("restore", str(folder / "*.tif"), "-m", small_package, "-o", tmp_path / "out")
    assert code == 2
    assert "1 of 3 images failed" in said and "b.tif" in said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a_restored.tif", "c_restored.tif"]


def test_other_pixel_sizes_are_warned_of(relumen, tmp_path, small_package, cells):
    write_image(tmp_path / "in.tif", Image(cells[:40, :40], "YX", PixelSize(0.65, 0.65)))
    code, said = relumen("restore", tmp_path / "in.tif", "-m", small_package, "-o", tmp_path / "out.tif")
    assert code == 0
    assert "in.tif: Y 40 x X 40, uint8, pixels of 0.65 x 0.65 um" in said
    assert "pixels measure 0.65 um" in said and "was trained on 0.2 um" in said


def test_verify_prints_a_table_and_leaves_a_report_and_nothing_else(relumen, tmp_path, monkeypatch, small_package):
    monkeypatch.chdir(tmp_path)
    code, said = relumen("verify", small_package, "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert code == 0, said
    assert report["ok"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def broken_rdf(package, change):
    rdf = yaml.safe_load((package / "rdf.yaml").read_text())
    change(rdf)
    (package / "rdf.yaml").write_text(yaml.safe_dump(rdf))


WRONG = {
    "no model": (["restore", "IMAGE", "-m", "nowhere", "-o", "out.tif"], "There is no model at nowhere"),
    "no image": (["restore", "gone.tif", "-m", "PACKAGE", "-o", "out.tif"], "There is no image at gone.tif"),
    "an empty folder": (["restore", "EMPTY", "-m", "PACKAGE", "-o", "out"], "no image"),
    "a corrupt TIFF": (["restore", "CORRUPT", "-m", "PACKAGE", "-o", "out.tif"], "can't be read"),
    "a broken rdf": (["restore", "IMAGE", "-m", "BROKEN", "-o", "out.tif"], "inputs"),
    "an unknown axis order": (["restore", "IMAGE", "-m", "PACKAGE", "-o", "o.tif", "--axes", "QQ"], "QQ"),
    "a run that is none": (["export", "EMPTY"], "no run folder"),
    "nothing to train on": (["train", "esrgan"], "--data FOLDER"),
    "an empty data folder": (["train", "esrgan", "--data", "EMPTY", "--degrade"], "no image"),
    "a preset that is none": (["train", "esrgan", "--data", "EMPTY", "--preset", "big"], "compact, w2s"),
    "a run in no folder": (["train", "esrgan", "--data", "IMAGES", "--degrade", "-o", "IMAGE/run"], "can't be written"),
    "a package in no folder": (["export", "RUN", "-o", "IMAGE/package"], "can't be written"),
    "a result in no folder": (["restore", "IMAGE", "-m", "PACKAGE", "-o", "IMAGE/out"], "can't be made"),
    "a package that is none": (["verify", "EMPTY"], "rdf.yaml"),
    "a report in no folder": (["verify", "PACKAGE", "--json", "gone/report.json"], "Make it first"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_ends_with_a_plain_message_and_code_2(
    relumen, tmp_path, monkeypatch, tiny_run, small_package, cells, data_folder, name
):
    monkeypatch.chdir(tmp_path)
    arguments, words = WRONG[name]
    (tmp_path / "EMPTY").mkdir()
    tifffile.imwrite(tmp_path / "IMAGE.tif", cells[:40, :40])
    tifffile.imwrite(tmp_path / "CORRUPT.tif", cells)
    (tmp_path / "CORRUPT.tif").write_bytes((tmp_path / "CORRUPT.tif").read_bytes()[:5000])
    shutil.copytree(small_package, tmp_path / "BROKEN")
    broken_rdf(tmp_path / "BROKEN", lambda rdf: rdf.update(inputs="none"))
    named = {"IMAGE": "IMAGE.tif", "CORRUPT": "CORRUPT.tif", "PACKAGE": small_package, "RUN": tiny_run}
    named |= {"IMAGES": data_folder, **{f"IMAGE/{name}": f"IMAGE.tif/{name}" for name in ("run", "package", "out")}}
    before = sorted(path.name for path in tmp_path.rglob("*"))
    code, said = relumen(*(named.get(argument, argument) for argument in arguments))
    assert code == 2, said
    assert words in said
    assert "Traceback" not in said
    made = sorted(set(path.name for path in tmp_path.rglob("*")) - set(before) - {"out"})
    assert not made


def test_a_wrong_channel_count(relumen, tmp_path, small_package, tiny_run, cells):
    """Three channels are three images to a network of one; the other way round there is nothing to do."""
    write_image(tmp_path / "rgb.tif", Image(np.stack([cells[:40, :40]] * 3), "CYX"))
    assert relumen("restore", tmp_path / "rgb.tif", "-m", small_package, "-o", tmp_path / "out.tif")[0] == 0
    assert read_image(tmp_path / "out.tif").axes == "CYX"


def test_export_tells_the_blend_and_what_its_makers_found(relumen, tiny_run, tmp_path):
    options = ["--alpha", "0.3", "--limitation", "Actin bundles were not seen.", "--license", "CC0-1.0"]
    assert relumen("export", tiny_run, "-o", tmp_path / "package", *options)[0] == 0
    card = (tmp_path / "package" / "README.md").read_text()
    assert "Licence: CC0-1.0." in card
    assert "0.3 of the last network's and 0.7 of the pixel-only one's" in card
    assert "- Actin bundles were not seen." in card.partition("not good for")[2].partition("## In Fiji")[0]


@pytest.mark.parametrize(
    "command",
    [
        "verify nowhere",
        "export --keras no.keras --sample a.tif --name x --summary y --normalise input --answer image --cite a=https://b.c",
    ],
)
def test_tensorflows_notices_are_kept_back(command, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("TF_CPP_MIN_LOG_LEVEL")  # as a user has it
    program = [sys.executable, "-c", "from relumen.cli import main; main()", *command.split()]
    answer = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert answer.returncode == 2 and "Device: " in answer.stdout
    assert answer.stderr.startswith("Error: There is no"), answer.stderr
