"""Loss terms, named as the papers name them; their weights live in the presets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from relumen.training.replicas import mean_over_replicas

Distance = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""The difference of two tensors of one shape, as a scalar."""


def l1(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean absolute error (Chatton, Sec. 2.4.1)."""
    return tf.reduce_mean(tf.abs(target - output))


def l2(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean squared error (Chatton, Sec. 2.4.1 and the ablation of Sec. 3.2.2)."""
    return tf.reduce_mean(tf.square(target - output))


def charbonnier(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """A smooth absolute error (Lai et al., LapSRN, CVPR 2017, Sec. 3.3, with its epsilon of 1e-3)."""
    return tf.reduce_mean(tf.sqrt(tf.square(target - output) + 1e-3**2))


def blurred(image: tf.Tensor, deviation: float) -> tf.Tensor:
    """A Gaussian blur of images (batch, y, x, channels), mirrored onward, by dense matrices: fast for small images.

    Args:
        image: of known height and width.
        deviation: of the blur, pixels; its kernel ends at three of them.
    """
    down, across = (tf.constant(_blur(size, deviation), image.dtype) for size in image.shape[1:3])
    return tf.einsum("ij,njkc,lk->nilc", down, image, across)


@cache
def _blur(size: int, deviation: float) -> NDArray[np.float64]:
    return gaussian_filter1d(np.eye(size), deviation, axis=0, mode="reflect", truncate=3)


def brightness(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of two images (batch, y, x, 1) after a wide blur: how bright each region is, no more.

    Ignatov et al., DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks, ICCV 2017, Sec. 3.1.1, where
    it is that of colours. The blur's deviation, a quarter of the height, is wider than theirs: an image that is blurred
    itself counts as equal.
    """
    height: Any = target.shape[1]
    return l2(blurred(target, height / 4), blurred(output, height / 4))


DISTANCES: dict[str, Distance] = {"l1": l1, "l2": l2, "charbonnier": charbonnier}
"""By the names that a configuration uses. Between pixels a distance is the pixel loss, between the outputs of a
feature network the perceptual loss (Chatton, Sec. 2.4.2)."""


def gram(features: tf.Tensor) -> tf.Tensor:
    """Gram matrices: how the channels of a feature map go together, whatever the place.

    Texture loss is a distance between them (Gatys et al. 2015; EnhanceNet, Sec. 4.2.3; Chatton, Sec. 3.2.1).

    Args:
        features: (batch, y, x, channels).

    Returns:
        (batch, channels, channels), the mean over all places.
    """
    places = tf.cast(tf.shape(features)[1] * tf.shape(features)[2], features.dtype)
    return tf.einsum("nyxc,nyxd->ncd", features, features) / places


def relativistic_average(higher: tf.Tensor, lower: tf.Tensor) -> tf.Tensor:
    """Relativistic average GAN loss, from logits (ESRGAN, Sec. 3.2; Jolicoeur-Martineau, 2018).

    -E log sigmoid(C(h) - mean C(l)) - E log(1 - sigmoid(C(l) - mean C(h))): small where ``higher`` is judged more
    real than the average of ``lower``. The discriminator calls it with (real, fake), the generator with (fake,
    real). The averages are over the whole batch, also where several devices share it.

    Args:
        higher: logits (batch, 1) that shall be judged the more real.
        lower: logits (batch, 1) of the others.
    """
    above = higher - mean_over_replicas(tf.reduce_mean(lower))
    below = lower - mean_over_replicas(tf.reduce_mean(higher))
    return tf.reduce_mean(tf.nn.softplus(-above)) + tf.reduce_mean(tf.nn.softplus(below))


def real_or_fake(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The discriminator's loss, from logits: -E log D(real) - E log(1 - D(fake)) (Han and Yin, Eq. 1).

    Args:
        real: logits of any shape, of real images.
        fake: logits of the generator's images.
    """
    return tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))


def non_saturating(fake: tf.Tensor) -> tf.Tensor:
    """The generator's loss, from logits: -E log D(fake) (Goodfellow et al. 2014, Sec. 3).

    Han and Yin, Sec. 4.2, print log(-D), which has no value for a D between 0 and 1.
    """
    return tf.reduce_mean(tf.nn.softplus(-fake))


def minimax(fake: tf.Tensor) -> tf.Tensor:
    """The generator's loss, from logits: E log(1 - D(fake)) (Han and Yin, Eq. 3); at most 0."""
    return -tf.reduce_mean(tf.nn.softplus(fake))


def earth_mover(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The critic's loss: E f(fake) - E f(real), minus the Wasserstein distance where f has slope 1 at most.

    Source: Arjovsky et al., Wasserstein GAN, 2017, Eq. 3; Razdaibiedina et al., Method.

    Args:
        real: what the critic says of real images, any shape.
        fake: the same of the generator's.
    """
    return tf.reduce_mean(fake) - tf.reduce_mean(real)


def least_squares(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The discriminator's loss: (E (D(real) - 1)^2 + E D(fake)^2) / 2 (Zhu et al., CycleGAN, ICCV 2017, Sec. 4).

    Args:
        real: what the discriminator says of real images, any shape.
        fake: the same of the generator's.
    """
    return (tf.reduce_mean(tf.square(real - 1)) + tf.reduce_mean(tf.square(fake))) / 2


def gradient_penalty(
    critic: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, fake: tf.Tensor, share: tf.Tensor
) -> tf.Tensor:
    """How far the critic's slope is from 1 between real and generated images: ``E (|grad f| - 1)^2``.

    Source: Gulrajani et al., Improved Training of Wasserstein GANs, 2017, Eq. 3 and Algorithm 1. A critic that gives a
    map counts as its mean.

    Args:
        critic: images (batch, y, x, 1) -> any shape (batch, ...).
        real: images.
        fake: as many images.
        share: drawn from 0 to 1, (batch, 1, 1, 1): how near the place between two images is to the second.
    """
    between = real + share * (fake - real)
    with tf.GradientTape() as tape:
        tape.watch(between)
        judged = critic(between)
        means = tf.reduce_sum(tf.reduce_mean(judged, list(range(1, len(judged.shape)))))  # images don't see each other
    gradient: Any = tape.gradient(means, between)
    slope = tf.sqrt(tf.reduce_sum(tf.square(gradient), (1, 2, 3)) + 1e-12)
    return tf.reduce_mean(tf.square(slope - 1))


def r1_penalty(critic: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor) -> tf.Tensor:
    """The squared gradient of the discriminator at real images: ``E |grad D(x)|^2``, a scalar.

    Source: Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML 2018, Eq. 9, without its
    gamma / 2.

    Args:
        critic: images (batch, y, x, channels) -> logits (batch, 1).
        real: images.
    """
    with tf.GradientTape() as tape:
        tape.watch(real)
        judged = tf.reduce_sum(critic(real))  # images see each other through the minibatch's deviation alone
    gradient: Any = tape.gradient(judged, real)
    return tf.reduce_mean(tf.reduce_sum(tf.square(gradient), (1, 2, 3)))


def path_lengths(
    synthesis: Callable[[tf.Tensor], tf.Tensor], styles: tf.Tensor, direction: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """How fast images change with their styles: ``|J^T y|`` of each image, (batch,).

    Source: Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, Eq. 4 and Appendix B: y is
    noise over the root of the pixels, the square is the mean over the style inputs.

    Args:
        synthesis: styles (batch, L, w_dim) -> images (batch, y, x, channels).
        styles: where.
        direction: gives noise of deviation 1, of the shape that it is given.
    """
    with tf.GradientTape() as tape:
        tape.watch(styles)
        images = synthesis(styles)
        pixels: Any = tf.cast(tf.shape(images)[1] * tf.shape(images)[2], images.dtype)
        along = tf.reduce_sum(images * direction(tf.shape(images)) / tf.sqrt(pixels))
    gradient: Any = tape.gradient(along, styles)
    return tf.sqrt(tf.reduce_mean(tf.reduce_sum(tf.square(gradient), 2), 1))


def content(features: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> tf.Tensor:
    """L_content: sum over layers of the squared difference of features, over the number of units of the layer.

    Source: Razdaibiedina et al., Method. Units are places times channels; the mean over the batch.

    Args:
        features: of one image at each layer, (batch, y, x, channels).
        others: of the other.
    """
    return tf.add_n([l2(a, b) for a, b in zip(features, others, strict=True)])


def style(features: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> tf.Tensor:
    """L_style: sum over layers of the squared Frobenius norm of the Gram matrices' difference, over the units.

    Source: Razdaibiedina et al., Method. The paper does not say how a Gram matrix grows with the image: ours is the
    mean over places (:func:`gram`), so its units are the channels.

    Args:
        features: of one image at each layer, (batch, y, x, channels).
        others: of the other, perhaps of another size.
    """
    return tf.add_n(
        [
            tf.reduce_mean(tf.reduce_sum(tf.square(gram(a) - gram(b)), (1, 2))) / int(a.shape[-1] or 0)
            for a, b in zip(features, others, strict=True)
        ]
    )


class GANForm(NamedTuple):
    """Both sides of an adversarial loss, as functions of the logits of real and of fake images."""

    generator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


GAN_FORMS = {
    "relativistic-average": GANForm(lambda real, fake: relativistic_average(fake, real), relativistic_average),
    "non-saturating": GANForm(lambda real, fake: non_saturating(fake), real_or_fake),
    "minimax": GANForm(lambda real, fake: minimax(fake), real_or_fake),
    "wasserstein": GANForm(lambda real, fake: -tf.reduce_mean(fake), earth_mover),
    "least-squares": GANForm(lambda real, fake: tf.reduce_mean(tf.square(fake - 1)), least_squares),
}
"""By the names that a configuration uses."""
