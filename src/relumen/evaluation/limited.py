"""Restorers of several defects on held-out pairs: Razdaibiedina et al.'s Table 2 and Figs. 3 to 7 on any data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from relumen.errors import UserError
from relumen.evaluation import razdaibiedina
from relumen.evaluation.entrants import Entrant, open_entrant, unique_names
from relumen.evaluation.judging import ALL as EVERY_IMAGE
from relumen.evaluation.judging import Contender, Limits, compete, data_config, find_inputs, restoring
from relumen.evaluation.limited_rows import INPUT, LimitedEvaluation, Row, find_rows, training_of
from relumen.evaluation.made_defects import MadeDefects, look_at_made
from relumen.evaluation.published import Published
from relumen.evaluation.scores import Evaluation, Method
from relumen.evaluation.system import Runs
from relumen.run import RunFolder
from relumen.training.config import parse_config
from relumen.training.defects import defect_folders, load_defects, note, pairs_of, to_judge_on
from relumen.training.limited_config import CINGANConfig, DefectImages
from relumen.training.settings import Region


class Limited(Runs[DefectImages]):
    """cGAN, its baselines, and CycleGAN as their evaluation sees them."""

    name = "limited"
    config = DefectImages
    paper = razdaibiedina.PAPER

    @property
    def systems(self) -> str:
        """All that learn from images of several defects."""
        return "cgan, cyclegan or cin-gan"

    def published(self, config: DefectImages, milestone: str | None) -> Published | None:
        """The row of Table 2."""
        method, pairs, ends_on_real = training_of(config)
        return None if ends_on_real else razdaibiedina.published_row(method, pairs)


def evaluate(
    models: Sequence[Path],
    folder: Path,
    *,
    limits: Limits = EVERY_IMAGE,
    tile: int | None = None,
    overrides: Sequence[str] = (),
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> LimitedEvaluation:
    """Restores the held-out images of each defect with every network that was made for it, and judges the results.

    Args:
        models: run folders of cGAN, CycleGAN and CIN-GAN, or packages. What CIN-GAN makes is looked at by itself.
        folder: the data: a subfolder of pairs for each defect, or one of these.
        limits: how much of the data is looked at.
        tile: of networks that take any.
        overrides: changes to how the folder is read, "data.name=value".
        on_image: told (images done, images in all) after each; an image counts once for each network.

    Raises:
        UserError: a model or a folder that can't be used, or no pairs.
        CheckFailedError: the device's memory is full.
    """
    runs = Limited()
    cin_gans = {path: config for path in models if (config := _cin_gan(path))}
    with ExitStack() as stack:
        entrants = [stack.enter_context(open_entrant(path, runs, tile)) for path in models if path not in cin_gans]
        if larger := [f"{each.path} {each.restorer.scale}x" for each in entrants if each.restorer.scale != 1]:
            raise UserError(
                f"Restorers give images of their input's size. Received: {', '.join(larger)}. "
                "Evaluate what magnifies by `relumen evaluate esrgan` or `cascade`."
            )
        names = unique_names(entrants, INPUT)
        trained = [entrant.config for entrant in entrants if entrant.config] + list(cin_gans.values())
        here = [
            config.model_copy(update={"data": config.data.model_copy(update={"folder": folder})})
            for config in trained
            if _within(config.data.folder, folder)
        ]
        config = data_config(folder, here, None, overrides=overrides)
        loaded = load_defects(config)
        defects = to_judge_on([defect for defect in loaded if defect.paired])
        if not defects:
            raise UserError(f"{folder} has defective images alone. Restorers are judged on pairs, in low/ and high/.")
        there = [defect.name for defect in defects]
        inputs = find_inputs(pairs_of(defects, None, 0).validation, limits)
        made_for = [_made_for(entrant, there) for entrant in entrants]
        contenders = [
            Contender(Method(INPUT, razdaibiedina.RAW), lambda each: each.low),
            *(
                Contender(
                    Method(name, entrant.published, learnt=True), restoring(entrant.restorer), frozenset(own or there)
                )
                for name, entrant, own in zip(names, entrants, made_for, strict=True)
            ),
        ]
        scores, samples = compete(inputs, contenders, target="truth", also_rescaled=True, on_image=on_image)
        rows = find_rows(names, entrants, [len(own or there) == 1 < len(there) for own in made_for])
        notes = [
            f"Data: {folder}. Held out: {_amounts(there, [each.condition for each in inputs], limits, config.region)}.",
            *_on_data(folder, [defect.name for defect in loaded if not defect.paired]),
            *_on_figures(rows),
            *_on_networks(names, entrants, made_for, folder),
        ]
    papers_data = all(runs.paper.has(defect.layout) for defect in defects)
    shared = Counter(path.resolve().name for path in cin_gans)
    made = [
        look_at_made(
            path,
            path.resolve().name if shared[path.resolve().name] == 1 else str(path),
            defects,
            side=cin_gan.data.patch,
        )
        for path, cin_gan in cin_gans.items()
    ]
    evaluation = Evaluation(
        runs.paper,
        tuple(contender.method for contender in contenders),
        scores,
        samples,
        (*notes, *_on_made(made), runs.paper.here if papers_data else runs.paper.elsewhere),
        papers_data,
    )
    return LimitedEvaluation(evaluation, rows, tuple(made))


def _cin_gan(path: Path) -> CINGANConfig | None:
    """The configuration of a run of CIN-GAN, which makes defects and restores nothing; None: it is something else."""
    if not (path / "config.yaml").is_file():
        return None
    config = parse_config(RunFolder(path).config())
    return config if isinstance(config, CINGANConfig) else None


def _within(trained: Path, folder: Path) -> bool:
    """Whether one of these is the other, or a defect of it, so that both hold out the same."""
    a, b = trained.resolve(), folder.resolve()
    return a == b or a.parent == b or a == b.parent


def _made_for(entrant: Entrant, there: Sequence[str]) -> list[str]:
    """Which defects of the data a network was trained on; nothing where that can't be told, or none is the data's."""
    config = entrant.config
    if not isinstance(config, DefectImages):
        return []
    try:
        known = config.defects or tuple(defect_folders(config.data))
    except UserError:  # the images of the training have been moved
        return []
    return [name for name in there if name in known]


def _amounts(there: Sequence[str], conditions: Sequence[str], limits: Limits, region: Region | None) -> str:
    amounts = ", ".join(f"{conditions.count(name)} of {name}" for name in there)
    amounts += f", of each {region.band}" if region else ""
    return amounts if limits.crop is None else f"{amounts}, of each the middle {limits.crop} x {limits.crop} pixels"


def _on_data(folder: Path, alone: Sequence[str]) -> list[str]:
    notes = [f"Not judged, since there are no clean partners: {', '.join(alone)}."] if alone else []
    told = note(folder) or note(folder.parent)
    return [told, *notes] if told else notes


def _on_figures(rows: Sequence[Row]) -> list[str]:
    notes = [
        "Raw PSNR (dB) and SSIM are over the 0.1st to 99.9th percentile of the truth; 'affine fit': after a x + b with "
        "least squared error to the truth, as CSBDeep does, whose figures CARE's are; 'rescaled': truth and image each "
        "from its own smallest to its own largest value first, as the authors' published scripts do. That is a fault, "
        "kept for comparison: one hot pixel darkens a whole image.",
        "Real pairs are those of each defect. A network is judged on the defects that it was trained on.",
    ]
    if any(len(row.networks) > 1 for row in rows):
        notes.append(
            "Behind +- stands the standard deviation over networks of one configuration, which differ in their seed "
            "or in the folders that they learned from."
        )
    return notes


def _on_networks(
    names: Sequence[str], entrants: Sequence[Entrant], made_for: Sequence[Sequence[str]], folder: Path
) -> list[str]:
    """What a reader must know of single networks, said once for all of which it is true."""
    told: dict[str, list[str]] = {}
    for name, entrant, own in zip(names, entrants, made_for, strict=True):
        if entrant.config is None:
            told.setdefault("A package, whose training images can't be told here", []).append(name)
            continue
        data = entrant.config.data
        besides = f", without {data.region.band}" if data.region else ""
        same = f"Trained on this folder's other images{besides}"
        told.setdefault(same if _within(data.folder, folder) else "Trained on other data", []).append(name)
        if not own:
            told.setdefault("Judged on every defect, since those of its training are not in the data", []).append(name)
        if not entrant.finished:
            told.setdefault("The training has not come to its end", []).append(name)
    for name, entrant in zip(names, entrants, strict=True):
        if not entrant.restorer.any_size:
            side = entrant.restorer.tile[0]
            told.setdefault(f"Takes tiles of {side} x {side} alone, so that seams show between them", []).append(name)
    return [f"{words}: {', '.join(those)}." for words, those in told.items()]


def _on_made(made: Sequence[MadeDefects]) -> list[str]:
    if not made:
        return []
    notes = [f"Defects are made of held-out clean images by {', '.join(each.run for each in made)}."]
    if unfinished := [each.run for each in made if not each.finished]:
        notes.append(f"The training has not come to its end: {', '.join(unfinished)}.")
    if any(each.made for each in made):
        notes.append(
            "The classifier is linear discriminant analysis of low-level features: means, deviations and Gram matrices "
            "of the microscopy feature network's first three convolutions. It learns from real images of the training "
            "part alone, and a figure is the share of images that it tells right."
        )
    if any(each.differences for each in made):
        count = max(each.compared for each in made)
        notes.append(f"What several defects make of one input is compared on {count} clean images, each by itself.")
    return notes
