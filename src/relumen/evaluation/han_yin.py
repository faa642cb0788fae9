"""The figures that Han and Yin published for the cascaded refinement GAN, as published, and which training each is of.

Source: L. Han and Z. Yin, A Cascaded Refinement GAN for Phase Contrast Microscopy Image Super Resolution, Table 1. The
500 images that they are of are its own. It states no range that PSNR refers to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relumen.evaluation.published import Paper, Published
from relumen.training.config import LapSRNConfig

if TYPE_CHECKING:
    from relumen.training.config import CascadeConfig

BICUBIC = Published("bicubic", ("20.6039",), "Table 1, Fig. 4")
LAPSRN = Published("LapSRN", ("26.5055",), "Table 1, Fig. 4")
OURS = Published("ours", ("27.8591",), "Table 1, Figs. 4, 6")
CONTENT = Published("content loss only", ("26.0928",), "Table 1, Fig. 6")
ADVERSARIAL = Published("adversarial loss only", ("11.6732",), "Table 1, Fig. 6")
SINGLE = Published("single image input", ("26.2914",), "Table 1, Fig. 6")

PAPER = Paper(
    system="The cascaded refinement GAN",
    source="Han and Yin, A Cascaded Refinement GAN for Phase Contrast Microscopy Image Super Resolution, Table 1",
    data="500 images of the paper's own, at 8x",
    scale=8,
    columns=("PSNR",),
    rows=(BICUBIC, LAPSRN, OURS, CONTENT, ADVERSARIAL, SINGLE),
    elsewhere="These are figures on these images. The published PSNR is Han and Yin's, on 500 images of their own at "
    "8x, and is not comparable.",
    beside="PSNR published, other images",
)


def published_row(config: CascadeConfig) -> Published | None:
    """The row whose training had these terms and this input, whatever its size; None where there is none.

    The paper's filters are those of :class:`~relumen.models.optics.Optics` in mode "paper", and all its cascades but
    the one of a single image have them, before the generator and in the content loss.
    """
    generator, losses = config.generator, config.losses
    if isinstance(generator, LapSRNConfig):
        return LAPSRN
    if generator.enrichment == "none":
        single = losses.adversarial and losses.alpha and not losses.filtered
        return SINGLE if single else None
    if generator.enrichment != "filters" or config.optics.mode != "paper":
        return None
    if not losses.alpha:
        return ADVERSARIAL
    if not losses.filtered:
        return None
    return OURS if losses.adversarial else CONTENT
