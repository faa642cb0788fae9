"""Transfer learning: a prior that begins as another one, of other stains or of smaller images."""

from __future__ import annotations

import keras
import tensorflow as tf

from relumen.errors import UserError
from relumen.models.stylegan2 import Generator, widths
from relumen.models.stylegan2_discriminator import Discriminator
from relumen.prior.folder import Prior
from relumen.run import RunFolder
from relumen.training.loop import tracked


def begin_as(origin: Prior, *, generators: list[Generator], discriminator: Discriminator) -> str:
    """Takes over all weights that have a namesake of the same shape in a trained prior.

    A generator of larger images begins with those of the old one, enlarged: its new blocks show nothing at first. A
    prior without its checkpoints, such as one that ships, has no discriminator; then that begins anew.

    Args:
        origin: a run of ``relumen train prior``, or another prior.
        generators: that is trained, and its average.
        discriminator: that is trained.

    Returns:
        What was taken over, in words.

    Raises:
        UserError: less than half of the generator's weights would fit, or a file can't be read.
    """
    run, old, name = RunFolder(origin.path), origin.generator, origin.path.name
    taken = 0
    for generator in generators:
        taken = take_over(old, generator)
        for block in generator.synthesis.blocks[len(old.architecture.widths) :]:
            block.to_rgb.kernel.assign(tf.zeros_like(block.to_rgb.kernel))
    words = f"{taken} of {len(generators[0].trainable_variables)} weights of the generator"
    if 2 * taken < len(generators[0].trainable_variables):
        raise UserError(
            f"Of {name} only {words} would fit: its networks are of other sizes. It was trained with feature maps "
            f"{old.architecture.widths}; set generator.base, most, z_dim, w_dim and mapping_layers accordingly."
        )
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints))
    if checkpoint is None:
        return f"Begins as {name}: {words}; the discriminator begins anew, for lack of checkpoints"
    d = run.config()["discriminator"]
    critic = Discriminator(widths(old.architecture.size, d["base"], d["most"]), old.architecture.channels, d["group"])
    tf.train.Checkpoint(**tracked({"discriminator": critic})).restore(checkpoint).expect_partial()
    taken = take_over(critic, discriminator)
    return f"Begins as {name}: {words}, {taken} of {len(discriminator.trainable_variables)} of the discriminator"


def take_over(old: keras.Model, new: keras.Model) -> int:
    """Copies the trained weights that have a namesake of the same shape; gives their number."""
    there = {weight.path: weight for weight in old.trainable_variables}
    taken = 0
    for weight in new.trainable_variables:
        source = there.get(weight.path)
        if source is not None and source.shape == weight.shape:
            weight.assign(source)
            taken += 1
    return taken
