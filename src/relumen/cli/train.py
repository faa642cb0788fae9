"""relumen train: one command for each system."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relumen.cli.progress import progress_bar, say
from relumen.cli.training import train_run
from relumen.errors import UserError

if TYPE_CHECKING:
    from relumen.training.flow import Epoch

app: typer.Typer = typer.Typer(no_args_is_help=True)
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Run folder to make. [default: SYSTEM-PRESET in runs/]")
]
PixelSize = Annotated[
    float | None, typer.Option(help="Pixel size of the inputs in micrometres, where the files don't tell it.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Changes a value, such as --set seed=1; config.yaml in a run folder has them all."),
]
Clean = Annotated[
    Path | None, typer.Option(help="Folder of clean images. [default: DATA/clean, or the targets of the pairs]")
]
Resume = Annotated[
    Path | None, typer.Option(help="Goes on with the run in this folder, as it was begun; no other option is given.")
]


@app.command()
def esrgan(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of pairs, of high-quality images alone, of W2S, or a .npz of CSBDeep.")
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="'compact' for laptops, 'widefield' as it ships, 'w2s' for the paper's training, or a .yaml file."
        ),
    ] = "compact",
    output: Output = None,
    degrade: Annotated[
        bool,
        typer.Option("--degrade", help="Make the inputs from high-quality images: blur, binning, noise."),
    ] = False,
    pixel_size: PixelSize = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains ESRGAN for joint denoising and 2x super-resolution.

    Example: relumen train esrgan --data my-images/ --degrade -o runs/nuclei
    """
    run = train_run(
        context,
        "esrgan",
        preset,
        output,
        overrides,
        resume,
        data=data,
        degrade=degrade,
        pixel_size=pixel_size,
    )
    say(f"Trained: {run.path}. Next: relumen export {run.path}")


@app.command()
def cascade(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of high-resolution images, or of pairs in low/ and high/.")
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="'compact' for laptops, 'phase' as it ships, 'author' for the paper's training, 'lapsrn' for its "
            "baseline, or a .yaml file."
        ),
    ] = "compact",
    output: Output = None,
    pixel_size: PixelSize = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains the cascaded refinement GAN for 2x to 16x super-resolution of phase contrast images.

    Example: relumen train cascade --data my-images/ -o runs/phase
    """
    run = train_run(context, "cascade", preset, output, overrides, resume, data=data, pixel_size=pixel_size)
    say(f"Trained: {run.path}. Next: relumen export {run.path}")


@app.command("cin-gan")
def cin_gan(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a subfolder of defective images, or pairs, for each defect, and perhaps clean/."
        ),
    ] = None,
    clean: Clean = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Defective images of each defect that are used. [default: all]")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="'compact' for laptops, 'author' for the paper's training, or a .yaml file.")
    ] = "compact",
    output: Output = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains CIN-GAN, which makes defects of clean images, from unpaired examples of each.

    Example: relumen train cin-gan --data my-defects/ --clean good-images/ -o runs/defects
    """
    fields = {"images": images, "clean": None if clean is None else str(clean.resolve())}
    run = train_run(context, "cin-gan", preset, output, overrides, resume, data=data, fields=fields)
    say(f"Trained: {run.path}. Next: relumen data synthesise {run.path} --clean GOOD-IMAGES -o made")


@app.command()
def cgan(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of pairs in low/ and high/, or with a subfolder of pairs for each defect."),
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(min=0, help="Real pairs of each defect that are used. [default: all]")
    ] = None,
    synthetic: Annotated[
        Path | None, typer.Option(help="Folder of pairs whose defects CIN-GAN made, by relumen data synthesise.")
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of such pairs in a batch. [default: 0.5; 1 with --pairs 0]"),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Part of the training in which such pairs are shown, before real ones alone; 1 is the paper's. "
            "[default: 0.5; 1 with --pairs 0]",
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="'compact' for laptops, 'fluorescence' as it ships, 'author' for the paper's training, 'care' and "
            "'deblurgan' for its baselines, or a .yaml file."
        ),
    ] = "compact",
    output: Output = None,
    pixel_size: PixelSize = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains cGAN, one restorer for one or several defects, on few pairs, made pairs, or both.

    Example: relumen train cgan --data my-pairs/ -o runs/restorer
    """
    fields: dict[str, object] = {"pairs": pairs}
    if synthetic is not None:
        usual = 1.0 if pairs == 0 else 0.5
        parts = {"share": share, "until": until}
        chosen = {name: usual if value is None else value for name, value in parts.items()}
        fields["synthetic"] = {"folder": str(synthetic.resolve()), **chosen}
    elif resume is None and (share is not None or until is not None):
        raise UserError("--share and --until are those of made pairs: name their folder with --synthetic.")
    run = train_run(context, "cgan", preset, output, overrides, resume, data=data, pixel_size=pixel_size, fields=fields)
    say(f"Trained: {run.path}. Next: relumen export {run.path}")


@app.command()
def cyclegan(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of defective images, or pairs, or with a subfolder of these for each defect; perhaps clean/."
        ),
    ] = None,
    defect: Annotated[
        str | None, typer.Option(help="Which of several subfolders is restored; CycleGAN restores one defect.")
    ] = None,
    clean: Clean = None,
    images: Annotated[int | None, typer.Option(min=1, help="Defective images that are used. [default: all]")] = None,
    preset: Annotated[str, typer.Option(help="'compact' for laptops, or a .yaml file.")] = "compact",
    output: Output = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains CycleGAN, cGAN's baseline without pairs: it restores one defect.

    Example: relumen train cyclegan --data my-defects/ --defect noise -o runs/cycle
    """
    fields = {
        "defects": None if defect is None else [defect],
        "images": images,
        "clean": None if clean is None else str(clean.resolve()),
    }
    run = train_run(context, "cyclegan", preset, output, overrides, resume, data=data, fields=fields)
    say(f"Trained: {run.path}. Next: relumen export {run.path}")


@app.command()
def features(
    context: typer.Context,
    preset: Annotated[
        str, typer.Option(help="'microscopy' for the network that comes with relumen, or a .yaml file.")
    ] = "microscopy",
    output: Output = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains the feature network of perceptual losses on shipped and procedural images; needs no download.

    Example: relumen train features -o runs/features
    """
    run = train_run(context, "features", preset, output, overrides, resume, needs_data=False)
    say(
        f"Trained: {run.path}. Next, as a perceptual loss: relumen train esrgan --set features=microscopy "
        f"--set features_weights={run.path} --set phase_2.losses.perceptual=0.01"
    )


@app.command()
def prior(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(help="BBBC021 as published, in place of the preset's images; other folders: --set images.crops."),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="A prior to go on from: other stains, or smaller images (transfer learning).")
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="'cells', 'nfkb' and 'golgi' for CPUs, 'auto128' and 'paper256' for GPUs, or a .yaml file.",
        ),
    ] = "cells",
    output: Output = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains StyleGAN2-ADA, the prior of regularized latent search, on images of cells.

    Example: relumen train prior --preset cells -o runs/prior-cells
    """
    from relumen.prior.folder import Prior

    fields: dict[str, object] = {"init": None if init is None else str(Prior.open(init).path.resolve())}
    if data is not None:
        fields["images"] = {"bbbc021": {"folder": str(data.resolve())}}
    run = train_run(context, "prior", preset, output, overrides, resume, needs_data=False, fields=fields)
    say(f"Trained: {run.path}. Next: relumen train flow {run.path}, relumen prior sample {run.path}")


@app.command()
def pix2pix(
    context: typer.Context,
    preset: Annotated[
        str, typer.Option(help="'cells' for CPUs, 'paper' as published, for GPUs, or a .yaml file.")
    ] = "cells",
    output: Output = None,
    overrides: Overrides = None,
    resume: Resume = None,
) -> None:
    """Trains Pix2Pix, the supervised baseline of regularized latent search, on the images of a prior.

    Example: relumen train pix2pix --preset cells --set factor=16 -o runs/pix2pix-cells-16
    """
    run = train_run(context, "pix2pix", preset, output, overrides, resume, needs_data=False)
    say(f"Trained: {run.path}. Held-out images, as input, output and truth: {run.pictures}")


@app.command()
def flow(
    prior: Annotated[Path, typer.Argument(help="A run of train prior, or an imported prior; the flow is kept in it.")],
    preset: Annotated[
        str, typer.Option(help="'fresh' draws new codes in every pass; 'paper' trains on 100,000; or a .yaml file.")
    ] = "fresh",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Changes a value, such as --set hidden=512.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replaces a flow of this very generator.")] = False,
) -> None:
    """Trains the normalizing flow of a prior's style vectors, by which a search stays where the generator is good.

    Interrupted, it goes on when it is started again.

    Example: relumen train flow runs/prior-cells
    """
    from relumen.device import describe_device

    say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.prior.folder import AboutFlow, Prior, digest
    from relumen.training.config import load_flow_config
    from relumen.training.prior_flow import train_flow_on

    opened, config = Prior.open(prior), load_flow_config(preset, overrides or [])
    if opened.ships:
        raise UserError(f"{prior} comes with relumen, and is not changed. Train the flow of a copy of {opened.path}.")
    if not overwrite and opened.has_flow:
        raise UserError(f"{opened.flow_file} is the flow of this generator. Replace it with --overwrite.")
    unfinished = opened.path / "flow-training"
    with progress_bar("epoch") as bar:
        task = bar.add_task("training", total=None)

        def on_epoch(epoch: Epoch) -> None:
            bar.update(task, completed=epoch.number, description=f"training: log-likelihood {epoch.held_out:.2f}")

        made, history = train_flow_on(
            lambda count, seed: opened.style_vectors(count, seed)[1], config, folder=unfinished, on_epoch=on_epoch
        )
    best = history.best
    opened.write_flow(
        made,
        AboutFlow(
            samples=config.samples,
            fresh=config.fresh,
            seed=config.seed,
            generator=digest(opened.generator.mapping),
            epochs=best.number,
            log_likelihood=best.held_out,
            command=shlex.join(["relumen", *sys.argv[1:]]),
            seconds=history.seconds,
        ),
        history.as_csv(),
    )
    shutil.rmtree(unfinished, ignore_errors=True)
    say(f"Best of held-out codes in epoch {best.number}: log-likelihood {best.held_out:.2f}.")
    say(f"Trained: {opened.flow_file}. Next: relumen evaluate prior {prior}")
