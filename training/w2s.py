"""W2S, the paper's data: pairs of widefield averages and SIM, as they were published.

Source: Zhou et al., W2S, ECCV Workshops 2020, and the repository IVRL/w2s, whose history has data/train/ and
data/test/ with PNG files, and data/normalized/ with .npy files. What is published today are the raw frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from relumen.errors import UserError
from relumen.images import list_images
from relumen.training.items import ImageFile, Item, unpaired

Z_SCORE = (154.535390853, 66.02846351802853)
"""Mean and deviation of the normalised images, over all 360 x 400 captures; from the README.md of IVRL/w2s."""
FIRST_TEST_FIELD = 81
"""Fields 001 to 080 are for training, 081 to 120 for testing; from the readme.txt of the raw data."""
_SINGLE_FRAME = 249
"""The frame that avg1 is; from the README.md of IVRL/w2s."""
_NAME = re.compile(r"(\d+)_(\d)")
_PLACE = re.compile(r"Image(\d+)")


def is_w2s(folder: Path) -> bool:
    """Whether a folder holds averages of frames."""
    return bool(_averages(folder))


def is_raw_w2s(folder: Path) -> bool:
    """Whether a folder holds the raw frames of fields of view."""
    return any(folder.glob("Image[0-9]*/wf_channel[0-9].npy"))


def w2s_items(folder: Path, averages: Sequence[int]) -> tuple[list[Item], list[str]]:
    """The pairs of avg1, avg2, ... and sim: files NNN_C of field NNN and channel C, 8-bit PNG or .npy.

    Of a .npy with floating-point pixels the z-score is undone, so that intensities are the camera's in both: the
    repository calls it "a single global z-score normalization", and its ``code/generate_h5f.ipynb`` reads avg and
    sim alike. A .npy of integers is taken as it is.

    Returns:
        The pairs by field, channel and average, and what is wrong with the files' names.

    Raises:
        UserError: an average isn't there.
    """
    there = _averages(folder)
    if missing := sorted(set(averages) - set(there)):
        raise UserError(
            f"{folder} has no avg{missing[0]}/. Choose of those that are there, such as --set data.averages={there}."
        )
    if not (folder / "sim").is_dir():
        raise UserError(f"{folder} has averages but no sim/: the SIM images, their targets. They are in the raw data.")
    highs, faults = _files(folder / "sim")
    items = []
    for average in averages:
        lows, more = _files(folder / f"avg{average}")
        faults += more
        if lonely := sorted(lows.keys() ^ highs.keys()):
            names = ["_".join(key) for key in lonely]
            faults.append(unpaired(str(folder / f"avg{average}"), folder / "sim", names))
        for field, channel in lows.keys() & highs.keys():
            low, high = lows[field, channel], highs[field, channel]
            items.append(Item(low.path.name, low, high, field, channel, f"avg{average}"))
    return sorted(items, key=lambda item: (item.field, item.channel, averages.index(_average(item.condition)))), faults


def raw_items(folder: Path, averages: Sequence[int]) -> tuple[list[Item], list[str]]:
    """The pairs of the raw data: ImageNNN/wf_channelC.npy, 400 frames of field NNN, and ImageNNN/sim_channelC.npy.

    "avg1" is frame 249 alone, and the others are of the first frames, as the README.md says.

    Returns:
        The pairs by field, channel and average, and what is wrong with the files' names.
    """
    items, faults = [], []
    for place in sorted(path for path in folder.glob("Image[0-9]*") if path.is_dir()):
        match = _PLACE.fullmatch(place.name)
        if match is None:
            faults.append(f"{place} is not named ImageNNN, of field NNN.")
            continue
        field = match[1]
        lows, highs = ({p.stem[-1]: p for p in place.glob(f"{kind}_channel[0-9].npy")} for kind in ("wf", "sim"))
        if lonely := sorted(lows.keys() ^ highs.keys()):
            faults.append(f"{place} needs wf_channelC.npy and sim_channelC.npy for channel {', '.join(lonely)}.")
        for channel in sorted(lows.keys() & highs.keys()):
            for average in averages:
                frames = (_SINGLE_FRAME,) if average == 1 else tuple(range(average))
                low = ImageFile(lows[channel], frames=frames)
                name = f"{field}_{channel}"
                items.append(Item(name, low, ImageFile(highs[channel]), field, channel, f"avg{average}"))
    return items, faults


def _averages(folder: Path) -> list[int]:
    """Of how many frames a folder has averages."""
    return sorted(_average(path.name) for path in folder.glob("avg*") if path.name[3:].isdigit() and path.is_dir())


def _average(name: str) -> int:
    return int(name.removeprefix("avg"))


def _files(folder: Path) -> tuple[dict[tuple[str, str], ImageFile], list[str]]:
    """Files by (field, channel), and what is wrong with their names."""
    files, faults = {}, []
    for path in list_images(folder):
        match = _NAME.fullmatch(path.stem)
        if match is None or match.groups() in files:
            why = "is not named NNN_C, field and channel" if match is None else "is there twice, as PNG and as .npy"
            faults.append(f"{path} {why}.")
        else:
            files[match[1], match[2]] = ImageFile(path, Z_SCORE if path.suffix.lower() == ".npy" else None)
    return files, faults
