"""Any Keras model as what a package is made of: one tensor (batch, y, x, channels) in, one out, in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from relumen.differences import largest_deviation
from relumen.errors import UserError
from relumen.tiling import Float32, mirrored_to

if TYPE_CHECKING:
    import keras

AXES = ("byxc", "bcyx")
_FLOAT32 = "float32"
_SAME = 1e-4  # of two ways to compute one answer, standard deviations of it


def check_axes(axes: str) -> None:
    """Refuses a network's axes that no package has.

    Raises:
        UserError: with the reason, and what to do.
    """
    if axes in AXES:
        return
    why = f"Write {' or '.join(AXES)}: batch, y, x and channels."
    if "z" in axes or "t" in axes:
        why = (
            "relumen exports networks of single planes, and Fiji takes stacks plane by plane. A network of volumes or "
            "time series would need tiles along that axis too, which relumen neither makes nor checks."
        )
    elif "b" not in axes:
        why = f"Keras networks take a batch of images, so there is an axis before those of the image: b{axes}."
    elif "c" not in axes and sorted(axes) == ["b", "x", "y"]:
        why = (
            "DeepImageJ needs an axis of channels. Give the network one: image = keras.Input((None, None, 1)); "
            "keras.Model(image, model(image[..., 0])[..., None])."
        )
    raise UserError(f"--axes {axes!r} are no axes of a network's input that relumen exports. {why}")


@contextmanager
def in_float32(model: keras.Model, say: Callable[[str], None]) -> Iterator[None]:
    """Lets a model compute in float32, as Fiji's engines do, until the block ends.

    Raises:
        UserError: its weights are of another type.
    """
    import keras

    kinds = {keras.backend.standardize_dtype(weight.dtype) for weight in model.weights}
    others = sorted(kind for kind in kinds if "float" in kind and kind != _FLOAT32)
    if others:
        raise UserError(
            f"The weights of {model.name} are {', '.join(others)}, and Fiji's engines compute in float32. Build the "
            'network with keras.config.set_dtype_policy("float32"), load its weights, and save it.'
        )
    layers = [each for each in model._flatten_layers() if each.compute_dtype != _FLOAT32]
    policies = [layer.dtype_policy for layer in layers]
    if policies:
        names = sorted({policy.name for policy in policies})
        say(f"The network computes in {', '.join(names)}; its package computes in float32, as Fiji's engines do")
    try:
        for layer in layers:
            layer.dtype_policy = keras.DTypePolicy(_FLOAT32)
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def image_network(model: keras.Model, axes: str, image: Float32) -> tuple[keras.Model, int | None]:
    """A model as a functional one on (batch, y, x, channels), of any size where it can be.

    Args:
        model: any; its layers and weights are shared.
        axes: of its input and output, one of :data:`AXES`.
        image: (y, x, channels) to try it on, as it enters.

    Returns:
        The network, and the height and width that it takes alone; None: it takes others.

    Raises:
        UserError: it isn't one that takes one image and gives one.
    """
    channels = image.shape[-1]
    stated = _stated_shape(model, axes)
    if stated is None:
        return _opened(model, model, axes, channels, None), None
    stated_input = tuple(model.inputs[0].shape)
    if stated[2] != channels:
        raise UserError(
            f"{model.name} takes {stated[2]} channel(s) along {axes}, and the sample has {channels}. Give an image "
            f"that fits, or the right --axes ({' or '.join(AXES)}): its input has the shape {stated_input}."
        )
    # Without the checks of the input's shape, which are those of __call__.
    call = type(model).call.__get__(model)
    height, width = stated[:2]
    if stated_input[:1] == (None,) and height is None and width is None:
        return _opened(model, call, axes, channels, None), None
    size = (height or width or image.shape[0], width or height or image.shape[1])
    patch = mirrored_to(image, size)[np.newaxis]
    before = _answer(model, patch, axes)
    try:
        opened = _opened(model, call, axes, channels, None)
        after = np.asarray(opened(patch, training=False))
        opened(np.tile(patch, (1, 2, 2, 1)), training=False)
        if after.shape == before.shape and largest_deviation(after, before, last_bits=False) <= _SAME:
            return opened, None
    # What was built for one size alone fails in its own way on others.
    except Exception:  # noqa: S110  that it is of one size is then the answer
        pass
    if size[0] != size[1]:
        raise UserError(
            f"{model.name} takes images of {size[0]} x {size[1]} pixels alone, and relumen's packages have square "
            "tiles. Build it for keras.Input((None, None, channels)), or for a square, and load its weights."
        )
    return _opened(model, call, axes, channels, size[0]), size[0]


def _stated_shape(model: keras.Model, axes: str) -> tuple[int | None, int | None, int] | None:
    """(y, x, channels) of a model's own input; None where it has none, as a subclassed model.

    Raises:
        UserError: several inputs or outputs, or an input that is no image.
    """
    import keras

    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    if len(inputs) > 1:
        raise UserError(
            f"DeepImageJ gives a network one image, and {model.name} has {len(inputs)} inputs "
            f"({', '.join(each.name for each in inputs)}). Make one of what is fixed: call the model on one "
            "keras.Input and constants (keras.ops.full), and export keras.Model of that."
        )
    named = None if isinstance(model, keras.Sequential) else model.output
    if isinstance(named, dict):
        _check_one(model.name, list(named), list(named.values()), "model.output[{}]")
    _check_one(model.name, list(getattr(model, "output_names", ())), model.outputs, "model.outputs[{}]")
    shape = tuple(inputs[0].shape)
    if len(shape) == 5:
        check_axes("bzyxc")
    if len(shape) != 4:
        raise UserError(
            f"The input of {model.name} has the shape {shape}; a network of images has (batch, y, x, channels)."
        )
    y, x, c = (shape[axes.index(letter)] for letter in "yxc")
    if c is None:
        raise UserError(f"{model.name} leaves its number of channels open along {axes}: {shape}. Say the right --axes.")
    return y, x, c


def _check_one(name: str, names: Sequence[Any], outputs: Sequence[Any], place: str) -> None:
    if len(outputs) == 1:
        return
    listed = ", ".join(
        f"{label} {tuple(each.shape)}" for label, each in zip(names or range(len(outputs)), outputs, strict=False)
    )
    first = place.format(repr(names[0]) if "output[" in place and names else 0)
    raise UserError(
        f"DeepImageJ shows one answer, and {name} gives {len(outputs)}: {listed}. Take one, and export that: "
        f"keras.Model(model.input, {first}).save('one.keras'). Those of one size can be channels of one: "
        "keras.layers.Concatenate()(model.outputs)."
    )


def _opened(model: keras.Model, call: Callable[[Any], Any], axes: str, channels: int, size: int | None) -> keras.Model:
    """The model's layers on a new input of (batch, y, x, channels)."""
    import keras

    image = keras.Input((size, size, channels), name="image")
    try:
        answer: Any = call(keras.ops.transpose(image, (0, 3, 1, 2)) if axes == "bcyx" else image)
    # A model of anyone fails in its own way.
    except Exception as error:
        if size is None and isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{model.name} can't be built for images of {size or 'any'} x {size or 'any'} pixels and {channels} "
            f"channel(s): {reason}"
        ) from error
    answer = _one(model.name, answer)
    if len(answer.shape) != 4:
        raise UserError(
            f"{model.name} answers with the shape {tuple(answer.shape)}, which is no image (batch, y, x, channels). "
            "DeepImageJ shows images alone: one number for each image, such as a class, is none."
        )
    if axes == "bcyx":
        answer = keras.ops.transpose(answer, (0, 2, 3, 1))
    name = "".join(letter if letter.isalnum() else "_" for letter in model.name)
    return keras.Model(image, answer, name=name)


def _one(name: str, answer: Any) -> Any:  # noqa: ANN401  a tensor, alone or in a container
    if isinstance(answer, dict):
        _check_one(name, list(answer), list(answer.values()), "model.output[{}]")
        return next(iter(answer.values()))
    if isinstance(answer, list | tuple):
        _check_one(name, [], answer, "model(model.input)[{}]")
        return answer[0]
    return answer


def _answer(model: keras.Model, image: Float32, axes: str) -> Float32:
    """The model's own answer to (1, y, x, channels), as (1, y, x, channels)."""
    answer = np.asarray(
        _one(model.name, model(image.transpose(0, 3, 1, 2) if axes == "bcyx" else image, training=False))
    )
    return (answer.transpose(0, 2, 3, 1) if axes == "bcyx" and answer.ndim == 4 else answer).astype(np.float32)
