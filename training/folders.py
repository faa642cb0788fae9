"""What lies in a data folder: which layouts are known, how one is recognised, and what of it is held out.

The layouts::

    | layout | inputs | targets | held out |
    |---|---|---|---|
    | pairs | low/ | high/, under equal names | validation/, or the last by name |
    | pairs of CSBDeep | low/, or as ``source`` names it | GT/, or ``target`` | the same |
    | images alone | made by a stated degradation | the images | the same |
    | W2S | avg1/, or as ``averages`` names them | sim/ | test/, or fields 081 to 120 |
    | raw W2S | averages of wf_channel0.npy, ... | sim_channel0.npy, ... | fields 081 to 120 |
    | .npz of CSBDeep | X | Y | the last patches |
    | CARE's sets | X of train_data/*.npz | Y | test_data/, where it has GT/ or high/, or the last patches |

Where there is a train/, the others lie in it, and test/ beside it is held out where there is no validation/.
No pixels are read here, but for a .npz, which is one file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relumen.errors import UserError
from relumen.images import SUFFIXES, list_images
from relumen.training.csbdeep import npz_items, pair_items, published_patches, published_test
from relumen.training.items import ImageFile, Item, shortened
from relumen.training.settings import DataConfig
from relumen.training.w2s import FIRST_TEST_FIELD, is_raw_w2s, is_w2s, raw_items, w2s_items

_KNOWN_PAIRS = (("low", "high"), ("low", "GT"), ("LR", "HR"))


@dataclass(frozen=True)
class Contents:
    """What lies in a data folder.

    Attributes:
        layout: in words.
        training: what patches are cut from.
        held_out: the others.
        faults: what is wrong with the names, in sentences.
    """

    layout: str
    training: tuple[Item, ...]
    held_out: tuple[Item, ...]
    faults: tuple[str, ...] = ()

    @property
    def paired(self) -> bool:
        """Whether inputs are there, and not to be made."""
        return self.training[0].low is not None

    @property
    def items(self) -> tuple[Item, ...]:
        """All images, those that are trained on first."""
        return self.training + self.held_out


def find_contents(config: DataConfig) -> Contents:
    """Recognises the layout of a data folder, and finds its images.

    Raises:
        UserError: there is no such folder, its layout is none that is known, or it has too few images.
    """
    place, share = config.folder, config.validation
    if place.is_file():
        axes, items = npz_items(place)
        return Contents(f"patches of {place.name} ({axes}, CSBDeep)", *_split(items, share))
    if not place.is_dir():
        raise UserError(f"There is no data folder at {place}.")
    if contents := _care(config):
        return contents
    if config.source is None and (contents := _w2s(config)):
        return contents
    training, held_out = _parts(place)
    if subfolders := _subfolders(training, config):
        sources, target = subfolders
        layout = f"pairs in {', '.join(f'{source}/' for source in sources)} and {target}/"
        return _contents(layout, partial(pair_items, sources=sources, target=target), training, held_out, share)
    return _contents("high-quality images alone", _images_alone, training, held_out, share)


def is_data_folder(config: DataConfig) -> bool:
    """Whether a place is itself a data folder, or file: what lies in it is of a known layout, or images."""
    place = config.folder
    if place.is_file() or config.source is not None or published_patches(place) or _w2s(config) is not None:
        return True
    training, _ = _parts(place)
    return _subfolders(training, config) is not None or any(
        path.suffix.lower() in SUFFIXES and not path.name.startswith(".") for path in training.iterdir()
    )


_Finder = Callable[[Path], tuple[list[Item], list[str]]]
"""Gives the items of a folder, and what is wrong with their names."""
_Split = tuple[tuple[Item, ...], tuple[Item, ...]]
"""What is trained on, and what is held out."""


def _parts(folder: Path) -> tuple[Path, Path | None]:
    """The folder of the training images, and that of the held-out ones where there is one."""
    training = folder / "train" if (folder / "train").is_dir() else folder
    for name in ("validation",) if training == folder else ("validation", "test"):
        if (folder / name).is_dir():
            return training, folder / name
    return training, None


def _contents(
    layout: str,
    find: _Finder,
    training: Path,
    held_out: Path | None,
    share: float,
    split: Callable[[Sequence[Item], float], _Split] | None = None,
) -> Contents:
    """The items of a folder, and those of its held-out part; where there is none, some are chosen."""
    items, faults = find(training)
    if held_out is not None:
        others, more = find(held_out)
        parts, faults = (tuple(items), tuple(others)), faults + more
    else:
        if len({item.field for item in items}) < 2 and not faults:
            raise UserError(
                f"{training} has one image; a second is needed to hold out. Or add {training / 'validation'}."
            )
        parts = (split or _split)(items, share)
    if not all(parts):
        raise UserError("\n".join(faults))
    return Contents(layout, *parts, tuple(faults))


def _split(items: Sequence[Item], share: float) -> _Split:
    """Holds out a share of the fields, the last ones, so that no field is split."""
    fields = list(dict.fromkeys(item.field for item in items))
    count = min(max(1, round(share * len(fields))), max(0, len(fields) - 1))
    return _holding(items, set(fields[len(fields) - count :]))


def _holding(items: Sequence[Item], fields: set[str]) -> _Split:
    return tuple(i for i in items if i.field not in fields), tuple(i for i in items if i.field in fields)


def _subfolders(folder: Path, config: DataConfig | None) -> tuple[tuple[str, ...], str] | None:
    """Names of the subfolders of inputs and of targets, as stated or known; None where there are none."""
    if config is not None and config.source is not None and config.target is not None:
        return config.source, config.target
    for enough in (all, any):
        for low, high in _KNOWN_PAIRS:
            if enough((folder / name).is_dir() for name in (low, high)):
                return (low,), high
    return None


def _images_alone(folder: Path) -> tuple[list[Item], list[str]]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) > 1 and not any(path.suffix.lower() in SUFFIXES for path in folder.iterdir()):
        within = [name for name in names if _subfolders(folder / name, None)]
        if within:
            raise UserError(
                f"{folder} has a subfolder of pairs for each of several defects: {shortened(within)}. They are "
                f"restored by `relumen train cgan`; look at them one by one, such as {folder / within[0]}."
            )
        raise UserError(
            f"There is no image ({', '.join(SUFFIXES)}) in {folder}, and no known layout: {shortened(names)}. "
            "Where two subfolders hold inputs and targets under equal names, say which: "
            f"--set data.source={names[0]} --set data.target={names[1]}."
        )
    return [Item(path.name, None, ImageFile(path), path.name) for path in list_images(folder)], []


def _care(config: DataConfig) -> Contents | None:
    """One of CARE's sets as published; None where a folder has another layout."""
    place = config.folder
    if not (files := published_patches(place)):
        return None
    found = [npz_items(file, published=True) for file in files]
    axes = ", ".join(dict.fromkeys(axes for axes, _ in found))
    layout = f"CARE's patches of {', '.join(file.name for file in files)} ({axes})"
    items = [item for _, patches in found for item in patches]
    if (subfolders := published_test(place, config.source)) is None:
        return Contents(layout, *_split(items, config.validation))
    sources, target = subfolders
    tests, faults = pair_items(place / "test_data", sources, target)
    if not tests:
        raise UserError("\n".join(faults))
    names = ", ".join(f"{source}/" for source in sources)
    return Contents(f"{layout}, and pairs in {names} and {target}/", tuple(items), tuple(tests), tuple(faults))


def _w2s(config: DataConfig) -> Contents | None:
    """W2S; None where a folder has another layout.

    The published scripts and Chatton's judge on test/ and hold out nothing else, and so is it here: it decides
    nothing about a training. Where all fields lie in one folder, those of the published test set are held out.
    """
    place = config.folder
    words = f"({', '.join(f'avg{average}' for average in config.averages)} to sim)"
    for folder in (place, place / "data", place / "normalized", place / "data" / "normalized"):
        training, held_out = _parts(folder)
        if is_w2s(training):
            find = partial(w2s_items, averages=config.averages)
            return _contents(f"W2S {words}", find, training, held_out, config.validation, _split_w2s)
        if is_raw_w2s(folder):
            find = partial(raw_items, averages=config.averages)
            return _contents(f"W2S, raw frames {words}", find, folder, None, config.validation, _split_w2s)
    return None


def _split_w2s(items: Sequence[Item], share: float) -> _Split:
    published = {item.field for item in items if int(item.field) >= FIRST_TEST_FIELD}
    parts = _holding(items, published)
    return parts if all(parts) else _split(items, share)
