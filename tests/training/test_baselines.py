"""cGAN's baselines that are trained as it is: CARE's U-Net and DeblurGAN, by their presets."""

import keras
import numpy as np
import pytest

from relumen.errors import UserError
from relumen.models import limited
from relumen.models.baselines import care
from relumen.run import RunFolder
from relumen.training import start
from relumen.training.cgan import CGAN, RestorerData
from relumen.training.config import load_config
from relumen.training.replicas import Replicas

TINY = {
    "care": ["generator.width=4"],
    "deblurgan": ["generator.width=4", "generator.blocks=1", "discriminator.widths=[4, 4, 4]"],
}
TERMS = {"care": {"pixel"}, "deblurgan": {"discriminator", "adversarial", "content"}}


def configured(preset, folder, *changes):
    changes = [*TINY[preset], "data.patch=32", "batch=2", "steps=4", *changes]
    return load_config("cgan", preset, changes, **{"data.folder": str(folder)})


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("preset", TINY)
def test_a_step_has_the_losses_of_the_paper(preset, precision, defects_folder):
    keras.utils.set_random_seed(0)
    config = configured(preset, defects_folder, f"precision={precision}")
    made = CGAN(config, RestorerData(config), Replicas(), command="", machine="")
    before = made.network.get_weights()
    terms = made.train_step(0, made.batch(0))
    assert set(terms) == TERMS[preset] and all(np.isfinite(float(value)) for value in terms.values())
    changed = [not np.array_equal(a, b) for a, b in zip(before, made.network.get_weights(), strict=True)]
    assert np.mean(changed) > 0.5
    if preset == "deblurgan":
        critic = made.state["discriminator"]
        assert critic.input_shape == (None, None, None, 1)  # it sees no input beside the image
        assert int(made.state["discriminator_optimizer"].iterations) == 5
        assert int(made.state["optimizer"].iterations) == 1


def test_cares_u_net_is_kept_with_what_it_may_be_fed(defects_folder, tmp_path):
    changes = [*TINY["care"], "data.patch=32", "batch=2", "steps=2", "log_every=1", "check_every=2"]
    run = start.prepare(tmp_path / "run", system="cgan", preset="care", data=defects_folder, overrides=changes)
    start.go(run, command="", machine="", say=lambda text: None)
    about = RunFolder.open(run.path).about()
    assert (about.system, about.tile, about.multiple, len(about.figures)) == ("cgan", None, 4, 3)
    assert [type(layer) for layer in run.network().layers] == [type(layer) for layer in care.generator(4).layers]


def test_presets_have_the_sizes_that_their_comments_tell(tmp_path):
    unet = load_config("cgan", "care", **{"data.folder": str(tmp_path)}).generator
    assert (unet.width, unet.kernel, unet.depth, unet.multiple, unet.pinned) == (20, 5, 2, 4, False)
    compact = load_config("cgan", "compact", **{"data.folder": str(tmp_path)}).generator
    settings = compact.model_dump(exclude={"network"})
    costs = [work(network, 64) for network in (care.generator(20), limited.generator(**settings))]
    assert costs[0] == pytest.approx(costs[1], rel=0.15)


def work(network, side):
    """Multiplications of all convolutions on an image of side x side."""
    probe = keras.Model(
        network.input, [layer.output for layer in network.layers if layer.__class__.__name__ == "Conv2D"]
    )
    convs = [layer for layer in network.layers if layer.__class__.__name__ == "Conv2D"]
    shapes = probe.compute_output_shape((1, side, side, 1))
    return sum(np.prod(conv.kernel.shape) * shape[1] * shape[2] for conv, shape in zip(convs, shapes, strict=True))


def test_a_network_is_one_of_two(tmp_path):
    with pytest.raises(UserError, match="generator: .*'resnet', 'unet'"):
        configured("care", tmp_path, "generator={network: vnet}")
    with pytest.raises(UserError, match="generator.unet.kernel: Input should be 3, 5 or 7"):
        configured("care", tmp_path, "generator.kernel=4")
    with pytest.raises(UserError, match="data.patch must be a multiple of 8, received 36"):
        configured("care", tmp_path, "generator.depth=3", "data.patch=36")
