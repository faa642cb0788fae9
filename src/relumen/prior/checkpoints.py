"""Generators that others trained: official StyleGAN2(-ADA) checkpoints and rosinality's, read without running them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from relumen.errors import UserError
from relumen.prior import official_pytorch, official_tensorflow, rosinality
from relumen.prior.arrays import MAKERS, NAMES, dictionary
from relumen.prior.pickles import Maker, Record, RefusedError, Unfinished, load
from relumen.prior.torch_files import is_saved, read_saved
from relumen.prior.variables import Imported

_LAYOUTS = (official_pytorch, official_tensorflow, rosinality)
_SOURCES = ("module_src", "build_module_src")


def import_checkpoint(path: Path) -> Imported:
    """The averaged generator of a checkpoint.

    Args:
        path: a .pkl of NVIDIA's StyleGAN2 or StyleGAN2-ADA, for TensorFlow or PyTorch; or a .pt of rosinality's
            stylegan2-pytorch. What it is is told by its content, not by its name.

    Returns:
        Architecture and weights, converted to the layout of :class:`relumen.models.stylegan2.Generator`.

    Raises:
        UserError: there is no such file; it is none of these, damaged, or asks for anything to be run; or its
            generator is one that ours cannot stand for (with classes, without skips, StyleGAN3, ...).
    """
    try:
        value = read(path)
        for layout in _LAYOUTS:
            if layout.fits(value):
                return layout.convert(value)
        names = ", ".join(layout.NAME for layout in _LAYOUTS)
        raise RefusedError(f"it holds a {type(value).__name__} that is none of these: {names}")
    except (RefusedError, RecursionError) as error:
        why = error if isinstance(error, RefusedError) else "its values are nested too deeply"
        raise UserError(
            f"{path} was not imported, because {why}. Nothing in it has been run. Give a checkpoint of StyleGAN2-ADA "
            "(.pkl) or of rosinality's stylegan2-pytorch (.pt) whose generator has no classes."
        ) from error


def read(path: Path) -> Any:  # noqa: ANN401  what it holds is for the layouts to check
    """What a pickle or a file of torch.save holds, as plain values, arrays and records.

    Raises:
        UserError: the file cannot be read.
        RefusedError: its content is not that of a checkpoint.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Give the path of a checkpoint.") from error
    return read_saved(data) if is_saved(data) else load(io.BytesIO(data), _MAKERS, NAMES)


def _network() -> Unfinished:
    """``dnnlib.tflib.network.Network``, whose state holds all of it."""
    return Unfinished(lambda state: _record("Network", state))


def _persistent_object(meta: dict[str, Any]) -> Record:
    """``torch_utils.persistence._reconstruct_persistent_obj``: there it runs the text of the source."""
    return _record(meta["class_name"], meta["state"])


def _record(kind: str, state: dict[str, Any]) -> Record:
    if not isinstance(kind, str) or not isinstance(state, dict):
        raise RefusedError("it has a network of another kind than StyleGAN2's")
    for source in _SOURCES:
        state.pop(source, None)
    return Record(kind, state)  # not copied: a file can name the same state in a million networks


_MAKERS: dict[str, Maker] = {
    **MAKERS,
    "dnnlib.EasyDict": dictionary,
    "dnnlib.util.EasyDict": dictionary,
    "dnnlib.tflib.network.Network": _network,
    "torch.storage._load_from_bytes": read_saved,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
}
