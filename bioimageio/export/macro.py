"""The ready macro of a package: DeepImageJ's run, with the normalisation undone on its result."""

from __future__ import annotations

import re
from importlib.resources import files

from relumen.errors import UserError

from .description import PackageDescription

_PLACE = re.compile(r"@([A-Z_]+)@")


def macro_name(description: PackageDescription) -> str:
    """The macro's file."""
    return description.purpose.macro


def macro_text(description: PackageDescription) -> str:
    """The macro for a model, from the template restore.ijm.

    It calls ``DeepImageJ Run`` on each plane, undoes on the result how the plane entered the network, where the answer
    is an image, sets the pixel size, and says plainly which images it can't take.

    Args:
        description: what is known of the model.

    Raises:
        UserError: the template asks for something unknown.
    """
    import relumen

    purpose, normalise = description.purpose, description.normalise
    values = {
        "FILE": macro_name(description),
        "DOES": purpose.does,
        "DONE": purpose.done,
        "SUFFIX": purpose.suffix,
        "NAME": description.name,
        "NICKNAME": description.nickname,
        "VERSION": relumen.__version__,
        "SCALE": str(description.scale),
        "TILE": str(description.tile),
        "CHANNELS": str(len(description.input_channels)),
        "CHANNEL_NAMES": ", ".join(description.input_channels).replace('"', "'").replace("\\", "/"),
        "UNMIX": "Make Composite" if len(description.input_channels) == 3 else "Split Channels",
        "MEASURES": "true" if normalise.measured else "false",
        "MEAN": f"{normalise.mean:.9g}",
        "DEVIATION": f"{normalise.deviation:.9g}",
        "UNDOES": "true" if description.undone else "false",
        "EPS": f"{normalise.eps:.6f}",
        "PIXEL_SIZE": f"{description.pixel_size_um or 0:.6g}",
    }

    def value(place: re.Match[str]) -> str:
        if place[1] not in values:
            raise UserError(f"The macro's template asks for {place[0]}, which is not known.")
        return values[place[1]]

    template = files("relumen.export").joinpath("restore.ijm").read_text(encoding="utf-8")
    return _PLACE.sub(value, template)
