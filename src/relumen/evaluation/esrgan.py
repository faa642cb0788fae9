"""ESRGAN on held-out images, beside bicubic interpolation and the rows of Chatton's Figs. 5-11."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relumen.degrade import Degradation
from relumen.evaluation import chatton
from relumen.evaluation.classical import best_gaussian, best_non_local_means
from relumen.evaluation.judging import ALL, Contender, Limits, judge
from relumen.evaluation.published import Published
from relumen.evaluation.scores import Evaluation, Method
from relumen.evaluation.system import Milestone, System
from relumen.run import PIXEL_ONLY
from relumen.training.config import ESRGANConfig, Losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CLASSICAL = (
    Contender(Method("Gaussian + bicubic"), lambda each: best_gaussian(each.low, each.high, each.scale).image),
    Contender(
        Method("non-local means + bicubic"), lambda each: best_non_local_means(each.low, each.high, each.scale).image
    ),
)
_ON_CLASSICAL = (
    "Gaussian and non-local means denoise before bicubic interpolation, each at the setting that is best against the "
    "target of each image, which no user could choose."
)


class ESRGAN(System[ESRGANConfig]):
    """ESRGAN as its evaluation sees it: a run of two phases keeps the network of the first."""

    name = "esrgan"
    config = ESRGANConfig
    paper = chatton.PAPER
    milestone = Milestone(PIXEL_ONLY, "pixel only", "once its first phase of two is done")

    def degradation(self, scale: int) -> Degradation:
        """The stated degradation at its defaults."""
        return Degradation(factor=scale)

    def published(self, config: ESRGANConfig, milestone: str | None) -> Published | None:
        """The row of the losses of the phase that the network came from last."""
        return chatton.published_row(_last_losses(config, milestone))

    def remarks(self, name: str, config: ESRGANConfig, milestone: str | None) -> list[str]:
        """Whether the features are others than the paper's."""
        if not _last_losses(config, milestone).wants_features or config.features == "vgg19":
            return []
        return [f"The feature network of {name} is {config.features!r}, where the published rows have VGG-19."]

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """One for each channel and condition, in the layout of Figs. 5-11."""
        from relumen.evaluation import panels

        for sample in evaluation.samples:
            yield panels.file_name(sample), panels.draw(sample)


def evaluate(
    models: Sequence[Path],
    folder: Path,
    *,
    degrade: bool = False,
    classical: bool = False,
    limits: Limits = ALL,
    seed: int = 0,
    tile: int | None = None,
    overrides: Sequence[str] = (),
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Judges networks of ESRGAN; see :func:`~relumen.evaluation.judging.judge`.

    Args:
        models: run folders, packages, or a run's ``model-pixel.keras``.
        folder: the data.
        degrade: make the inputs from high-quality images.
        classical: Gaussian and non-local means denoising beside bicubic, each at its best setting for each image.
        limits: how much of the data is looked at.
        seed: of the noise, where inputs are made.
        tile: of networks that take any.
        overrides: changes to how the folder is read, "data.name=value".
        on_image: told (images done, images in all).
    """
    return judge(
        ESRGAN(),
        models,
        folder,
        degrade=degrade,
        before=_CLASSICAL if classical else (),
        notes=[_ON_CLASSICAL] if classical else (),
        limits=limits,
        seed=seed,
        tile=tile,
        overrides=overrides,
        on_image=on_image,
    )


def _last_losses(config: ESRGANConfig, milestone: str | None) -> Losses:
    last = config.phase_1 if milestone == PIXEL_ONLY else config.phase_2 or config.phase_1
    return last.losses
