"""rdf.yaml in the newest format that JDLL reads, checked by bioimageio.spec's own classes.

bioimageio.spec itself writes 0.5.11 and later only, in which ``documentation`` and ``covers`` are maps; JDLL casts them
to text and dies. So the file is written here as 0.5.10 has it, and bioimageio.spec reads it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from relumen.errors import CheckFailedError, UserError
from relumen.rdf import RDF_NAME

from .description import PackageDescription
from .normalisation import preprocessing
from .weights import INPUT_ID, ONNX_OPSET, OUTPUT_ID

FORMAT_VERSION = "0.5.10"
AGREEMENT = 1e-4
"""Largest difference of a weights format from Keras, standard deviations of the output."""


_FOLDED = "Weights folded into constants; converted by relumen."


class _Quoted(str):
    """Text that looks like a number, and must never be read as one."""


class _Dumper(yaml.SafeDumper):
    """Writes every value out, without anchors and aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(_Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'"))


@dataclass(frozen=True)
class PackageFiles:
    """Names of a package's files, relative to its folder.

    Attributes:
        saved_model: zipped SavedModel.
        onnx: ONNX network.
        keras: Keras's own file.
        test_input: one tile, (1, tile, tile, channels).
        test_output: the network's answer to it.
        sample_input: the test input as TIFF: the zoo's DeepImageJ check opens it, and wants the test output back.
        sample_output: the test output as TIFF.
        cover: input beside output.
        card: what people read.
        macro: the ready macro for Fiji.
        example_input: a larger real image, TIFF.
        example_output: the network's tiled answer to it, TIFF.
    """

    saved_model: str = "saved_model.zip"
    onnx: str = "model.onnx"
    keras: str = "model.keras"
    test_input: str = "test_input.npy"
    test_output: str = "test_output.npy"
    sample_input: str = "sample_input.tif"
    sample_output: str = "sample_output.tif"
    cover: str = "cover.png"
    card: str = "README.md"
    macro: str = "restore.ijm"
    example_input: str = "example_input.tif"
    example_output: str = "example_output.tif"

    @property
    def attachments(self) -> tuple[str, ...]:
        """What has no field of its own in rdf.yaml."""
        return self.macro, self.example_input, self.example_output


@dataclass(frozen=True)
class Measured:
    """What is known only once the network was run.

    Attributes:
        halo: input pixels on each side of a tile that are context only.
        halo_error: what a tile then differs from the whole image, standard deviations of the output; of networks of a
            fixed size, what two tiles differ that show one place.
        halo_curve: the same for smaller halos, as (halo, error).
        tolerance: the limit for it.
        tile_exact: whether tiles that begin anywhere fit each other.
        phase_error: what tiles differ of which one begins at a multiple and the other does not, standard deviations of
            the output; None: they may begin anywhere.
        phase_tolerance: the limit for it.
        parameters: number of the network's weights.
        custom_layers: what the network holds that doesn't come with Keras; its .keras file is then left out.
        formats: by weights format its largest difference from Keras, standard deviations of the output.
    """

    halo: int
    halo_error: float
    halo_curve: tuple[tuple[int, float], ...]
    tolerance: float
    tile_exact: bool = True
    phase_error: float | None = None
    phase_tolerance: float | None = None
    parameters: int = 0
    custom_layers: tuple[str, ...] = ()
    formats: Mapping[str, float] = field(default_factory=dict)


def write_rdf(folder: Path, description: PackageDescription, measured: Measured, files: PackageFiles) -> None:
    """Writes rdf.yaml into a folder that holds all other files of the package.

    Args:
        folder: the package's folder.
        description: what a person says of the model.
        measured: what running it told.
        files: the names of the files.
    """
    rdf = _content(folder, description, measured, files)
    text = yaml.dump(rdf, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    (folder / RDF_NAME).write_text(text, encoding="utf-8")


def validate_rdf(folder: Path) -> list[str]:
    """Reads a written package with bioimageio.spec's own classes, without the network.

    Returns:
        The warnings, one line each.

    Raises:
        UserError: bioimageio.spec refuses what the description says; the message names the fields.
        CheckFailedError: the test tensors don't fit the axes.
    """
    from bioimageio.spec import InvalidDescr, ValidationContext, load_description
    from bioimageio.spec.model.v0_5 import ModelDescr, validate_tensors
    from bioimageio.spec.utils import load_array

    with ValidationContext(perform_io_checks=False, log_warnings=False):
        description = load_description(folder / RDF_NAME, format_version="latest", perform_io_checks=False)
    summary = description.validation_summary
    if isinstance(description, InvalidDescr) or not isinstance(description, ModelDescr):
        faults = [f"  {'.'.join(map(str, error.loc))}: {error.msg}" for error in summary.errors]
        raise UserError("\n".join(["bioimageio.spec refuses the package:", *faults]))
    tensors = {
        tensor.id: (tensor, load_array(tensor.test_tensor))
        for tensor in (*description.inputs, *description.outputs)
        if tensor.test_tensor is not None
    }
    try:
        validate_tensors(tensors, "test_tensor", pad_inputs="allow", crop_outputs="allow")
    except ValueError as error:
        raise CheckFailedError(f"The test tensors don't fit the package: {error}") from error
    return [f"{'.'.join(map(str, warning.loc))}: {warning.msg}" for warning in summary.warnings]


def _content(folder: Path, description: PackageDescription, measured: Measured, files: PackageFiles) -> dict[str, Any]:
    """The whole rdf.yaml as plain values, in the order in which people read it."""

    def file(name: str) -> dict[str, str]:
        with (folder / name).open("rb") as stream:
            return {"source": name, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}

    authors = [_filled(person) for person in description.authors]
    rdf: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": description.name,
        "description": description.summary,
        "version": description.version,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "authors": authors,
    }
    if description.maintainers:
        rdf["maintainers"] = [_filled(person) for person in description.maintainers]
    if description.uploader is not None:
        rdf["uploader"] = {"email": description.uploader.email, "name": description.uploader.name}
    return rdf | {
        "cite": [_filled(citation) for citation in description.cite],
        "license": description.license,
        **({"git_repo": description.git_repo} if description.git_repo else {}),
        "tags": description.all_tags,
        "documentation": files.card,
        "covers": [files.cover],
        "attachments": [file(name) for name in files.attachments],
        "inputs": [_input(description, file(files.test_input), file(files.sample_input))],
        "outputs": [_output(description, measured.halo, file(files.test_output), file(files.sample_output))],
        "weights": _weights(authors, measured, files, file),
        "config": _config(description, measured),
    }


def _input(description: PackageDescription, test: dict[str, str], sample: dict[str, str]) -> dict[str, Any]:
    # The specification computes in * in_scale / out_scale, JDLL in * out_scale: s * s here and s there satisfy both.
    square = float(description.scale**2)
    image, normalise = description.purpose.image, description.normalise
    tensor: dict[str, Any] = {
        "id": INPUT_ID,
        "description": f"{image} as the microscope gives it." if normalise.measured else f"{image}.",
        "axes": [
            {"type": "batch"},
            {"type": "space", "id": "y", "size": description.tile, "scale": square, "concatenable": True},
            {"type": "space", "id": "x", "size": description.tile, "scale": square, "concatenable": True},
            {"type": "channel", "channel_names": list(description.input_channels)},
        ],
        "data": {"type": "float32"},
        "test_tensor": test,
        "sample_tensor": sample,
    }
    if steps := preprocessing(normalise):
        tensor["preprocessing"] = steps
    return tensor


def _output(description: PackageDescription, halo: int, test: dict[str, str], sample: dict[str, str]) -> dict[str, Any]:
    units = ""
    if description.undone:
        own = description.normalise.measured
        units = f", in units of the {'input' if own else 'scaling'}'s mean and standard deviation"
    context = {"halo": description.scale * halo} if halo else {}  # output pixels; 0 is not allowed
    space = [
        {
            "type": "space",
            "id": axis,
            "size": {"tensor_id": INPUT_ID, "axis_id": axis},
            "scale": float(description.scale),
            **context,
        }
        for axis in "yx"
    ]
    channels = {"type": "channel", "channel_names": list(description.output_channels)}
    return {
        "id": OUTPUT_ID,
        "description": f"{description.purpose.answer}{units}.",
        "axes": [{"type": "batch"}, *space, channels],
        "data": {"type": "float32"},
        "test_tensor": test,
        "sample_tensor": sample,
    }


def _weights(
    authors: list[dict[str, Any]],
    measured: Measured,
    files: PackageFiles,
    file: Callable[[str], dict[str, str]],
) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    tensorflow = ".".join(tf.__version__.split("-")[0].split(".")[:3])  # JDLL wants three parts, as text
    formats: dict[str, dict[str, Any]] = {
        "keras_v3": {
            "keras_version": _Quoted(keras.__version__),
            "backend": ["tensorflow", _Quoted(tensorflow)],
            "comment": "For users of Python; Fiji runs the other two.",
        },
        "tensorflow_saved_model_bundle": {"tensorflow_version": _Quoted(tensorflow), "comment": _FOLDED},
        "onnx": {"opset_version": ONNX_OPSET, "comment": _FOLDED},
    }
    sources = {"keras_v3": files.keras, "tensorflow_saved_model_bundle": files.saved_model, "onnx": files.onnx}
    if measured.custom_layers:
        del formats["keras_v3"]
    original = next(iter(formats))
    return {
        name: file(sources[name]) | ({"authors": authors} if name == original else {"parent": original}) | about
        for name, about in formats.items()
    }


def _config(description: PackageDescription, measured: Measured) -> dict[str, Any]:
    import relumen

    if description.fixed_size:
        tiles: dict[str, Any] = {"fixed_size": True, "tile_tolerance": measured.tolerance}
        tolerance = AGREEMENT
    elif measured.phase_tolerance is not None:
        tiles, tolerance = {"tile_tolerance": measured.phase_tolerance}, measured.tolerance
    else:
        tiles, tolerance = {}, measured.tolerance
    ours: dict[str, Any] = {
        "version": relumen.__version__,
        "scale": description.scale,
        "halo_measured": measured.halo,
        "halo_error": float(f"{measured.halo_error:.3g}"),
        "tolerance": tolerance,
        "tile_exact": measured.tile_exact,
        **tiles,
        "agreement": {name: float(f"{error:.3g}") for name, error in measured.formats.items()},
    }
    if description.answer == "own":
        ours["answer"] = "own"
    if description.multiple > 1:
        ours["multiple"] = description.multiple
    if description.defect is not None:
        ours["defect"] = description.defect
    if description.pixel_size_um is not None:
        ours["pixel_size_um"] = description.pixel_size_um
    if description.training.data_link is not None:
        ours["training_data"] = description.training.data_link
    return {
        # JDLL finds the model by this name, and fails where it is missing. There is no top-level id: the zoo gives it.
        # config.deepimagej stays away: it would need allow_tiling, and without it tiling is allowed.
        "bioimageio": {"nickname": description.nickname, "model_parameter_count": measured.parameters},
        "relumen": ours,
    }


def _filled(part: BaseModel) -> dict[str, Any]:
    return part.model_dump(exclude_none=True)
