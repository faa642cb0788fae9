"""The priors that can be searched, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relumen.errors import UserError
from relumen.prior.folder import Prior
from relumen.shipped import shipped_names, shipped_path

_SMALLEST_VIEW = 2  # low-resolution pixels


@dataclass(frozen=True)
class PriorEntry:
    """A prior in words and numbers.

    Attributes:
        name: of its folder.
        size: height and width of its images, pixels.
        stains: what its channels show.
        factors: magnifications that it can be searched by.
        flow: whether it has a normalizing flow, which regularized searches need.
        summary: its training images, in words.
    """

    name: str
    size: int
    stains: tuple[str, ...]
    factors: tuple[int, ...]
    flow: bool
    summary: str


class Priors:
    """The priors that come with relumen, and some folders; each is read once.

    Args:
        folders: of further priors.

    Raises:
        UserError: a folder is no prior, or two have one name.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        shipped = [shipped_path(name) for name in shipped_names() if name.startswith("prior-")]
        opened = [Prior.open(path) for path in (*folders, *shipped)]
        self._known = {prior.path.resolve().name: prior for prior in opened}
        if len(self._known) < len(opened):
            names = [prior.path.resolve().name for prior in opened]
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"Two priors are named {twice}. Rename the folder of one: it is chosen by its name.")

    @property
    def names(self) -> tuple[str, ...]:
        """Of all, the user's own first."""
        return tuple(self._known)

    def open(self, name: str) -> Prior:
        """One of them.

        Raises:
            UserError: none has this name.
        """
        if name not in self._known:
            raise UserError(f"There is no prior {name!r}. There are: {', '.join(self._known)}")
        return self._known[name]

    def describe(self, name: str) -> PriorEntry:
        """What is known of one; loads its network.

        Raises:
            UserError: none has this name, or it can't be read.
        """
        prior = self.open(name)
        size = prior.generator.architecture.size
        factors = tuple(f for f in range(1, size // _SMALLEST_VIEW + 1) if size % f == 0)
        return PriorEntry(name, size, prior.stains, factors, prior.has_flow, prior.about.data)
