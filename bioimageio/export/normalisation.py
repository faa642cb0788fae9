"""How a person states a normalisation, and how a package does."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from relumen.normalisation import Normalisation

_OTHERS = (
    "Percentiles, minimum and maximum, and a mean of each channel by itself are not offered: Fiji computes them in "
    "another way than Python, or not at all. Bring images into the network's range before they enter, and say none; or "
    "say MEAN,DEVIATION with numbers that suit all images, such as their usual 1st percentile, and what lies between "
    "that and the 99.8th"
)
_WORDS = {
    "input": Normalisation(measured=True),
    "together": Normalisation(measured=True, together=True),
    "none": Normalisation(),
}


def preprocessing(normalisation: Normalisation) -> list[dict[str, Any]]:
    """A normalisation as the steps of a package's preprocessing; only what JDLL computes as bioimageio.core does."""
    if normalisation.measured:
        axes = ["channel", "y", "x"] if normalisation.together else ["y", "x"]
        return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes, "eps": normalisation.eps}}]
    if not normalisation.changes:
        return []
    gain = 1 / normalisation.deviation
    return [{"id": "scale_linear", "kwargs": {"gain": gain, "offset": -normalisation.mean * gain}}]


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value in _WORDS:
        return _WORDS[value]
    try:
        mean, deviation = map(float, value.split(","))
    except ValueError:
        raise ValueError(
            f"say {', '.join(_WORDS)}, or MEAN,DEVIATION such as 0,255 for an image that is divided by 255. {_OTHERS}"
        ) from None
    return Normalisation(mean=mean, deviation=deviation)


Normalised = Annotated[Normalisation, BeforeValidator(_parsed)]
"""A field that is also told as text: input, together, none, or two numbers."""
