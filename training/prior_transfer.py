"""Transfer learning: a prior that begins as another one, of other stains or of smaller images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.models.stylegan2 import Generator, widths
from relumen.models.stylegan2_discriminator import Discriminator
from relumen.models.stylegan2_layers import GAIN, SLOPE, Conv
from relumen.run import RunFolder
from relumen.training.loop import checkpoint_of, tracked, unfit_told

DISCRIMINATOR = "discriminator"
"""The milestone under which a prior that ships keeps it."""


def begin_as(
    origin: RunFolder,
    *,
    generators: list[Generator],
    discriminator: Discriminator,
    stains: Sequence[str],
    noise_from: int,
) -> str:
    """Takes over all weights that have a namesake of the same shape in a trained prior.

    Networks of larger images do at first what those of the old one did: the generator enlarges its images and adds
    nothing, the discriminator judges them at the old size (:func:`grow`). Of other stains, a channel begins as that of
    the same stain, the others as those that are left, in their order.

    Args:
        origin: a run of ``relumen train prior``, or the folder of another prior.
        generators: that is trained, and its average.
        discriminator: that is trained.
        stains: what the channels of the new images show.
        noise_from: height of the features from which on noise is added, pixels; below it the old prior's is dropped.

    Returns:
        What was taken over, in words.

    Raises:
        UserError: as of :func:`original`, or the discriminator can't be read.
    """
    old = original(origin, generators[0])
    name = origin.path.name
    channels = _channels(origin.about().stains, stains, old.architecture.channels)
    taken = 0
    for generator in generators:
        taken = take_over(old, generator, channels)
        for block in generator.synthesis.blocks[len(old.architecture.widths) :]:
            block.to_rgb.kernel.assign(tf.zeros_like(block.to_rgb.kernel))
        for conv in (conv for block in generator.synthesis.blocks if block.size < noise_from for conv in block.convs):
            conv.noise_strength.assign(0.0)
    words = f"{taken} of {len(generators[0].weights)} weights of the generator"
    critic = discriminator_of(origin)
    if critic is None:
        return f"Begins as {name}: {words}; the discriminator begins anew, for lack of one"
    taken = take_over(critic, discriminator, channels)
    words += f", {taken} of {len(discriminator.weights)} of the discriminator"
    if not grow(critic, discriminator, channels):
        words += ", whose new blocks begin at random: they have fewer feature maps than two for each channel"
    return f"Begins as {name}: {words}"


def original(origin: RunFolder, new: Generator) -> Generator:
    """The generator of a prior that a new one may begin as.

    Raises:
        UserError: no prior is there, it can't be read, its images are larger, or less than half of its weights would
            fit.
    """
    old: Any = origin.network()
    if not isinstance(old, Generator):
        raise UserError(
            f"{origin.path} is no prior: its model.keras is no generator. Name a run of relumen train prior."
        )
    if old.architecture.size > new.architecture.size:
        raise UserError(
            f"{origin.path} makes images of {old.architecture.size} pixels, and only a prior of images as large or "
            f"larger can begin as it. Received: size={new.architecture.size}"
        )
    there = {weight.path: weight.shape for weight in old.weights}
    fitting = sum(there.get(weight.path) == weight.shape for weight in new.weights)
    if 2 * fitting < len(there):
        raise UserError(
            f"Of {origin.path} only {fitting} of {len(there)} weights would fit: its networks are of other sizes. It "
            f"was trained with feature maps {old.architecture.widths}; set generator.base, most, z_dim, w_dim and "
            "mapping_layers accordingly."
        )
    return old


def discriminator_of(run: RunFolder) -> Discriminator | None:
    """The discriminator of a prior: of its last checkpoint, or kept as a milestone; None: there is none.

    Raises:
        UserError: a file can't be read.
    """
    checkpoint = checkpoint_of(run)
    if checkpoint is not None:
        config = run.config()
        d = config["discriminator"]
        critic = Discriminator(widths(config["size"], d["base"], d["most"]), run.about().channels, d["group"])
        there = tf.train.Checkpoint(**tracked({"discriminator": critic}))
        with unfit_told(checkpoint, run):
            there.restore(checkpoint).assert_existing_objects_matched().expect_partial()
        return critic
    if not run.milestone_file(DISCRIMINATOR).is_file():
        return None
    kept: Any = run.network(DISCRIMINATOR)
    return kept


def take_over(old: keras.Model, new: keras.Model, channels: Sequence[int | None]) -> int:
    """Copies the weights, and the noise maps, that have a namesake of the same shape, but for the image's channels.

    Args:
        old: the network they are of.
        new: the network they go to.
        channels: the old channel that each new one begins as; None: it begins anew.

    Returns:
        How many there are.
    """
    there = {weight.path: weight for weight in old.weights}
    taken = 0
    for weight in new.weights:
        source = there.get(weight.path)
        if source is None:
            continue
        values = np.asarray(source)
        axis = _channel_axis(weight.path)
        if axis is not None:
            values = _chosen(values, np.asarray(weight), channels, axis)
        if values.shape == weight.shape:
            weight.assign(values)
            taken += 1
    return taken


def grow(old: Discriminator, new: Discriminator, channels: Sequence[int | None]) -> bool:
    """Makes the new blocks of a discriminator of larger images hand them, halved, to what was taken over.

    Otherwise the trained layers would see noise, and a discriminator with a good generator to judge finds its way back
    slowly, if at all. A pixel x passes a leaky ReLU as the pair x and -x; the last new block's second convolution
    does what the old first layer did. All other feature maps of the new blocks begin at random. The idea is that of
    Net2Net (Chen, Goodfellow and Shlens, ICLR 2016): a larger network begins as the same function.

    Args:
        old: the discriminator of smaller images.
        new: whose other layers were taken over.
        channels: as in :func:`take_over`.

    Returns:
        Whether they do; a new block with fewer feature maps than two for each channel can't.
    """
    blocks = new.blocks[: len(new.blocks) - len(old.blocks)]
    pairs = 2 * new.channels
    if not blocks:
        return True
    if min(block.width for block in blocks) < pairs:
        return False
    split = np.concatenate([np.eye(new.channels), -np.eye(new.channels)], 1)  # x as x and -x
    joined = split.T / (GAIN * (1 + SLOPE))  # x out of their activations
    _set(new.from_rgb, split)
    first = np.asarray(old.from_rgb.kernel)[0, 0] * old.from_rgb.scale
    first = _chosen(first, np.zeros((new.channels, first.shape[1])), channels, axis=0)
    for block in blocks:
        last = block is blocks[-1]
        _set(block.conv0, joined @ split)
        # a block's answer is multiplied by sqrt(1 / 2), for there are two parts
        _set(block.conv1, math.sqrt(2) * joined @ (first if last else split))
        block.skip.kernel.assign(tf.zeros_like(block.skip.kernel))
        if last and block.conv1.bias is not None:
            block.conv1.bias.assign(math.sqrt(2) * np.asarray(old.from_rgb.bias))
    return True


def _set(conv: Conv, mixing: NDArray[Any]) -> None:
    """Gives the first filters a mixing (features, filters) of the first features, from pixel to pixel."""
    kernel, middle = np.asarray(conv.kernel).copy(), conv.size // 2
    features, filters = mixing.shape
    kernel[..., :filters] = 0
    kernel[middle, middle, :features, :filters] = mixing / conv.scale
    conv.kernel.assign(kernel)


def _channels(old: Sequence[str], new: Sequence[str], there: int) -> list[int | None]:
    """The old channel, of so many, that each new one begins as; an imported prior need not know its stains."""
    answer: list[int | None] = [old.index(stain) if stain in old else None for stain in new]
    left = iter([i for i in range(there) if i not in answer])
    return [next(left, None) if i is None else i for i in answer]


def _channel_axis(path: str) -> int | None:
    """Where a weight counts the channels of the image: that of the layers from and to it."""
    layer, name = path.split("/")[-2:]
    if layer.endswith("from_rgb") and name == "kernel":
        return 2
    if layer.endswith("to_rgb") and name in ("kernel", "bias"):
        return -1
    return None


def _chosen(old: NDArray[Any], new: NDArray[Any], channels: Sequence[int | None], axis: int) -> NDArray[Any]:
    """The old values of each channel along an axis, the new ones where there are none."""
    old, answer = np.moveaxis(old, axis, 0), np.moveaxis(new.copy(), axis, 0)
    if old.shape[1:] != answer.shape[1:]:
        return np.moveaxis(old, 0, axis)
    for i, channel in enumerate(channels):
        if channel is not None:
            answer[i] = old[channel]
    return np.moveaxis(answer, 0, axis)
