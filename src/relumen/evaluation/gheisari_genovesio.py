"""The figures that Gheisari and Genovesio published for regularized latent search (RLS), as printed.

Source: M. Gheisari and A. Genovesio, Reconstructing Interpretable Features in Computational Super-Resolution microscopy
via Regularized Latent Search, Biological Imaging 2024, Tables 1 and 2 and Fig. 7. Table 1 and Fig. 7 are of 100 images
of BBBC021, by Inception's features; Table 2 is of two assays whose images aren't named.
"""

from __future__ import annotations

from collections.abc import Mapping

from relumen.evaluation.rls_methods import Method

SOURCE = "Gheisari and Genovesio, Biological Imaging 2024"

LR = "LR"
HR = "HR"
PIX2PIX = "Pix2Pix"
PULSE = "PULSE"
BRGM = "BRGM"
UNREGULARISED = "w/o Regu."
WITHOUT_DENSITY = "w/o P_w"
WITHOUT_CROSS = "w/o P_cross"
RLS = "RLS"
"""Methods as the paper's tables call them."""

QUALITY = ("FID", "KID", "MS-SSIM", "LPIPS", "PSNR")
"""Columns of Table 1; KID without its unit, which isn't told."""
TABLE_1: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    32: {
        PIX2PIX: ("67.141", "66.515", "0.507", "0.420", "15.846"),
        PULSE: ("13.629", "9.056", "0.526", "0.378", "16.469"),
        BRGM: ("15.862", "13.293", "0.400", "0.475", "14.207"),
        RLS: ("7.571", "3.209", "0.528", "0.343", "16.536"),
    },
    16: {
        PIX2PIX: ("45.503", "41.700", "0.708", "0.274", "19.983"),
        PULSE: ("17.354", "14.937", "0.723", "0.244", "20.806"),
        BRGM: ("19.862", "17.254", "0.608", "0.301", "17.914"),
        RLS: ("6.983", "3.347", "0.660", "0.262", "19.177"),
    },
}
"""Image quality by factor and method: figures for :data:`QUALITY`."""

ACCURACIES = (LR, BRGM, PULSE, UNREGULARISED, RLS, HR)
"""Columns of Table 2: what the classifier tells apart. That of LR is another one, trained on LR."""
TABLE_2: Mapping[str, Mapping[str, str]] = {
    "TNF-alpha": dict(zip(ACCURACIES, ("85.6", "79.2", "85.6", "85.8", "87.0", "97.6"), strict=True)),
    "nocodazole": dict(zip(ACCURACIES, ("72.8", "53.0", "62.6", "67.8", "74.2", "96.8"), strict=True)),
}
"""Accuracy in per cent by treatment, each against DMSO. The assays' images are shown at 32x (translocation, Fig. 3) and
16x (Golgi, Fig. 4); the table names no factor."""

ABLATED = ("FID", "PSNR")
"""Columns of Fig. 7."""
FIGURE_7: Mapping[str, tuple[str, ...]] = {
    UNREGULARISED: ("14.69", "20.56"),
    WITHOUT_DENSITY: ("7.96", "20.21"),
    WITHOUT_CROSS: ("8.99", "21.24"),
    RLS: ("6.98", "19.18"),
}
"""The ablation at 16x by method: figures for :data:`ABLATED`."""

_PRESETS = {
    "rls": RLS,
    "rls-annealed": RLS,
    "unregularised": UNREGULARISED,
    "without-density": WITHOUT_DENSITY,
    "without-cross": WITHOUT_CROSS,
    "pulse": PULSE,
    "brgm": BRGM,
}


def name_in_paper(method: Method) -> str | None:
    """What the paper's tables call a method; None: it isn't among theirs.

    A search whose preset is changed is none of theirs.

    >>> name_in_paper(Method("ours", preset="pulse"))
    'PULSE'
    """
    if method.kind == "search":
        return None if method.overrides else _PRESETS.get(method.preset)
    return PIX2PIX if method.kind == "pix2pix" else None
