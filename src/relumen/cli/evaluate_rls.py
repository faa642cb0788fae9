"""relumen evaluate rls: one command for each table and figure of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relumen.cli.report import show_report

if TYPE_CHECKING:
    from relumen.evaluation.report import Report
    from relumen.evaluation.rls_methods import Method, OnDone
    from relumen.evaluation.rls_scores import Networks
    from relumen.evaluation.rls_study import Study

app: typer.Typer = typer.Typer(no_args_is_help=True)

PriorOption = Annotated[Path, typer.Option(help="With its flow: a run, an imported one, or a shipped name.")]
Data = Annotated[str, typer.Option(help="drawn:cells, drawn:nfkb, drawn:golgi, shipped:nfkb, or a .yaml file.")]
Factor = Annotated[int, typer.Option(help="Of the reduction: 16, 32.")]
Count = Annotated[int, typer.Option("--count", "-n", min=1, help="Images of each condition, at most.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and figures.")]
Cache = Annotated[Path, typer.Option(help="Folder where searches are kept; those that are there are not done again.")]
Batch = Annotated[int, typer.Option(min=1, help="Images that are searched at once.")]
Seed = Annotated[int, typer.Option(min=0, help="Of images and searches.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an evaluation that is there.")]
Pix2Pix = Annotated[Path | None, typer.Option(help="A run of train pix2pix at this factor, as one method more.")]
Also = Annotated[
    list[str] | None, typer.Option(help="RLS with this changed, as one method more, such as cross.weight=0.01.")
]
Features = Annotated[str, typer.Option(help="Network of the distances: microscopy, vgg16, inception.")]
Weights = Annotated[str | None, typer.Option(help="Its weights, a local file.")]
LpipsVGG = Annotated[str | None, typer.Option(help="For LPIPS: VGG-16's weights, a file of torchvision or Keras.")]
LpipsLinear = Annotated[Path | None, typer.Option(help="For LPIPS: its own weights, the authors' vgg.pth.")]
_KEPT = Path("runs/searches")


@app.command("table-1")
def table_1(
    prior: PriorOption,
    data: Data,
    output: Output = Path("evaluation"),
    factor: Factor = 16,
    count: Count = 25,
    pix2pix: Pix2Pix = None,
    also: Also = None,
    features: Features = "microscopy",
    weights: Weights = None,
    lpips_vgg: LpipsVGG = None,
    lpips_linear: LpipsLinear = None,
    cache: Cache = _KEPT,
    batch: Batch = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Table 1 and Fig. 2: image quality of RLS, PULSE, BRGM, a search without priors, and Pix2Pix.

    Example: relumen evaluate rls table-1 --prior prior-cells --data drawn:cells --pix2pix runs/pix2pix-cells-16
    """

    def evaluate(on_done: OnDone) -> Report:
        from relumen.evaluation.rls_methods import BICUBIC, COMPARED, changed, pix2pix_of
        from relumen.evaluation.rls_quality import report_on

        *others, rls = COMPARED
        trained = () if pix2pix is None else (pix2pix_of(pix2pix),)
        methods = (BICUBIC, *trained, *others, *map(changed, also or ()), rls)
        study = _study(prior, data, factor, count, cache, batch, seed, methods)
        return report_on(study, "table 1", _networks(features, weights, lpips_vgg, lpips_linear), on_done)

    show_report(evaluate, output, overwrite=overwrite)


@app.command("figure-7")
def figure_7(
    prior: PriorOption,
    data: Data,
    output: Output = Path("evaluation"),
    factor: Factor = 16,
    count: Count = 25,
    features: Features = "microscopy",
    weights: Weights = None,
    cache: Cache = _KEPT,
    batch: Batch = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fig. 7, the ablation: without both priors, without either, and with both.

    Example: relumen evaluate rls figure-7 --prior prior-cells --data drawn:cells -o evaluation/ablation
    """

    def evaluate(on_done: OnDone) -> Report:
        from relumen.evaluation.rls_methods import ABLATION
        from relumen.evaluation.rls_quality import report_on

        study = _study(prior, data, factor, count, cache, batch, seed, ABLATION)
        return report_on(study, "figure 7", _networks(features, weights), on_done)

    show_report(evaluate, output, overwrite=overwrite)


@app.command("figure-5")
def figure_5(
    prior: PriorOption,
    data: Data,
    assay: Annotated[str, typer.Option(help="What is measured: 'translocation' of NF-kB, or 'golgi' spots.")],
    output: Output = Path("evaluation"),
    factor: Factor = 32,
    count: Count = 50,
    cache: Cache = _KEPT,
    batch: Batch = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Figs. 3 to 5, the assays: a feature measured on true and on made images, of control and treated cells.

    Example: relumen evaluate rls figure-5 --prior prior-nfkb --data shipped:nfkb --assay translocation --factor 16
    """

    def evaluate(on_done: OnDone) -> Report:
        from relumen.evaluation.rls_assays import report_on

        return report_on(_study(prior, data, factor, count, cache, batch, seed), assay, on_done)

    show_report(evaluate, output, overwrite=overwrite)


@app.command("table-2")
def table_2(
    prior: PriorOption,
    data: Data,
    output: Output = Path("evaluation"),
    factor: Factor = 32,
    count: Count = 50,
    training: Annotated[int, typer.Option(min=16, help="Of each condition, to learn from.")] = 500,
    cache: Cache = _KEPT,
    batch: Batch = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Table 2: how often a classifier of true images tells treated cells apart on made ones.

    Example: relumen evaluate rls table-2 --prior prior-nfkb --data drawn:nfkb -o evaluation/table-2
    """

    def evaluate(on_done: OnDone) -> Report:
        from relumen.evaluation.rls_classifier import report_on

        return report_on(_study(prior, data, factor, count, cache, batch, seed), training, on_done)

    show_report(evaluate, output, overwrite=overwrite)


@app.command("figure-6")
def figure_6(
    prior: PriorOption,
    data: Data,
    output: Output = Path("evaluation"),
    factor: Factor = 16,
    count: Count = 4,
    cache: Cache = _KEPT,
    batch: Batch = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fig. 6, robustness: low-resolution images with noise, salt and pepper, or a blur that D knows nothing of.

    Example: relumen evaluate rls figure-6 --prior prior-cells --data drawn:cells -o evaluation/robustness
    """

    def evaluate(on_done: OnDone) -> Report:
        from relumen.evaluation.rls_methods import ANNEALED, BICUBIC
        from relumen.evaluation.rls_robustness import report_on

        return report_on(_study(prior, data, factor, count, cache, batch, seed, (BICUBIC, ANNEALED)), on_done)

    show_report(evaluate, output, overwrite=overwrite)


@app.command("figure-8")
def figure_8(
    prior: PriorOption,
    data: Data,
    output: Output = Path("evaluation"),
    factor: Factor = 16,
    count: Count = 2,
    solutions: Annotated[int, typer.Option(min=2, help="Of each image.")] = 5,
    assay: Annotated[
        str | None, typer.Option(help="Whose feature is told by all solutions: translocation or golgi.")
    ] = None,
    cache: Cache = _KEPT,
    batch: Batch = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fig. 8: several solutions of each image, by every form; with an assay, what they tell of its feature.

    Example: relumen evaluate rls figure-8 --prior prior-nfkb --data drawn:nfkb --assay translocation
    """

    def evaluate(on_done: OnDone) -> Report:
        from relumen.evaluation.assays import assay_named
        from relumen.evaluation.rls_solutions import report_on

        study = _study(prior, data, factor, count, cache, batch, seed)
        measured = None if assay is None else assay_named(assay, study.truth.stains, study.truth.words)
        return report_on(study, solutions, assay=measured, on_done=on_done)

    show_report(evaluate, output, overwrite=overwrite)


@app.command()
def sweep(
    prior: PriorOption,
    data: Data,
    output: Output = Path("evaluation"),
    factor: Factor = 16,
    count: Count = 4,
    features: Features = "microscopy",
    weights: Weights = None,
    cache: Cache = _KEPT,
    batch: Batch = 4,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """How stable RLS is in lambda_w and lambda_c, with its likelihood as a sum and as a mean (Sec. 4.1).

    Example: relumen evaluate rls sweep --prior prior-cells --data drawn:cells -n 8 -o evaluation/sweep
    """

    def evaluate(on_done: OnDone) -> Report:
        from relumen.evaluation.rls_sweep import report_on

        study = _study(prior, data, factor, count, cache, batch, seed)
        return report_on(study, _networks(features, weights), on_done)

    show_report(evaluate, output, overwrite=overwrite)


def _study(
    prior: Path,
    data: str,
    factor: int,
    count: int,
    cache: Path,
    batch: int,
    seed: int,
    methods: Sequence[Method] | None = None,
) -> Study:
    from relumen.evaluation.rls_methods import BICUBIC, COMPARED
    from relumen.evaluation.rls_study import Study
    from relumen.evaluation.rls_truth import read_truth_config
    from relumen.prior.folder import Prior

    return Study.begin(
        Prior.open(prior),
        read_truth_config(data),
        factor,
        cache,
        count=count,
        methods=methods or (BICUBIC, *COMPARED),
        batch=batch,
        seed=seed,
    )


def _networks(
    features: str, weights: str | None, lpips_vgg: str | None = None, lpips_linear: Path | None = None
) -> Networks:
    from relumen.errors import UserError
    from relumen.evaluation.lpips import LPIPS
    from relumen.evaluation.rls_scores import Networks

    if (lpips_vgg is None) != (lpips_linear is None):
        raise UserError("LPIPS needs both --lpips-vgg and --lpips-linear.")
    lpips = None if lpips_vgg is None or lpips_linear is None else LPIPS.open(lpips_vgg, lpips_linear)
    return Networks(features, weights, lpips)
