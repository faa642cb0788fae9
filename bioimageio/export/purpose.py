"""What a network is for, in the words of its card, its rdf.yaml and its macro."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Purpose:
    """The words that change with what a network is for.

    Attributes:
        macro: the macro's file.
        does: what the macro does, as its first words say it.
        done: what was done to an image, as its Info says it.
        suffix: of the result's name.
        image: what goes in.
        answer: what comes out.
        tags: for the zoo's search.
    """

    macro: str
    does: str
    done: str
    suffix: str
    image: str
    answer: str
    tags: tuple[str, ...] = ()


ANSWERING = Purpose(
    macro="run.ijm",
    does="Processes an image",
    done="Processed",
    suffix="result",
    image="The image",
    answer="The network's answer",
)
"""Of networks of which nobody said that they restore images."""


def restoring(scale: int) -> Purpose:
    """Of networks that make better images of images."""
    return Purpose(
        macro="restore.ijm",
        does="Restores an image",
        done="Restored",
        suffix="restored",
        image="The image",
        answer="The restored image",
        tags=("restoration", "super-resolution") if scale > 1 else ("restoration",),
    )


def simulating(defect: str) -> Purpose:
    """Of networks that make a defect of clean images."""
    return Purpose(
        macro="simulate.ijm",
        does=f"Makes {defect} (synthetic) of a clean image",
        done=f"Synthetic {defect}",
        suffix=f"synthetic-{defect}",
        image="A clean image",
        answer=f"A synthetic image, with {defect}",
    )
