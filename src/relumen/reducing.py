"""Image files at a fraction of their size, as D of a latent search makes them: something to try a search on."""

from __future__ import annotations

import numpy as np

from relumen.degrade import Reduction, blurred, reduced
from relumen.errors import UserError
from relumen.image_writing import as_type, image_writer, result_type
from relumen.images import read_image
from relumen.jobs import Job


def reduce_file(job: Job, factor: int, *, blur: float = 0.0, reduction: Reduction = "bicubic") -> None:
    """Writes an image with height and width divided by the factor; every plane by itself.

    Args:
        job: image and target. Rows and columns at the end that make no whole pixel are left out.
        factor: pixels that become one on each axis.
        blur: standard deviation of a Gaussian before, pixels.
        reduction: antialiased cubic convolution, or the mean.

    Raises:
        UserError: the image can't be read or is smaller than one pixel of the result, or the target can't be written.
        CheckFailedError: the disk is full.
    """
    image = read_image(job.source, job.axes)
    height, width = (image.sizes[axis] // factor for axis in "YX")
    if not (height and width):
        raise UserError(f"{job.source}: {image.describe()}. It is smaller than one pixel at {factor}x.")
    dtype = result_type(image, job.output_type)
    size = None if image.pixel_size is None else image.pixel_size.multiplied(factor)
    shape = (*image.pixels.shape[:-2], height, width)
    with image_writer(job.target, shape, image.axes, dtype, size, image.metadata) as writer:
        for at in np.ndindex(shape[:-2]):
            plane = image.pixels[at][: height * factor, : width * factor].astype(np.float32)
            writer.write(at, 0, as_type(reduced(blurred(plane, blur), factor, reduction), dtype))
