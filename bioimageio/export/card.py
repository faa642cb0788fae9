"""README.md of a package: what a person should know before using the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relumen.rdf import RDF_NAME
from relumen.tables import markdown

from .description import PackageDescription, Table
from .rdf import Measured, PackageFiles
from .weights import INPUT_ID


def card_text(description: PackageDescription, measured: Measured, files: PackageFiles) -> str:
    """The card as Markdown; the zoo and DeepImageJ show it, and the zoo wants its Validation heading.

    Args:
        description: what a person says of the model.
        measured: what running it told.
        files: the names of the package's files.
    """
    parts = [
        f"# {description.name}",
        description.summary,
        *_synthetic(description),
        f"![{description.purpose.image} beside {_answer(description)}]({files.cover})",
        _network(description, measured),
        _limitations(description),
        _fiji(description, files),
        _python(description, measured, files),
        _training(description),
        _validation(description, measured),
        _sources(description),
    ]
    return "\n\n".join(parts) + "\n"


def _synthetic(description: PackageDescription) -> Iterator[str]:
    if description.defect is not None:
        yield (
            f"It takes clean images and makes {description.defect} of them, to train or to test what restores such "
            "images. **Mark its results as synthetic wherever they are kept or shown.**"
        )


def _answer(description: PackageDescription) -> str:
    names = description.output_channels
    return "the output" if len(names) == 1 else f"the output's first channel ({names[0]})"


def _channels(names: Sequence[str]) -> str:
    return f"one channel ({names[0]})" if len(names) == 1 else f"{len(names)} channels ({', '.join(names)})"


def _entering(description: PackageDescription) -> Iterator[str]:
    """How an image enters the network, and what becomes of the answer."""
    normalise = description.normalise
    if normalise.measured:
        over = "all channels of the whole image together" if normalise.together else "the whole image"
        enters = f"brought to mean 0 and standard deviation 1 before it enters (zero_mean_unit_variance over {over})"
        undone = "answer x standard deviation + mean, both of the input"
    elif normalise.changes:
        enters = f"scaled before it enters, always alike: (image - {normalise.mean:g}) / {normalise.deviation:g}"
        undone = f"answer x {normalise.deviation:g} + {normalise.mean:g}"
    else:
        yield "- The image enters the network as it is: it should have the intensities of the training images."
        return
    if not description.undone:
        yield f"- The image is {enters}."
        return
    yield (
        f"- The image is {enters}, and **the network answers in these units**. The macro and `relumen restore` undo "
        f"it: {undone}. DeepImageJ alone shows the answer as the network gives it."
    )


def _network(description: PackageDescription, measured: Measured) -> str:
    scale, multiple, measures = description.scale, description.multiple, description.normalise.measured
    own = "" if description.answer == "image" else ", in units of its own, which nothing changes"
    lines = [
        "## What it takes and gives",
        "",
        f"- Input: {_channels(description.input_channels)}, two-dimensional, of any size"
        f"{' and any intensity range' if measures else ''}. Stacks and time series are taken plane by plane.",
        f"- Output: {_channels(description.output_channels)}{own}, {f'{scale} times' if scale > 1 else 'just'} as many "
        "pixels along y and x, 32 bit.",
    ]
    if description.pixel_size_um is not None:
        lines.append(
            f"- Pixel size of the training images at the input: {description.pixel_size_um:g} um. Images whose pixels "
            "differ from it by more than 30 % should be rescaled first."
        )
    lines += _entering(description)
    if description.fixed_size and measured.tile_exact:
        lines.append(
            f"- Tiles of {description.tile} x {description.tile} input pixels and no others, with a halo of "
            f"{measured.halo}: measured on the trained network, two tiles of one place then differ by up to "
            f"{measured.halo_error:.1e} standard deviations of the output (limit {measured.tolerance:.0e})."
        )
        return "\n".join(lines)
    if description.draws:
        lines.append(
            f"- Tiles of {description.tile} x {description.tile} input pixels and no others, with a halo of "
            f"{measured.halo}. Random numbers are part of the network, the same in every tile: two tiles of one place "
            f"have other grain, and differ by up to {measured.halo_error:.1g} of the output's standard deviation "
            f"(declared limit {measured.tolerance:.1g})."
        )
        return "\n".join(lines)
    if description.fixed_size:
        beside = f"with a halo of {measured.halo}" if measured.halo else "side by side"
        lines.append(
            f"- Tiles of {description.tile} x {description.tile} input pixels and no others, {beside}: the answer "
            "depends on the whole of a tile, so that no halo makes tiles fit each other, and **seams show between "
            f"them**. Two tiles of one place differ by up to {measured.halo_error:.1g} of the output's standard "
            f"deviation (declared limit {measured.tolerance:.1g})."
        )
        return "\n".join(lines)
    lines.append(
        f"- Tiles of {description.tile} x {description.tile} input pixels with a halo of {measured.halo}: measured on "
        f"the trained network, a tile then differs from the whole image by {measured.halo_error:.1e} standard "
        f"deviations of the output at most (limit {measured.tolerance:.0e})."
    )
    if measured.phase_error is not None and measured.phase_tolerance is not None:
        lines.append(
            f"- The network takes multiples of {multiple} pixels, so its answer depends on **where a tile begins**. "
            "Those of `relumen restore` begin at such, and fit each other. In Fiji the last tile of a row or "
            "column, and an image smaller than a tile, may begin elsewhere: the answer then differs by up to "
            f"{measured.phase_error:.1g} of the output's standard deviation (declared limit "
            f"{measured.phase_tolerance:.1g}). It does not where both sides of an image are multiples of {multiple} "
            "pixels, and larger than a tile."
        )
    return "\n".join(lines)


def _limitations(description: PackageDescription) -> str:
    general = (
        "The network was trained on the images named below. On other structures, stains, microscopes or pixel "
        "sizes it may invent or lose details: check it on images of your own before you measure anything.",
    )
    return "\n".join(
        ["## What it is not good for", "", *(f"- {line}" for line in (*description.limitations, *general))]
    )


def _fiji(description: PackageDescription, files: PackageFiles) -> str:
    macro = files.macro
    name = description.nickname
    result = "the input's intensities" if description.answer == "image" else "the network's own values"
    units = ", whose result stays in the network's units" if description.undone else ""
    smallest = description.smallest_image
    return f"""## In Fiji

1. Install DeepImageJ 3 (Help > Update... > Manage update sites > DeepImageJ).
2. Unzip this package into Fiji's `models` folder, as `models/{name}`.
3. Open an image, then Plugins > Macros > Run... and choose `models/{name}/{macro}`. The result has
   {result} and the right pixel size. Without a window:

       fiji --headless -macro models/{name}/{macro} "input=/data/in.tif;output=/data/out.tif"

The plain command{units}:

    run("DeepImageJ Run", "model_path=[{name}] input_path=[/data/in.tif] output_folder=[/data/out] display_output=all")

DeepImageJ before 2025 named these options `modelPath`, `inputPath`, `outputFolder` and `displayOutput`; the macro has a
switch for it. Images must measure at least {smallest} pixels along each side.

Engines: the SavedModel runs in TensorFlow for Java 0.4.2 (TensorFlow 2.7.4) and 0.5.0 (TensorFlow 2.10.1), the ONNX
file in ONNX Runtime 1.13.1; DeepImageJ fetches one of them at the first run. Apple silicon has no TensorFlow for Java:
there the ONNX weights run. JDLL's own adapters have two faults in the release 0.4.2, which no package can mend: the one
for TensorFlow 2 can answer with an image that is all zero, and the one for ONNX crashes Fiji when a model is closed a
second time. If you meet one of them, choose the other weights or update DeepImageJ."""


def _python(description: PackageDescription, measured: Measured, files: PackageFiles) -> str:
    run = f"relumen restore image.tif --model {description.nickname} -o {description.purpose.suffix}.tif"
    if len(description.input_channels) != len(description.output_channels):
        run = (
            "from bioimageio.core import predict\n\n    "
            f'answer = predict(model="{description.nickname}/{RDF_NAME}", inputs={{"{INPUT_ID}": image}})'
        )
    keras = f"`{files.keras}` is the network for Keras 3."
    if measured.custom_layers:
        needs = ", ".join(f"`{name}`" for name in measured.custom_layers)
        keras = f"There is no Keras file: it would open with code alone that doesn't come with Keras ({needs})."
    return f"## In Python\n\n    {run}\n\n{keras}"


def _training(description: PackageDescription) -> str:
    training = description.training
    lines = ["## Training data", "", training.data]
    if training.data_link is not None:
        lines += ["", f"The images: <{training.data_link}>"]
    lines += ["", "## Training", ""]
    facts = (
        ("Command", training.command and f"`{training.command}`"),
        ("Duration", training.duration),
        ("Machine", training.machine),
        ("Software", training.software),
    )
    lines += [f"- {name}: {value}" for name, value in facts if value]
    lines += [f"- {detail}" for detail in training.details]
    return "\n".join(lines)


def _validation(description: PackageDescription, measured: Measured) -> str:
    lines = ["## Validation", ""]
    for table in description.validation:
        lines += [*_markdown(table), ""]
    if not description.validation:
        lines += ["No figures on held-out images were given for this model.", ""]
    formats = Table(
        caption="Largest difference of each weights format from Keras on the test tensor, in standard deviations of "
        "the output.",
        columns=("Weights", "Difference"),
        rows=tuple((name, f"{error:.1e}") for name, error in measured.formats.items()),
    )
    lines += _markdown(formats)
    if not measured.halo_curve:
        return "\n".join(lines)
    tiles = Table(
        caption="Largest difference of a tile from the whole image, in standard deviations of the output, by the halo "
        f"(the package uses {measured.halo}).",
        columns=("Halo (input pixels)", "Difference"),
        rows=tuple((halo, f"{error:.1e}") for halo, error in measured.halo_curve),
    )
    lines += ["", *_markdown(tiles)]
    return "\n".join(lines)


def _markdown(table: Table) -> Iterator[str]:
    yield table.caption
    yield ""
    yield markdown(table.columns, [[_cell(value) for value in row] for row in table.rows])


def _cell(value: str | int | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("\n", " ")


def _sources(description: PackageDescription) -> str:
    lines = ["## Cite, licence, code", ""]
    for citation in description.cite:
        place = f"https://doi.org/{citation.doi}" if citation.doi else citation.url
        lines.append(f"- {citation.text} <{place}>")
    code = description.git_repo and f"Code: <{description.git_repo}>."
    lines += ["", " ".join(filter(None, [f"Licence: {description.license}.", code]))]
    lines.append(f"Made by {', '.join(person.name for person in description.authors)}.")
    return "\n".join(lines)
