"""Image <-> ImagePlus: every plane as one block of memory, with explicit channels, slices and frames.

Both functions need a running virtual machine with ImageJ in it; see :mod:`relumen.imagej_bridge.session`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.images import Image, PixelSize

ImagePlus = Any
"""An ``ij.ImagePlus``; Java objects have no types here."""

_MODES = {"composite": 1, "color": 2, "grayscale": 3}  # ij.CompositeImage
_RGB_TYPES = (3, 4)  # ImagePlus.COLOR_256, COLOR_RGB
_SIGNED_OFFSET = 1 << 15  # ImageJ shows signed 16 bit as unsigned, moved by this


def to_imageplus(image: Image, title: str) -> ImagePlus:
    """Copies an image into a new ImagePlus (a hyperstack where it has more than one channel, slice or frame).

    Args:
        image: of uint8, uint16, int16 or float32; the values arrive bit for bit.
        title: the name of its window.

    Raises:
        UserError: ImageJ has no pixels of this type.
    """
    import jpype

    arrays: dict[str, tuple[Any, type]] = {
        "uint8": (jpype.JArray(jpype.JByte), np.int8),
        "uint16": (jpype.JArray(jpype.JShort), np.int16),
        "int16": (jpype.JArray(jpype.JShort), np.int16),
        "float32": (jpype.JArray(jpype.JFloat), np.float32),
    }
    dtype = image.pixels.dtype
    if dtype.name not in arrays:
        raise UserError(
            f"ImageJ holds uint8, uint16, int16 and float32 images. Received: {dtype}. Convert it to float32."
        )
    java_array, view = arrays[dtype.name]
    sizes = image.sizes
    height, width = sizes["Y"], sizes["X"]
    channels, slices, frames = (sizes.get(axis, 1) for axis in "CZT")
    labels = image.metadata.get("Labels", ())
    stack = jpype.JClass("ij.ImageStack")(width, height)
    for index, position in enumerate(np.ndindex(image.pixels.shape[:-2])):  # T, Z, C: as ImageJ counts
        plane = np.ascontiguousarray(image.pixels[position], dtype.newbyteorder("="))
        if dtype.name == "int16":
            plane = plane.view(np.uint16) + np.uint16(_SIGNED_OFFSET)
        label = labels[index] if index < len(labels) else None
        stack.addSlice(label, java_array(plane.view(view).ravel()))
    result = jpype.JClass("ij.ImagePlus")(title, stack)
    result.setDimensions(channels, slices, frames)
    if channels > 1 and channels <= 7:
        mode = _MODES.get(str(image.metadata.get("mode", "")), _MODES["grayscale"])
        result = jpype.JClass("ij.CompositeImage")(result, mode)
    result.setOpenAsHyperStack(prod((channels, slices, frames)) > 1)
    _calibrate(result, image)
    _decorate(result, image.metadata)
    return result


def from_imageplus(image: ImagePlus) -> Image:
    """Copies an ImagePlus; axes of length 1 are left out, colour images give three channels.

    Raises:
        UserError: it is closed, or has no pixels.
    """
    stack = image.getStack()
    if stack.size() == 0:
        raise UserError(f"The image {str(image.getTitle())!r} has no pixels. Open it again.")
    width, height, channels, slices, frames = (int(n) for n in image.getDimensions())
    colour = int(image.getType()) in _RGB_TYPES
    signed = bool(image.getCalibration().isSigned16Bit())
    dtype = {8: np.uint8, 16: np.uint16, 24: np.uint8, 32: np.float32}[int(image.getBitDepth())]
    planes = np.empty((stack.size(), 3 if colour else 1, height, width), dtype)
    for index in range(stack.size()):
        if colour:
            planes[index] = _red_green_blue(stack.getProcessor(index + 1), height, width)
        else:
            planes[index, 0] = np.asarray(stack.getPixels(index + 1)).view(dtype).reshape(height, width)
    if signed:
        planes = (planes - np.uint16(_SIGNED_OFFSET)).view(np.int16)
    sizes = {"T": frames, "Z": slices, "C": channels * planes.shape[1], "Y": height, "X": width}
    axes = "".join(axis for axis, size in sizes.items() if size > 1 or axis in "YX")
    pixels = planes.reshape([sizes[axis] for axis in axes])
    return Image(pixels, axes, _pixel_size(image), {} if colour else _metadata(image))


def _red_green_blue(processor: Any, height: int, width: int) -> NDArray[np.uint8]:  # noqa: ANN401 (ij.process)
    packed = np.asarray(processor.convertToRGB().getPixels()).view(np.uint32).reshape(height, width)
    return np.stack([packed >> shift & 0xFF for shift in (16, 8, 0)]).astype(np.uint8)


def _calibrate(result: ImagePlus, image: Image) -> None:
    calibration = result.getCalibration()
    size = image.pixel_size
    if size is not None:
        calibration.pixelWidth, calibration.pixelHeight = size.x, size.y
        calibration.pixelDepth = 1.0 if size.z is None else size.z
        calibration.setUnit(size.unit)
    if image.pixels.dtype.name == "int16":
        calibration.setSigned16BitCalibration()
    for entry, attribute in (("finterval", "frameInterval"), ("fps", "fps"), ("loop", "loop")):
        if entry in image.metadata:
            setattr(calibration, attribute, image.metadata[entry])


def _pixel_size(image: ImagePlus) -> PixelSize | None:
    calibration = image.getCalibration()
    if not calibration.scaled():
        return None
    unit = str(calibration.getUnit())
    if PixelSize(1, 1, unit=unit).micrometres == 1:
        unit = "um"  # ImageJ writes it with a mu
    depth = float(calibration.pixelDepth)
    z = None if int(image.getNSlices()) == 1 and depth == 1 else depth
    return PixelSize(float(calibration.pixelHeight), float(calibration.pixelWidth), z, unit)


def _decorate(result: ImagePlus, metadata: Mapping[str, Any]) -> None:
    """Info, colours and display ranges, as tifffile names them."""
    import jpype

    if "Info" in metadata:
        result.setProperty("Info", metadata["Info"])
    colours = [_to_lut(table) for table in metadata.get("LUTs", ())]
    ranges = [float(value) for value in metadata.get("Ranges", ())]
    if not ranges and "min" in metadata and "max" in metadata:
        ranges = [float(metadata["min"]), float(metadata["max"])]
    if not result.isComposite():
        if colours:
            result.setLut(colours[0])
        if ranges:
            result.setDisplayRange(ranges[0], ranges[1])
        return
    luts = list(result.getLuts())
    if len(colours) == len(luts):
        luts = colours
    for lut, low, high in zip(luts, ranges[::2], ranges[1::2], strict=False):
        lut.min, lut.max = low, high
    result.setLuts(jpype.JClass("ij.process.LUT")[:](luts))


def _metadata(image: ImagePlus) -> dict[str, Any]:
    found: dict[str, Any] = {}
    info = image.getProperty("Info")
    if info is not None:
        found["Info"] = str(info)
    labels = [image.getStack().getSliceLabel(index + 1) for index in range(image.getStackSize())]
    if any(label is not None for label in labels):
        found["Labels"] = ["" if label is None else str(label) for label in labels]
    interval = float(image.getCalibration().frameInterval)
    if interval:
        found["finterval"] = interval
    if image.isComposite():
        luts = list(image.getLuts())
        names = {number: name for name, number in _MODES.items()}
        found["mode"] = names.get(int(image.getMode()), "grayscale")
        found["Ranges"] = tuple(float(value) for lut in luts for value in (lut.min, lut.max))
        found["LUTs"] = [_from_lut(lut) for lut in luts]
    else:
        found["min"], found["max"] = float(image.getDisplayRangeMin()), float(image.getDisplayRangeMax())
    return found


def _to_lut(table: NDArray[Any]) -> Any:  # noqa: ANN401 (ij.process.LUT)
    import jpype

    java_bytes: Any = jpype.JArray(jpype.JByte)
    columns = np.asarray(table, np.uint8).view(np.int8)
    return jpype.JClass("ij.process.LUT")(*(java_bytes(column.copy()) for column in columns))


def _from_lut(lut: Any) -> NDArray[np.uint8]:  # noqa: ANN401 (ij.process.LUT)
    return np.asarray(lut.getBytes()).view(np.uint8)[:768].reshape(3, 256)
