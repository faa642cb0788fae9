"""The guides' tables of commands: each is one training whose setting is that of the published row it stands beside."""

import re
import shlex
from pathlib import Path

import pytest

from relumen.evaluation import chatton, han_yin, razdaibiedina
from relumen.evaluation.limited import Limited
from relumen.training.config import CascadeConfig, ESRGANConfig, load_config

DOCS = Path(__file__).parents[2] / "docs"
PAPERS = {"esrgan": chatton.PAPER, "cascade": han_yin.PAPER}


def commands(system):
    """The command of each row, and the figure beside it, by the row's name."""
    guide = (DOCS / f"{system}.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| ([^|]+) \| (?:([0-9.]+) \| )?`(relumen train {system} [^`]+)` \|$", guide, re.MULTILINE)
    return {name: (command, figure) for name, figure, command in rows}


def config_of(system, row):
    words = shlex.split(commands(system)[row][0])
    options = list(zip(words[3::2], words[4::2], strict=True))
    overrides = [value for name, value in options if name == "--set"]
    others = {name: value for name, value in options if name != "--set"}
    return load_config(system, others["--preset"], overrides, **{"data.folder": others["--data"]})


@pytest.mark.parametrize("system", PAPERS)
def test_every_trained_row_has_its_command(system):
    assert set(commands(system)) == {row.name for row in PAPERS[system].rows[1:]}  # the first is bicubic


@pytest.mark.parametrize("row", commands("esrgan"))
def test_a_command_of_esrgan_trains_its_row(row):
    config = config_of("esrgan", row)
    assert isinstance(config, ESRGANConfig)
    last = config.phase_2 or config.phase_1
    found = chatton.published_row(last.losses)
    assert found is not None
    assert found.name == row
    assert config.phase_1.losses.distance == last.losses.distance


@pytest.mark.parametrize("row", commands("cascade"))
def test_a_command_of_the_cascade_trains_its_row(row):
    config = config_of("cascade", row)
    assert isinstance(config, CascadeConfig)
    found = han_yin.published_row(config)
    assert found is not None
    assert (found.name, found.figures) == (row, (commands("cascade")[row][1],))


def limited_commands():
    """The last command of each row of the guide to limited data, by the row's name."""
    guide = (DOCS / "limited.md").read_text(encoding="utf-8")
    table = guide.partition("## The published table")[2]
    rows = re.findall(r"^\| (\w[^|]+) \| (.+) \|$", table, re.MULTILINE)
    return {name: re.findall(r"`(relumen train [^`]+)`", words)[-1] for name, words in rows if "relumen train" in words}


def test_every_row_of_limited_data_has_its_command():
    assert set(limited_commands()) == {row.name for row in razdaibiedina.PAPER.rows[1:]}  # the first is no training


@pytest.mark.parametrize("row", limited_commands())
def test_a_command_of_limited_data_trains_its_row(row, tmp_path):
    _, _, system, *words = shlex.split(limited_commands()[row])
    options = dict(zip(words[::2], words[1::2], strict=True))
    fields = {"data.folder": options["--data"]}
    if "--pairs" in options:
        fields["pairs"] = int(options["--pairs"])
    if "--defect" in options:
        fields["defects"] = [options["--defect"]]
    if "--images" in options:
        fields["images"] = int(options["--images"])
    if "--synthetic" in options:
        made = tmp_path / "made"
        made.mkdir()
        (made / "manifest.json").write_text('{"defects": {"noise": {"run": "runs/defects"}}}')
        usual = 1 if fields["pairs"] == 0 else 0.5
        fields["synthetic"] = {"folder": str(made), "share": usual, "until": float(options.get("--until", usual))}
    overrides = [options["--set"]] if "--set" in options else []
    config = load_config(system, options["--preset"], overrides, **fields)
    found = Limited().published(config, None)
    assert found is not None
    assert found.name == row
