"""StyleGAN2's discriminator: residual blocks, and the deviation over the minibatch before the verdict."""

from __future__ import annotations

import math
from typing import Any

import keras

from relumen.models.stylegan2_layers import Conv, Dense

ops: Any = keras.ops  # whose annotations say that every answer may be None


@keras.saving.register_keras_serializable("relumen")
class Discriminator(keras.Model):
    """Images (batch, size, size, channels), about -1..1 -> logits (batch, 1), float32, high where they seem real.

    Reference: Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, Fig. 7c, Appendix B.

    Args:
        widths: feature maps at 4, 8, ... pixels up to the size of the images.
        channels: of the images.
        group: images over which the deviation is taken; a divisor of the batch, or the whole batch where it is
            smaller.

    >>> Discriminator((8, 8), 3)(keras.random.normal((4, 8, 8, 3), seed=0)).shape
    TensorShape([4, 1])
    """

    def __init__(self, widths: tuple[int, ...], channels: int = 3, group: int = 4, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**{"name": "discriminator", **kwargs})
        self.widths = tuple(widths)
        self.channels = channels
        self.group = group
        size = 4 * 2 ** (len(widths) - 1)
        self.from_rgb = Conv(widths[-1], 1, name=f"b{size}_from_rgb")
        # Named by resolution, so that a discriminator of larger images begins as one of smaller.
        self.blocks = [
            ResidualBlock(width, narrower, name=f"b{4 * 2**i}")
            for i, (width, narrower) in reversed(list(enumerate(zip(widths[1:], widths[:-1], strict=True), 1)))
        ]
        self.conv = Conv(widths[0], 3, name="b4_conv", dtype="float32")
        self.dense = Dense(widths[0], activation=True, name="b4_dense", dtype="float32")
        self.verdict = Dense(1, name="b4_verdict", dtype="float32")
        self.build((None, size, size, channels))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes all weights."""
        self.from_rgb.build(input_shape)
        for block in self.blocks:
            block.build((None, None, None, block.width))
        self.conv.build((None, 4, 4, self.widths[0] + 1))
        self.dense.build((None, 16 * self.widths[0]))
        self.verdict.build((None, self.widths[0]))
        self.built = True

    def call(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """The logits."""
        x: Any = self.from_rgb(image)
        for block in self.blocks:
            x = block(x)
        x = ops.cast(x, "float32")
        x = self.conv(ops.concatenate([x, deviation(x, self.group)], axis=-1))
        return self.verdict(self.dense(ops.reshape(x, (-1, 16 * self.widths[0]))))

    def get_config(self) -> dict[str, Any]:
        """What makes the network again."""
        return {"name": self.name, "widths": self.widths, "channels": self.channels, "group": self.group}


class ResidualBlock(keras.layers.Layer):
    """Two convolutions, of which the second halves the image, beside a 1x1 convolution that halves it too.

    (batch, y, x, width) -> (batch, y / 2, x / 2, narrower).
    """

    def __init__(self, width: int, narrower: int, **kwargs: Any) -> None:  # noqa: ANN401  Keras's own
        super().__init__(**kwargs)
        self.width = width
        self.conv0 = Conv(width, 3, name="conv0")
        self.conv1 = Conv(narrower, 3, down=True, name="conv1")
        self.skip = Conv(narrower, 1, down=True, activation=False, name="skip")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights."""
        for layer in (self.conv0, self.conv1, self.skip):
            layer.build(input_shape)
        self.built = True

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Their sum, with its variance kept."""
        answer: Any = self.conv1(self.conv0(x))
        return (answer + self.skip(x)) * math.sqrt(0.5)


def deviation(x: Any, group: int) -> Any:  # noqa: ANN401  Keras's own
    """The standard deviation of features within groups of images, its mean over features and places, as one channel.

    Karras et al., Progressive Growing of GANs, ICLR 2018, Sec. 3. Images that are n / group apart make a group.

    Args:
        x: (batch, y, x, features).
        group: images of a group.
    """
    batch, height, width, features = ops.shape(x)[0], *x.shape[1:]
    group = ops.minimum(group, batch)
    grouped = ops.reshape(x, (group, -1, height, width, features))
    spread = ops.sqrt(ops.var(grouped, axis=0) + 1e-8)
    spread = ops.mean(spread, axis=(1, 2, 3))
    return ops.broadcast_to(ops.reshape(ops.tile(spread, [group]), (-1, 1, 1, 1)), (batch, height, width, 1))
