"""relumen demo: the whole way, from real images to a restored image in ImageJ."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relumen.cli.progress import checking, console, progress_bar, say
from relumen.errors import CheckFailedError

if TYPE_CHECKING:
    from relumen.evaluation.comparison import Comparison
    from relumen.run import RunFolder

HELD_OUT_FIELD = "translocation/A-12"
FIELDS = ("translocation/Channel_1-12-A-12-00.tif", "translocation/Channel_2-12-A-12-00.tif")
PHOTONS = (500.0, 80.0, 25.0)
"""The three noise levels: photons at the image's brightest."""
DATA_LINK = "https://github.com/relumen/relumen/tree/main/data"
NEEDED_GAIN = 1.0
"""dB above the best of bicubic, Gaussian and non-local means denoising, at every noise level."""


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for pictures, tables and images.")] = Path(
        "demo"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="Train anew, even where the last training is there.")] = False,
) -> None:
    """Trains a small ESRGAN on the shipped images, exports and verifies it, and runs it on an image in ImageJ.

    Example: relumen demo
    """
    from relumen.device import describe_device
    from relumen.export.from_run import Credits, export_run
    from relumen.run import RunFolder

    machine = describe_device()
    say(machine)
    run, package = RunFolder(Path("runs/esrgan-demo")), Path("packages/esrgan-demo")
    if fresh and run.path.exists():
        shutil.rmtree(run.path)
    output.mkdir(parents=True, exist_ok=True)
    say("\n1/5 Train on shipped fluorescence images, degraded by a stated model")
    _train(run, output / "images", machine)
    say("\n2/5 Export as a bioimage.io package")
    credits = Credits(("relumen developers",), "relumen", "demo@example.org", DATA_LINK)
    export_run(run.path, package, credits=credits, overwrite=True, say=say)
    say(f"Package: {package}")
    say("\n3/5 Verify, in the engines that Fiji uses too")
    _verify(package, output / "verify.json")
    say("\n4/5 Restore a held-out field at three noise levels")
    comparisons = _restore_fields(package, output)
    say("\n5/5 The same in a real ImageJ")
    _in_imagej(package, output)
    say(f"\nLook at {output / 'before-after.png'}. The package for Fiji is {package}.")
    _judge(comparisons)


def _train(run: RunFolder, images: Path, machine: str) -> None:
    """Trains to the end; goes on where an earlier demo was interrupted."""
    from relumen.data import copy_images
    from relumen.training import start

    copy_images(images, [HELD_OUT_FIELD])
    if not run.config_file.exists():
        start.prepare(run.path, preset="compact", data=images, degrade=True)
    elif run.about_file.exists() and run.about().finished:
        say(f"{run.path} is trained already (--fresh trains anew).")
        return
    with progress_bar("step") as bar:
        task = bar.add_task("training", total=None)
        start.go(
            run,
            command=f"relumen train esrgan --preset compact --degrade --data {images} (by relumen demo)",
            machine=machine,
            on_step=lambda step, total, losses: bar.update(task, completed=step, total=total),
            say=say,
        )


def _verify(package: Path, report_file: Path) -> None:
    from relumen.export.verify import verify_package
    from relumen.run import write_text

    with checking() as on_check:
        report = verify_package(package, jvm=True, on_check=on_check)
    console.print(report.table())
    write_text(report_file, report.to_json())
    if not report.ok:
        raise CheckFailedError(f"The package has failed checks; see above, or {report_file}.")


def _restore_fields(package: Path, output: Path) -> list[Comparison]:
    """Degrades the held-out field, restores it with the package, and writes tables, images and the picture."""
    import numpy as np

    from relumen.data import image_path
    from relumen.degrade import Degradation, clean
    from relumen.evaluation.comparison import as_markdown, compare, figure
    from relumen.image_writing import write_image
    from relumen.images import Image, PixelSize, read_image
    from relumen.restore import open_model, restore_file
    from relumen.run import write_text
    from relumen.tables import as_csv

    comparisons = []
    degradation = Degradation()
    with open_model(package) as model:
        for name in FIELDS:
            target = np.asarray(read_image(image_path(name)).pixels, np.float32)
            degraded = clean(target, degradation.blur[0], degradation.factor)
            for level, photons in enumerate(PHOTONS):
                low = degraded.noisy(photons, degradation.read_noise, np.random.default_rng(level))
                stem = output / f"{Path(name).stem}-{photons:.0f}-photons"
                noisy_file, restored_file = (
                    stem.with_name(f"{stem.name}.tif"),
                    stem.with_name(f"{stem.name}-restored.tif"),
                )
                # The shipped files state no pixel size: lengths are in pixels of the original camera image.
                write_image(noisy_file, Image(low, "YX", PixelSize(2.0, 2.0, unit="camera pixel")))
                restore_file(noisy_file, model, restored_file, say=say)
                restored = np.asarray(read_image(restored_file).pixels, np.float32)
                label = f"{Path(name).stem.split('-')[0]}, well A-12, {photons:.0f} photons"
                comparisons.append(compare(label, low, target, restored, model.scale))
    write_text(output / "comparison.md", as_markdown(comparisons))
    write_text(output / "comparison.csv", as_csv(asdict(row) for each in comparisons for row in each.rows))
    figure(comparisons[: len(PHOTONS)]).savefig(output / "before-after.png", dpi=110)
    _print_table(comparisons)
    return comparisons


def _print_table(comparisons: Sequence[Comparison]) -> None:
    from rich.table import Table

    table = Table("field", "method", "best setting", "PSNR (dB)", "SSIM")
    for comparison in comparisons:
        for row in comparison.rows:
            table.add_row(row.field, row.method, row.setting, f"{row.psnr:.2f}", f"{row.ssim:.3f}")
        table.add_section()
    console.print(table)


def _in_imagej(package: Path, output: Path) -> None:
    """Opens a noisy image in a real ImageJ, restores it, and hands it back as an ImagePlus that ImageJ saves."""
    from dataclasses import replace

    import numpy as np

    from relumen.imagej_bridge.convert import from_imageplus, to_imageplus
    from relumen.imagej_bridge.session import open_session
    from relumen.restore import open_model, restore_plane

    noisy = output / f"{Path(FIELDS[0]).stem}-{PHOTONS[1]:.0f}-photons.tif"
    imagej = open_session()
    before = imagej.open_image(noisy)
    image = from_imageplus(before)
    with open_model(package) as model:
        pixels = restore_plane(np.asarray(image.pixels, np.float32)[..., np.newaxis], model)[..., 0]
        size = image.pixel_size and image.pixel_size.divided(model.scale)
    after = to_imageplus(replace(image, pixels=pixels, pixel_size=size), title=f"{noisy.stem} restored")
    imagej.save_tiff(after, output / "imagej-restored.tif")
    contrast = (float(np.percentile(pixels, 0.5)), float(np.percentile(pixels, 99.8)))
    for imp, name in ((before, "imagej-before.png"), (after, "imagej-after.png")):
        imagej.save_png(imp, output / name, contrast)
        calibration = imp.getCalibration()
        say(
            f"ImageJ {imagej.version}: {imp.getTitle()}, {imp.getWidth()} x {imp.getHeight()} pixels of "
            f"{calibration.pixelWidth:g} x {calibration.pixelHeight:g} {calibration.getUnit()} -> {output / name}"
        )


def _judge(comparisons: Sequence[Comparison]) -> None:
    """Fails unless every field is better by the needed gain, at every noise level."""
    for comparison in comparisons:
        say(f"{comparison.rows[-1].field}: {comparison.gain:+.2f} dB over the best without learning")
    worst = min(comparison.gain for comparison in comparisons)
    if worst < NEEDED_GAIN:
        raise CheckFailedError(f"The gain is {worst:.2f} dB where {NEEDED_GAIN:.1f} dB is needed. Train longer.")
    say(f"At least {worst:.2f} dB better than all of them, on a field that was never seen.")
