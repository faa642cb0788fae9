"""The configuration of a flow's training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from relumen.training.settings import Schedule


class FlowConfig(Schedule):
    """A whole training of a prior's normalizing flow."""

    system: Literal["flow"] = "flow"
    seed: int = Field(default=0, ge=0, description="Everything random is a function of the seed and the epoch.")
    samples: int = Field(default=100_000, ge=100, description="Codes w = G_m(z) that are drawn; RLS: 100,000.")
    fresh: bool = Field(
        default=False,
        description="Whether every epoch has codes of its own: they are free to draw, and none is learnt by heart.",
    )
    held_out: float = Field(default=0.1, gt=0, lt=1, description="Share of the codes that are not trained on.")
    blocks: int = Field(default=5, ge=1, description="Masked networks, one after the other; RLS: 5.")
    hidden: int = Field(default=1024, ge=1, description="Width of each one's hidden layer; RLS: 1024.")
    norm: Literal["batch", "actnorm"] = Field(
        default="batch",
        description="Between blocks: batch normalisation, or scales and shifts that are learned from a start at the "
        "statistics of all codes.",
    )
    slope: float | None = Field(
        default=None,
        gt=0,
        description="Slope below 0 of the mapping network's last activation, which the flow undoes first: 0.2 in "
        "StyleGAN2. None: codes are taken as they are, as in RLS.",
    )
    batch: int = Field(default=512, ge=2, description="Codes a step.")
    weight_decay: float = Field(
        default=0.0, ge=0, description="Of the matrices, decoupled from the gradient (AdamW), in learning rates."
    )
    patience: int = Field(
        default=10, ge=1, description="Epochs without a better held-out likelihood, after which training stops."
    )
