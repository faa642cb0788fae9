"""LPIPS over VGG-16: how far two images are apart in features that were weighed by what people see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.pictures import as_rgb
from relumen.prior.pickles import RefusedError
from relumen.prior.torch_files import is_saved, read_saved
from relumen.prior.variables import Variables

if TYPE_CHECKING:
    import keras

Float32 = NDArray[np.float32]

LAYERS = {"block1_conv2": 64, "block2_conv2": 128, "block3_conv3": 256, "block4_conv3": 512, "block5_conv3": 512}
"""Keras's names of the layers that are compared, after their activation, and their channels."""

LEAST = 32
"""Pixels each way; at half as many the last layer has a single place."""

_TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # convolutions among its ``features``
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of LPIPS's authors: ImageNet's, of -1..1
_MEAN = (103.939, 116.779, 123.68)  # of ImageNet, blue first, of 0..255
_BATCH = 8  # pairs; the first block's features of an image of 512 pixels are 67 MB


class LPIPS:
    """Learned perceptual image patch similarity: 0 for equal images, the greater the less two are alike.

    The features of each layer are divided by their norm over the channels; their squared differences are weighed by
    channel, averaged over all places, and summed over the layers.

    The authors learnt the weights of the channels over torchvision's VGG-16. Only over that network's weights are
    figures those of their program. Keras's own VGG-16 is the original of Simonyan and Zisserman, which another
    training made: its channels are in no relation to torchvision's, so that the learnt weights fall on channels at
    random. Such figures still order images by what a network sees, but are no published LPIPS; ``words`` says which.

    Either network gets its input as it was trained: torchvision's in units of ImageNet's mean and deviation, which is
    the shift and scale of LPIPS's authors; Keras's in 0..255, blue first, without ImageNet's mean.

    References:
        Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, CVPR 2018, Eq. 1, "lin".
            The learnt weights are the squares of the equation's.

    Args:
        network: colours as ``prepare`` gives them -> the features of each of :data:`LAYERS`.
        weights: of the channels of each layer, (channels,).
        prepare: colours (n, y, x, 3), 0..1, to what the network was trained on.
        words: what it is, for a table's caption.
    """

    def __init__(
        self, network: keras.Model, weights: list[Float32], prepare: Callable[[Float32], Float32], words: str
    ) -> None:
        self.network = network
        self.weights = weights
        self.prepare = prepare
        self.words = words

    @classmethod
    def open(cls, vgg_weights: str, linear_weights: Path) -> LPIPS:
        """LPIPS of given weights; nothing in their files is run.

        Args:
            vgg_weights: torchvision's file of VGG-16 (``vgg16-397923af.pth``), by which figures are those of LPIPS's
                authors; or a .h5 file in Keras's layout, or "imagenet", which Keras downloads. A file's content tells
                which it is.
            linear_weights: the authors' ``vgg.pth`` of version 0.1.

        Raises:
            UserError: a file can't be had, or is another.
        """
        weights = _linear(linear_weights)
        if _is_of_torch(Path(vgg_weights)):
            words = "LPIPS over torchvision's VGG-16"
            return cls(_of_torchvision(Path(vgg_weights)), weights, _standardised, words)
        words = "in the way of LPIPS, over Keras's VGG-16, for which its weights were not learnt: no published LPIPS"
        return cls(_of_keras(vgg_weights), weights, _caffe, words)

    def __call__(self, images: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
        """The distance of each pair of images.

        Args:
            images: (n, y, x, channels), 0..1, of any number of channels: see :func:`~relumen.pictures.as_rgb`.
            others: likewise, of the same shape.

        Returns:
            (n,), 0 or greater.

        Raises:
            UserError: the shapes differ, or the images are below 32 pixels.
        """
        if images.shape != others.shape or images.ndim != 4 or min(images.shape[1:3]) < LEAST:
            raise UserError(
                f"LPIPS compares two sets of images (n, y, x, channels) of one shape, {LEAST} pixels or more each way. "
                f"Received: {images.shape} and {others.shape}. Give larger images, or leave LPIPS out."
            )
        starts = range(0, len(images), _BATCH)
        found = [self._distances(images[i : i + _BATCH], others[i : i + _BATCH]) for i in starts]
        return np.concatenate([np.zeros(0), *found])

    def _distances(self, images: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
        both = self.prepare(as_rgb(np.concatenate([images, others])))
        total = np.zeros(len(images))
        for features, weights in zip(self.network(both, training=False), self.weights, strict=True):
            found = np.asarray(features)
            found = found / (np.sqrt(np.sum(found**2, -1, keepdims=True)) + 1e-10)
            squared = (found[: len(images)] - found[len(images) :]) ** 2
            total += (squared @ weights).mean((1, 2))
        return total


def _standardised(colours: Float32) -> Float32:
    return (2 * colours - 1 - np.array(_SHIFT, np.float32)) / np.array(_SCALE, np.float32)


def _caffe(colours: Float32) -> Float32:
    return 255 * colours[..., ::-1] - np.array(_MEAN, np.float32)


def _linear(path: Path) -> list[Float32]:
    """The weights of the channels, (channels,) for each layer."""
    advice = "Give vgg.pth of version 0.1 by LPIPS's authors (lpips/weights/v0.1 of their repository)."
    names = {f"lin{i}.model.1.weight": (1, channels, 1, 1) for i, channels in enumerate(LAYERS.values())}
    return [weights.reshape(-1) for weights in _taken(path, names, advice)]


def _of_torchvision(path: Path) -> keras.Model:
    network = _network(None)
    kernels = [layer for layer in network.layers if "_conv" in layer.name]
    names: dict[str, tuple[int, ...]] = {}
    for number, layer in zip(_TORCHVISION, kernels, strict=True):
        y, x, before, after = layer.get_weights()[0].shape
        names |= {f"features.{number}.weight": (after, before, y, x), f"features.{number}.bias": (after,)}
    found = _taken(path, names, "Give torchvision's vgg16-397923af.pth, or a .h5 file in Keras's layout.")
    for layer, kernel, bias in zip(kernels, found[::2], found[1::2], strict=True):
        layer.set_weights([kernel.transpose(2, 3, 1, 0), bias])
    return network


def _of_keras(weights: str) -> keras.Model:
    try:
        return _network(weights)
    except Exception as error:  # the download and the file reader raise whatever they like
        raise UserError(
            f"LPIPS was not computed: VGG-16's weights can't be had from {weights!r} ({error}). Give torchvision's "
            "vgg16-397923af.pth, a .h5 file in Keras's layout without its top, or leave LPIPS out."
        ) from error


def _network(weights: str | None) -> keras.Model:
    """VGG-16 with the features that are compared; None: of weights that are still to be set."""
    import keras

    make: Any = keras.applications.VGG16  # which takes None, but isn't annotated so
    whole = make(include_top=False, weights=weights, input_shape=(None, None, 3))
    network = keras.Model(whole.input, [whole.get_layer(name).output for name in LAYERS])
    network.trainable = False
    return network


def _is_of_torch(path: Path) -> bool:
    """Whether it is a file that begins as PyTorch's do."""
    try:
        with path.open("rb") as file:
            return is_saved(file.read(16))
    except OSError:
        return False  # "imagenet", or a file that Keras will say can't be read


def _taken(path: Path, shapes: Mapping[str, tuple[int, ...]], advice: str) -> list[Float32]:
    """Some of the arrays of a state that PyTorch saved, in the order of their names; others are left.

    Raises:
        UserError: the file can't be read, or lacks one of these names and shapes.
    """
    try:
        value: Any = read_saved(path.read_bytes())
        if not isinstance(value, dict):
            raise RefusedError(f"it holds a {type(value).__name__}, where named arrays are due")
        variables = Variables(value)
        return [variables.take(name, *shape) for name, shape in shapes.items()]
    except OSError as error:
        raise UserError(f"LPIPS was not computed: {path} can't be read ({error.strerror}). {advice}") from error
    except (RefusedError, RecursionError) as error:
        why = error if isinstance(error, RefusedError) else "its values are nested too deeply"
        raise UserError(
            f"LPIPS was not computed: {path} was not read, because {why}. Nothing in it has been run. {advice}"
        ) from error
