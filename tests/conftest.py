"""What many tests share: small real images, a small network, and the package made of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def cells() -> np.ndarray:
    """A real 8-bit field with cells all over, (1006, 1000)."""
    from relumen.data import image_path
    from relumen.images import read_image

    return np.array(read_image(image_path("kc167/01_POS218_F.tif")).pixels)


@pytest.fixture
def data_folder(tmp_path: Path, cells: np.ndarray) -> Path:
    """Three small high-quality images, two to train on and one held out."""
    import tifffile

    folder = tmp_path / "images"
    (folder / "validation").mkdir(parents=True)
    tifffile.imwrite(folder / "a.tif", cells[300:460, 300:460])
    tifffile.imwrite(folder / "b.tif", cells[500:660, 300:460])
    tifffile.imwrite(folder / "validation" / "c.tif", cells[300:460, 560:720])
    return folder


TINY = [
    "generator={blocks: 1, width: 8, growth: 4}",
    "discriminator={width: 4, dense: 8}",
    "data.patch=16",
    "batch=2",
    "phase_1.steps=6",
    "phase_2.steps=4",
    "log_every=1",
    "check_every=5",
]


@pytest.fixture
def tiny() -> list[str]:
    """Changes to the compact preset that train in seconds."""
    return list(TINY)
