"""What a user asks of a search, validated; from the command line, or from a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field

from relumen import configs
from relumen.configs import Frozen
from relumen.degrade import Border, ForwardOperator, Reduction, forward_operator
from relumen.errors import UserError
from relumen.images import Image, read_image
from relumen.prior.folder import Prior
from relumen.search import FORM, METHOD
from relumen.search.config import Form, SearchConfig, UncertaintyConfig, load_search
from relumen.search.fields import Tiling, check_field
from relumen.search.files import FileSearch
from relumen.search.intensity import Channels, Intensities, match_channels, matched, stated, whole_type
from relumen.search.plan import Plan, Settings, pooled_pixels
from relumen.search.uncertainty import check_form


class SearchRequest(Frozen):
    """A search as it is asked for."""

    prior: Path = Field(description="A run of train prior, an imported prior, or the name of one that comes along.")
    factor: int = Field(ge=1, description="Magnification: any that divides the height of the prior's images.")
    method: str = Field(default=METHOD, description="Name of the objective's settings, or a .yaml file.")
    overrides: tuple[str, ...] = Field(default=(), description="Changes of the method, 'name=value'.")
    channels: tuple[str, ...] = Field(
        default=(), description="STAIN=NUMBER for each of the prior's stains, from 1; or STAIN=none."
    )
    intensity: tuple[str, ...] = Field(
        default=("auto",), min_length=1, description="'auto', 'type', or LOW:HIGH, for all or for each channel."
    )
    blur: float = Field(default=0.0, ge=0, description="Sigma before the reduction, high-resolution pixels.")
    psf: Path | None = Field(default=None, description="A point spread function in place of the blur: an image (y, x).")
    reduction: Reduction = Field(default="bicubic", description="How so many pixels become one.")
    border: Border = Field(default="cut", description="What an image is beyond its edge.")
    solutions: int = Field(default=1, ge=1, description="For each window.")
    uncertainty: Form = Field(default=FORM, description="How several are found.")
    tiles: Tiling = Field(default="auto", description="How the prior's view is laid over larger fields.")
    batch: int = Field(default=4, ge=1, description="Windows that are searched at once.")
    seed: int = Field(default=0, ge=0, description="Of what is drawn.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """A request of plain values.

        Raises:
            UserError: one line for each fault.
        """
        return configs.validated(cls, values)

    @property
    def config(self) -> SearchConfig:
        """What is minimised.

        Raises:
            UserError: no such method, or a value that is not allowed.
        """
        return load_search(self.method, self.overrides)

    def operator(self, size: int) -> ForwardOperator:
        """D, from a prior's size.

        Raises:
            UserError: the factor doesn't divide it, or the point spread function is none.
        """
        psf = None
        if self.psf is not None:
            image = read_image(self.psf)
            if image.axes != "YX":
                raise UserError(f"{self.psf}: {image.describe()}. A PSF is one plane: the middle one of a stack.")
            psf = np.asarray(image.pixels, np.float64)
        return forward_operator(
            size, self.factor, blur=self.blur, psf=psf, reduction=self.reduction, border=self.border
        )

    def check(self, image: Image, prior: Prior | None = None) -> Prior:
        """Whether an image can be searched, as far as its sizes tell; gives the prior.

        Args:
            image: whose pixels aren't looked at.
            prior: where it is open already.

        Raises:
            UserError: a prior, a method or a channel that isn't there or doesn't fit, or an image that is too small.
        """
        config, prior = self.config, prior or Prior.open(self.prior)
        if config.needs_flow and not prior.has_flow:
            prior.flow  # noqa: B018  says why
        operator = self.operator(prior.generator.architecture.size)
        if self.solutions > 1:
            check_form(config, UncertaintyConfig(form=self.uncertainty))
        channels = match_channels(prior, image.channels, self.channels)
        if self.intensity == ("type",):
            whole_type(image.pixels.dtype, len(channels.stains))
        elif self.intensity != ("auto",):
            stated(self.intensity, len(channels.stains))
        shape = image.sizes["Y"], image.sizes["X"]
        nuclei_known = channels.nuclei is not None
        check_field(shape, operator.low_size, operator.factor, self.tiles, nuclei_known=nuclei_known)
        return prior

    def plan(
        self, images: Sequence[Image], say: Callable[[str], None] = lambda text: None, prior: Prior | None = None
    ) -> Plan:
        """The search of images that share one mapping of channels and intensities; of the first's channels.

        Args:
            images: that are searched.
            say: told how they are mapped.
            prior: where it is open already.

        Raises:
            UserError: a prior, a method, a channel or an intensity that isn't there or doesn't fit.
        """
        config = self.config
        prior = prior or Prior.open(self.prior)
        operator = self.operator(prior.generator.architecture.size)
        channels = match_channels(prior, images[0].channels, self.channels)
        alike = [image for image in images if image.channels == channels.available]
        intensities = self._intensities(prior, operator, alike, channels)
        say(f"Channels: {channels.describe()}")
        say(f"Intensities, black to white: {intensities.describe(channels.stains)}")
        settings = Settings(
            solutions=self.solutions,
            uncertainty=UncertaintyConfig(form=self.uncertainty),
            tiling=self.tiles,
            seed=self.seed,
            method=self.method,
        )
        return Plan(prior, operator, config, settings, channels, intensities)

    def file_search(
        self, images: Sequence[Path], axes: str | None = None, say: Callable[[str], None] = print
    ) -> FileSearch:
        """The search of these files.

        Args:
            images: that are searched.
            axes: overrides the axes of all.
            say: told how they are mapped.

        Raises:
            UserError: as :meth:`plan`, or no image can be read.
        """
        opened = _readable(images, axes)
        plan = self.plan(opened, say)
        most = 1
        for image in (each for each in opened if each.channels == plan.channels.available):
            with suppress(UserError):  # is told when its turn comes
                most = max(most, len(plan.windows(image)))
        return FileSearch(plan, min(self.batch, most))

    def _intensities(
        self, prior: Prior, operator: ForwardOperator, images: Sequence[Image], channels: Channels
    ) -> Intensities:
        if self.intensity == ("auto",):
            return matched(prior, operator, pooled_pixels(images, channels), channels)
        if self.intensity == ("type",):
            types = {image.pixels.dtype.newbyteorder("=") for image in images}
            if len(types) > 1:
                raise UserError(
                    f"The images have several types ({', '.join(map(str, types))}): state LOW:HIGH instead."
                )
            return whole_type(types.pop(), len(channels.stains))
        return stated(self.intensity, len(channels.stains))


def _readable(images: Sequence[Path], axes: str | None) -> list[Image]:
    """Those that can be read; the others are told when their turn comes, unless it is all."""
    opened, fault = [], UserError("No image was given.")
    for path in images:
        try:
            opened.append(read_image(path, axes))
        except UserError as error:
            fault = error
    if not opened:
        raise fault
    return opened
