"""Training data as CSBDeep takes it: folders of pairs under equal names, and .npz files of patches; CARE's own sets.

Source: ``csbdeep/data/rawdata.py`` and ``csbdeep/io`` of CSBDeep 0.8. The sets of Weigert et al., Nature Methods 2018,
have patches in train_data/data_label.npz, and in test_data/ images of several conditions with their targets
(condition_1/ and more beside GT/), or images alone.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.claims import explained_bytes
from relumen.errors import UserError
from relumen.images import AXES, Image, list_images
from relumen.training.items import AS_GIVEN, ImageFile, Item, Patch, unpaired

_TARGETS = ("GT", "high")  # subfolders of test_data/
_MOST_PACKED = 1000  # times that an array may be as long as its file: DEFLATE's most
_PUBLISHED_AXES = {4: "SCYX", 5: "SCZYX"}  # of as many dimensions


def pair_items(folder: Path, sources: Sequence[str], target: str) -> tuple[list[Item], list[str]]:
    """Pairs under equal names, as CSBDeep's ``RawData.from_folder(basepath, source_dirs, target_dir)`` takes them.

    Of several folders of inputs each may lack some of the images, but no target may be without any input.
    """
    highs = {path.name: path for path in list_images(folder / target)}
    lows = {source: {path.name: path for path in list_images(folder / source)} for source in sources}
    names = {name for found in lows.values() for name in found}
    faults = []
    if lonely := sorted(names ^ highs.keys()):
        faults.append(unpaired(" or ".join(str(folder / source) for source in sources), folder / target, lonely))
    items = [
        Item(name, ImageFile(lows[source][name]), ImageFile(highs[name]), name, condition=source)
        for name in sorted(names & highs.keys())
        for source in sources
        if name in lows[source]
    ]
    return [replace(item, condition=AS_GIVEN) for item in items] if len(sources) == 1 else items, faults


def published_patches(folder: Path) -> list[Path]:
    """The .npz files of one of CARE's published sets; none where a folder is no such set."""
    return sorted(folder.glob("train_data/*.npz"))


def published_test(folder: Path, sources: Sequence[str] | None) -> tuple[tuple[str, ...], str] | None:
    """Names of the subfolders of inputs and of targets in test_data/; None where there are no targets.

    Args:
        folder: of the set.
        sources: the inputs that are used; None: all that lie beside the targets.

    Raises:
        UserError: there are targets, and no inputs.
    """
    test = folder / "test_data"
    subfolders = sorted(path.name for path in test.glob("[!.]*") if path.is_dir())
    for target in _TARGETS:
        if target in subfolders:
            inputs = tuple(sources or (name for name in subfolders if name != target))
            if not inputs:
                raise UserError(f"{test} has targets in {target}/, and no folder of inputs beside it.")
            return inputs, target
    return None


def npz_items(path: Path, *, published: bool = False) -> tuple[str, list[Item]]:
    """Patches as CSBDeep's ``save_training_data`` writes them: arrays X and Y, and the letters of their axes.

    Each is an image of its own, but in units of the whole array, as far as that tells of the images it was cut
    from. CSBDeep shuffles the patches that it writes, so the last ones, which its ``load_training_data`` holds out,
    may show the images that were trained on: a folder of images is the better judge.

    Args:
        path: of the file.
        published: whether it is of CARE's own sets, which need not tell their axes.

    Returns:
        The axes, and the patches in their order.

    Raises:
        UserError: it can't be read, or isn't of this form.
    """
    if path.suffix.lower() != ".npz":
        raise UserError(f"Data is a folder, or a .npz file as CSBDeep writes it. Received: {path}")
    try:
        _check_claims(path)
        with np.load(path, allow_pickle=False) as file:
            wanted = {"X", "Y"} if published else {"X", "Y", "axes"}
            if missing := wanted - set(file.files):
                raise UserError(
                    f"{path} has no {', '.join(sorted(missing))}. A .npz holds X, Y and axes, as CSBDeep's "
                    "save_training_data writes them."
                )
            inputs, targets = file["X"], file["Y"]
            if not (isinstance(inputs, np.ndarray) and isinstance(targets, np.ndarray)):
                raise ValueError("X and Y are no arrays")  # but bytes, of another format
            axes = str(file["axes"]).upper() if "axes" in file.files else _PUBLISHED_AXES.get(inputs.ndim, "")
    except UserError:
        raise
    except Exception as error:  # NumPy raises whatever it likes on a damaged file
        raise UserError(f"{path} can't be read; it may be damaged or cut short ({error}).") from error
    if sorted(set(axes)) != sorted(axes) or not set("SYX") <= set(axes) <= set("S" + AXES):
        raise UserError(f"The axes of {path} must be S (which patch), Y and X, perhaps C, Z and T. Received: {axes!r}")
    if inputs.ndim != len(axes) or targets.ndim != len(axes):
        raise UserError(f"Axes {axes} of {path} do not fit X of shape {inputs.shape} and Y of {targets.shape}.")
    lows, highs = _entries(path, "X", inputs, axes), _entries(path, "Y", targets, axes)
    if len(lows) != len(highs) or len(lows) < 2:
        raise UserError(
            f"{path} must hold as many targets as inputs, and two or more. "
            f"Received: {len(lows)} in X and {len(highs)} in Y"
        )
    return axes, [
        Item(name := f"{path.name} {index:0{len(str(len(lows)))}}", low, high, name)
        for index, (low, high) in enumerate(zip(lows, highs, strict=True))
    ]


def _check_claims(path: Path) -> None:
    """Looks whether each array of a .npz is as long as it says; NumPy makes room for what it says.

    Raises:
        ValueError: one isn't.
    """
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                if version not in readers:
                    raise ValueError(f"{info.filename} is an array of another format ({version})")
                shape, _, kind = readers[version](member)
            most = min(info.file_size, explained_bytes(path.stat().st_size, _MOST_PACKED))
            if math.prod(shape) * kind.itemsize > most:
                raise ValueError(f"{info.filename} says to hold more than it does")


def _entries(path: Path, key: str, array: NDArray[Any], axes: str) -> list[Patch]:
    """The patches of an array, each with its axes in the order TZCYX."""
    ordered = "".join(axis for axis in AXES if axis in axes)
    entries = array.transpose([axes.index(axis) for axis in "S" + ordered])
    channels = np.moveaxis(entries, 1 + ordered.index("C"), 0) if "C" in ordered else entries[np.newaxis]
    with np.errstate(all="ignore"):  # what is not finite is said when the patch is read
        statistics = tuple(
            (float(channel.mean(dtype=np.float64)), float(channel.std(dtype=np.float64))) for channel in channels
        )
    return [Patch(f"{path}, {key}[{i}]", Image(entry, ordered), statistics) for i, entry in enumerate(entries)]
