"""cGAN: one restorer for all defects; its losses, and the step of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from relumen import features
from relumen.models import limited
from relumen.models.baselines import care
from relumen.training import losses
from relumen.training.adversary import Adversary
from relumen.training.data import Batches, InTurn, Mixed, Patches
from relumen.training.defects import load_defects, note, pairs_of, to_judge_on
from relumen.training.limited_config import (
    AdversarialForm,
    CGANConfig,
    PatchDiscriminatorConfig,
    ResNetConfig,
    UNetConfig,
)
from relumen.training.loop import computing_in
from relumen.training.one_phase import Duel
from relumen.training.replicas import Replicas
from relumen.training.restoration import Restoration
from relumen.training.sources import Source


class CGAN(Restoration, Duel[Adversary | None]):
    """cGAN as the training loop sees it (Razdaibiedina et al., Method, 2).

    Some steps of the discriminator, which sees the defective image beside the candidate, then one of the generator.
    """

    by_condition = True

    def __init__(
        self, config: CGANConfig, data: RestorerData, replicas: Replicas, *, command: str, machine: str
    ) -> None:
        replicas.check_batch(config.batch)
        self._config = config
        self._weights = config.losses
        self._replicas = replicas
        self._adversary = None
        with replicas.scope(), computing_in(config.precision):
            generator = restorer(config.generator)
            self._optimizer = adam(config.betas)
            self._optimizer.build(generator.trainable_variables)
            if config.losses.adversarial:
                self._adversary = adversary(config.discriminator, config.losses, config.betas, replicas, beside=1)
            if config.losses.content:
                network = features.perceptual(config.features, config.own_weights)
                self._content = features.at_layers(network, config.content_layers)
                self.features = features.describe(config.features, config.own_weights, config.content_layers)
        kept = restorer(config.generator)
        super().__init__(
            "cgan",
            config,
            1,
            data.pairs,
            generator=generator,
            copy=kept,
            kept=kept,
            command=command,
            machine=machine,
            tile=config.data.patch if config.generator.pinned else None,
            multiple=config.generator.multiple,
            batches=data.batches,
        )
        self.schedule = config
        self.compiled = replicas.step(self._train)

    def _train(self, low: tf.Tensor, high: tf.Tensor) -> dict[str, tf.Tensor]:
        """Steps of the discriminator, then one of the generator."""
        terms = {}
        beside = low if self._config.discriminator.conditional else None
        with tf.GradientTape() as tape:
            image = tf.cast(self._generator(low, training=True), high.dtype)  # CSBDeep's network ends as it computes
            if self._adversary is not None:
                for _ in range(self._weights.critic_steps):
                    terms["discriminator"] = self._adversary.learn(high, image, beside)
                terms["adversarial"] = self._weights.adversarial * self._adversary.judge(high, image, beside)
            if self._weights.content:
                truth = tf.nest.flatten(self._content(high))
                terms["content"] = self._weights.content * losses.content(truth, tf.nest.flatten(self._content(image)))
            if self._weights.pixel:
                terms["pixel"] = self._weights.pixel * losses.l1(high, image)
            loss = tf.add_n([value for name, value in terms.items() if name != "discriminator"])
        self._replicas.descend(self._optimizer, tape, loss, self._generator)
        return terms


class RestorerData:
    """The pairs of a training: some real ones of each defect, and made ones.

    Attributes:
        pairs: the real ones, and those that are held out.
        batches: of all.

    Args:
        config: of the training.

    Raises:
        UserError: a folder that can't be used, or too few pairs.
    """

    def __init__(self, config: CGANConfig) -> None:
        defects = to_judge_on(load_defects(config.data, config.defects))
        self.pairs = pairs_of(defects, config.pairs, config.seed, config.data.region)
        self._made: tuple[Source, ...] = ()
        if config.synthetic is not None:
            folder = config.synthetic.folder
            made = load_defects(config.data.model_copy(update={"folder": folder}), config.defects)
            together = pairs_of(made, None, config.seed)
            self._made = together.training + together.validation  # held out is what is real
            layout = f"{self.pairs.layout}, and {len(self._made)} whose defects CIN-GAN made"
            self.pairs = replace(self.pairs, layout=layout)
        if words := note(config.data.folder):
            self.pairs = replace(self.pairs, layout=f"{words} {self.pairs.layout}")
        self.batches = self._batches(config)

    def describe(self) -> str:
        """The data in words, for the card."""
        return self.pairs.describe()

    def _batches(self, config: CGANConfig) -> Patches:
        """Those of the whole training: made pairs among real ones, and real ones alone once that is over."""
        real, made = (
            [_group(config, group) for group in _by_condition(sources)] for sources in (self.pairs.training, self._made)
        )

        def mixed(share: float) -> Mixed:
            """Each defect is shown equally often, and made pairs as often as they shall be."""
            groups = [(group, (1 - share) / len(real)) for group in real]
            groups += [(group, share / len(made)) for group in made]
            return Mixed(groups, batch=config.batch, seed=config.seed)

        if config.synthetic is None:
            return mixed(0.0)
        first = mixed(config.synthetic.share)
        if config.synthetic.until == 1:
            return first
        return InTurn(first, mixed(0.0), round(config.synthetic.until * config.length(first.steps_per_epoch)))


def _by_condition(sources: Sequence[Source]) -> list[tuple[Source, ...]]:
    names = dict.fromkeys(source.condition for source in sources)
    return [tuple(source for source in sources if source.condition == name) for name in names]


def _group(config: CGANConfig, sources: tuple[Source, ...]) -> Batches:
    return Batches(sources, config.data, scale=1, batch=1, augment=config.augment, turns=config.turns, seed=config.seed)


def restorer(config: ResNetConfig | UNetConfig) -> keras.Model:
    """The network of a configuration that restores."""
    if isinstance(config, UNetConfig):
        return care.generator(**config.model_dump(exclude={"network"}))
    return resnet(config)


def resnet(config: ResNetConfig, defects: int | None = None, *, draw: bool = False) -> keras.Model:
    """The residual network of a configuration."""
    return limited.generator(defects=defects, draw=draw, **resnet_settings(config))


def resnet_settings(config: ResNetConfig) -> dict[str, Any]:
    """Arguments of :func:`~relumen.models.limited.generator`, but for the defects."""
    return config.model_dump(exclude={"network"})


def adversary(
    size: PatchDiscriminatorConfig,
    form: AdversarialForm,
    betas: tuple[float, float],
    replicas: Replicas,
    *,
    beside: int = 0,
    kinds: int = 0,
) -> Adversary:
    """The discriminator, or critic, in training.

    Args:
        size: of its network.
        form: of the loss.
        betas: of its optimiser.
        replicas: the devices that share a batch.
        beside: channels that a conditional one sees beside the image.
        kinds: of image that a conditional one judges each by itself.
    """
    network = limited.discriminator(
        size.widths,
        channels=1 + bool(size.detail) + beside * size.conditional,
        kinds=kinds * size.conditional,
        norm=form.form != "wasserstein",
        clip=form.clip,
    )
    return Adversary(
        network, adam(betas), losses.GAN_FORMS[form.form], replicas, penalty=form.penalty, detail=size.detail
    )


def adam(betas: tuple[float, float]) -> keras.optimizers.Adam:
    """Adam; its rate is set at each step."""
    return keras.optimizers.Adam(1e-4, beta_1=betas[0], beta_2=betas[1])
