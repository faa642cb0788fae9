"""A pickle read as data: it becomes plain values, and nothing that it names is imported or called.

A pickle is a program for a stack machine (:mod:`pickletools`). Python's own machine looks classes and functions up by
name and calls them, which lets a file run anything. This one has no such step: a name stays a name, and where the
program calls it or gives it a state, a function from a fixed table makes plain data of the arguments. Names outside
the table are refused, and so is every instruction that the checkpoints do not need.
"""

from __future__ import annotations

import io
import pickletools
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_INSTRUCTIONS = 2_000_000
"""A checkpoint of 256 pixels has about 33,000; each costs up to 100 bytes, whatever the file says."""

LONGEST_NUMBER = 128
"""Bits of a whole number; the longest that is in use, the mark of older files of torch.save, has 78."""

MOST_ARGUMENTS = 16
"""Of one call; the longest in use, a tensor's, has seven. A file can name the same ones in every call."""

Maker = Callable[..., Any]
"""What stands for a named class or function: plain data of its arguments."""


class RefusedError(Exception):
    """Why a file is not read, as a clause that follows "because"."""


_SHORT = reprlib.Repr()
_SHORT.maxstring = 100


def told(value: object) -> str:
    """A value of a file in a message: a text, number or few numbers, shortened; else its type, for it may be deep.

    >>> told("lrelu"), told([1, 3, 3, 1]), told([[]])
    ("'lrelu'", '[1, 3, 3, 1]', 'a list')
    """
    numbers = isinstance(value, list) and all(type(each) in (int, float) for each in value)
    plain = numbers or isinstance(value, str | int | float | None)
    return _SHORT.repr(value) if plain else f"a {type(value).__name__}"


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names, such as ``torch.FloatStorage``; there is nothing behind it."""

    path: str


@dataclass(frozen=True)
class Record:
    """An object of a class that is not ours.

    Attributes:
        kind: its class's name.
        fields: its state.
    """

    kind: str
    fields: dict[str, Any]


@dataclass(eq=False)
class Unfinished:
    """An object whose state follows in the pickle.

    Attributes:
        finish: makes its value of the state.
        places: where the pickle remembers it.
    """

    finish: Callable[[Any], Any]
    places: list[int] = field(default_factory=list)


def load(
    stream: BinaryIO,
    makers: Mapping[str, Maker],
    names: Collection[str] = (),
    stored: Callable[[Any], Any] | None = None,
) -> Any:  # noqa: ANN401  what it holds is for the caller to check
    """The value of one pickle of protocol 2 to 5; sets become lists, and dictionaries of all classes dict.

    Args:
        stream: of the file's bytes; read as far as the pickle's end.
        makers: what stands for each class or function that may be called, by its dotted name.
        names: those that may be named but not called.
        stored: gives the value of a persistent id; None: there are none.

    Raises:
        RefusedError: a name or an instruction that is not allowed, or a damaged pickle.
    """
    begin = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(begin)
    machine = _Machine(makers, names, stored, room=2 * size)
    position = 0
    try:
        for count, (opcode, argument, at) in enumerate(pickletools.genops(stream)):
            position = at or 0
            if count == MOST_INSTRUCTIONS:
                raise RefusedError(
                    f"it has more than {MOST_INSTRUCTIONS} instructions, which no known checkpoint needs"
                )
            machine.step(opcode.name, argument)
        return machine.pop()
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        why = f"near byte {position}: {str(error)[:80]!r}"
        raise RefusedError(f"it is not a pickle, or a damaged one ({why})") from error


class _Machine:
    """The stack, the marks on it, and what the pickle remembers.

    ``room`` is what all calls together may still take in, bytes. A text of the file is used once, not a million times;
    or twice, where protocol 2 writes bytes as text.
    """

    def __init__(
        self,
        makers: Mapping[str, Maker],
        names: Collection[str],
        stored: Callable[[Any], Any] | None,
        room: int,
    ) -> None:
        self.makers = makers
        self.names = names
        self.stored = stored
        self.room = room
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, instruction: str, argument: Any) -> None:  # noqa: ANN401  number, text or bytes
        """Carries one instruction out."""
        match instruction:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "NONE":
                self.stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                self.stack.append(instruction == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "BINFLOAT":
                self.stack.append(argument)
            case "LONG1" | "LONG4" if argument.bit_length() <= LONGEST_NUMBER:
                self.stack.append(argument)
            case "SHORT_BINUNICODE" | "BINUNICODE" | "BINUNICODE8" | "SHORT_BINBYTES" | "BINBYTES" | "BINBYTES8":
                self.stack.append(argument)
            case "BYTEARRAY8":
                self.stack.append(bytes(argument))
            case "MARK":
                self.marks.append(len(self.stack))
            case "EMPTY_TUPLE":
                self.stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple([self.pop() for _ in range(int(instruction[-1]))][::-1]))
            case "TUPLE":
                self.stack.append(tuple(self.since_mark()))
            case "EMPTY_LIST" | "EMPTY_SET":
                self.stack.append([])
            case "APPEND":
                self.extend([self.pop()])
            case "APPENDS" | "ADDITEMS":
                self.extend(self.since_mark())
            case "EMPTY_DICT":
                self.stack.append({})
            case "SETITEM":
                self.set_items([self.pop(), self.pop()][::-1])
            case "SETITEMS":
                self.set_items(self.since_mark())
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self.remember(len(self.memo) if argument is None else argument)
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "GLOBAL":
                self.stack.append(self.named(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                name, module = self.pop(), self.pop()
                self.stack.append(self.named(".".join((module, name))))
            case "REDUCE" | "NEWOBJ":
                arguments, called = self.pop(), self.pop()
                self.stack.append(self.made(called, arguments))
            case "BUILD":
                self.build(self.pop())
            case "BINPERSID" if self.stored:
                self.stack.append(self.stored(self.pop()))
            case _:
                raise RefusedError(f"it has the instruction {instruction}, which no known checkpoint needs")

    def pop(self) -> Any:  # noqa: ANN401  see load
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items, self.stack[mark:] = self.stack[mark:], []
        return items

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError(f"items are put into a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError(f"items are set in a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # To hash a deep tuple would overflow Python's own stack, and long numbers can be made to hash alike.
            if not isinstance(key, str | bytes) and not (isinstance(key, int) and key.bit_length() <= 32):
                raise TypeError(f"{told(key)} is a dictionary's key")
            target[key] = value

    def remember(self, place: int) -> None:
        value = self.stack[-1]
        self.memo[place] = value
        if isinstance(value, Unfinished):
            value.places.append(place)

    def named(self, path: str) -> Name:
        if path not in self.makers and path not in self.names:
            raise RefusedError(f"it names {told(path)}, which no known checkpoint of StyleGAN2 does")
        return Name(path)

    def made(self, called: Any, arguments: Any) -> Any:  # noqa: ANN401  see load
        if not isinstance(called, Name) or called.path not in self.makers or not isinstance(arguments, tuple):
            what = called.path if isinstance(called, Name) else f"a {type(called).__name__}"
            raise RefusedError(f"it calls {what}, which no known checkpoint of StyleGAN2 does")
        if len(arguments) > MOST_ARGUMENTS:
            raise RefusedError(f"it calls {called.path} with {len(arguments)} arguments")
        self.room -= sum(len(each) for each in arguments if isinstance(each, str | bytes))
        if self.room < 0:
            raise RefusedError("it uses its texts over and over, and would grow to many times its own size")
        return self.makers[called.path](*arguments)

    def build(self, state: Any) -> None:  # noqa: ANN401  see load
        """Gives the topmost object its state; a dictionary's own attributes hold no weights, and are dropped."""
        target = self.stack[-1]
        if isinstance(target, Unfinished):
            self.stack[-1] = target.finish(state)
            for place in target.places:
                self.memo[place] = self.stack[-1]
            target.places.clear()
        elif not isinstance(target, dict):
            raise RefusedError(f"it sets attributes of a {type(target).__name__}, which no known checkpoint does")
