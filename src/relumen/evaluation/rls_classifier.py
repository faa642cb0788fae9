"""Table 2 of RLS: whether a classifier that learned conditions from high-resolution images tells a method's apart."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.evaluation.gheisari_genovesio import ACCURACIES, HR, LR, SOURCE, TABLE_2, name_in_paper
from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.evaluation.rls_methods import Method, OnDone
from relumen.evaluation.rls_study import Study
from relumen.evaluation.rls_truth import Truth, load_truth
from relumen.training.cutter import Place
from relumen.upsampling import enlarged
from relumen.whole import file_appears_whole

if TYPE_CHECKING:
    import keras

Float32 = NDArray[np.float32]

FEWEST = 20
"""Images of a condition that a classifier is trained on at least."""
_OTHERS = 500_009  # added to the study's seed: cells that it doesn't judge by
_RESAMPLED = 2000
_TOGETHER = 64  # images that are classified at once


@dataclass(frozen=True)
class Recipe:
    """How a classifier is made and trained.

    Attributes:
        widths: feature maps of its convs, each of which halves the image.
        steps: at most.
        check_every: steps, after which the loss on the held-back images is looked at.
        patience: looks without a smaller loss, after which it stops.
        batch: images of a step.
        learning_rate: of Adam, at first; it falls to 0 as a cosine over all steps.
        held_back: of each condition every so many-th image is held back to stop by.
    """

    widths: tuple[int, ...] = (16, 32, 64, 64, 64)
    steps: int = 1000
    check_every: int = 25
    patience: int = 8
    batch: int = 32
    learning_rate: float = 2e-3
    held_back: int = 5


RECIPE = Recipe()


@dataclass(frozen=True)
class Answers:
    """What a classifier said of images.

    Attributes:
        trained_on: "HR" or "LR".
        tested_on: "HR", "LR" or a method's name.
        conditions: names, in the order of their numbers.
        labels: the numbers of the true conditions, (n,).
        said: of the classifier's, (n,).
    """

    trained_on: str
    tested_on: str
    conditions: tuple[str, ...]
    labels: NDArray[np.intp]
    said: NDArray[np.intp]

    @property
    def accuracy(self) -> float:
        """Share of the images whose condition it said, per cent."""
        return 100 * float(np.mean(self.said == self.labels))

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """The interval that holds 95 % of the accuracies on images that are drawn from these with replacement."""
        right = np.random.default_rng(seed).choice(self.said == self.labels, (_RESAMPLED, len(self.labels)))
        low, high = np.percentile(100 * right.mean(1), (2.5, 97.5))
        return float(low), float(high)

    def confusion(self) -> NDArray[np.intp]:
        """Counts (true condition, what was said)."""
        counts = np.zeros((len(self.conditions),) * 2, np.intp)
        np.add.at(counts, (self.labels, self.said), 1)
        return counts


def report_on(study: Study, training: int, on_done: OnDone = lambda done, total: None) -> Report:
    """Table 2: accuracy on low-resolution images, on what each method made of them, and on high-resolution images.

    A small convolutional network is trained on high-resolution images (:func:`training_images`) and tested on those of
    the study and on each method's. Another one of the same design is trained and tested on low-resolution images, which
    cubic interpolation enlarges to the same size. Both are kept in the study's cache.

    Args:
        study: of two conditions or more.
        training: images of each condition that classifiers are trained on, at most.
        on_done: told (searched images done, in all).

    Raises:
        UserError: one condition, or too few images to train on.
    """
    if len(study.truth.names) < 2:
        raise UserError(
            f"All {len(study.truth)} images are of one condition ({study.truth.names[0]}): there is nothing to tell "
            "apart. Name two conditions or more in the file of the images."
        )
    seen = training_images(study, training)
    made = study.make(on_done)
    conditions = tuple(study.truth.names)
    labels, truth = (np.array([conditions.index(c) for c in each.conditions]) for each in (seen, study.truth))
    on_high = kept_classifier(seen.images, labels, study.cache, study.seed, RECIPE)
    on_low = kept_classifier(_as_large(study, study.operator(seen.images)), labels, study.cache, study.seed, RECIPE)
    rows = [
        Answers(LR, LR, conditions, truth, classified(on_low, _as_large(study, study.low))),
        *(
            Answers(HR, each.name, conditions, truth, classified(on_high, made[each.name].images))
            for each in sorted(study.methods, key=_place_in_paper)
        ),
        Answers(HR, HR, conditions, truth, classified(on_high, study.truth.images)),
    ]
    return _report(study, seen, rows)


def training_images(study: Study, count: int) -> Truth:
    """High-resolution images to train a classifier on: neither the study's nor the prior's training images.

    Of drawn cells others are drawn, by another seed. Of real images the held-out crops are split: those that share no
    pixel with a crop of the study are trained on. Every condition has equally many.

    Args:
        study: whose conditions they have.
        count: images of each condition, at most.

    Raises:
        UserError: fewer than :data:`FEWEST` of a condition.
    """
    if study.config.drawn is not None:
        found = load_truth(study.config, study.truth.images.shape[1], count, study.seed + _OTHERS)
    else:
        found = _apart(study)
    numbers = {name: len(found.of(name)) for name in study.truth.names}
    fewest = min(*numbers.values(), count)
    if fewest < FEWEST:
        raise UserError(
            f"A classifier is trained on {FEWEST} images of each condition at least, none of which the study judges "
            f"by. There are: {', '.join(f'{name} {min(n, count)}' for name, n in numbers.items())}. Judge by fewer "
            "images, hold out more crops, or allow more to be trained on."
        )
    of = [np.flatnonzero(found.conditions == name)[:fewest] for name in study.truth.names]
    return found.take(np.concatenate(of))


def kept_classifier(images: Float32, labels: NDArray[np.intp], cache: Path, seed: int, recipe: Recipe) -> keras.Model:
    """A classifier that was trained on these images, or is trained now and kept.

    Args:
        images: (n, size, size, channels), 0..1, condition by condition.
        labels: numbers of their conditions, (n,).
        cache: folder; made if need be.
        seed: of weights, order and turns: on one machine equal seeds give equal classifiers.
        recipe: how it is trained.
    """
    import keras

    from relumen.training.loop import make_deterministic

    make_deterministic(seed)
    network = _network(images, int(labels.max()) + 1, recipe)
    told = f"{network.to_json()} {recipe} {seed} {labels.tolist()} {images.shape}"
    key = hashlib.sha256(told.encode() + np.ascontiguousarray(images, np.float32).tobytes()).hexdigest()
    path = cache / f"classifier-{key[:24]}.keras"
    if path.exists():
        with suppress(OSError, ValueError, KeyError, BadZipFile):  # damaged: trained again
            kept: Any = keras.models.load_model(path, compile=False)
            return kept
    _train(network, images, labels, seed, recipe)
    cache.mkdir(parents=True, exist_ok=True)
    with file_appears_whole(path) as partial:
        network.save(partial)
    return network


def classified(network: keras.Model, images: Float32) -> NDArray[np.intp]:
    """Numbers of the conditions that a classifier says images (n, size, size, channels) are of, (n,)."""
    return _logits(network, images).argmax(1)


def _network(images: Float32, conditions: int, recipe: Recipe) -> keras.Model:
    """(n, size, size, channels), 0..1 -> logits (n, conditions)."""
    import keras
    from keras import layers

    mean, variance = (each((0, 1, 2), dtype=np.float64).tolist() for each in (images.mean, images.var))
    image: Any = keras.Input(images.shape[1:], name="image")
    x: Any = layers.Normalization(mean=mean, variance=variance, name="units")(image)
    for index, width in enumerate(recipe.widths, 1):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name=f"conv_{index}")(x)
        x = layers.ReLU(name=f"relu_{index}")(layers.BatchNormalization(momentum=0.9, name=f"norm_{index}")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(conditions, name="logits")(x), name="classifier")


def _train(network: keras.Model, images: Float32, labels: NDArray[np.intp], seed: int, recipe: Recipe) -> None:
    """Trains it, and gives it the weights by which the held-back images had the smallest loss."""
    import keras

    place = np.concatenate([np.arange(n) for n in np.bincount(labels)])  # within the condition
    back = place % recipe.held_back == 0
    here = np.flatnonzero(~back)
    loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate: Any = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.steps)
    network.compile(keras.optimizers.Adam(rate), loss)
    rng = np.random.default_rng(seed)
    best, weights, since = np.inf, network.get_weights(), 0
    for step in range(1, recipe.steps + 1):
        part = rng.choice(here, min(recipe.batch, len(here)), replace=False)
        network.train_on_batch(_turned(images[part], rng), labels[part])
        if step % recipe.check_every and step < recipe.steps:
            continue
        found = float(loss(labels[back], _logits(network, images[back])))
        if found < best:
            best, weights, since = found, network.get_weights(), 0
        elif (since := since + 1) == recipe.patience:
            break
    network.set_weights(weights)


def _turned(images: Float32, rng: np.random.Generator) -> Float32:
    """Each image by a quarter turn and a flip of its own."""
    turned = [
        np.rot90(image, int(turns)) for image, turns in zip(images, rng.integers(4, size=len(images)), strict=True)
    ]
    return np.stack([each[:, ::-1] if rng.random() < 0.5 else each for each in turned])


def _logits(network: keras.Model, images: Float32) -> Float32:
    starts = range(0, len(images), _TOGETHER)
    return np.concatenate([np.asarray(network(images[i : i + _TOGETHER], training=False)) for i in starts])


def _as_large(study: Study, low: Float32) -> Float32:
    """Low-resolution images enlarged to the size of the others, so that one design of classifier suits both."""
    return np.clip(enlarged(low, study.truth.images.shape[1]), 0, 1)


def _apart(study: Study) -> Truth:
    """The held-out crops that share no pixel with a crop of the study, in a random order."""
    found = load_truth(study.config, study.truth.images.shape[1], sys.maxsize, study.seed)
    assert found.places is not None and study.truth.places is not None  # crops have them
    free = [not any(_share(place, used, found.side) for used in study.truth.places) for place in found.places]
    return found.take(np.random.default_rng(study.seed).permutation(np.flatnonzero(free)))


def _share(a: Place, b: Place, side: float) -> bool:
    """Whether crops share a pixel; a centre is rounded to half a pixel, hence the one pixel more."""
    return a.field == b.field and max(abs(a.y - b.y), abs(a.x - b.x)) < side + 1


def _place_in_paper(method: Method) -> int:
    name = name_in_paper(method)
    return ACCURACIES.index(name) if name in ACCURACIES else 0


def _report(study: Study, seen: Truth, rows: list[Answers]) -> Report:
    published = {"": "", LR: LR, HR: HR, **{m.name: name_in_paper(m) or "" for m in study.methods}}
    columns = ["accuracy, %", *(row.tested_on for row in rows)]
    intervals = [row.interval(study.seed) for row in rows]
    ours = [
        [" / ".join(study.truth.names), *(f"{row.accuracy:.1f}" for row in rows)],
        ["95 %", *(f"{low:.1f} to {high:.1f}" for low, high in intervals)],
    ]
    theirs = [
        [f"published: DMSO / {name}", *(figures.get(published[row.tested_on], "") for row in rows)]
        for name, figures in TABLE_2.items()
    ]
    notes = [*study.notes(), *_notes(study, seen)]
    return report_of_parts(
        f"Table 2: accuracy of classifiers, {study.factor}x",
        notes,
        [
            Part("", columns, [ours]),
            Part(f"Published on other images, for reference ({SOURCE}, Table 2)", columns, [theirs]),
        ],
        (_told(row, interval) for row, interval in zip(rows, intervals, strict=True)),
        _each(rows),
    )


def _notes(study: Study, seen: Truth) -> list[str]:
    count = len(seen.of(study.truth.names[0]))
    drawn = study.config.drawn is not None
    which = "drawn by another seed" if drawn else "held-out crops that share no pixel with the study's"
    fields = "" if drawn else " Where a condition is of one field, a classifier may tell fields apart instead."
    chance = max(len(study.truth.of(name)) for name in study.truth.names) / len(study.truth)
    return [
        f"Both classifiers were trained on {count} images of each condition, {which}; every "
        f"{RECIPE.held_back}th was held back to stop by. None is an image of the study or of the prior's training."
        + fields,
        f"The column {LR} is of a classifier that was trained and tested on low-resolution images, enlarged by cubic "
        "interpolation; all other columns are of one that was trained on HR.",
        "The interval holds 95 % of the accuracies on images drawn from the tested ones with replacement, for these "
        f"classifiers: it tells nothing of how others would do. Who always says the same reaches {chance:.0%}.",
    ]


def _told(row: Answers, interval: tuple[float, float]) -> dict[str, str | float]:
    """A column of the table for a CSV file, with what was said of the images of each condition."""
    counts = row.confusion()
    return {
        "trained_on": row.trained_on,
        "tested_on": row.tested_on,
        "images": len(row.labels),
        "accuracy": row.accuracy,
        "accuracy_low": interval[0],
        "accuracy_high": interval[1],
        **{
            f"{true} said to be {said}": int(counts[i, j])
            for i, true in enumerate(row.conditions)
            for j, said in enumerate(row.conditions)
        },
    }


def _each(rows: list[Answers]) -> Iterator[dict[str, str | float]]:
    for row in rows:
        for image, (label, said) in enumerate(zip(row.labels, row.said, strict=True)):
            yield {
                "image": image,
                "condition": row.conditions[label],
                "trained_on": row.trained_on,
                "tested_on": row.tested_on,
                "said": row.conditions[said],
            }
