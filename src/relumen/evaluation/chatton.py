"""The figures that Chatton published for ESRGAN on W2S, as published, and which training each row is of.

Source: M. Chatton, Microscopy Image Restoration using Deep Learning on W2S, Figs. 5-11. Each figure is of one unseen
image a channel. The paper states neither the range that PSNR refers to nor an affine fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relumen.evaluation.published import Paper, Published

if TYPE_CHECKING:
    from relumen.training.config import Losses

CHANNELS = ("channel 1", "channel 2", "channel 3")
"""The paper's names of W2S's three channels. A row's figures are PSNR in dB / SSIM of each."""

BICUBIC = Published("bicubic", ("20.35 / 0.41", "16.55 / 0.27", "18.61 / 0.18"), "Figs. 5-11")
PIXEL = Published("pixel only (phase 1)", ("25.44 / 0.77", "27.09 / 0.81", "23.90 / 0.49"), "Figs. 6, 9-11")
PIXEL_L2 = Published("pixel L2 (phase 1)", ("24.23 / 0.76", "", ""), "Fig. 6")
PERCEPTUAL = Published("pixel + perceptual", ("24.64 / 0.71", "26.81 / 0.74", "23.92 / 0.47"), "Figs. 5, 9-11")
TEXTURE = Published("pixel + texture", ("24.78 / 0.77", "", ""), "Fig. 5")
FULL = Published("full, L1", ("24.96 / 0.741", "28.08 / 0.72", "22.49 / 0.47"), "Figs. 7-11")
FULL_L2 = Published("full, L2", ("16.60 / 0.48", "", ""), "Fig. 7")

PAPER = Paper(
    system="ESRGAN",
    source="Chatton, Microscopy Image Restoration using Deep Learning on W2S, Figs. 5-11",
    data="W2S",
    scale=2,
    columns=CHANNELS,
    rows=(BICUBIC, PIXEL, PERCEPTUAL, FULL, TEXTURE, PIXEL_L2, FULL_L2),  # the final results, then the ablations
    elsewhere="These are figures on these images. The published rows are Chatton's on W2S and are not comparable.",
    here="The published rows are Chatton's, on one image of W2S a channel, which the paper doesn't name; these are the "
    "means of all images named above. channel 1 is W2S's files NNN_0, and so on.",
    layout="W2S",
    target="SIM",
)

_SETTINGS = {
    ("l1", "pixel"): PIXEL,
    ("l2", "pixel"): PIXEL_L2,
    ("l1", "pixel", "perceptual"): PERCEPTUAL,
    ("l1", "pixel", "texture"): TEXTURE,
    ("l1", "pixel", "perceptual", "adversarial"): FULL,
    ("l2", "pixel", "perceptual", "adversarial"): FULL_L2,
}


def published_row(losses: Losses) -> Published | None:
    """The row whose training had these terms, whatever their weights; None where there is none.

    Args:
        losses: of the phase that the network came from last.
    """
    terms = [name for name in ("pixel", "perceptual", "texture", "adversarial") if getattr(losses, name) > 0]
    return _SETTINGS.get((losses.distance, *terms))
