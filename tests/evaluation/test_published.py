import pytest

from relumen.evaluation.chatton import (
    BICUBIC,
    FULL,
    FULL_L2,
    PAPER,
    PERCEPTUAL,
    PIXEL,
    PIXEL_L2,
    TEXTURE,
    published_row,
)
from relumen.training.config import Losses, load_config

TABLE = """\
| bicubic | 20.35 / 0.41 | 16.55 / 0.27 | 18.61 / 0.18 |
| pixel only (phase 1) | 25.44 / 0.77 | 27.09 / 0.81 | 23.90 / 0.49 |
| pixel + perceptual | 24.64 / 0.71 | 26.81 / 0.74 | 23.92 / 0.47 |
| full, L1 | 24.96 / 0.741 | 28.08 / 0.72 | 22.49 / 0.47 |
| pixel + texture | 24.78 / 0.77 | | |
| pixel L2 (phase 1) | 24.23 / 0.76 | | |
| full, L2 | 16.60 / 0.48 | | |
"""
"""As the paper's figures print them."""


def test_rows_are_as_published():
    ours = [f"| {row.name} | {' | '.join(row.figures)} |".replace("  |", " |") for row in PAPER.rows]
    assert ours == TABLE.splitlines()


@pytest.mark.parametrize(
    ("losses", "row"),
    [
        (Losses(), PIXEL),
        (Losses(distance="l2"), PIXEL_L2),
        (Losses(perceptual=1e-2), PERCEPTUAL),
        (Losses(texture=1e-2), TEXTURE),
        (Losses(perceptual=1e-2, adversarial=1.0), FULL),
        (Losses(perceptual=1e-2, adversarial=1.0, distance="l2"), FULL_L2),
        (Losses(adversarial=1.0), None),
        (Losses(texture=1e-2, adversarial=1.0), None),
        (Losses(perceptual=1e-2, distance="l2"), None),
        (Losses(pixel=0, perceptual=1e-2), None),
    ],
)
def test_a_training_has_the_row_of_its_terms(losses, row):
    assert published_row(losses) is row


def test_the_papers_preset_is_the_papers_row(tmp_path):
    config = load_config("esrgan", "w2s", **{"data.folder": str(tmp_path)})
    assert config.phase_2 is not None
    assert published_row(config.phase_1.losses) is PIXEL
    assert published_row(config.phase_2.losses) is FULL
    assert BICUBIC in PAPER.rows
