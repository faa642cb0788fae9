"""A run of CIN-GAN on held-out clean images: whether it makes defects that are told apart, and how far they go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relumen.divergence import divergence_curves
from relumen.errors import UserError
from relumen.evaluation.synthesis import Maker, makers, roughness
from relumen.evaluation.telling import Teller
from relumen.metrics import psnr
from relumen.run import RunFolder
from relumen.training.data import EMPTY, spread
from relumen.training.defects import Defect, defective, target

Float32 = NDArray[np.float32]

_EXAMPLES = 100  # images of each defect that the teller learns from, at most
_IMAGES = 24  # held-out images of each defect, at most
_PATCHES = 4  # of an image, at most
_COMPARED = 8  # clean images of which all defects are made


class Share(NamedTuple):
    """How many were told right, of how many."""

    right: int
    total: int


@dataclass(frozen=True)
class MadeDefects:
    """What a run of CIN-GAN makes of held-out clean images.

    Attributes:
        run: its name.
        finished: whether its training has come to its end.
        side: height and width of the parts that are told apart, pixels.
        real: real held-out images that are told right, by defect; nothing where there is one defect alone.
        made: likewise of the made ones.
        divergence: PSNR in dB between clean and made images, and between clean and real ones, by defect.
        differences: between what two defects make of one image, in its standard deviations: mean absolute.
        compared: of how many images that is the mean.
        examples: of each defect its name, a clean image, the made and the real one.
        curves: (step, PSNR in dB between clean and made) over the training, by defect.
        real_curves: the same of real ones, by defect.
    """

    run: str
    finished: bool
    side: int
    real: Mapping[str, Share]
    made: Mapping[str, Share]
    divergence: Mapping[str, tuple[float, float]]
    differences: Mapping[tuple[str, str], float]
    compared: int
    examples: tuple[tuple[str, Float32, Float32, Float32], ...]
    curves: Mapping[str, Sequence[tuple[int, float]]]
    real_curves: Mapping[str, float]


def look_at_made(path: Path, name: str, defects: Sequence[Defect], side: int) -> MadeDefects:
    """Makes the defects of a run, and compares them with the real ones of the same names.

    Args:
        path: a run of CIN-GAN.
        name: of the run, in tables.
        defects: of the data, with their clean partners.
        side: height and width of the parts that are told apart.

    Raises:
        UserError: a run without a network, none of whose defects is in the data, or images smaller than it takes.
    """
    known = makers([path])
    both = [defect for defect in defects if defect.name in known]
    if not both:
        raise UserError(
            f"{path} makes {', '.join(known)}, and the data has {', '.join(each.name for each in defects)}: "
            "there is nothing to compare with."
        )
    teller = _teller(defects, side)
    real: dict[str, Share] = {}
    made: dict[str, Share] = {}
    divergence: dict[str, tuple[float, float]] = {}
    examples = []
    for defect in both:
        triples = []
        for source in spread(defect.validation, _IMAGES):
            cleans, trues = zip(*_pieces(known[defect.name], target(source), defective(source)), strict=True)
            triples += zip(cleans, known[defect.name].made(cleans, target(source)), trues, strict=True)
        divergence[defect.name] = _mean(psnr(c, m) for c, m, _ in triples), _mean(psnr(c, r) for c, _, r in triples)
        examples.append((defect.name, *max(triples, key=lambda triple: roughness(triple[0]))))
        if teller is not None:
            real[defect.name] = _told(teller, defect.name, (p for c, _, r in triples for p in _parts(c, r, side)))
            made[defect.name] = _told(teller, defect.name, (p for c, m, _ in triples for p in _parts(c, m, side)))
    cleans = spread([(known[each.name], source) for each in both for source in each.validation], _COMPARED)
    pieces = [(next(_pieces(maker, target(source)))[0], target(source)) for maker, source in cleans]
    outputs = [
        {name: maker.made([piece], whole)[0] / piece.std() for name, maker in known.items()} for piece, whole in pieces
    ]
    differences = {
        (a, b): _mean(np.abs(each[a] - each[b]).mean() for each in outputs) for a, b in combinations(known, 2)
    }
    run = RunFolder.open(path)
    curves, real_curves = divergence_curves(run)
    return MadeDefects(
        run=name,
        finished=run.about().finished,
        side=side,
        real=real,
        made=made,
        divergence=divergence,
        differences=differences,
        compared=len(pieces),
        examples=tuple(examples),
        curves=curves,
        real_curves=real_curves,
    )


def _teller(defects: Sequence[Defect], side: int) -> Teller | None:
    """Learns from real images that are trained on; None where there is nothing to be told apart."""
    examples = {
        defect.name: [
            part
            for source in spread(defect.training, _EXAMPLES)
            for part in _parts(target(source), defective(source), side)
        ]
        for defect in defects
    }
    return Teller(examples) if len(examples) > 1 and all(examples.values()) else None


def _told(teller: Teller, name: str, parts: Iterator[Float32]) -> Share:
    told = teller.tell(list(parts))
    return Share(told.count(name), len(told))


def _pieces(maker: Maker, clean: Float32, *others: Float32) -> Iterator[tuple[Float32, ...]]:
    """Some parts of an image that a network takes, with the same parts of others; the ones with structure first."""
    together = list(zip(*(maker.pieces(image) for image in (clean, *others)), strict=True))
    alive = [each for each in together if each[0].std() >= EMPTY * clean.std()]
    yield from spread(alive or together, _PATCHES)


def _parts(clean: Float32, image: Float32, side: int) -> Iterator[Float32]:
    """Some squares of an image that show a structure of the clean one."""
    places = [
        (slice(y, y + side), slice(x, x + side))
        for y in range(0, image.shape[0] - side + 1, side)
        for x in range(0, image.shape[1] - side + 1, side)
    ]
    alive = [place for place in places if clean[place].std() >= EMPTY * clean.std()]
    yield from (image[place] for place in spread(alive, _PATCHES))


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))
