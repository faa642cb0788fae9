"""Keras networks from .keras files, whoever wrote them: nothing in a file is run, and none grows beyond reason."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from relumen.claims import explained_bytes
from relumen.errors import UserError

if TYPE_CHECKING:
    import keras

_MOST_WORDS = 400
_MOST_PACKED = 100
"""Most bytes of a file's members, and most weights of its layers, for each byte of the file."""
_TOGETHER = {
    *("units", "filters", "kernel_size", "depth_multiplier", "input_dim", "output_dim", "num_heads", "key_dim"),
    "value_dim",
}
"""What Keras's layers call the numbers whose product their weights are, but for the channels that come in."""
_ALONE = {"width", "widths", "growth", "channels", "hidden", "dim", "z_dim", "w_dim"}
"""The same of relumen's own layers and networks; each of their weights is a product of two of these."""


def load_network(file: Path, advice: str, known: Mapping[str, Any] | None = None) -> keras.Model:
    """The network of a .keras file.

    Args:
        file: of a training, a package, a prior, or anyone's.
        advice: what to do where it can't be read, a sentence.
        known: classes and functions that the network is made of, by name, besides Keras's and relumen's.

    Raises:
        UserError: it can't be read; a layer would run what the file says; or it claims to hold far more than it does.
    """
    import keras

    register()
    try:
        _check_members(file)
        network: Any = keras.saving.load_model(file, custom_objects=dict(known or {}), compile=False, safe_mode=True)
    except Exception as error:  # Keras and HDF5 raise whatever they like on a damaged file
        why = shorten(str(error), _MOST_WORDS, placeholder="...") or type(error).__name__
        raise UserError(f"{file} can't be read by Keras {keras.__version__} ({why}). {advice}") from error
    if not isinstance(network, keras.Model):
        raise UserError(f"{file} holds a {type(network).__name__}, and no network. {advice}")
    return network


def register() -> None:
    """Makes relumen's own layers known to Keras."""
    import relumen.models.flow
    import relumen.models.layers
    import relumen.models.stylegan2  # noqa: F401


def _check_members(file: Path) -> None:
    """Refuses what unpacks to far more than it is; Keras reads no more of a member than its header says.

    Raises:
        ValueError: see there.
    """
    most = explained_bytes(file.stat().st_size, _MOST_PACKED)
    with zipfile.ZipFile(file) as archive:
        total = sum(member.file_size for member in archive.infolist())
        if total > most:
            raise ValueError(f"it unpacks to {total / 1e6:,.0f} MB, which its size does not explain")
        config = json.loads(archive.read("config.json"))
    layers = list(_layers(config))
    widest = max((size for sizes in layers for size in sizes), default=1)
    weights = sum(math.prod(sizes) * widest for sizes in layers)  # at most
    if weights > most:
        raise ValueError(f"its layers would have up to {weights:.1g} weights, which its size does not explain")


def _layers(part: Any) -> Iterator[list[int]]:  # noqa: ANN401  what JSON holds
    """The sizes of each layer in a configuration, whose product is at least the weights for each channel coming in."""
    if isinstance(part, list):
        for each in part:
            yield from _layers(each)
    elif isinstance(part, dict):
        if together := [size for key in _TOGETHER & part.keys() for size in _sizes(part[key])]:
            yield together
        yield from ([size] for key in _ALONE & part.keys() for size in _sizes(part[key]))
        for each in part.values():
            yield from _layers(each)


def _sizes(value: Any) -> list[int]:  # noqa: ANN401  what JSON holds
    return [each for each in (value if isinstance(value, list) else [value]) if type(each) is int and each > 1]
