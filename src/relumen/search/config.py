"""What a search minimises, and how: RLS, PULSE and BRGM are settings of the one search (``presets/*.yaml``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from relumen import configs
from relumen.configs import Frozen
from relumen.search import FORM, METHOD

_PRESETS = "relumen.search.presets"

Form = Literal["paper", "elbo", "restarts"]


class Likelihood(Frozen):
    """How far the candidate's low-resolution image is from the given one; both have values 0..1."""

    norm: Literal["l1", "l2"] = Field(default="l1", description="Absolute differences, or squared ones.")
    reduce: Literal["sum", "mean"] = Field(
        default="sum",
        description="Over the pixels and channels of a low-resolution image. The paper's weights of the priors are "
        "for a sum; by a mean, they weigh some hundred times as much.",
    )
    weight: float = Field(default=1.0, gt=0, description="Factor of this term.")
    floor: float = Field(default=0.0, ge=0, description="Below it, before the weight, an image fits well enough.")


class Cross(Frozen):
    """How far the style vectors of an image's layers are from each other."""

    form: Literal["squared", "distance", "geodesic", "cosine"] = Field(
        default="squared",
        description="'squared': the sum of squared distances of all pairs (RLS, P_cross); 'distance': the mean "
        "distance of all pairs (RLS's authors' code); 'geodesic': of points on a sphere (PULSE); 'cosine': the sum of "
        "1 - cos over all pairs, each twice (BRGM).",
    )
    weight: float = Field(gt=0, description="Factor of this term.")


class SearchConfig(Frozen):
    """A whole search."""

    iterations: int = Field(default=200, ge=1, description="Steps of Adam.")
    learning_rate: float = Field(default=0.5, gt=0, description="Of Adam, in units of a style vector's coordinates.")
    schedule: Literal["constant", "one-cycle"] = Field(
        default="constant",
        description="'one-cycle': from a tenth up to the rate and back within nine tenths of the steps, then down to "
        "a thousandth (PULSE).",
    )
    space: Literal["styles", "whitened"] = Field(
        default="styles",
        description="What is searched: style vectors, or what PULSE's whitening makes of them.",
    )
    start: Literal["mean", "random"] = Field(
        default="mean",
        description="The mean of 10,000 random style vectors in every layer, or random codes, each layer its own.",
    )
    likelihood: Likelihood = Likelihood()
    density: float = Field(
        default=0.0, ge=0, description="Weight lambda_w of -P_w, the mean of -log p_F(w_i) by the flow."
    )
    shell: float = Field(
        default=0.0, ge=0, description="Weight of the mean of (||F(w_i)|| - sqrt(d))^2 (RLS's authors' code)."
    )
    cross: Cross | None = Field(default=None, description="Likeness of the layers' style vectors; None: no matter.")
    gaussian: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the mean of ((w - mean) / spread)^2 over coordinates, where the spread is the root mean "
        "squared distance of style vectors from their mean, one number (BRGM's public code).",
    )
    ball: float | None = Field(
        default=None,
        gt=0,
        description="After each step, each style vector is put back into an L1 ball around the mean; its radius, times "
        "sqrt(d) (RLS's authors' code). None: no ball.",
    )
    sphere: bool = Field(
        default=False, description="Whether codes and searched noise keep their first norms in each step (PULSE)."
    )
    noise_maps: int = Field(
        default=0, ge=0, description="Noise maps, from the coarsest on, that are searched too; the others are stored."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.space == "whitened" and self.ball is not None:
            raise ValueError("ball is of style vectors: it can't be with space=whitened")
        if self.start == "mean" and self.space == "whitened" and self.sphere:
            raise ValueError("the mean lies in the middle of the sphere: with sphere=true, set start=random")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """Of the terms of the objective, by name, in order."""
        terms = {
            "likelihood": self.likelihood.weight,
            "density": self.density,
            "shell": self.shell,
            "cross": 0.0 if self.cross is None else self.cross.weight,
            "gaussian": self.gaussian,
        }
        return {name: weight for name, weight in terms.items() if weight}

    @property
    def structure(self) -> SearchConfig:
        """What a step is compiled for: equal where two differ only in what the step is told anew each time."""
        ones: dict[str, Any] = {name: 1.0 for name in ("density", "shell", "gaussian") if getattr(self, name)}
        if self.cross is not None:
            ones["cross"] = self.cross.model_copy(update={"weight": 1.0})
        ones["likelihood"] = self.likelihood.model_copy(update={"weight": 1.0})
        told = {"iterations": 1, "learning_rate": 1.0, "schedule": "constant", "start": "random"}
        return self.model_copy(update=ones | told)

    @property
    def needs_flow(self) -> bool:
        """Whether a term is of the normalizing flow."""
        return bool(self.density or self.shell)

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        share = iteration / self.iterations / 0.9
        if share < 1:
            return self.learning_rate * (0.1 + 0.9 * (1 - abs(2 * share - 1)))
        return self.learning_rate * (0.1 + (share - 1) * 9 * (0.001 - 0.1))


class UncertaintyConfig(Frozen):
    """How several solutions of one image are found."""

    form: Form = Field(
        default=FORM,
        description="'paper': codes that are searched together, with a normal distribution that they shall fit "
        "(Gheisari and Genovesio, Sec. 4.5). 'elbo': codes that are drawn from a normal distribution, which is "
        "searched and shall be wide. 'restarts': searches that know nothing of each other, from random starts.",
    )
    spread: float | None = Field(
        default=None,
        ge=0,
        description="How far random starts are from the mean style vector, as a share of a random style vector's way; "
        "None: 1 for restarts, else 0.2 (RLS's authors' code).",
    )
    alpha: float = Field(default=0.1, gt=0, description="Shape of the inverse gamma distribution of sigma (BRGM).")
    beta: float = Field(default=0.95, gt=0, description="Scale of the inverse gamma distribution of sigma (BRGM).")
    weight: float = Field(
        default=0.02,
        gt=0,
        description="Factor of what ties the codes to their distribution, which is a sum over the coordinates of all "
        "style vectors. For the paper's objective it is lambda_l, the scale of the noise of a low-resolution pixel "
        "(0..1), which the paper leaves out, as if it were 1.",
    )

    @property
    def start_spread(self) -> float:
        """How far random starts are from the mean, with the default filled in."""
        return self.spread if self.spread is not None else 1.0 if self.form == "restarts" else 0.2


def presets() -> list[str]:
    """Names of the methods."""
    return configs.preset_names(_PRESETS)


def load_search(preset: str = METHOD, overrides: Sequence[str] = ()) -> SearchConfig:
    """A method with changes.

    Args:
        preset: one of :func:`presets`, or the path of a YAML file.
        overrides: "name=value" with YAML values, such as "cross.weight=0.05".

    Raises:
        UserError: no such preset, or a value that is not allowed.

    >>> load_search("rls").learning_rate
    0.5
    """
    values = configs.preset_values(_PRESETS, preset)
    configs.override(values, overrides, "cross.weight=0.05")
    return configs.validated(SearchConfig, values)
