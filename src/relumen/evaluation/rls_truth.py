"""The high-resolution images that RLS is judged by: of conditions, none of them trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from relumen import configs
from relumen.configs import Frozen
from relumen.errors import UserError
from relumen.training.bbbc021 import BBBC021Config, load_bbbc021
from relumen.training.cells import PHENOTYPES, STAIN_SETS, Culture, Features, draw_one
from relumen.training.crops import CropsConfig, load_crops, shipped_crops
from relumen.training.cutter import Crops, Place
from relumen.training.prior_data import SHIPPED_ZOOM

Float32 = NDArray[np.float32]

CONFLUENCE = {"cells": 0.2, "nfkb": 0.4, "golgi": 0.4}
"""Of drawn cells, as the shipped priors' trainings have it."""
_WELLS: Mapping[str, tuple[str, ...]] = {"A12 (cytoplasmic)": ("*12-A-12*",), "A01 (nuclear)": ("*01-A-01*",)}
_UNSEEN, _APART = 1_000_003, 101  # added to the seed: no training draws by it, and no two conditions draw alike


class TruthConfig(Frozen):
    """Which images, and which conditions they are of."""

    drawn: Literal["cells", "nfkb", "golgi"] | None = Field(default=None, description="Drawn cells of a stain set.")
    shipped: Literal["nfkb"] | None = Field(
        default=None, description="The held-out crops of real images that come with relumen: BBBC014's two wells."
    )
    crops: CropsConfig | None = Field(default=None, description="One's own images; what they hold out is judged by.")
    bbbc021: BBBC021Config | None = Field(default=None, description="BBBC021 as published; wells that it holds out.")
    conditions: dict[str, tuple[str, ...]] | None = Field(
        default=None,
        min_length=1,
        description="Name of each condition, control first, and what is of it: phenotypes of drawn cells, patterns of "
        "the names of fields, such as {DMSO: ['01-*'], TNF: ['12-*']}, or compounds. None: drawn cells by their "
        "phenotype, shipped ones by their well, others all one.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.drawn, self.shipped, self.crops, self.bbbc021)) != 1:
            raise ValueError("name one source of images: drawn, shipped, crops or bbbc021")
        if self.drawn is not None and self.conditions is not None:
            named = [each for members in self.conditions.values() for each in members]
            if unknown := sorted(set(named) - set(PHENOTYPES)):
                raise ValueError(f"drawn cells are {', '.join(PHENOTYPES)}; received {', '.join(unknown)}")
        return self


@dataclass(frozen=True)
class Truth:
    """High-resolution images.

    Attributes:
        images: (n, size, size, channels), 0..1.
        conditions: of each image, by name, (n,).
        stains: names of the channels.
        words: what they are, for tables and figures.
        features: exact ones of drawn cells, one for each image; None of others.
        places: where each was cut from its field; None of drawn cells.
        side: of a crop, pixels of its field.
    """

    images: Float32
    conditions: NDArray[np.str_]
    stains: tuple[str, ...]
    words: str
    features: tuple[Features, ...] | None = None
    places: tuple[Place, ...] | None = None
    side: float = 0.0

    @property
    def names(self) -> list[str]:
        """The conditions, in the order in which they come first."""
        return list(dict.fromkeys(self.conditions.tolist()))

    def __len__(self) -> int:
        return len(self.images)

    def of(self, condition: str) -> Truth:
        """The images of a condition."""
        return self.take(np.flatnonzero(self.conditions == condition))

    def take(self, chosen: NDArray[np.intp]) -> Truth:
        """Some of the images."""
        features = None if self.features is None else tuple(self.features[i] for i in chosen)
        places = None if self.places is None else tuple(self.places[i] for i in chosen)
        return replace(
            self, images=self.images[chosen], conditions=self.conditions[chosen], features=features, places=places
        )


def read_truth_config(text: str) -> TruthConfig:
    """What is meant by "drawn:cells", "shipped:nfkb", or the path of a YAML file.

    Raises:
        UserError: it means nothing, or has faults.
    """
    kind, colon, name = text.partition(":")
    if colon and kind in ("drawn", "shipped"):
        return configs.validated(TruthConfig, {kind: name})
    path = Path(text)
    if not path.is_file():
        sets = ", ".join(f"drawn:{each}" for each in STAIN_SETS)
        raise UserError(f"Images to judge by are {sets}, shipped:nfkb, or a .yaml file. Received: {text}")
    return configs.validated(TruthConfig, configs.file_values(path))


def load_truth(config: TruthConfig, size: int, count: int, seed: int = 0) -> Truth:
    """The images, ``count`` of each condition at most.

    Args:
        config: which.
        size: height and width, pixels: those of the prior.
        count: most of a condition.
        seed: of what is drawn, and of what is chosen where there are more.

    Raises:
        UserError: images that can't be used, or a condition without any.
    """
    if config.drawn is not None:
        return _draw(config, size, count, seed)
    conditions, by = config.conditions or {"all": ("*",)}, "field"
    if config.shipped is not None:
        crops, zoom = shipped_crops("nfkb", size, SHIPPED_ZOOM), SHIPPED_ZOOM
        conditions, words = config.conditions or _WELLS, "held-out crops of two real images (BBBC014)"
    elif config.crops is not None:
        crops, zoom = load_crops(config.crops, size), config.crops.zoom
        words = f"held-out crops of {config.crops.folder.name}"
    else:
        assert config.bbbc021 is not None  # validated: one source is named
        crops, zoom = load_bbbc021(config.bbbc021, size), config.bbbc021.zoom
        words, by = "crops of BBBC021's held-out wells", "compound"
    held = crops.held_out
    chosen, names = _chosen(held, conditions, by, count, seed)
    return Truth(
        (held.images[chosen] / np.float32(255)).astype(np.float32),
        np.array(names),
        held.channels,
        words,
        places=tuple(held.places[i] for i in chosen),
        side=size / zoom,
    )


def _draw(config: TruthConfig, size: int, count: int, seed: int) -> Truth:
    assert config.drawn is not None
    images, names, features = [], [], []
    conditions = config.conditions or {each: (each,) for each in _defaults(config.drawn)}
    for number, (name, phenotypes) in enumerate(conditions.items()):
        culture = Culture(config.drawn, phenotypes, size, confluence=CONFLUENCE[config.drawn])
        for index in range(count):
            cell = draw_one(culture, seed + _UNSEEN + _APART * number, index)
            images.append(np.rint(cell.image * 255) / np.float32(255))  # as trainings have them: 8 bits
            names.append(name)
            features.append(cell.features)
    words = f"drawn cells ({config.drawn}), no microscope's"
    return Truth(np.stack(images).astype(np.float32), np.array(names), STAIN_SETS[config.drawn], words, tuple(features))


def _defaults(stain_set: str) -> tuple[str, ...]:
    """The phenotypes that a stain set tells apart, the control first."""
    return {"nfkb": ("dmso", "tnf-alpha"), "golgi": ("dmso", "nocodazole")}.get(stain_set, PHENOTYPES)


def _chosen(
    crops: Crops,
    conditions: Mapping[str, tuple[str, ...]],
    by: str,
    count: int,
    seed: int,
) -> tuple[list[int], list[str]]:
    """Which crops, and the condition of each, told by the field or the compound of its place."""
    rng = np.random.default_rng(seed)
    chosen, names = [], []
    for name, patterns in conditions.items():
        found = [
            i for i, place in enumerate(crops.places) if any(fnmatch(getattr(place, by), each) for each in patterns)
        ]
        if not found:
            there = sorted({getattr(place, by) for place in crops.places})
            raise UserError(f"No held-out crop is of the condition {name} ({', '.join(patterns)}). There are: {there}")
        kept = found if len(found) <= count else sorted(rng.choice(found, count, replace=False).tolist())
        chosen += kept
        names += [name] * len(kept)
    return chosen, names
