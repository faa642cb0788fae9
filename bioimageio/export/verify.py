"""Verifies a package: rules, the zoo's own test, agreement of all weights, tiling, and what Fiji would show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.device import full_float32
from relumen.differences import largest_deviation
from relumen.errors import CheckFailedError, UserError
from relumen.package import Package, package_folder, read_package, read_test_tensor
from relumen.rdf import is_number, read_rdf
from relumen.runners import check_weights, from_axes, package_runner, to_axes
from relumen.seams import phase_difference, tile_difference
from relumen.tiling import Float32, Runner, TilePlan, mirrored_to, predict_tiled

from .jdll import JdllCut, jdll_cut, read_as_jdll
from .report import Check, Matter, Report
from .rule import Content
from .rules import check_rules
from .zoo_deepimagej import deepimagej_check
from .zoo_library import REFUSED, core_checks, format_checks

DEFAULT_TOLERANCE = 1e-4
_RUNS = ("test output", "tiled against whole", "Fiji's tiles")
SIZES_IN_TILES = (0.4, 1.0, 1.7, 3.3)
_REFUSALS = (UserError, CheckFailedError, MemoryError)
"""What a network that can't be run is told by."""
_SOME_TILES = 1.7
"""Side of the picture on which tiles are compared with the whole, in tiles."""


def verify_package(
    source: Path,
    *,
    jvm: bool = False,
    sizes: Sequence[float] = SIZES_IN_TILES,
    on_check: Callable[[Check], None] = lambda check: None,
) -> Report:
    """Runs every check that this machine can run on a package, without the network.

    Args:
        source: a package's folder or zip, anyone's.
        jvm: also run the engines that Fiji uses; where they cannot be had, that fails.
        sizes: of the pictures that are cut as Fiji cuts them, in tiles of the package.
        on_check: told each check as it is done.

    Raises:
        UserError: there is no package at all, or the zip is not safe to unpack.
    """
    with package_folder(source) as folder:
        report = Report(source, source.name, DEFAULT_TOLERANCE, _versions())
        for check in _checks(folder, report, jvm, sizes):
            if isinstance(check, Report):
                report = check
                continue
            report.checks.append(check)
            on_check(check)
        return report


def _checks(folder: Path, report: Report, jvm: bool, sizes: Sequence[float]) -> Iterator[Check | Report]:
    rules = check_rules(folder)
    for result in rules:
        name = f"rule: {result.rule}"
        yield Check(name, result.status, result.message, matters=result.matters, change=result.change)
    try:
        content = Content(folder, read_rdf(folder))
    except UserError as error:
        yield from _not_run(("zoo format", "bioimageio test"), "zoo", str(error))
        yield from _not_run(_RUNS, "fiji", str(error))
        return
    try:
        path, _ = content.find(content.at("weights", "tensorflow_saved_model_bundle"), "weights")
        if path is not None:
            check_weights(path)
    except UserError as error:
        yield Check("load tensorflow_saved_model_bundle", "failed", str(error), matters="fiji")
        yield from _not_run(("zoo format", "bioimageio test"), "zoo", "The network would do more than compute.")
        yield from _not_run(_RUNS, "fiji", "The network would do more than compute.")
        return
    refused = False
    for check in format_checks(content, rules):
        refused = refused or (check.status == "failed" and check.name.startswith(REFUSED))
        yield check
    try:
        package = read_package(folder)
    except UserError as error:
        yield from core_checks(content, refused)
        yield from _not_run(_RUNS, "fiji", f"relumen can't run it: {error}")
        return
    tolerance = declared_tolerance(package)
    # The same list of checks goes on under the package's own name and tolerance.
    yield Report(report.source, package.name, tolerance, report.versions, report.checks)
    told = any(result.status == "failed" and result.matters == "fiji" for result in rules)
    with full_float32():
        yield from core_checks(content, refused)
        if jvm:
            yield from _java(report.versions)
        yield from _Comparison(package, tolerance, sizes, told).checks(jvm)


def _not_run(names: Sequence[str], matters: Matter, why: str) -> Iterator[Check]:
    """Checks that another fault forbids: not known, rather than silently passed over."""
    for name in names:
        yield Check(name, "skipped", f"Not run. {why}", matters=matters)


def declared_tolerance(package: Package) -> float:
    """The difference, in standard deviations of the output, that the package itself declares, or the default."""
    return _declared(package, "tolerance") or DEFAULT_TOLERANCE


def _declared(package: Package, name: str) -> float | None:
    value = (package.own_config or {}).get(name)
    return float(value) if is_number(value) and value > 0 else None


def _java(versions: dict[str, str]) -> Iterator[Check]:
    from relumen.jvm import find_java

    try:
        runtime = find_java()
    except UserError as error:
        yield Check("java", "failed", str(error))
        return
    versions["java"] = runtime.version
    yield Check("java", "passed", f"Java {runtime.version} ({runtime.source})")


def _versions() -> dict[str, str]:
    names = ("relumen", "bioimageio.core", "bioimageio.spec", "keras", "onnxruntime", "numpy")
    import tensorflow as tf

    return {"tensorflow": tf.__version__} | {name: version(name) for name in names}


class _Comparison:
    """Runs a package's weights in every way there is, and compares the pictures."""

    def __init__(self, package: Package, tolerance: float, sizes: Sequence[float], told: bool) -> None:
        self.package = package
        self.told = told
        """Whether a rule told already that Fiji can't run it."""
        self.tolerance = tolerance
        self.sizes = sizes
        self.runners: dict[str, Runner] = {}

    def checks(self, jvm: bool) -> Iterator[Check]:
        for form in self.package.weights:
            try:
                self.runners[form] = package_runner(self.package, form)
            except UserError as error:
                yield Check(f"load {form}", "failed", str(error))
        if not self.runners:
            yield from _not_run(_RUNS, "fiji", "No weights of it can be loaded.")
            return
        try:
            image, expected = self._test_tensors()
        except UserError as error:
            yield Check("test tensors", "failed", str(error), matters="zoo")
            yield from _not_run(_RUNS, "fiji", "They are run on the test input.")
            return
        yield from self._formats(image, expected)
        first, run = next(iter(self.runners.items()))
        several = self.package.normalisation.applied(self._picture(self._size(_SOME_TILES)))
        if self.package.fixed_size:
            yield self._tried("tiles of one place", self._tiles_as_declared, run, several)
        else:
            yield self._tried("tiled against whole", self._tiled_against_whole, run, self._of_multiples(several))
            if self.package.multiple > 1:
                yield self._tried("where tiles begin", self._phases_as_declared, run, several)
        unread = self._unread()
        if unread is not None:
            yield unread
        references: list[Float32 | None] = []
        cuts: list[JdllCut | None] = []
        for tiles in self.sizes if unread is None else ():
            size = self._size(tiles)
            name = f"Fiji's tiles, {first}, {tiles} tiles ({size[0]} x {size[1]})"
            picture = self._picture(size)
            try:
                reference = self._tiled(run, self.package.normalisation.applied(picture))
                cut = jdll_cut(self.package.rdf, picture)
                yield self._compare(name, cut.merge([run(tile) for tile in cut.tiles]), reference)
            except _REFUSALS as error:
                yield Check(name, "failed", str(error))
                reference = cut = None
            references.append(reference)
            cuts.append(cut)
        yield deepimagej_check(self.package, run, expected[0])
        if jvm:
            yield from self._engines(self.package.normalisation.applied(image[0]), expected, references, cuts)

    def _unread(self) -> Check | None:
        """The check in place of those of Fiji's tiles, where JDLL can't even read the package."""
        try:
            read_as_jdll(self.package.rdf)
        except CheckFailedError as error:
            if self.told:
                return next(_not_run(("Fiji's tiles",), "fiji", f"Mend what is told above first. {error}"))
            return Check("Fiji's tiles", "failed", str(error))
        return None

    def _formats(self, image: Float32, expected: Float32) -> Iterator[Check]:
        tensor = np.stack([self.package.normalisation.applied(each) for each in image])
        answers: dict[str, Float32] = {}
        for form, run in self.runners.items():
            name = f"test output, {form}"
            try:
                answers[form] = run(tensor)
            # A graph that someone else made may fail in any way; it is that check which fails.
            except Exception as error:
                yield Check(name, "failed", f"The network fails on the test input: {error}")
                continue
            yield self._compare(name, answers[form], expected)
        first = next(iter(answers), None)
        for form in answers:
            if first is not None and form != first:
                yield self._compare(f"{form} against {first}", answers[form], answers[first])

    def _tried(self, name: str, check: Callable[[str, Runner, Float32], Check], run: Runner, picture: Float32) -> Check:
        """A check under its name with the picture's size; it fails where the network does."""
        name = f"{name} ({picture.shape[0]} x {picture.shape[1]})"
        try:
            return check(name, run, picture)
        except _REFUSALS as error:
            return Check(name, "failed", str(error))

    def _tiled_against_whole(self, name: str, run: Runner, picture: Float32) -> Check:
        try:
            whole = run(picture[np.newaxis])[0]
        # A network that takes one size only says so in its engine's own way.
        except Exception as error:
            reason = str(error).strip().split("\n")[0][:160]
            return Check(name, "skipped", f"The weights do not take a whole image of this size: {reason}")
        return self._compare(name, self._tiled(run, picture), whole, border=self.package.halo * self.package.scale)

    def _tiles_as_declared(self, name: str, run: Runner, picture: Float32) -> Check:
        """In place of tiled against whole, for a network that can't be run on the whole."""
        package = self.package
        declared = _declared(package, "tile_tolerance")
        if declared is None:
            said = "config.relumen has fixed_size, and no tile_tolerance: declare what tiles of one place may differ."
            return Check(name, "failed", said)
        value = tile_difference(
            picture, run, tile=package.tile[0], scale=package.scale, halo=package.halo, multiple=package.multiple
        )
        said = (
            f"The network takes {package.tile[0]} x {package.tile[1]} pixels alone. It declares that two tiles of one "
            f"place differ by up to {declared:g} of the output's standard deviation."
        )
        return Check(name, "passed" if value <= declared else "failed", said, value, declared)

    def _of_multiples(self, picture: Float32) -> Float32:
        """The part of a picture that a network takes which halves its input."""
        height, width = (length // self.package.multiple * self.package.multiple for length in picture.shape[:2])
        return picture[:height, :width]

    def _phases_as_declared(self, name: str, run: Runner, picture: Float32) -> Check:
        """Tiles that begin anywhere, as Fiji's do, of a network whose answer depends on that."""
        package = self.package
        declared = _declared(package, "tile_tolerance")
        if declared is None:
            said = "config.relumen has a multiple, and no tile_tolerance: declare what the begin of a tile may change."
            return Check(name, "failed", said)
        value = phase_difference(
            picture, run, tile=package.tile[0], halo=package.halo, scale=package.scale, multiple=package.multiple
        )
        said = (
            f"The network takes multiples of {package.multiple} pixels. relumen's tiles begin at such; Fiji's last "
            "ones, and those of small images, anywhere: it declares that this changes the answer by up to "
            f"{declared:g} of the output's standard deviation."
        )
        return Check(name, "passed" if value <= declared else "failed", said, value, declared)

    def _engines(
        self,
        tensor: Float32,
        expected: Float32,
        references: list[Float32 | None],
        cuts: list[JdllCut | None],
    ) -> Iterator[Check]:
        """Fiji's engines on the test tensor and on every tile of every picture: one call for each engine."""
        from .engines import ENGINES, run_in_engine

        for engine in ENGINES.values():
            weights = self.package.weights.get(engine.weights_format)
            label = f"{engine.name} ({engine.runtime})"
            if weights is None:
                yield Check(label, "failed", f"The package has no {engine.weights_format} weights. Export them too.")
                continue
            inputs = [tensor[np.newaxis], *(tile for cut in cuts if cut is not None for tile in cut.tiles)]
            try:
                answers = self._in_axes(run_in_engine, engine.name, weights, inputs)
            except (UserError, CheckFailedError) as error:
                yield Check(label, "failed", str(error))
                continue
            yield self._compare(f"{label}, test output", answers[0], expected[:1])
            begin = 1
            for tiles, reference, cut in zip(
                self.sizes, references, cuts, strict=False
            ):  # none where JDLL can't read it
                if reference is None or cut is None:
                    continue  # that these sizes fail is told above
                end = begin + len(cut.tiles)
                name = f"{label}, Fiji's tiles, {tiles} tiles"
                try:
                    yield self._compare(name, cut.merge(answers[begin:end]), reference)
                except CheckFailedError as error:
                    yield Check(name, "failed", str(error))
                begin = end

    def _in_axes(
        self, run_in_engine: Callable[..., list[Float32]], engine: str, weights: Path, inputs: list[Float32]
    ) -> list[Float32]:
        package = self.package
        answers = run_in_engine(
            engine,
            weights,
            [to_axes(each, package.input_axes) for each in inputs],
            input_id=package.input_id,
            output_id=package.output_id,
        )
        return [from_axes(np.asarray(answer, np.float32), package.output_axes) for answer in answers]

    def _tiled(self, run: Runner, picture: Float32) -> Float32:
        package = self.package
        plan = TilePlan((picture.shape[0], picture.shape[1]), package.tile, package.halo, package.scale)
        return predict_tiled(picture, run, plan)

    def _size(self, tiles: float) -> tuple[int, int]:
        """(height, width) of a picture: not square, so that swapped axes show, and never below a third of a tile.

        Where it is smaller than the tile, what is over is even: else JDLL shifts the answer by half an input pixel.
        """
        height, width = self.package.tile
        sizes = []
        for tile, factor in ((height, tiles), (width, 0.9 * tiles)):
            size = max(round(factor * tile), math.ceil(tile / 3))
            sizes.append(size + (tile - size) % 2 if size < tile else size)
        return sizes[0], sizes[1]

    def _picture(self, size: tuple[int, int]) -> Float32:
        """The test input, mirrored onward to the size wanted, raw intensities (y, x, channels)."""
        return mirrored_to(self._test_tensors()[0][0], size)

    def _test_tensors(self) -> tuple[Float32, Float32]:
        source, target = (read_test_tensor(self.package, key) for key in ("inputs", "outputs"))
        return from_axes(source, self.package.input_axes), from_axes(target, self.package.output_axes)

    def _compare(self, name: str, found: NDArray[Any], wanted: NDArray[Any], border: int = 0) -> Check:
        if found.shape != wanted.shape:
            return Check(name, "failed", f"The answer has the shape {found.shape}, expected {wanted.shape}.")
        inner = (..., slice(border, wanted.shape[-3] - border), slice(border, wanted.shape[-2] - border), slice(None))
        value = largest_deviation(found[inner], wanted[inner])
        if not (wanted[inner].std() > 0 and math.isfinite(value)):
            return Check(name, "failed", "The picture is flat or not finite; nothing can be compared.", None, None)
        passed = value <= self.tolerance
        said = (
            ""
            if passed
            else (
                f"The pictures differ by up to {value:.2e} of the output's standard deviation. Measure the halo "
                "again, or declare the difference in config.relumen.tolerance."
            )
        )
        return Check(name, "passed" if passed else "failed", said, value, self.tolerance)
