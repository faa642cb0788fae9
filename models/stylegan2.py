"""StyleGAN2's generator, the prior of regularized latent search: mapping and synthesis network, whose input is W+."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import keras

from relumen.models.stylegan2_layers import Dense, StyledConv, ToRGB, upsampled

ops: Any = keras.ops  # whose annotations say that every answer may be None

Noise = Literal["const", "random", "none"] | Sequence[Any]
"""Which noise the convolutions add: the maps stored with the network, fresh ones, none, or these maps, one for each
convolution from coarse to fine, (batch or 1, y, x, 1)."""


@dataclass(frozen=True)
class Architecture:
    """What a generator is made of.

    Attributes:
        widths: feature maps at 4, 8, 16, ... pixels up to the size of the images.
        channels: of the images.
        z_dim: length of a latent code z.
        w_dim: length of a style vector w.
        mapping_layers: dense layers from z to w.
        lr_multiplier: of the mapping network's learning rate.
        clamp: greatest absolute activation of a convolution; None: any. Official networks that were trained in half
            precision have 256.

    Raises:
        ValueError: a number that is not positive, or no width.

    >>> Architecture((128, 128, 128, 128, 64, 32)).size
    128
    """

    widths: tuple[int, ...]
    channels: int = 3
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 2
    lr_multiplier: float = 0.01
    clamp: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # a saved network has a list
        numbers = (*self.widths, self.channels, self.z_dim, self.w_dim, self.mapping_layers)
        if not self.widths or min(numbers) < 1:
            raise ValueError(f"widths, channels, lengths and layers are positive. Received: {self}")

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Height and width of each block's features, coarse to fine."""
        return tuple(4 * 2**i for i in range(len(self.widths)))

    @property
    def size(self) -> int:
        """Height and width of the images, pixels."""
        return self.resolutions[-1]

    @property
    def style_inputs(self) -> int:
        """Style vectors that an image takes (L of RLS): one for each convolution, and one for the last ToRGB."""
        return 2 * len(self.widths)

    @property
    def noise_sizes(self) -> tuple[int, ...]:
        """Height and width of each convolution's noise map."""
        return tuple(r for r in self.resolutions for _ in range(1 if r == 4 else 2))


def widths(size: int, base: int, most: int) -> tuple[int, ...]:
    """Feature maps at 4, 8, ..., ``size`` pixels: ``base`` over the height, at most ``most``.

    StyleGAN2-ADA's "auto" and "paper256" configurations have a base of 16384 and at most 512.

    Args:
        size: of the images, a power of two from 8.
        base: feature maps times height.
        most: greatest number of feature maps.

    Raises:
        ValueError: a size that is no such power.

    >>> widths(128, 16384, 512)
    (512, 512, 512, 512, 256, 128)
    """
    if size < 8 or size & (size - 1):
        raise ValueError(f"size is a power of two from 8. Received: {size}")
    return tuple(min(base >> i, most) for i in range(2, int(math.log2(size)) + 1))


@keras.saving.register_keras_serializable("relumen")
class Generator(keras.Model):
    """z -> w by the mapping network, w -> image by the synthesis network (Karras et al. 2019, Fig. 1).

    Latent codes (batch, z_dim), drawn from the standard normal distribution -> images (batch, size, size, channels),
    about -1..1 as the training images were. ``generator.mapping`` and ``generator.synthesis`` are its parts;
    ``generator.w_avg`` is the mean w.

    References:
        Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, Sec. 2 and 4.
        Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020, Appendix G.

    Args:
        architecture: what it is made of, or its fields.

    >>> generator = Generator(Architecture((8, 8), z_dim=16, w_dim=16))
    >>> generator(keras.random.normal((2, 16), seed=0)).shape
    TensorShape([2, 8, 8, 3])
    """

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:  # noqa: ANN401  Keras's own
        super().__init__(**{"name": "generator", "autocast": False, **kwargs})
        a = Architecture(**architecture) if isinstance(architecture, dict) else architecture
        self.architecture = a
        self.mapping = Mapping(a)
        self.synthesis = Synthesis(a)
        self.w_avg = self.add_weight(shape=(a.w_dim,), initializer="zeros", trainable=False, name="w_avg")
        self.build((None, a.z_dim))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of both parts."""
        self.mapping.build(input_shape)
        self.synthesis.build((None, self.architecture.style_inputs, self.architecture.w_dim))
        self.built = True

    def call(self, z: keras.KerasTensor, truncation: float = 1.0, noise: Noise = "const") -> keras.KerasTensor:
        """Images of latent codes.

        Args:
            z: (batch, z_dim).
            truncation: how far each w is from the mean w, as a share (Karras et al. 2019, Appendix B).
            noise: which noise is added.
        """
        w: Any = self.mapping(z)
        if truncation != 1:
            w = self.w_avg + truncation * (w - self.w_avg)
        return self.synthesis(self.styles(w), noise=noise)

    def styles(self, w: keras.KerasTensor) -> keras.KerasTensor:
        """The same style vector (batch, w_dim) for every input of the synthesis network: (batch, L, w_dim)."""
        return ops.repeat(ops.expand_dims(w, 1), self.architecture.style_inputs, axis=1)

    def get_config(self) -> dict[str, Any]:
        """What makes the network again."""
        return {"name": self.name, "architecture": asdict(self.architecture)}


class Mapping(keras.Model):
    """Latent codes z (batch, z_dim), normalised by their second moment -> style vectors w (batch, w_dim)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(name="mapping", dtype="float32")
        self.architecture = architecture
        a = architecture
        self.dense = [
            Dense(a.w_dim, lr_multiplier=a.lr_multiplier, activation=True, name=f"dense{i}", dtype="float32")
            for i in range(a.mapping_layers)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of all layers."""
        for i, layer in enumerate(self.dense):
            layer.build((None, self.architecture.z_dim if i == 0 else self.architecture.w_dim))
        self.built = True

    def call(self, z: keras.KerasTensor) -> keras.KerasTensor:
        """The style vectors."""
        x: Any = z
        x = x * ops.rsqrt(ops.mean(ops.square(x), axis=1, keepdims=True) + 1e-8)
        for layer in self.dense:
            x = layer(x)
        return x


class Synthesis(keras.Model):
    """Style vectors (batch, L, w_dim) -> images (batch, size, size, channels) (StyleGAN2, Figs. 2d and 7b).

    A learned constant passes blocks that double it; each block's ToRGB adds to the image so far, upsampled. The last
    style vector of a block's convolutions is followed by its ToRGB's, which the next block's first convolution shares.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(name="synthesis", autocast=False)
        self.architecture = architecture
        self.blocks = [
            Block(r, width, architecture)
            for r, width in zip(architecture.resolutions, architecture.widths, strict=True)
        ]
        self.draws = keras.random.SeedGenerator(name="draws")  # of random noise

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of all blocks."""
        features = None
        for block in self.blocks:
            block.build((None, block.size // 2, block.size // 2, features))
            features = block.width
        self.built = True

    def call(self, styles: keras.KerasTensor, noise: Noise = "const") -> keras.KerasTensor:
        """The images, float32.

        Args:
            styles: (batch, L, w_dim).
            noise: which noise is added.

        Raises:
            ValueError: another number of noise maps.
        """
        w: list[Any] = ops.unstack(styles, axis=1)
        maps = self._maps(noise, ops.shape(styles)[0])
        x: Any = ops.zeros((ops.shape(styles)[0], 1))  # of which the constant takes the batch alone
        image: Any = None
        first = 0
        for block in self.blocks:
            convs = len(block.convs)
            x = block(x, w[first : first + convs], maps[:convs])
            seen = block.to_rgb(x, w[first + convs])
            image = seen if image is None else upsampled(image) + seen
            first, maps = first + convs, maps[convs:]
        return image

    def _maps(self, noise: Noise, batch: Any) -> list[Any]:  # noqa: ANN401  a tensor or a number
        """A noise map for each convolution, or None for the one that it stores; no map: "none"."""
        sizes = self.architecture.noise_sizes
        if noise == "const":
            return [conv.noise for block in self.blocks for conv in block.convs]
        if noise == "none":
            return [None for _ in sizes]
        if noise == "random":
            return [keras.random.normal((batch, size, size, 1), seed=self.draws) for size in sizes]
        if isinstance(noise, str) or len(noise) != len(sizes):
            raise ValueError(f"noise is 'const', 'random', 'none', or {len(sizes)} maps. Received: {noise!r}")
        return list(noise)


class Block(keras.layers.Layer):
    """Features of one resolution: twice those of the block before, or at 4 pixels the learned constant.

    Args:
        size: height and width of its features.
        width: feature maps.
        architecture: of the generator.
    """

    def __init__(self, size: int, width: int, architecture: Architecture) -> None:
        super().__init__(name=f"b{size}", autocast=False)
        self.size = size
        self.width = width
        names = ("conv1",) if size == 4 else ("conv0", "conv1")
        self.convs = [
            StyledConv(width, size, architecture.w_dim, up=name == "conv0", clamp=architecture.clamp, name=name)
            for name in names
        ]
        self.to_rgb = ToRGB(architecture.channels, architecture.w_dim, clamp=architecture.clamp, name="to_rgb")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights."""
        if self.size == 4:
            self.const = self.add_weight(shape=(4, 4, self.width), initializer=_normal(), name="const")
        features = self.width if self.size == 4 else input_shape[-1]
        for conv in self.convs:
            conv.build((None, None, None, features))
            features = self.width
        self.to_rgb.build((None, self.size, self.size, self.width))
        self.built = True

    def call(self, x: keras.KerasTensor, w: Sequence[keras.KerasTensor], noise: Sequence[Any]) -> keras.KerasTensor:
        """The features (batch, size, size, width) of those before, with a style vector and noise for each conv."""
        if self.size == 4:
            x = ops.repeat(ops.expand_dims(self.const, 0), ops.shape(x)[0], axis=0)
        for conv, style, noise_map in zip(self.convs, w, noise, strict=True):
            x = conv(x, style, noise_map)
        return x


def _normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(0.0, 1.0)
