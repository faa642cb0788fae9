"""What is on disk of a search that is not finished: its solutions so far, and where the others are."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.search.states import SearchState, Solutions
from relumen.whole import file_appears_whole

from .disk import storing

_ARRAYS = ("styles", "images", "low", "residual", "iteration", "history", "iterations")
_DAMAGE = (OSError, ValueError, KeyError, zipfile.BadZipFile)


class Checkpoints:
    """The checkpoints of one search, by the number of what is searched as a whole.

    Files that can't be read are as if they weren't there: their work is done again.

    Args:
        folder: of the job.
        plan: tells the search from any other; checkpoints of another are removed.

    Raises:
        DiskFullError: the disk is full; a CheckFailedError from the writing methods.
    """

    def __init__(self, folder: Path, plan: str) -> None:
        self._folder = folder
        file = folder / "plan.txt"
        if not (file.is_file() and file.read_text(encoding="utf-8") == plan):
            for path in folder.iterdir():
                path.unlink()
            with storing(folder), file_appears_whole(file) as partial:
                partial.write_text(plan, encoding="utf-8")

    def write_state(self, unit: int, state: SearchState) -> None:
        """Keeps where a search is."""
        values = {f"value_{i}": value for i, value in enumerate(state.values)}
        self._write(self._state(unit), {"history": state.history, **values})

    def state(self, unit: int) -> SearchState | None:
        """Where a search was when it was kept last."""
        values = _read(self._state(unit))
        if values is None:
            return None
        history = values.pop("history")
        return SearchState(history, tuple(values[f"value_{i}"] for i in range(len(values))))

    def write_found(self, unit: int, found: Solutions) -> None:
        """Keeps what was found; where the search was is no longer needed."""
        arrays: dict[str, Any] = {name: getattr(found, name) for name in _ARRAYS}
        arrays |= {f"term_{name}": values for name, values in found.terms.items()}
        if found.prior_distance is not None:
            arrays["prior_distance"] = found.prior_distance
        self._write(self._found(unit), arrays)
        self._state(unit).unlink(missing_ok=True)

    def found(self, unit: int) -> Solutions | None:
        """What was found."""
        values = _read(self._found(unit))
        if values is None:
            return None
        terms = {name.removeprefix("term_"): values.pop(name) for name in list(values) if name.startswith("term_")}
        distance = values.pop("prior_distance", None)
        iterations = int(values.pop("iterations"))
        return Solutions(prior_distance=distance, terms=terms, iterations=iterations, **values)

    def _state(self, unit: int) -> Path:
        return self._folder / f"state-{unit:05}.npz"

    def _found(self, unit: int) -> Path:
        return self._folder / f"found-{unit:05}.npz"

    @staticmethod
    def _write(path: Path, arrays: Mapping[str, Any]) -> None:
        with file_appears_whole(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except _DAMAGE:
        return None
