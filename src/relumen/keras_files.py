"""Keras networks from .keras files, whoever wrote them: nothing in a file is run, and none grows beyond reason."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relumen.errors import UserError

if TYPE_CHECKING:
    import keras

_FREE_BYTES, _RATIO = 64 << 20, 100
"""What a file's members may hold: so many bytes in any case, and so many for each byte of the file."""


def load_network(file: Path, advice: str) -> keras.Model:
    """The network of a .keras file.

    Args:
        file: of a training, a package or a prior.
        advice: what to do where it can't be read, a sentence.

    Raises:
        UserError: it can't be read; a layer would run what the file says; or it claims to hold far more than it does.
    """
    import keras

    # registers them
    import relumen.models.flow
    import relumen.models.layers
    import relumen.models.stylegan2  # noqa: F401

    try:
        _check_members(file)
        network: Any = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras and HDF5 raise whatever they like on a damaged file
        why = str(error) or type(error).__name__
        raise UserError(f"{file} can't be read by Keras {keras.__version__} ({why}). {advice}") from error
    if not isinstance(network, keras.Model):
        raise UserError(f"{file} holds a {type(network).__name__}, and no network. {advice}")
    return network


def _check_members(file: Path) -> None:
    """Refuses what unpacks to far more than it is; Keras reads no more of a member than its header says.

    Raises:
        ValueError: see there.
    """
    with zipfile.ZipFile(file) as archive:
        total = sum(member.file_size for member in archive.infolist())
    if total > max(_FREE_BYTES, _RATIO * file.stat().st_size):
        raise ValueError(f"it unpacks to {total / 1e6:,.0f} MB, which its size does not explain")
