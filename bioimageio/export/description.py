"""What a person says of a model before it is exported: names, people, data, figures, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from relumen.configs import Frozen, validated
from relumen.normalisation import Normalisation

from .normalisation import Normalised
from .purpose import ANSWERING, Purpose, restoring, simulating

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Line = Annotated[Text, StringConstraints(pattern=r"^[^\r\n]*$")]
Link = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
EMail = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
# The zoo's alphabet for names of models.
ModelName = Annotated[Text, StringConstraints(min_length=5, max_length=128, pattern=r"^[A-Za-z0-9_+\- ()]+$")]
PersonName = Annotated[Line, StringConstraints(pattern=r"^[^/\\]+$")]

DEEPIMAGEJ_TAG = "deepimagej"


class Person(Frozen):
    """Somebody who made, keeps or uploads the model."""

    name: PersonName
    affiliation: Line | None = None
    email: EMail | None = None
    github_user: Line | None = Field(None, description="GitHub name; the zoo wants it of every maintainer.")
    orcid: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")] | None = None


class Citation(Frozen):
    """Something that a user of the model should cite."""

    text: Line
    doi: Annotated[str, StringConstraints(pattern=r"^10\.\d{4,}\S*/\S+$")] | None = None
    url: Link | None = None

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.doi is None and self.url is None:
            raise ValueError("a citation needs a doi or a url")
        return self


class Table(Frozen):
    """Figures for the Validation part of the card."""

    caption: Line = Field(description="What was measured, on which images, and how.")
    columns: tuple[Line, ...] = Field(min_length=1, description="Headings.")
    rows: tuple[tuple[str | int | float, ...], ...] = Field(min_length=1, description="Real, measured values.")

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} values under {len(self.columns)} columns: {row}")
        return self


class Training(Frozen):
    """How the network was trained."""

    data: Text = Field(description="The training images in words.")
    data_link: Link | None = Field(None, description="Where the training images can be had.")
    command: Line | None = Field(None, description="The command that trained the network.")
    duration: Line | None = Field(None, description="Time spent, such as '2.5 hours'.")
    machine: Line | None = Field(None, description="The device it was trained on.")
    software: Line | None = Field(None, description="Versions of what trained it.")
    details: tuple[Line, ...] = Field((), description="Further sentences, such as how inputs were degraded.")


class PackageDescription(Frozen):
    """All that a package says of a model and that can't be read from the network itself.

    Raises:
        pydantic.ValidationError: a value that is not allowed; :meth:`checked` gives it as a plain message.
    """

    name: ModelName = Field(description="Name that people see: letters, digits, space and _+-().")
    summary: Annotated[Text, StringConstraints(max_length=512)] = Field(
        description="What it does, in one or two sentences."
    )
    input_channels: tuple[Line, ...] = Field(("intensity",), min_length=1, description="Names of the channels.")
    output_channels: tuple[Line, ...] = Field(("intensity",), min_length=1, description="Names of the channels.")
    scale: int = Field(2, ge=1, description="Magnification s: output pixels for each input pixel along y and x.")
    tile: int = Field(128, ge=8, description="Height and width of Fiji's tile in input pixels, halo included.")
    fixed_size: bool = Field(
        False,
        description="Whether the network takes inputs of the tile's size alone, since its answer depends on the whole "
        "of a tile, or on the place in it: then tiles don't fit each other, and the halo is as stated, or none.",
    )
    draws: bool = Field(
        False, description="Whether random numbers are part of the network, the same in every tile; of a fixed size."
    )
    multiple: int = Field(
        1,
        ge=1,
        description="Of which height and width of an input must be, such as 2 where the network halves it: its answer "
        "to a tile then depends on where the tile begins.",
    )
    halo: int | None = Field(
        None, ge=0, description="Input pixels on each side of a tile that are context only; None: measure it."
    )
    defect: Annotated[Line, StringConstraints(pattern=r"^[A-Za-z0-9_+\-. ()]+$")] | None = Field(
        None, description="What the network makes of clean images, such as noise; None: it restores images."
    )
    restores: bool = Field(True, description="Whether it makes better images of images; else it answers anything.")
    normalise: Normalised = Field(
        Normalisation(measured=True),
        description="What an image becomes before it enters: input (mean 0 and standard deviation 1 over the image), "
        "together (over all its channels), none, or MEAN,DEVIATION that are taken from it and divided by.",
    )
    answer: Literal["image", "own"] = Field(
        "image",
        description="What comes out: an image in the units in which the input enters, which the macro and relumen "
        "undo; or values of their own, such as probabilities, which they leave as they are.",
    )
    pixel_size_um: float | None = Field(None, gt=0, description="Pixel size of the training inputs, micrometres.")
    authors: tuple[Person, ...] = Field(min_length=1, description="Who made the model.")
    maintainers: tuple[Person, ...] = Field((), description="Who answers questions; each with a github_user.")
    uploader: Person | None = Field(None, description="Who hands it to the zoo, with an email.")
    cite: tuple[Citation, ...] = Field(min_length=1, description="The method's paper first.")
    tags: tuple[Line, ...] = Field((), description="Words for the zoo's search; 'deepimagej' is added.")
    license: str = Field("CC-BY-4.0", description="SPDX name of the weights' licence.")
    git_repo: Link | None = Field(
        "https://github.com/relumen/relumen", description="Where the code that made the model lives."
    )
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        "0.1.0", description="Version of the model."
    )
    training: Training = Field(description="Data, command, duration, machine.")
    validation: tuple[Table, ...] = Field((), description="Measured figures on images not trained on.")
    limitations: tuple[Text, ...] = Field((), description="What the model is not good for.")

    @field_validator("license")
    @classmethod
    def _is_spdx(cls, name: str) -> str:
        from bioimageio.spec.generic.v0_3 import LicenseId

        try:
            LicenseId(name)
        except ValidationError:
            raise ValueError(
                f"there is no licence {name!r} in the SPDX list (https://spdx.org/licenses); say one such as "
                "CC-BY-4.0, MIT or BSD-3-Clause"
            ) from None
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        inputs, outputs = len(self.input_channels), len(self.output_channels)
        if self.normalise.measured and not self.normalise.together and inputs > 1:
            # JDLL normalises a whole image once for each channel, one upon the other.
            raise ValueError(
                f"Fiji can't normalise {inputs} channels each by itself: make a package for each channel, or say "
                "together where one mean and one standard deviation are of all channels, or none"
            )
        if self.halo is not None and 2 * self.halo >= self.tile:
            raise ValueError(f"a tile of {self.tile} pixels is all halo ({self.halo} on each side)")
        if self.tile % self.multiple or (self.halo or 0) % self.multiple:
            raise ValueError(f"tile and halo must be multiples of {self.multiple}, of which an input must be")
        if len(set(self.input_channels)) < inputs or len(set(self.output_channels)) < outputs:
            raise ValueError("two channels have the same name")
        for person in self.maintainers:
            if person.github_user is None:
                raise ValueError(f"maintainers need a github_user, and {person.name} has none")
        if self.uploader is not None and self.uploader.email is None:
            raise ValueError(f"the uploader needs an email, and {self.uploader.name} has none")
        return self

    @classmethod
    def checked(cls, fields: Mapping[str, Any]) -> PackageDescription:
        """A description from plain values.

        Raises:
            UserError: one line for each fault, with its place and the value received.
        """
        return validated(cls, fields, "description of the package")

    @property
    def smallest_image(self) -> int:
        """The least height and width of an image that Fiji can cut into tiles, input pixels."""
        return -(-self.tile // 3)

    @property
    def nickname(self) -> str:
        """The name as one word, by which DeepImageJ finds the model."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "model"

    @property
    def all_tags(self) -> list[str]:
        """The tags with those that every package of this kind has, without repeats."""
        return list(dict.fromkeys((*self.tags, *self.purpose.tags, "microscopy", "2d", "relumen", DEEPIMAGEJ_TAG)))

    @property
    def purpose(self) -> Purpose:
        """What it is for, in words."""
        if self.defect is not None:
            return simulating(self.defect)
        return restoring(self.scale) if self.restores else ANSWERING

    @property
    def undone(self) -> bool:
        """Whether the answer is in other units than the image, and is brought back to the image's."""
        return self.answer == "image" and self.normalise.changes
