"""The zoo's own check that a model runs in DeepImageJ, done here without Fiji.

The zoo's collection runs it on each accepted model (check_compatibility_deepimagej.py of bioimage-io/collection, read
as of May 2026, and written anew from that): one input tensor; JDLL reads rdf.yaml; all halos are taken out of it;
DeepImageJ runs the input's sample image, or the test input where there is none; the result must have the test output's
shape, and its values up to 1.5e-4 + 1e-4 times the value. A model that fails stays in the zoo, but is not listed as one
that DeepImageJ runs.
"""

from __future__ import annotations

import copy

import numpy as np

from relumen.errors import CheckFailedError, UserError
from relumen.package import Package, read_test_tensor
from relumen.rdf import file_in
from relumen.runners import from_axes
from relumen.tiling import Float32, Runner

from .jdll import jdll_cut
from .report import Check

_ABSOLUTE = 1.5e-4
_RELATIVE = 1e-4
_NAME = "the zoo's DeepImageJ check"
_SAME = "Let sample_tensor hold the test input as a TIFF of the same size, and name a larger image in attachments."


def deepimagej_check(package: Package, run: Runner, expected: Float32) -> Check:
    """Whether the zoo will list a package as one that DeepImageJ runs.

    Args:
        package: the package.
        run: its network, as an engine runs it.
        expected: the test output, (y, x, channels).
    """
    try:
        image = _sample(package)
        rdf = copy.deepcopy(package.rdf)
        for axis in rdf["outputs"][0]["axes"]:
            axis.pop("halo", None)
        cut = jdll_cut(rdf, image)
        answer = cut.merge([run(tile) for tile in cut.tiles])
    except (UserError, CheckFailedError) as error:
        return Check(_NAME, "advice", str(error), matters="better")
    # A network of someone else may fail in any way.
    except Exception as error:
        return Check(_NAME, "advice", f"The network fails on the sample image: {error}", matters="better")
    if answer.shape != expected.shape:
        said = (
            f"It compares the answer to the sample image, {_size(answer)} pixels, with the test output, "
            f"{_size(expected)}, and the sizes differ. {_SAME}"
        )
        return Check(_NAME, "advice", said, matters="better")
    excess = np.abs(answer - expected) - (_ABSOLUTE + _RELATIVE * np.abs(expected))
    if not np.isfinite(excess).all() or excess.max() > 0:
        said = f"The answer to the sample image is not the test output. {_SAME}"
        return Check(_NAME, "advice", said, matters="better")
    return Check(_NAME, "passed", "DeepImageJ gives the test output for the sample image", matters="better")


def _sample(package: Package) -> Float32:
    """The image that the check opens in Fiji, (y, x, channels)."""
    tensor = package.rdf["inputs"][0]
    if tensor.get("sample_tensor") is None:
        return from_axes(read_test_tensor(package, "inputs"), package.input_axes)[0]
    path = file_in(package.folder, tensor["sample_tensor"], "inputs[0].sample_tensor")
    from relumen.images import read_image

    image = read_image(path)
    pixels = np.asarray(image.pixels)
    pixels = pixels if "C" in image.axes else pixels[..., np.newaxis, :, :]
    if image.axes not in ("YX", "CYX") or pixels.shape[0] != package.input_channels:
        raise UserError(f"{path.name} should be an image of {package.input_channels} channel(s). {_SAME}")
    return np.moveaxis(pixels, 0, -1).astype(np.float32)


def _size(image: Float32) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"
