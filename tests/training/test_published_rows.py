"""The guide's table of commands: each is one training whose losses are those of the published row it stands beside."""

import re
import shlex
from pathlib import Path

import pytest

from relumen.evaluation.chatton import BICUBIC, PAPER, published_row
from relumen.training.config import load_config

GUIDE = (Path(__file__).parents[2] / "docs" / "esrgan.md").read_text(encoding="utf-8")
COMMANDS = dict(re.findall(r"^\| ([^|]+) \| `(relumen train esrgan [^`]+)` \|$", GUIDE, re.MULTILINE))


def test_every_trained_row_has_its_command():
    assert set(COMMANDS) == {row.name for row in PAPER.rows if row is not BICUBIC}


@pytest.mark.parametrize("row", COMMANDS)
def test_a_command_trains_its_row(row):
    words = shlex.split(COMMANDS[row])
    options = list(zip(words[3::2], words[4::2], strict=True))
    overrides = [value for name, value in options if name == "--set"]
    others = {name: value for name, value in options if name != "--set"}
    assert others == {"--preset": "w2s", "--data": "W2S"}
    config = load_config("esrgan", others["--preset"], overrides, **{"data.folder": others["--data"]})
    last = config.phase_2 or config.phase_1
    found = published_row(last.losses)
    assert found is not None
    assert found.name == row
    assert config.phase_1.losses.distance == last.losses.distance
