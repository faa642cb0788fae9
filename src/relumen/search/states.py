"""What goes into a search, what it is at on its way, and what it finds: each of one image, or of several as a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        low: the low-resolution image (m, m, channels); 0 is the black, 1 the white of the prior's images.
        seed: of what is drawn.
        start: style vectors (L, d) to start at; None: the config's start.
    """

    low: NDArray[Any]
    seed: tuple[int, ...]
    start: Float32 | None = None


@dataclass(frozen=True)
class SearchState:
    """Where searches stand after a step; gone on with, they find to the bit what they would have found in one go.

    Attributes:
        history: the sum of the terms at each step that was done, (steps, n).
        values: of the searcher's variables, each (n, ...) where the searches know nothing of each other.
    """

    history: Float32
    values: tuple[NDArray[Any], ...]

    @property
    def iteration(self) -> int:
        """Steps that were done."""
        return len(self.history)

    def one(self, index: int) -> SearchState:
        """Of one search, where they know nothing of each other."""
        at = slice(index, index + 1)
        return SearchState(self.history[:, at], tuple(each[at] for each in self.values))

    @classmethod
    def joined(cls, parts: Sequence[SearchState]) -> SearchState:
        """Of several searches that have done equally many steps."""
        values = zip(*(part.values for part in parts), strict=True)
        return cls(np.concatenate([part.history for part in parts], 1), tuple(np.concatenate(each) for each in values))


@dataclass(frozen=True)
class Progress:
    """A search on its way, after one of its steps.

    Attributes:
        iteration: the step, from 1.
        iterations: of the whole search.
        terms: of the objective by name, weighted, each (n,), at this step.
        images: the candidates (n, size, size, channels), 0..1 and perhaps beyond, at this step.
        residual: mean absolute difference at low resolution, over the measured channels, (n,), in units of 0..1.
        state: gives what the search can be gone on with from here.
    """

    iteration: int
    iterations: int
    terms: Mapping[str, Float32]
    images: Float32
    residual: Float32
    state: Callable[[], SearchState]


OnStep = Callable[[Progress], bool | None]
"""Called after each step; one that answers False ends the search, which then gives its best so far."""


@dataclass(frozen=True)
class Solutions:
    """The best that was found for each of n low-resolution images, by the objective. All of it is synthesised.

    Attributes:
        styles: w, (n, L, d).
        images: G_s(w), (n, size, size, channels), 0..1 and perhaps beyond.
        low: D of these, (n, m, m, channels).
        residual: mean absolute difference of it and what was given, over the measured channels, (n,), in units of 0..1.
        prior_distance: ||F(w_i)|| of each style vector, (n, L), sqrt(d) for a typical one; None without a flow.
        terms: of the objective by name, weighted, each (n,).
        iteration: the step that was best, from 1, (n,).
        history: the sum of the terms at each step, (steps, n).
        iterations: that were to be done; fewer were where the search was ended.
    """

    styles: Float32
    images: Float32
    low: Float32
    residual: Float32
    prior_distance: Float32 | None
    terms: Mapping[str, Float32]
    iteration: NDArray[np.int32]
    history: Float32
    iterations: int

    @property
    def ended(self) -> bool:
        """Whether the search was ended before its last step."""
        return len(self.history) < self.iterations

    def __len__(self) -> int:
        return len(self.styles)

    def one(self, index: int) -> Solutions:
        """The solution of one image, as a set of one."""
        at = slice(index, index + 1)
        return replace(
            self,
            styles=self.styles[at],
            images=self.images[at],
            low=self.low[at],
            residual=self.residual[at],
            prior_distance=None if self.prior_distance is None else self.prior_distance[at],
            terms={name: values[at] for name, values in self.terms.items()},
            iteration=self.iteration[at],
            history=self.history[:, at],
        )

    @classmethod
    def joined(cls, parts: Sequence[Solutions]) -> Solutions:
        """Those of several searches with one configuration; of histories, the steps that all have."""
        first = parts[0]
        steps = min(len(part.history) for part in parts)
        distances = [part.prior_distance for part in parts if part.prior_distance is not None]
        return Solutions(
            styles=np.concatenate([part.styles for part in parts]),
            images=np.concatenate([part.images for part in parts]),
            low=np.concatenate([part.low for part in parts]),
            residual=np.concatenate([part.residual for part in parts]),
            prior_distance=np.concatenate(distances) if distances else None,
            terms={name: np.concatenate([part.terms[name] for part in parts]) for name in first.terms},
            iteration=np.concatenate([part.iteration for part in parts]),
            history=np.concatenate([part.history[:steps] for part in parts], 1),
            iterations=first.iterations,
        )
