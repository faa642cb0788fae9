"""A run folder as one caller of the exporter: what the run knows of its network, said as a description."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relumen.errors import UserError
from relumen.images import read_image
from relumen.run import About, Figures, RunFolder
from relumen.tiling import mirrored_to

from .defects import divergence, in_words, index_of, network_of
from .description import Citation, PackageDescription, Table
from .systems import is_adversarial, system_of, works_of
from .target import check_target
from .tiles import tile_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Credits:
    """Who made a model and on what, as far as a run can't know it; the zoo wants all of it.

    Attributes:
        authors: names of people.
        github_user: GitHub name of the first author, who then counts as the model's maintainer.
        email: of the first author, who then counts as its uploader.
        data_link: where the training images can be had.
        limitations: what the model is not good for, as its makers found; the card says it first.
        license: SPDX name of the weights' licence.
    """

    authors: tuple[str, ...] = ("anonymous",)
    github_user: str | None = None
    email: str | None = None
    data_link: str | None = None
    limitations: tuple[str, ...] = ()
    license: str = "CC-BY-4.0"


_NOBODY = Credits()


def people(credits: Credits) -> list[dict[str, str | None]]:
    """The authors as a description has them: the first one with what the zoo asks of its maintainer and uploader."""
    first, *others = credits.authors
    return [
        {"name": first, "github_user": credits.github_user, "email": credits.email},
        *({"name": each} for each in others),
    ]


def export_run(
    run_folder: Path,
    folder: Path,
    *,
    trained: tuple[keras.Model, About] | None = None,
    defect: str | None = None,
    name: str | None = None,
    credits: Credits = _NOBODY,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Exports a run as a bioimage.io package.

    Args:
        run_folder: a run that has come to a checkpoint at least.
        folder: the package folder to make.
        trained: a network made of the run's, and what is known of it; None: the run's last one.
        defect: the one that the network is to make, of a run of CIN-GAN.
        name: the model's name, which is followed by the defect's; the run's where it is None.
        credits: people and data.
        overwrite: whether a package that is there may be replaced.
        say: told what is being done.

    Returns:
        The package folder.

    Raises:
        UserError: no run, a run without a network, no such defect, or a folder that can't be written to.
    """
    from .exporter import export_package

    run = RunFolder.open(run_folder)
    about = run.about() if trained is None else trained[1]
    if defect is not None:
        network = network_of(run, defect)
    elif about.defects:
        raise UserError(f"{run_folder} makes several defects, and a package makes one: {', '.join(about.defects)}.")
    else:
        network = run.network() if trained is None else trained[0]
    sample = np.asarray(read_image(run.sample_file).pixels, np.float32)
    name = " ".join([name or f"relumen {run.path.resolve().name}", *([in_words(defect)] if defect else [])])
    measured = () if defect is None else divergence(run, defect)
    description = describe(about, run.config(), name, credits, defect=defect, validation=measured)
    height, width = (max(size, description.smallest_image) for size in sample.shape)
    sample = mirrored_to(sample, (height, width))[..., np.newaxis]
    return export_package(network, description, sample, folder, overwrite=overwrite, say=say)


def packages_of(run_folder: Path, output: Path | None, defect: str | None, overwrite: bool) -> dict[str | None, Path]:
    """The packages that a run is exported as, by the defect that each makes; a restorer is one, by None.

    Args:
        run_folder: a run that has come to a checkpoint at least.
        output: the package folder to make; of several its name is followed by the defect's. None: packages/RUN.
        defect: the only one that is exported; None: all.
        overwrite: whether packages that are there may be replaced.

    Raises:
        UserError: no run, or one without a network or without that defect; or something stands where a package is to
            be.
    """
    run, folder = RunFolder.open(run_folder), output or Path("packages") / run_folder.resolve().name
    if defect is not None:
        index_of(run, defect)
        if output is not None:
            return {defect: output}
    defects = run.about().defects if defect is None else (defect,)
    if not defects:
        return {None: folder}
    packages: dict[str | None, Path] = {each: folder.with_name(f"{folder.name}-{each}") for each in defects}
    for package in packages.values():
        check_target(package, overwrite)  # before the first is made
    return packages


def describe(
    about: About,
    config: Mapping[str, Any],
    name: str,
    credits: Credits,
    *,
    defect: str | None = None,
    validation: tuple[Table, ...] = (),
) -> PackageDescription:
    """What a run knows of its network, as a description for the package.

    Args:
        about: what was trained.
        config: the run's configuration, as plain values.
        name: the model's name.
        credits: people and data.
        defect: what the network makes of clean images; None: it restores.
        validation: figures besides the run's own.

    Raises:
        UserError: a name that the zoo doesn't allow.
    """
    system = system_of(config)
    authors = people(credits)
    details = [] if about.degradation is None else [f"Inputs were made by a stated degradation: {about.degradation}."]
    if about.features is not None:
        details.append(f"Feature network of the losses: {about.features}.")
    if about.alpha is not None:
        details.append(
            f"Weights: {about.alpha:g} of the last network's and {1 - about.alpha:g} of the pixel-only one's "
            "(network interpolation, ESRGAN, Sec. 3.4)."
        )
    if system.adversarial is not None and not is_adversarial(config):
        details.append("Trained without an adversarial loss.")
    details.append(f"{about.steps} steps{'' if about.finished else '; the training was stopped before its end'}.")
    return PackageDescription.checked(
        {
            "name": name,
            "summary": system.summary.format(scale=about.scale, defects=_defects(about, defect)),
            "scale": about.scale,
            "tile": tile_of(about),
            "fixed_size": about.tile is not None or about.draws,
            "halo": about.halo if about.draws else None,
            "draws": about.draws,
            "multiple": about.multiple,
            "defect": None if defect is None else in_words(defect),
            "pixel_size_um": about.pixel_size_um,
            "authors": authors,
            "maintainers": authors[:1] if credits.github_user else [],
            "uploader": authors[0] if credits.email else None,
            "license": credits.license,
            "cite": tuple(Citation(text=work.short, doi=work.doi, url=work.url) for work in works_of(config)),
            "tags": system.tags,
            "training": {
                "data": about.data,
                "data_link": credits.data_link,
                "command": about.command,
                "duration": _duration(about.seconds),
                "machine": about.machine,
                "software": about.software,
                "details": details,
            },
            "validation": (*_validation(about), *validation),
            "limitations": (*credits.limitations, *_limitations(about, config)),
        }
    )


def _defects(about: About, defect: str | None) -> str:
    """What is restored, or made, as far as the run knows it."""
    if defect is not None:
        return in_words(defect)
    names = [figures.condition for figures in about.figures if figures.condition != "as given"]  # one defect, unnamed
    return ", ".join(dict.fromkeys(names)) or "the defects of its training images"


def _validation(about: About) -> tuple[Table, ...]:
    if not about.figures:
        return ()
    if about.scale == 1:
        return (_by_defect(about),)
    made = "made by the degradation above" if about.degradation else "real low-quality images"
    return (
        Table(
            caption=f"Held-out images; inputs {made}. PSNR and SSIM over the 0.1st to 99.9th percentile of the target.",
            columns=("image", "condition", "PSNR (dB)", "SSIM", "bicubic PSNR (dB)", "bicubic SSIM"),
            rows=tuple(
                (
                    f.image,
                    f.condition,
                    f"{f.psnr:.2f}",
                    f"{f.ssim:.3f}",
                    f"{f.bicubic_psnr:.2f}",
                    f"{f.bicubic_ssim:.3f}",
                )
                for f in about.figures
            ),
        ),
    )


def _by_defect(about: About) -> Table:
    """The figures in the mean of each defect's images: without magnification there may be many."""
    groups: dict[str, list[Figures]] = {}
    for figures in about.figures:
        groups.setdefault(figures.condition, []).append(figures)

    def mean(values: Iterable[float], digits: int) -> str:
        return f"{np.mean(list(values)):.{digits}f}"

    return Table(
        caption="Held-out pairs, in the mean. PSNR and SSIM over the 0.1st to 99.9th percentile of the target.",
        columns=("defect", "images", "PSNR (dB)", "SSIM", "the input's PSNR (dB)", "the input's SSIM"),
        rows=tuple(
            (
                name,
                len(group),
                mean((f.psnr for f in group), 2),
                mean((f.ssim for f in group), 3),
                # Enlarged by 1, the input is what bicubic interpolation makes of it.
                mean((f.bicubic_psnr for f in group), 2),
                mean((f.bicubic_ssim for f in group), 3),
            )
            for name, group in groups.items()
        ),
    )


def _limitations(about: About, config: Mapping[str, Any]) -> tuple[str, ...]:
    system = system_of(config)
    limits = list(system.limitations)
    if system.adversarial is not None and is_adversarial(config):
        limits.append(system.adversarial)
    if about.degradation:
        limits.append(system.made_inputs.format(degradation=about.degradation))
    if about.draws:
        limits.append(
            f"Grain that is drawn anew: its random numbers are part of it, so that every tile of {tile_of(about)} "
            "pixels has the same. `relumen data synthesise` draws them anew for each image."
        )
    if about.pixel_size_um is None:
        limits.append("The training images state no pixel size, so nothing warns of images of another magnification.")
    if not about.finished:
        limits.append("The training was stopped before its end.")
    return tuple(limits)


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes >= 90:
        return f"{seconds / 3600:.1f} hours"
    return f"{minutes} minutes" if minutes > 1 else "a minute"
