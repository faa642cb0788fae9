"""What every table and figure of RLS begins with: a prior, images of conditions, one D, and methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator, forward_operator
from relumen.errors import UserError
from relumen.evaluation.rls_methods import BICUBIC, COMPARED, Made, Maker, Method, OnDone, made_by_all
from relumen.evaluation.rls_truth import Truth, TruthConfig, load_truth
from relumen.prior.folder import Prior

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Study:
    """High-resolution images, their low-resolution ones, and what methods make of these.

    Attributes:
        prior: of the searches, with its flow.
        config: which images; others of the same kind are had by it.
        truth: the images that are judged by.
        factor: of the reduction.
        methods: in the order of rows.
        cache: folder where searches are kept.
        batch: images that are searched at once.
        seed: of images and searches.
    """

    prior: Prior
    config: TruthConfig
    truth: Truth
    factor: int
    methods: tuple[Method, ...]
    cache: Path
    batch: int = 4
    seed: int = 0

    @classmethod
    def begin(
        cls,
        prior: Prior,
        config: TruthConfig,
        factor: int,
        cache: Path,
        *,
        count: int,
        methods: Sequence[Method] = (BICUBIC, *COMPARED),
        batch: int = 4,
        seed: int = 0,
    ) -> Study:
        """A study of ``count`` images of each condition at most.

        Raises:
            UserError: images that can't be used, of other stains than the prior's, or a factor that doesn't divide
                their size.
        """
        size = prior.generator.architecture.size
        forward_operator(size, factor)
        truth = load_truth(config, size, count, seed)
        stains = prior.about.stains
        if stains and stains != truth.stains:
            raise UserError(
                f"{prior.path.name} shows {', '.join(stains)}, and the {truth.words} show {', '.join(truth.stains)}. "
                "Take a prior of the same stains, in the same order."
            )
        return cls(prior, config, truth, factor, tuple(methods), cache, batch, seed)

    @cached_property
    def operator(self) -> ForwardOperator:
        """D of all methods: cubic convolution, widened against aliasing."""
        return forward_operator(self.prior.generator.architecture.size, self.factor)

    @cached_property
    def low(self) -> Float32:
        """The low-resolution images (n, m, m, channels)."""
        return self.operator(self.truth.images)

    @cached_property
    def maker(self) -> Maker:
        """Makes images at this factor."""
        return Maker(self.prior, self.operator, self.cache, batch=self.batch, seed=self.seed)

    def make(self, on_done: OnDone = lambda done, total: None, low: Float32 | None = None) -> Mapping[str, Made]:
        """What each method makes of the low-resolution images, or of others, by its name."""
        return made_by_all(self.maker, self.methods, self.low if low is None else low, on_done)

    def notes(self) -> list[str]:
        """What a reader must know of every figure."""
        counts = ", ".join(f"{name}: {len(self.truth.of(name))}" for name in self.truth.names)
        return [
            f"Images: {self.truth.words} ({counts}), {', '.join(self.truth.stains)}, "
            f"{self.truth.images.shape[1]} x {self.truth.images.shape[2]} pixels. They are not the paper's: its "
            "figures stand beside ours for reference alone.",
            f"Prior: {self.prior.path.name}. D of all methods: {self.operator.description}.",
        ]
