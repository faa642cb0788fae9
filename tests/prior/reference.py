"""StyleGAN2's generator once more, slow and by the book, to measure ours against: float64, SciPy's 2-D convolutions.

From Karras et al., Analyzing and Improving the Image Quality of StyleGAN (CVPR 2020): each sample has a kernel of its
own, modulated by its style (Eq. 1) and demodulated (Eqs. 2 and 3); a resolution is doubled by zeros between the
pixels, then the filter [1, 3, 3, 1], and the convolution follows. Ours scales activations instead, and uses a
transposed convolution. The weights are read here from each layout's own names, with no code of the import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import convolve2d, correlate2d

Arrays = Mapping[str, np.ndarray]


@dataclass
class Convolution:
    """Weights of a modulated convolution; the kernel correlates, at the doubled resolution where there is one.

    kernel (out, in, y, x); affine (w_dim, in); noise is already multiplied by its strength.
    """

    kernel: np.ndarray
    affine: np.ndarray
    affine_bias: np.ndarray
    bias: np.ndarray
    noise: np.ndarray | float = 0.0

    def style(self, w: np.ndarray) -> np.ndarray:
        return w @ self.affine / np.sqrt(len(w)) + self.affine_bias


@dataclass
class Reference:
    """A generator; ``convolutions`` and ``to_rgb`` are from coarse to fine."""

    dense: list[tuple[np.ndarray, np.ndarray]]
    const: np.ndarray
    convolutions: list[Convolution]
    to_rgb: list[Convolution]
    clamp: float = np.inf

    def mapping(self, z: np.ndarray) -> np.ndarray:
        """w of each z; the learning-rate multiplier is 0.01."""
        x = z / np.sqrt(np.mean(z.astype(float) ** 2, 1, keepdims=True))
        for kernel, bias in self.dense:
            x = activated(x @ (0.01 / np.sqrt(len(kernel)) * kernel) + 0.01 * bias)
        return x

    def image(self, styles: np.ndarray) -> np.ndarray:
        """(y, x, channels) of the style vectors (L, w_dim) of one image."""
        x, image = self.const.astype(float), np.zeros((len(self.to_rgb[0].kernel), 2, 2))
        convolutions = list(self.convolutions)
        place = 0
        for block, to_rgb in enumerate(self.to_rgb):
            for first in (True, False) if block else (False,):
                x = self._styled(x, convolutions.pop(0), styles[place], doubled=first)
                place += 1
            image = np.stack([upsampled(each)[1:-1, 1:-1] for each in image]) + self._seen(x, to_rgb, styles[place])
        return np.moveaxis(image, 0, -1)

    def _styled(self, x: np.ndarray, layer: Convolution, w: np.ndarray, doubled: bool) -> np.ndarray:
        kernel = layer.kernel * layer.style(w)[:, np.newaxis, np.newaxis]
        kernel = kernel / np.sqrt(np.sum(kernel**2, (1, 2, 3), keepdims=True))
        bordered = [upsampled(each) if doubled else np.pad(each, 1) for each in x]
        x = np.stack([sum(correlate2d(a, k, "valid") for a, k in zip(bordered, ks, strict=True)) for ks in kernel])
        return np.clip(activated(x + layer.noise + layer.bias[:, np.newaxis, np.newaxis]), -self.clamp, self.clamp)

    def _seen(self, x: np.ndarray, layer: Convolution, w: np.ndarray) -> np.ndarray:
        kernel = layer.kernel[:, :, 0, 0] * layer.style(w) / np.sqrt(len(x))
        seen = np.einsum("oi,iyx->oyx", kernel, x) + layer.bias[:, np.newaxis, np.newaxis]
        return np.clip(seen, -self.clamp, self.clamp)


def activated(x: np.ndarray) -> np.ndarray:
    return np.sqrt(2) * np.where(x < 0, 0.2 * x, x)


def upsampled(x: np.ndarray) -> np.ndarray:
    """(n, n) -> (2n + 2, 2n + 2): twice the pixels, and one more on each side that a 3x3 convolution sees."""
    apart = np.zeros((2 * len(x), 2 * len(x)))
    apart[::2, ::2] = x
    return convolve2d(apart, 4 * np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64)[:-1, :-1]


def of_tensorflow(v: Arrays) -> Reference:
    """Kernels (y, x, in, out) that follow an upsampling; a style's bias lacks 1."""

    def layer(name: str) -> Convolution:
        kernel = np.moveaxis(v[f"{name}/weight"], (3, 2), (0, 1))
        return Convolution(kernel, v[f"{name}/mod_weight"], 1 + v[f"{name}/mod_bias"], v[f"{name}/bias"])

    names = ("4x4/Conv", "8x8/Conv0_up", "8x8/Conv1", "16x16/Conv0_up", "16x16/Conv1")
    convolutions = [layer(f"synthesis/{name}") for name in names]
    for i, (name, convolution) in enumerate(zip(names, convolutions, strict=True)):
        convolution.noise = v[f"synthesis/noise{i}"][0, 0] * v[f"synthesis/{name}/noise_strength"]
    dense = [(v[f"mapping/Dense{i}/weight"], v[f"mapping/Dense{i}/bias"]) for i in (0, 1)]
    to_rgb = [layer(f"synthesis/{r}x{r}/ToRGB") for r in (4, 8, 16)]
    return Reference(dense, v["synthesis/4x4/Const/const"][0], convolutions, to_rgb)


def of_pytorch(v: Arrays) -> Reference:
    """Kernels (out, in, y, x); those after an upsampling convolve (are flipped), all others correlate."""

    def layer(name: str) -> Convolution:
        kernel = v[f"{name}.weight"]
        kernel = np.flip(kernel, (2, 3)) if name.endswith("conv0") else kernel
        return Convolution(kernel, v[f"{name}.affine.weight"].T, v[f"{name}.affine.bias"], v[f"{name}.bias"])

    names = [f"synthesis.{name}" for name in ("b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1")]
    convolutions = [layer(name) for name in names]
    for name, convolution in zip(names, convolutions, strict=True):
        convolution.noise = v[f"{name}.noise_const"] * v[f"{name}.noise_strength"]
    dense = [(v[f"mapping.fc{i}.weight"].T, v[f"mapping.fc{i}.bias"]) for i in (0, 1)]
    to_rgb = [layer(f"synthesis.b{r}.torgb") for r in (4, 8, 16)]
    return Reference(dense, v["synthesis.b4.const"], convolutions, to_rgb)


def of_rosinality(v: Arrays) -> Reference:
    """Kernels (1, out, in, y, x); those after an upsampling convolve, all others correlate."""

    def layer(name: str, bias: str, flipped: bool = False) -> Convolution:
        kernel = v[f"{name}.conv.weight"][0]
        kernel = np.flip(kernel, (2, 3)) if flipped else kernel
        affine = v[f"{name}.conv.modulation.weight"].T
        return Convolution(kernel, affine, v[f"{name}.conv.modulation.bias"], v[f"{name}.{bias}"].reshape(-1))

    names = ("conv1", "convs.0", "convs.1", "convs.2", "convs.3")
    convolutions = [layer(name, "activate.bias", name in ("convs.0", "convs.2")) for name in names]
    for i, (name, convolution) in enumerate(zip(names, convolutions, strict=True)):
        convolution.noise = v[f"noises.noise_{i}"][0, 0] * v[f"{name}.noise.weight"][0]
    dense = [(v[f"style.{i}.weight"].T, v[f"style.{i}.bias"]) for i in (1, 2)]
    to_rgb = [layer(name, "bias") for name in ("to_rgb1", "to_rgbs.0", "to_rgbs.1")]
    return Reference(dense, v["input.input"][0], convolutions, to_rgb)
