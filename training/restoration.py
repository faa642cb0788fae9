"""What every system does alike that learns to make good images of bad ones: batches, validation, what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.degrade import crop_to_multiple
from relumen.errors import CheckFailedError
from relumen.halo import measure_halo
from relumen.images import Image, PixelSize
from relumen.metrics import psnr
from relumen.normalisation import EPS
from relumen.pictures import side_by_side
from relumen.restore import Restorer
from relumen.run import About, Figures, software
from relumen.tiling import Runner
from relumen.training.data import Batches, DataSet, Patches
from relumen.training.held_out import held_out, held_out_figures, units
from relumen.training.loop import Batch
from relumen.training.settings import RestorationConfig
from relumen.training.sources import Source

Float32 = NDArray[np.float32]
_VALIDATION_PATCH = 192  # of an image, input pixels, while training; the final figures are over whole images
_VALIDATION_IMAGES = 4  # at most, spread over all


class Restoration:
    """A system as the training loop sees it, but for its losses, its length and its step.

    Attributes:
        features: the feature network of the losses, in words; None: none is used.
        by_condition: whether validation tells each condition of the inputs by itself, too.

    Args:
        name: of the system.
        config: of the training.
        scale: magnification.
        data: training and held-out images.
        generator: what is trained.
        copy: of the generator, in single precision on one device, however the training computes.
        kept: the part of the copy that is kept.
        command: that trains, for the card.
        machine: in words, for the card.
        tile: height and width of the only input that the network takes; None: it takes any.
        multiple: of which the height and width of an input must be.
        batches: of patches; None: of all training images alike.
    """

    features: str | None = None
    by_condition: bool = False

    def __init__(
        self,
        name: str,
        config: RestorationConfig,
        scale: int,
        data: DataSet,
        *,
        generator: keras.Model,
        copy: keras.Model,
        kept: keras.Model,
        command: str,
        machine: str,
        tile: int | None = None,
        multiple: int = 1,
        batches: Patches | None = None,
    ) -> None:
        self._name = name
        self._settings = config
        self._scale = scale
        self._data = data
        self._command = command
        self._machine = machine
        self._tile = tile
        self._multiple = multiple
        self._generator = generator
        self._copy = copy
        self._kept = kept
        self._batches: Patches = batches or Batches(
            data.training,
            config.data,
            scale=scale,
            batch=config.batch,
            augment=config.augment,
            turns=config.turns,
            seed=config.seed,
        )
        self._predict = tf.function(lambda x: kept(x, training=False), autograph=False, reduce_retracing=True)
        self._held_out = list(held_out(data.validation, config.seed))

    @property
    def network(self) -> keras.Model:
        """The network as of now, in single precision."""
        self._keep()
        return self._kept

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over all patches."""
        return self._batches.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """Inputs and targets of a step."""
        return self._batches(step)

    @property
    def sample(self) -> Image:
        """The first held-out image, at its middle noise where it was degraded."""
        first = self._held_out[0][0]
        lows = [low for source, _, low, _ in self._held_out if source is first]
        size = self._data.pixel_size_um
        return Image(lows[len(lows) // 2], "YX", None if size is None else PixelSize(size, size))

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """PSNR on the middle of some held-out images, and a picture of input, output and target."""
        run, s, side = self._runner(), self._scale, self._tile or _VALIDATION_PATCH
        values: dict[str, list[float]] = {}
        rows = []
        for source, condition, low, high in self._validated():
            y, x = (max(0, (n - side) // 2) for n in low.shape)
            part = crop_to_multiple(low[y : y + side, x : x + side], self._multiple)
            height, width = part.shape
            target = high[s * y : s * (y + height), s * x : s * (x + width)]
            mean, deviation = units(source, low)
            deviation += EPS
            inputs = ((part - mean) / deviation)[np.newaxis, ..., np.newaxis].astype(np.float32)
            output = run(inputs)[0, ..., 0] * deviation + mean
            values.setdefault(condition, []).append(psnr(target, output))
            rows.append((np.kron(part, np.ones((s, s))), output, target))
        figures = {"psnr": float(np.mean([value for each in values.values() for value in each]))}
        if self.by_condition and len(values) > 1:
            figures |= {f"psnr, {condition}": float(np.mean(each)) for condition, each in values.items()}
        return figures, side_by_side(rows)

    def _validated(self) -> Iterator[tuple[Source, str, Float32, Float32]]:
        """Held-out inputs that are looked at while training, spread over all, or over all of each condition."""
        conditions = dict.fromkeys(condition for _, condition, _, _ in self._held_out) if self.by_condition else [None]
        for name in conditions:
            group = [each for each in self._held_out if name in (None, each[1])]
            step = -(-len(group) // _VALIDATION_IMAGES)
            of_each = len(group) // len({source.name for source, *_ in group})
            while gcd(step, of_each) > 1:  # else all would be of one level of noise, the least
                step += 1
            yield from group[::step]

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says; the figures on whole held-out images are made at the end."""
        run = self._runner()
        halo = 0 if self._tile else self._halo(run)
        degradation = self._settings.data.degradation
        restorer = None if halo is None or not finished else self._restorer(run, halo)
        return About(
            system=self._name,
            scale=self._scale,
            channels=1,
            halo=halo,
            tile=self._tile,
            multiple=self._multiple,
            pixel_size_um=self._data.pixel_size_um,
            data=self._data.describe(),
            degradation=degradation.describe() if degradation else None,
            command=self._command,
            machine=self._machine,
            software=software(),
            seconds=seconds,
            steps=steps,
            finished=finished,
            features=self.features,
            figures=() if restorer is None else self._figures(restorer),
        )

    def _figures(self, restorer: Restorer) -> tuple[Figures, ...]:
        """Quality on whole held-out images."""
        return held_out_figures(self._data.validation, restorer, self._settings.seed)

    def _halo(self, run: Runner) -> int | None:
        source, _, low, _ = self._held_out[0]
        mean, deviation = units(source, low)
        sample = ((low - mean) / (deviation + EPS))[..., np.newaxis]
        try:
            return measure_halo(run, sample, scale=self._scale, multiple=self._multiple)
        except CheckFailedError:  # early in a training a network may be anything
            return None

    def _restorer(self, run: Runner, halo: int) -> Restorer:
        return Restorer.of_network(
            "the network", run, halo=halo, scale=self._scale, multiple=self._multiple, only_tile=self._tile
        )

    def _runner(self) -> Runner:
        """The network as of now, as a function of arrays."""
        self._keep()
        return lambda batch: self._predict(batch).numpy()

    def _keep(self) -> None:
        self._copy.set_weights(self._generator.get_weights())
