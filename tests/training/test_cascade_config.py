"""What a configuration of the cascade allows, fills in and refuses."""

import pytest
import yaml

from relumen.errors import UserError
from relumen.models.optics import Optics
from relumen.training.config import LapSRNConfig, load_config, parse_config, presets


def configured(*overrides, preset="compact", **fields):
    return load_config("cascade", preset, overrides, **{"data.folder": "images", **fields})


def test_every_preset_loads_and_reads_back():
    assert {"author", "compact", "lapsrn", "phase"} <= set(presets("cascade"))
    for name in presets("cascade"):
        config = configured(preset=name)
        assert (config.system, config.data.degradation.factor, config.data.degradation.photons) == ("cascade", 8, None)
        assert parse_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


def test_the_authors_training_is_the_papers():
    config = configured(preset="author")
    assert (config.epochs, config.batch, config.data.patch, config.scale) == (100, 1, 32, 8)
    assert (config.learning_rate.initial, config.learning_rate.schedule) == (1e-4, "constant")
    g = config.generator
    assert (g.widths, g.multiplier, g.stem, g.convs, g.norm) == ((512, 512, 256, 256), 1, 2, 2, "paper")
    assert (g.enrichment, g.keep_image, g.skip) == ("filters", False, False)
    assert (config.discriminator.widths, config.discriminator.patches) == ((32, 64, 128, 256), True)
    assert (config.optics, config.losses.form) == (Optics(), "non-saturating")


def test_lapsrn_takes_the_cascades_place():
    assert isinstance(configured(preset="lapsrn").generator, LapSRNConfig)
    assert configured(preset="lapsrn").losses.adversarial == 0


@pytest.mark.parametrize("scale", [2, 4, 16])
def test_inputs_are_made_as_much_smaller_as_the_network_magnifies(scale):
    assert configured(f"scale={scale}").data.degradation.factor == scale
    assert configured(f"scale={scale}", "data.degradation={reduction: bicubic}").data.degradation.factor == scale


def test_the_optics_take_the_datas_pixel_size_unless_they_state_one():
    physical = configured("optics.mode=physical")
    assert physical.optics_at(6.936).pixel_um == 6.936
    assert configured("optics={mode: physical, pixel_um: 5}").optics_at(6.936).pixel_um == 5
    assert configured().optics_at(None) == Optics()
    with pytest.raises(UserError, match="with --pixel-size"):
        physical.optics_at(None)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["scale=3"], "scale: Input should be 2, 4, 8 or 16"),
        (["data.degradation.factor=4"], "scale is 8 and data.degradation.factor is 4"),
        (["losses={adversarial: 0, alpha: 0}"], "nothing is learnt"),
        (["scale=2", "data.patch=20", "losses.adversarial=1"], "multiple of 16, received 40.* halves the image 4"),
        (["generator={widths: [8]}"], "network"),
        (["generator={network: lapsrn, skip: true}"], "skip: Extra inputs"),
        (["generator.norm=batch"], "'pixel' or 'paper'"),
        (["optics.mode=wave"], "optics.mode: Input should be 'paper' or 'physical'"),
        (["optics.focal=20"], "optics.focal: Unexpected keyword"),
        (["optics.count=1"], "two filters or more"),
        (["data.region={side: middle, share: 0.2}"], "data.region.side"),
        (["data.region={side: top, share: 1}"], "data.region.share"),
        (["epochs=3"], "either epochs or steps"),
    ],
)
def test_faults_are_named_with_their_place(overrides, words):
    with pytest.raises(UserError, match=words):
        configured(*overrides)


def test_without_a_discriminator_any_patch_will_do():
    assert configured("scale=2", "data.patch=20", "losses.adversarial=0").data.patch == 20


def test_inputs_are_made_as_much_smaller_as_the_network_magnifies_by_default(tmp_path):
    (tmp_path / "mine.yaml").write_text("steps: 3\ndata: {folder: images, degradation: {blur: 1}}\n")
    config = load_config("cascade", str(tmp_path / "mine.yaml"))
    assert (config.scale, config.data.degradation.factor) == (8, 8)
