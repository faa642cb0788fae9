"""What a client may ask of a job: names and numbers only, never a path or an address."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from relumen.configs import Frozen
from relumen.degrade import Border, Reduction
from relumen.errors import UserError
from relumen.search import FORM, METHOD
from relumen.search.config import Form, load_search, presets
from relumen.search.fields import Tiling

if TYPE_CHECKING:
    from relumen.search.request import SearchRequest

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._ -]*$"
_FOLDER_NAME = r"^[^/\\]+$"
_LONGEST = 200  # characters of a text


class SearchParameters(Frozen):
    """A search for the high-resolution image that a low-resolution one fits."""

    prior: str = Field(max_length=_LONGEST, pattern=_FOLDER_NAME, description="Name of one of the server's priors.")
    factor: int = Field(ge=1, le=1024, description="Magnification: any that divides the size of the prior's images.")
    method: str = Field(
        default=METHOD,
        max_length=_LONGEST,
        description="Settings of the objective.",
        json_schema_extra={"enum": [*presets()]},
    )
    iterations: int | None = Field(default=None, ge=1, description="Steps of Adam; left out: the method's.")
    lambda_w: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Weight of the density of style vectors by the flow; left out: the method's.",
    )
    lambda_c: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Weight of the likeness of the layers' style vectors; left out: the method's; 0: none.",
    )
    channels: str = Field(
        default="",
        max_length=_LONGEST,
        description="STAIN=NUMBER for each of the prior's stains, counted from 1, or STAIN=none, with spaces between "
        "(quotes around a stain that has some); left out: the image's channels are the prior's, in order.",
    )
    intensity: str = Field(
        default="auto",
        max_length=_LONGEST,
        description="What the prior's black and white are: 'auto' (matched to the prior's images), 'type' (the whole "
        "range of 8 or 16 bits), or LOW:HIGH, once or for each of the prior's channels, with spaces between.",
    )
    blur: float = Field(
        default=0.0, ge=0, le=1000, allow_inf_nan=False, description="Sigma before the reduction, high-res pixels."
    )
    reduction: Reduction = Field(default="bicubic", description="How so many pixels become one.")
    border: Border = Field(default="cut", description="What an image is beyond its edge.")
    solutions: int = Field(default=1, ge=1, description="For each window; from 2 on with mean and standard deviation.")
    uncertainty: Form = Field(default=FORM, description="How several are found.")
    tiles: Tiling = Field(default="auto", description="How the prior's view is laid over larger fields.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Equal seeds give equal images.")

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        if method not in presets():  # a name, never a file
            raise ValueError(f"Choose one of {', '.join(presets())}")
        return method

    @property
    def overrides(self) -> tuple[str, ...]:
        """Changes of the method.

        Raises:
            UserError: a weight of a term that the method doesn't have.
        """
        changes = []
        if self.iterations is not None:
            changes.append(f"iterations={self.iterations}")
        if self.lambda_w is not None:
            changes.append(f"density={self.lambda_w!r}")
        if self.lambda_c is not None:
            if self.lambda_c == 0:
                changes.append("cross=null")
            elif load_search(self.method).cross is None:
                raise UserError(f"The method {self.method} has no term that lambda_c could weigh. Leave it out.")
            else:
                changes.append(f"cross.weight={self.lambda_c!r}")
        return tuple(changes)

    def request(self, prior: Path) -> SearchRequest:
        """The search of a prior's folder.

        Raises:
            UserError: as :attr:`overrides`, or a quote that doesn't end.
        """
        from relumen.search.request import SearchRequest

        return SearchRequest.of(
            {
                "prior": prior,
                "factor": self.factor,
                "method": self.method,
                "overrides": self.overrides,
                "channels": _words(self.channels),
                "intensity": tuple(self.intensity.split()) or ("auto",),
                "blur": self.blur,
                "reduction": self.reduction,
                "border": self.border,
                "solutions": self.solutions,
                "uncertainty": self.uncertainty,
                "tiles": self.tiles,
                "seed": self.seed,
            }
        )


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UserError(f"channels={text} has a quote that does not end.") from error


class RestorationParameters(Frozen):
    """A restoration by one of the server's packages."""

    package: str = Field(max_length=_LONGEST, pattern=_NAME, description="Name of one of the server's packages.")
    tile: int | None = Field(
        default=None,
        ge=16,
        le=8192,
        description="Pixels of a tile; smaller needs less memory. Left out: up to 512, as suits the network.",
    )
