"""relumen evaluate: one command for each paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relumen.cli import evaluate_rls
from relumen.cli.report import OnImage, show_report

if TYPE_CHECKING:
    from relumen.evaluation.report import Report

app: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(evaluate_rls.app, name="rls", help="Regularized latent search: each table and figure of its paper.")

Data = Annotated[Path, typer.Option(help="Data folder, in any layout that training takes; its held-out part.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and figures.")]
MaxImages = Annotated[int | None, typer.Option(min=1, help="Images of each channel. [default: all]")]
Crop = Annotated[int | None, typer.Option(min=16, help="Only the middle, that many input pixels on each side.")]
Tile = Annotated[int | None, typer.Option(help="Tile size in pixels; smaller needs less memory.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an evaluation that is there.")]


@app.command()
def esrgan(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Run folders, packages, or a run's model-pixel.keras.")
    ],
    data: Data,
    output: Output = Path("evaluation"),
    degrade: Annotated[
        bool,
        typer.Option("--degrade", help="Make the inputs from good images, as the first run's training did."),
    ] = False,
    averages: Annotated[
        list[int] | None, typer.Option(help="W2S: how many frames an input is the average of; give it again for each.")
    ] = None,
    classical: Annotated[
        bool, typer.Option("--classical", help="Gaussian and non-local means beside bicubic, at their best. Slow.")
    ] = False,
    max_images: MaxImages = None,
    crop: Crop = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise, with --degrade.")] = 0,
    tile: Tile = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Changes how the data is read, such as --set data.averages=[1,4].")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """PSNR and SSIM on held-out images, raw and affine-fitted, beside bicubic, as tables and figures.

    Example: relumen evaluate esrgan runs/nuclei --data my-images/ --degrade -o evaluation/nuclei
    """
    from relumen.evaluation.esrgan import ESRGAN, evaluate
    from relumen.evaluation.judging import Limits
    from relumen.evaluation.report import report_of

    show_report(
        lambda on_image: report_of(
            evaluate(
                models,
                data,
                degrade=degrade,
                classical=classical,
                limits=Limits(max_images, crop),
                seed=seed,
                tile=tile,
                overrides=[*(overrides or []), *([f"data.averages={averages}"] if averages else [])],
                on_image=on_image,
            ),
            ESRGAN(),
        ),
        output,
        overwrite=overwrite,
    )


@app.command()
def cascade(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Run folders or packages: of cascades, their ablations, LapSRN."),
    ],
    data: Data,
    output: Output = Path("evaluation"),
    max_images: MaxImages = None,
    crop: Crop = None,
    tile: Tile = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Changes how the data is read, such as --set data.region=null.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """PSNR and SSIM on held-out images beside bicubic and what is published: Table 1 and Figs. 4 and 6 of the paper.

    Where the data folder has high-resolution images alone, the inputs are made
    of them as the first run's training did.

    Example: relumen evaluate cascade runs/phase runs/lapsrn --data my-images/ -o evaluation/phase
    """
    from relumen.evaluation.cascade import Cascade, evaluate
    from relumen.evaluation.judging import Limits
    from relumen.evaluation.report import report_of

    show_report(
        lambda on_image: report_of(
            evaluate(
                models,
                data,
                limits=Limits(max_images, crop),
                tile=tile,
                overrides=overrides or [],
                on_image=on_image,
            ),
            Cascade(),
        ),
        output,
        overwrite=overwrite,
    )


@app.command()
def limited(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Run folders of cgan, cyclegan and cin-gan, or packages."),
    ],
    data: Annotated[Path, typer.Option(help="Data folder: a subfolder of pairs for each defect; its held-out part.")],
    output: Output = Path("evaluation"),
    max_images: Annotated[int | None, typer.Option(min=1, help="Images of each defect. [default: all]")] = None,
    crop: Crop = None,
    tile: Tile = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Changes how the data is read, such as --set data.source=wf.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Restorers of several defects at each number of real pairs: Table 2 and Figs. 3 to 7 of the paper.

    Runs of one configuration, whatever their defects, seed and folders, are one row. A run of
    cin-gan adds what its defects look like, and whether they are told apart.

    Example: relumen evaluate limited runs/care-10 runs/ours-10 runs/defects --data pairs/ -o evaluation/limited
    """

    def report(on_image: OnImage) -> Report:
        from relumen.evaluation.judging import Limits
        from relumen.evaluation.limited import evaluate
        from relumen.evaluation.limited_report import report_on

        limits = Limits(max_images, crop)
        return report_on(evaluate(models, data, limits=limits, tile=tile, overrides=overrides or [], on_image=on_image))

    show_report(report, output, overwrite=overwrite)


@app.command()
def prior(
    prior: Annotated[Path, typer.Argument(help="A prior with its flow: a run, an imported one, or a shipped name.")],
    output: Output = Path("evaluation"),
    count: Annotated[int, typer.Option(min=100, help="Codes that are judged.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Of the codes and the images.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Whether a flow makes style vectors Gaussian, Fig. 1 of the paper, and a grid of the prior's images.

    Example: relumen evaluate prior prior-cells -o evaluation/prior
    """
    from relumen.evaluation.prior import report_on
    from relumen.prior.folder import Prior

    show_report(lambda _: report_on(Prior.open(prior), count=count, seed=seed), output, overwrite=overwrite)
