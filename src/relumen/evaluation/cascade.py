"""The cascaded refinement GAN on held-out images: Han and Yin's Table 1 and Figs. 4 and 6 on any data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relumen.degrade import Degradation
from relumen.evaluation import han_yin
from relumen.evaluation.band_limit import band_limited
from relumen.evaluation.han_yin import ADVERSARIAL, CONTENT, LAPSRN, OURS, SINGLE
from relumen.evaluation.judging import ALL, Contender, Limits, judge
from relumen.evaluation.published import Published
from relumen.evaluation.scores import Evaluation, Method
from relumen.evaluation.system import System
from relumen.training.config import CascadeConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARK = "truth without detail finer than the input's pixels"
"""A row that is no method; see :func:`~relumen.evaluation.band_limit.band_limited`."""

_MARK = Contender(Method(MARK), lambda each: band_limited(each.high, each.scale))
_ON_MARK = (
    f'"{MARK}" is no method: it is made of the truth itself, up to the frequency that the input\'s pixels can carry. '
    "That is how far perfect interpolation would come; a network above it has inferred detail."
)


class Cascade(System[CascadeConfig]):
    """The cascaded refinement GAN, its ablations and LapSRN as their evaluation sees them."""

    name = "cascade"
    config = CascadeConfig
    paper = han_yin.PAPER
    examples = 4

    def degradation(self, scale: int) -> Degradation:
        """The image made smaller, and nothing else."""
        return Degradation(factor=scale, blur=(0.0,), photons=None)

    def published(self, config: CascadeConfig, milestone: str | None) -> Published | None:
        """The row of Table 1."""
        return han_yin.published_row(config)

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Fig. 4, with networks that are none of the paper's too, and Fig. 6, each where there is a network for it."""
        from relumen.evaluation import panels

        groups = panels.by_condition(evaluation.samples)
        for stem, rows, needed in (
            ("figure-4", (LAPSRN, OURS, None), {LAPSRN, OURS, None}),
            ("figure-6", (ADVERSARIAL, CONTENT, SINGLE, OURS), {ADVERSARIAL, CONTENT, SINGLE}),
        ):
            networks = [each for row in rows for each in evaluation.methods if each.learnt and each.published is row]
            if not needed & {each.published for each in networks}:
                continue
            for words, samples in groups:
                name = f"{stem}-{words}.png" if len(groups) > 1 else f"{stem}.png"
                yield name, panels.draw_beside(samples, [evaluation.methods[0], *networks])


def evaluate(
    models: Sequence[Path],
    folder: Path,
    *,
    limits: Limits = ALL,
    tile: int | None = None,
    overrides: Sequence[str] = (),
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Judges networks of the cascade; see :func:`~relumen.evaluation.judging.judge`.

    Args:
        models: run folders or packages.
        folder: the data; where it has images alone, their inputs are made.
        limits: how much of the data is looked at.
        tile: of networks that take any.
        overrides: changes to how the folder is read, "data.name=value".
        on_image: told (images done, images in all).
    """
    return judge(
        Cascade(),
        models,
        folder,
        after=[_MARK],
        notes=[_ON_MARK],
        limits=limits,
        tile=tile,
        overrides=overrides,
        on_image=on_image,
    )
