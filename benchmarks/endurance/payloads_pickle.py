"""Pickles that run something, alone and inside other files."""

from __future__ import annotations

import os
import pickle
import random
import struct

from payloads import TOUCH, TOUCH_IN_PYTHON


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


def evil(draw: random.Random) -> object:
    """An object whose unpickling runs something."""
    import builtins
    import subprocess

    calls = (
        Calls(os.system, TOUCH),
        Calls(subprocess.Popen, ["sh", "-c", TOUCH]),
        Calls(builtins.eval, TOUCH_IN_PYTHON),
        Calls(builtins.exec, TOUCH_IN_PYTHON),
        Calls(builtins.open, "../../outside/written", "w"),
        Calls(os.mkdir, "../../outside/written"),
        Calls(getattr, "", "__class__"),
        Calls(builtins.__import__, "this"),
    )
    return draw.choice(calls)


def hostile_pickle(draw: random.Random, value: object = None) -> bytes:
    """A pickle that runs something, by itself or inside another value."""
    inside = draw.choice((evil(draw), {"G_ema": evil(draw)}, (value, evil(draw)), [evil(draw)] * 3))
    data = pickle.dumps(inside, draw.randrange(6))
    return data if draw.random() < 0.8 else b"\x80\x02" + data[2:]


_OPERATIONS = (
    b"(", b")", b"]", b"}", b"t", b"l", b"d", b"a", b"e", b"s", b"u", b"0", b"1", b"2", b"R", b"b", b"o", b"\x81",
    b"\x85", b"\x86", b"\x87", b"\x8f", b"\x90", b"\x91", b"\x92", b"\x93", b"\x94", b"\x95" + b"\xff" * 8,
    b"\x96" + b"\xff" * 8, b"\x97", b"\x98", b"N", b"\x88", b"Q", b"P1\n", b"cos\nsystem\n", b"ios\nsystem\n",
    b"\x8c\x02os\x8c\x06system\x93", b"X\xff\xff\xff\x7f", b"\x8d" + b"\xff" * 8,
    b"\x8e" + b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"T\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f",
    b"\x8b\xff\xff\xff\xff", b"\x8a\xff" + b"\xff" * 255, b"j\xff\xff\xff\xff", b"h\xff", b"r\xff\xff\xff\xff",
    b"I" + b"9" * 6000 + b"\n", b"Lxx\n", b"F1e999\n", b"V\\u0000\n", b"\x82\x01", b"\x84\xff\xff\xff\x7f",
    b"J\xff\xff\xff\xff", b".", b"\x85" * 3000, b"(" * 3000, b"]" * 3000, b"2\x86" * 60, b"]\x942aa" * 40,
)  # fmt: skip


def other_instructions(draw: random.Random, data: bytes) -> bytes:
    """A pickle with instructions more, fewer, twice, or in another order."""
    import pickletools

    try:
        starts = [at for _, _, at in pickletools.genops(data) if at is not None]
    except Exception:  # damaged before
        return data
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.choice(starts)
        end = min((each for each in starts if each > at), default=len(data))
        way = draw.randrange(4)
        if way == 0:
            data = data[:at] + draw.choice(_OPERATIONS) + data[at:]
        elif way == 1:
            data = data[:at] + data[end:]
        elif way == 2:
            data = data[:at] + data[at:end] * draw.choice((2, 500)) + data[end:]
        else:
            data = data[:at] + draw.choice(_OPERATIONS) + data[end:]
    return data


def object_array(draw: random.Random) -> bytes:
    """A .npy file whose array holds a pickle."""
    payload = pickle.dumps(evil(draw), 2)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload
