"""The rows of Table 2: networks of one training, apart from its seed and its defects, are one method."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from relumen.evaluation.entrants import Entrant
from relumen.evaluation.made_defects import MadeDefects
from relumen.evaluation.published import Published
from relumen.evaluation.razdaibiedina import (
    CARE,
    CYCLEGAN,
    DEBLURGAN,
    OURS,
    OURS_ALONE,
    RAW,
    REAL,
    SEPARATE,
    SEPARATE_ALONE,
)
from relumen.evaluation.scores import Evaluation, Score, mean
from relumen.run import kind_of
from relumen.training.defects import read_manifest
from relumen.training.limited_config import CGANConfig, CycleGANConfig, DefectImages, SyntheticConfig

INPUT = "input, untouched"
"""The first method: what every other one begins from."""
ALL, NONE = "all", "none"
_ORDER = (CARE, DEBLURGAN, REAL, SEPARATE, OURS, CYCLEGAN, SEPARATE_ALONE, OURS_ALONE)
_UNTOLD = ("made pairs", "made pairs only")  # made by nobody knows whom


class Training(NamedTuple):
    """What a network learned from.

    Attributes:
        method: as tables call it.
        pairs: real pairs of each defect; None: all that there were.
        ends_on_real: whether made pairs were shown in a first part alone; not so in the paper.
    """

    method: str
    pairs: int | None
    ends_on_real: bool = False


class Pooled(NamedTuple):
    """A row's figures on one defect: of each network the mean over the images, and of these mean and deviation.

    Attributes:
        seeds: networks.
        mean: over them; its image says how many images each was judged on.
        deviation: over them, by the figure's name; nothing of one network.
    """

    seeds: int
    mean: Score
    deviation: dict[str, float]


@dataclass(frozen=True)
class Row:
    """A method at some number of real pairs.

    Attributes:
        method: its name, which no other row has at this number of pairs.
        kind: the same without what sets it apart from others.
        pairs: of each defect, in words; empty where that isn't known.
        networks: names of its methods in the evaluation.
        apart: whether each of them restores one of several defects.
        published: the published row of the same training, where there is one.
    """

    method: str
    kind: str
    pairs: str
    networks: tuple[str, ...]
    apart: bool = False
    published: Published | None = None

    def pooled(self, evaluation: Evaluation, defect: str) -> Pooled | None:
        """Its figures on a defect; None where it was made for others."""
        means = [found for name in self.networks if (found := mean(_scores(evaluation, defect, name)))]
        whole = mean(means)
        if whole is None:
            return None
        names = [name for name, value in vars(whole).items() if isinstance(value, float)]
        deviation = {name: float(np.std([getattr(m, name) for m in means], ddof=1)) for name in names if len(means) > 1}
        return Pooled(len(means), replace(whole, method=self.method, image=means[0].image), deviation)

    def psnr(self, evaluation: Evaluation, defect: str) -> list[float]:
        """Raw, of every image and network."""
        return [score.psnr for name in self.networks for score in _scores(evaluation, defect, name)]


@dataclass(frozen=True)
class LimitedEvaluation:
    """Everything that was found.

    Attributes:
        evaluation: of every network by itself; its conditions are the defects.
        rows: what is untouched first.
        made: what runs of CIN-GAN make.
    """

    evaluation: Evaluation
    rows: tuple[Row, ...]
    made: tuple[MadeDefects, ...] = ()


def training_of(config: DefectImages) -> Training:
    """The method of a run, by its network, its losses, and what it learned from.

    Raises:
        ValueError: it restores nothing.
    """
    if isinstance(config, CycleGANConfig):
        return Training(CYCLEGAN, 0)
    if not isinstance(config, CGANConfig):
        raise ValueError(f"Methods restore. Received: {type(config).__name__}")
    synthetic = config.synthetic
    made = None if synthetic is None else _makers(synthetic)
    base = {"care": CARE, "deblurgan": DEBLURGAN}.get(kind_of(config.model_dump(mode="json")))
    method = REAL if made is None else made[config.pairs == 0]
    if base:
        method = base if made is None else f"{base}, {method}"
    return Training(method, config.pairs, synthetic is not None and synthetic.until < 1)


def find_rows(names: Sequence[str], entrants: Sequence[Entrant], apart: Sequence[bool]) -> tuple[Row, ...]:
    """Puts networks of one training into a row, and the untouched input before them.

    Args:
        names: of the networks in the evaluation.
        entrants: the networks.
        apart: whether each restores one of several defects.
    """
    groups: dict[str, list[int]] = {}
    for i, entrant in enumerate(entrants):
        groups.setdefault(_key(entrant, apart=apart[i]), []).append(i)
    rows = []
    for members in groups.values():
        first = entrants[members[0]]
        networks = tuple(names[i] for i in members)
        kind = method = networks[0]
        pairs = ""
        if isinstance(first.config, DefectImages):
            kind, count, ends_on_real = training_of(first.config)
            method = f"{kind}, then real alone" if ends_on_real else kind
            pairs = ALL if count is None else str(count) if count else NONE
            if isinstance(first.config, CycleGANConfig) and first.config.images is not None:
                pairs = f"{NONE}, {first.config.images} unpaired"
        finished = all(entrants[i].finished for i in members)
        published = first.published if finished else None
        rows.append(Row(method, kind, pairs, networks, apart[members[0]], published))
    shared = Counter((row.method, row.pairs) for row in rows)
    rows = [
        replace(row, method=f"{row.method} ({', '.join(row.networks)})") if shared[row.method, row.pairs] > 1 else row
        for row in rows
    ]
    return (Row(INPUT, INPUT, "", (INPUT,), published=RAW), *sorted(rows, key=_place))


def _key(entrant: Entrant, *, apart: bool) -> str:
    """Equal for networks that are one row: all of a configuration but its seed, its defects, and where files lie."""
    config = entrant.config
    if not isinstance(config, DefectImages):
        return str(entrant.path)
    told = config.model_dump(
        mode="json",
        exclude={
            "seed": True,
            "defects": True,
            "devices": True,
            "log_every": True,
            "check_every": True,
            "clean": True,
            "data": {"folder"},
            "synthetic": {"folder"},
        },
    )
    return json.dumps([training_of(config), apart, told], sort_keys=True)


def _makers(synthetic: SyntheticConfig) -> tuple[str, str]:
    """Whose pairs these are: the method beside real ones, and alone."""
    try:
        runs = {each["run"] for each in read_manifest(synthetic.folder)["defects"].values()}
    except (KeyError, TypeError, AttributeError):  # somebody else's file
        return f"real + {_UNTOLD[0]}", _UNTOLD[1]
    return (SEPARATE, SEPARATE_ALONE) if len(runs) > 1 else (OURS, OURS_ALONE)


def _place(row: Row) -> tuple[int, int, int]:
    """Fewest pairs first, then all, then none; within these as in the paper."""
    rank = 0 if row.pairs.isdigit() else 1 if row.pairs == ALL else 2 if row.pairs.startswith(NONE) else 3
    method = _ORDER.index(row.kind) if row.kind in _ORDER else len(_ORDER)
    return rank, int(row.pairs) if row.pairs.isdigit() else 0, method


def _scores(evaluation: Evaluation, defect: str, method: str) -> list[Score]:
    return [score for score in evaluation.scores if (score.condition, score.method) == (defect, method)]
