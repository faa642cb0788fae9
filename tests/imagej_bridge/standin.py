"""A worker that stands in for the one that searches; python standin.py FOLDER [name=value] is a server with it.

Its jobs take as many steps as the parameters say (or three), with a checkpoint after each, and give the image enlarged
by repetition. While there is a file FOLDER/hold no step is taken, or none after as many of a job as it says.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np

from relumen.configs import Frozen, validated
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image
from relumen.imagej_bridge.server.board import Board, Live
from relumen.imagej_bridge.server.config import ServeConfig
from relumen.imagej_bridge.server.errors import NotFoundError
from relumen.imagej_bridge.server.parameters import RestorationParameters, SearchParameters
from relumen.imagej_bridge.server.store import JobRecord, JobStore
from relumen.images import Image, read_image
from relumen.whole import file_appears_whole


class StandIn:
    """Does one job after the other in a thread."""

    def __init__(self, config: ServeConfig, store: JobStore, board: Board) -> None:
        self.ready = False
        self.hold = config.folder / "hold"
        self.steps: list[tuple[str, int]] = []
        self.compiles = threading.Event()
        self.compiles.set()
        self.store = store
        self.board = board
        self._added = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="stand-in", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self, kind: str, parameters: Frozen, image: Path) -> None:
        read_image(image)
        named = getattr(parameters, "prior", None) or getattr(parameters, "package", None)
        if named not in ("tiny", "esrgan-tiny"):
            raise NotFoundError(f"There is no {named!r} here. Choose tiny or esrgan-tiny.")

    def wake(self) -> None:
        self._added.set()

    def cancelled(self, id: str) -> None:
        self._added.set()

    def stop(self, timeout_s: float) -> None:
        self._over.set()
        self._added.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def describe(self) -> dict[str, str | int | float | bool]:
        return {"device": "a stand-in"}

    def priors(self) -> list[dict[str, str | int | float | bool]]:
        return [{"name": "tiny", "size": 8, "channels": 2, "stains": "DNA,NF-kB", "factors": "2,4", "flow": True}]

    def packages(self) -> list[dict[str, str | int | float | bool]]:
        return [{"name": "esrgan-tiny", "summary": "Made\nup.", "factor": 2}]

    def package_zip(self, name: str) -> Path:
        if name != "esrgan-tiny":
            raise NotFoundError(f"There is no package {name!r}.")
        return Path(__file__)

    def _work(self) -> None:
        self.compiles.wait()
        self.ready = True
        while not self._over.is_set():
            self._added.clear()
            waiting = self.store.waiting()
            if not waiting:
                self._added.wait()
            elif self.store.begin(waiting[0].id):
                self._do(waiting[0])

    def _do(self, job: JobRecord) -> None:
        try:
            if job.title == "fail":
                raise UserError("It failed,\nas it was asked to.")
            image = read_image(self.store.input_path(job.id))
            parameters = (SearchParameters if job.kind == "search" else RestorationParameters)(**job.parameters)
            begun = self._step(job.id)
            if not self._steps(job, image, begun, getattr(parameters, "iterations", None) or 3):
                return
            factor = getattr(parameters, "factor", 2)
            pixels = image.pixels.repeat(factor, -1).repeat(factor, -2)
            result = Image(pixels, image.axes, image.pixel_size, {"Info": f"id={job.id}\nbegun={begun}"})
            self.store.finish(job.id, lambda path: write_image(path, result))
        except (UserError, CheckFailedError) as error:
            self.store.fail(job.id, str(error))

    def _steps(self, job: JobRecord, image: Image, begun: int, steps: int) -> bool:
        for step in range(begun, steps):
            while self._held(step):
                if self._over.wait(0.005) or self.store.get(job.id).state != "running":
                    break
            if self._over.is_set():
                self.store.requeue(job.id)
                return False
            if self.store.get(job.id).state != "running":
                return False
            checkpoint = self.store.checkpoint_folder(job.id) / "step.json"
            with file_appears_whole(checkpoint) as partial:
                partial.write_text(json.dumps(step + 1))
            self.steps.append((job.id, step))
            plane = image.pixels[(0,) * (image.pixels.ndim - 2)]
            self.board.preview(job.id, Image(plane[None].astype(np.float32), "CYX", image.pixel_size))
            residual = float("nan") if step == 0 else 1 / step
            live = Live(step + 1, steps, 0, 1, residual, {"density": 0.4}, f"iteration {step + 1} of {steps}")
            self.board.post(job.id, live)
        return True

    def _held(self, step: int) -> bool:
        try:
            return step >= int(self.hold.read_text() or 0)
        except FileNotFoundError:
            return False

    def _step(self, id: str) -> int:
        file = self.store.checkpoint_folder(id) / "step.json"
        return json.loads(file.read_text()) if file.is_file() else 0


def main() -> None:
    from relumen.imagej_bridge.server.serve import serve

    folder, *settings = sys.argv[1:]
    values = {"folder": folder, "port": 0, "min_free_bytes": 0, **dict(each.split("=", 1) for each in settings)}
    serve(validated(ServeConfig, values), StandIn, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
