"""The ready macro of a package: DeepImageJ's run, with the normalisation undone on its result."""

from __future__ import annotations

import re
from importlib.resources import files

from relumen.errors import UserError

from .description import PackageDescription
from .rdf import EPS

_PLACE = re.compile(r"@([A-Z_]+)@")


def macro_name(description: PackageDescription) -> str:
    """The macro's file."""
    return "restore.ijm" if description.defect is None else "simulate.ijm"


def macro_text(description: PackageDescription) -> str:
    """The macro for a model, from the template restore.ijm.

    It measures mean and standard deviation of each plane, calls ``DeepImageJ Run``, undoes them on the result, sets
    the pixel size, and says plainly which images it can't take.

    Args:
        description: what is known of the model.

    Raises:
        UserError: the template asks for something unknown.
    """
    import relumen

    defect = description.defect
    values = {
        "FILE": macro_name(description),
        "DOES": "Restores an image" if defect is None else f"Makes {defect} (synthetic) of a clean image",
        "DONE": "Restored" if defect is None else f"Synthetic {defect}",
        "SUFFIX": "restored" if defect is None else f"synthetic-{defect}",
        "NAME": description.name,
        "NICKNAME": description.nickname,
        "VERSION": relumen.__version__,
        "SCALE": str(description.scale),
        "TILE": str(description.tile),
        "CHANNELS": str(len(description.input_channels)),
        "NORMALISES": "true" if description.normalise else "false",
        "EPS": f"{EPS:.6f}",
        "PIXEL_SIZE": f"{description.pixel_size_um or 0:.6g}",
    }

    def value(place: re.Match[str]) -> str:
        if place[1] not in values:
            raise UserError(f"The macro's template asks for {place[0]}, which is not known.")
        return values[place[1]]

    template = files("relumen.export").joinpath("restore.ijm").read_text(encoding="utf-8")
    return _PLACE.sub(value, template)
