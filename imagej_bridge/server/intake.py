"""From the body of a request to a plain TIFF on our disk, whatever the client sends.

Nothing is trusted: the bytes are counted as they come; a TIFF's header is read for its pixels, its blocks and its
compression before anything is decoded; and a file that names other files is refused, for its reader would open them.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image
from relumen.images import Image, check_axes, read_image

from .config import ServeConfig
from .disk import no_room, storing
from .errors import MediaTypeError, SlowError, TooLargeError

TIFF, RAW = "image/tiff", "application/octet-stream"
_PIECE = 1 << 20
_DRAINED = 8 << 20  # of a body that is refused
_DRAIN_S = 2.0
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 50000: "zstd"}
"""Of a TIFF, whose decoders write no more than the header says; a JPEG in it has a header of its own."""
_AS_THEY_ARE = (np.uint8, np.uint16, np.int16, np.float32)  # ImageJ's


def media_type(request: Request) -> str:
    """TIFF or RAW.

    Raises:
        MediaTypeError: the body is of another type, or of none that is said.
    """
    named = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if named not in (TIFF, RAW):
        raise MediaTypeError(
            f"The body is {TIFF}, or {RAW} with little-endian float32 and the parameter shape. Received: "
            f"Content-Type {named!r}."
        )
    return named


@asynccontextmanager
async def received(request: Request, folder: Path, config: ServeConfig) -> AsyncIterator[Path]:
    """The body of a request as a file of this folder, which is gone afterwards.

    Raises:
        TooLargeError: it is larger than allowed, whatever it says of its length.
        UserError: it is empty.
        SlowError: it stopped coming.
        DiskFullError: there is no room for it.
        starlette.requests.ClientDisconnect: the client is gone.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > config.max_bytes:
        raise _too_long(config)
    path = folder / f"{uuid4().hex}.body"
    try:
        try:
            with path.open("wb") as file:
                length = 0
                async for piece in _pieces(request, config.upload_s):
                    length += len(piece)
                    if length > config.max_bytes:
                        raise _too_long(config)
                    await run_in_threadpool(file.write, piece)
        except OSError as error:
            raise no_room(error) from error
        if not length:
            raise UserError("The request has no body. Send the image as its body.")
        yield path
    finally:
        path.unlink(missing_ok=True)


async def drain(request: Request) -> None:
    """Takes some of a body that is refused, for most clients listen to the answer only when they have sent it."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return  # this one waits for our word
    length = 0
    with suppress(Exception):  # gone, slow, or read already
        async with asyncio.timeout(_DRAIN_S):
            async for piece in request.stream():
                length += len(piece)
                if length > _DRAINED:
                    return


@contextmanager
def plain_tiff(body: Path, kind: str, shape: str, axes: str, config: ServeConfig) -> Iterator[Path]:
    """A body as an uncompressed TIFF in ImageJ's layout, beside it; gone afterwards unless it was moved.

    Args:
        body: the file of :func:`received`.
        kind: TIFF or RAW.
        shape: of raw numbers, such as "3,8,8".
        axes: one letter an axis; "": as the TIFF says, or the last ones of CYX.
        config: the limits.

    Raises:
        UserError: it is no image that can be read, or a :class:`TooLargeError`.
        DiskFullError: there is no room for it.
    """
    source, target = body.with_suffix(".tif"), body.with_suffix(".plain.tif")
    try:
        if kind == RAW:
            image = _raw(body, shape, axes, config)
        else:
            body.rename(source)
            image = _tiff(source, shape, axes, config)
        if image.pixels.dtype.type not in _AS_THEY_ARE:
            image = Image(image.pixels.astype(np.float32), image.axes, image.pixel_size, image.metadata)
        _write(target, image)
        yield target
    finally:
        for path in (source, target):
            path.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Renames a file on one disk, or copies it to another."""
    shutil.move(source, target)


def _raw(body: Path, shape: str, axes: str, config: ServeConfig) -> Image:
    try:
        sizes = tuple(int(each) for each in shape.split(","))
    except ValueError:
        sizes = ()
    if not 2 <= len(sizes) <= 5 or min(sizes) < 1:
        raise UserError(f"Raw numbers need a shape of 2 to 5 sizes, such as shape=3,8,8. Received: {shape!r}")
    axes = axes or "TZCYX"[-len(sizes) :]
    check_axes(axes)
    if len(axes) != len(sizes):
        raise UserError(f"Axes and shape have the same length. Received: axes={axes} shape={shape}")
    _check_pixels(math.prod(sizes), config)
    expected, length = 4 * math.prod(sizes), body.stat().st_size
    if expected != length:
        raise UserError(f"float32 of shape {shape} are {expected} bytes. Received: {length} bytes.")
    return Image(np.memmap(body, "<f4", "r", shape=sizes), axes)


def _tiff(source: Path, shape: str, axes: str, config: ServeConfig) -> Image:
    if shape:
        raise UserError("A TIFF says itself what shape it has. Leave the parameter shape out.")
    if axes:
        check_axes(axes)
    try:
        _check_header(source, config)
        return read_image(source, axes or None)
    except CheckFailedError as error:  # decoded into a temporary file
        raise no_room(error.__cause__) from error
    except UserError as error:
        words = str(error).replace(str(source), "The image").replace("--axes ", "axes=")
        raise type(error)(words) from error


def _check_header(source: Path, config: ServeConfig) -> None:
    import tifffile

    try:
        # By default the reader would open the files that an OME-TIFF names.
        with tifffile.TiffFile(source, _multifile=False) as tiff:
            series = tiff.series[0]
            pixels = math.prod(series.shape)
            pages = [series.keyframe, *(page.keyframe for page in series.pages if page is not None)]
            blocks = max(math.prod(page.chunks) for page in pages)
            compressions = {int(page.compression) for page in pages}
            parts = tiff.is_ome and series.kind.lower() != "ome"
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise UserError(f"The image can't be read; it may be no TIFF, damaged or cut short ({error}).") from error
    _check_pixels(max(pixels, blocks), config)
    if parts:
        raise UserError("The image is an OME-TIFF that lies in several files. Save it as one TIFF in Fiji.")
    if unknown := compressions - set(_COMPRESSIONS):
        allowed = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        raise UserError(
            f"The TIFF's compression is {unknown.pop()}; this server reads {allowed}. Save it without compression."
        )


def _write(target: Path, image: Image) -> None:
    try:
        with storing(target.parent):
            write_image(target, image)
    except (CheckFailedError, UserError):
        raise
    except Exception as error:  # what the header says besides can be nonsense
        raise UserError(f"The image's description can't be stored ({error}). Save it again in Fiji.") from error


def _check_pixels(pixels: int, config: ServeConfig) -> None:
    if pixels > config.max_pixels:
        raise TooLargeError(
            f"The image has {pixels:,} pixels, all planes together; this server takes {config.max_pixels:,}. "
            "Send a part of it: crop it, or take fewer slices."
        )


def _too_long(config: ServeConfig) -> TooLargeError:
    return TooLargeError(
        f"The image has more than {config.max_bytes:,} bytes, the most that this server takes. "
        "Send a part of it: crop it, or take fewer slices."
    )


async def _pieces(request: Request, pause_s: float) -> AsyncIterator[bytes]:
    """A body in pieces of some size."""
    stream = request.stream()
    gathered, waiting_since = bytearray(), time.monotonic()
    while True:
        try:
            async with asyncio.timeout(pause_s):
                piece = await anext(stream, None)
        except TimeoutError as error:
            waited = time.monotonic() - waiting_since
            raise SlowError(f"Nothing more of the image came for {waited:.0f} seconds. Send it again.") from error
        waiting_since = time.monotonic()
        if piece is not None:
            gathered += piece
        if gathered and (piece is None or len(gathered) >= _PIECE):
            yield bytes(gathered)
            gathered.clear()
        if piece is None:
            return
