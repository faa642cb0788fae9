"""The figures that Razdaibiedina et al. published for CIN-GAN and cGAN, as published, and which training each is of.

Source: A. Razdaibiedina, J. Velayutham and M. Modi, the poster on multi-defect microscopy image restoration under
limited data conditions, Tables 1 and 2. The images that they are of are CARE's published sets (Weigert et al. 2018).
Their scripts rescale every image before the metrics: see :func:`relumen.metrics.rescaled`.
"""

from __future__ import annotations

from relumen.evaluation.published import Paper, Published

CARE = "CARE"
DEBLURGAN = "DeblurGAN"
CYCLEGAN = "CycleGAN"
REAL = "real pairs only"
SEPARATE = "real + separate GANs"
OURS = "real + CIN-GAN"
SEPARATE_ALONE = "separate GANs only"
OURS_ALONE = "CIN-GAN only"
"""Methods as tables call them, by what they are trained on where they are the paper's own."""

PAIRS = 10
"""Real pairs of each defect in Table 2, top."""

RAW = Published("raw", ("19.92 / 0.63", "12.51 / 0.33", "7.27 / 0.08"), "Table 1")
_TABLE_2 = {
    (CARE, PAIRS): Published("CARE, 10 pairs", ("21.6 / 0.56", "12.8 / 0.29", "14.1 / 0.20"), "Table 2"),
    (DEBLURGAN, PAIRS): Published("DeblurGAN, 10 pairs", ("18.0 / 0.33", "14.6 / 0.20", "11.2 / 0.14"), "Table 2"),
    (OURS, PAIRS): Published("ours, 10 pairs", ("22.4 / 0.56", "17.4 / 0.38", "14.3 / 0.22"), "Table 2"),
    (CYCLEGAN, 0): Published("CycleGAN, no pairs", ("21.3 / 0.49", "15.3 / 0.27", "12.7 / 0.14"), "Table 2"),
    (OURS_ALONE, 0): Published("ours, no pairs", ("21.9 / 0.57", "15.1 / 0.32", "8.9 / 0.07"), "Table 2"),
}

PAPER = Paper(
    system="Restoration under limited data",
    source="Razdaibiedina, Velayutham and Modi, Tables 1 and 2",
    data="CARE's sets of fly embryos, fish retinas and HeLa cells",
    scale=1,
    columns=("denoising", "axial inpainting", "super-resolution"),
    rows=(RAW, *_TABLE_2.values()),
    elsewhere="The published figures are Razdaibiedina et al.'s on CARE's sets, other images than these, and are not "
    "comparable with any figure here: what can be compared is the order of the methods.",
    here="The published figures are Razdaibiedina et al.'s on CARE's sets, of which these are. They name neither the "
    "images nor their condition, and rescale each image: no figure here is sure to be of the same.",
    layout="CARE's",
)


def published_row(method: str, pairs: int | None) -> Published | None:
    """The row of a method at so many real pairs of each defect, whatever its network's size; None: there is none.

    Args:
        method: such as CARE.
        pairs: None: all that there are.
    """
    return None if pairs is None else _TABLE_2.get((method, pairs))
