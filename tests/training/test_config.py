import pytest
import yaml

from relumen.errors import UserError
from relumen.run import RunFolder
from relumen.training.config import load_config, parse_config, presets, read_data_config
from relumen.training.settings import LearningRate, Schedule


def test_presets_are_whole_but_for_the_data():
    assert presets("esrgan") == ["compact", "w2s", "widefield"]
    assert presets("features") == ["microscopy"]
    assert load_config("features", "microscopy").system == "features"
    for name in presets("esrgan"):
        assert load_config("esrgan", name, **{"data.folder": "images"}).system == "esrgan"


def test_w2s_is_the_papers():
    config = load_config("esrgan", "w2s", **{"data.folder": "images"})
    assert (config.generator.blocks, config.generator.width, config.generator.growth) == (23, 64, 32)
    assert (config.data.patch, config.data.overlap, config.batch, config.augment) == (64, 0.5, 8, 0.5)
    for phase in (config.phase_1, config.phase_2):
        assert (phase.epochs, phase.learning_rate.initial, phase.learning_rate.schedule) == (50, 1e-4, "halve")
    assert config.phase_2.losses.model_dump() == {
        "pixel": 1e-2,
        "perceptual": 1e-2,
        "texture": 0,
        "adversarial": 1.0,
        "distance": "l1",
    }


def test_overrides_reach_any_depth_and_the_resolved_config_reads_back():
    config = load_config("esrgan", "compact", ["phase_1.learning_rate.initial=3e-4", "data.degradation={blur: 2}"],
                         **{"data.folder": "images"})  # fmt: skip
    assert config.phase_1.learning_rate.initial == 3e-4
    assert config.data.degradation.blur == (2,)
    assert parse_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


def test_learning_rates_fall_as_they_are_told_to():
    def rates(schedule, **length):
        phase = Schedule(learning_rate=LearningRate(initial=1e-3, schedule=schedule, floor=1e-4), **length)
        return [phase.rate(step, 2) for step in range(5)]

    assert rates("constant", steps=5) == [1e-3] * 5
    assert rates("linear", steps=5) == pytest.approx([1e-3, 1e-3, 1e-3, 5.5e-4, 1e-4])
    assert rates("linear", epochs=2.5) == pytest.approx([1e-3, 1e-3, 1e-3, 5.5e-4, 1e-4])
    assert rates("cosine", steps=5) == pytest.approx([1e-3, 8.6820e-4, 5.5e-4, 2.3180e-4, 1e-4], rel=1e-4)
    assert rates("halve", steps=5) == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("phase_1.stepz=3", "phase_1.stepz: Extra inputs"),
        ("batch=none", "batch: Input should be a valid integer.*received 'none'"),
        ("batch", "An override reads name=value"),
        ("phase_1.epochs=3", "either epochs or steps"),
        ("phase_1.losses.adversarial=1", "phase_1 trains the generator alone"),
        ("phase_2.losses.perceptual=0.01", "needs features: microscopy, or vgg19"),
        ("data.degradation={factor: 4}", "scale is 2 and data.degradation.factor is 4"),
        ("data.patch=33", "multiple of 16"),
        ("check_every=30", r"check_every \(30\) must be a multiple of log_every \(20\)"),
    ],
)
def test_faults_are_named_with_their_place(override, words):
    with pytest.raises(UserError, match=words):
        load_config("esrgan", "compact", [override], **{"data.folder": "images"})


@pytest.mark.parametrize(
    ("system", "override"),
    [
        *((system, "data.degradation={}") for system in ("cgan", "cin-gan", "cyclegan")),
        *((system, "data.offsets=2") for system in ("cgan", "cin-gan", "cyclegan")),
        *((system, "data.densities=3") for system in ("cin-gan", "cyclegan")),
        *((system, "data.overlap=0.25") for system in ("cin-gan", "cyclegan")),
    ],
)
def test_what_a_system_would_not_use_is_refused(system, override):
    name = override.partition("=")[0]
    with pytest.raises(UserError, match=f"{name} has no effect here"):
        load_config(system, "compact", [override], **{"data.folder": "images"})


def test_pairs_of_defects_are_shown_as_often_as_is_said():
    config = load_config("cgan", "compact", ["data.densities=3", "data.overlap=0.25"], **{"data.folder": "images"})
    assert (config.data.densities, config.data.overlap) == (3, 0.25)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError, match="compact, w2s"):
        load_config("esrgan", "huge")


def test_how_a_folder_is_read_without_a_system():
    config = read_data_config({"folder": "images"}, ["data.degradation={photons: null}", "data.source=[wf]",
                                                     "data.target=sim"], 8)  # fmt: skip
    assert (config.source, config.degradation.factor, config.degradation.photons) == (("wf",), 8, None)
    assert read_data_config({"folder": "images"}, ["data.degradation={factor: 4}"]).degradation.factor == 4
    for overrides, words in (
        (["data.degradation={factor: 4}"], "scale is 8 and data.degradation.factor is 4"),
        (["data.averages=many"], "data.averages"),
        (["data.region.side=middle"], "data.region"),
        (["batch=2"], "such as data.source=wf. Received: 'batch=2'"),
        (["data.source"], "An override reads name=value"),
    ):
        with pytest.raises(UserError, match=words):
            read_data_config({"folder": "images"}, overrides, 8)
    with pytest.raises(UserError, match="scale: Input should be 1, 2, 4, 8 or 16"):
        read_data_config({"folder": "images"}, scale=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("images:\n  crops: {folder: cells, channels: {actin: *_R.tif}}", r"at line 2, column 47.*needs quotes"),
        ("", "an empty file"),
        ("kimg", "no 'name: value' lines. Received: kimg"),
        ("system: cgan", "relumen train cgan"),
    ],
)
def test_a_file_that_is_no_configuration_is_told_with_the_place(tmp_path, text, words):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=f"(?s){file}.*{words}"):
        load_config("prior", str(file))


def test_a_value_that_is_no_yaml_is_told():
    with pytest.raises(UserError, match="The value of 'images={stains: cells' is no valid YAML"):
        load_config("prior", "cells", ["images={stains: cells"])


def test_a_damaged_run_is_told(tmp_path):
    RunFolder(tmp_path).config_file.write_text("kimg: [1")
    with pytest.raises(UserError, match=r"config.yaml is no valid YAML at line 1"):
        RunFolder(tmp_path).config()


@pytest.mark.parametrize(
    ("system", "override", "words"),
    [
        ("cgan", "losses={form: wasserstein, adversarial: 0.1}", "grows without bound: set penalty"),
        ("cin-gan", "losses.penalty=0", "grows without bound: set penalty"),
        ("cin-gan", "losses={adversarial: 0, style: 0}", "no defect is learnt"),
        ("cin-gan", "betas=[1, 0.9]", "betas.0: Input should be less than 1"),
        ("cgan", "betas=[0.9, 1]", "betas.1: Input should be less than 1"),
        ("cyclegan", "betas=[1, 0.9]", "betas.0: Input should be less than 1"),
        ("esrgan", "phase_1.losses={pixel: 0}", "nothing is learnt in phase_1"),
        ("esrgan", "phase_2.losses={pixel: 0, adversarial: 0}", "nothing is learnt in phase_2"),
        ("features", "held_out=[]", "held_out: Tuple should have at least 1 item"),
        ("features", "held_out=[kc167/NOWHERE]", "No field named kc167/NOWHERE. There are: "),
        ("features", "held_out=[phase_t98g]", "no fluorescence image is held out"),
    ],
)
def test_what_could_not_be_learnt_or_judged_is_refused(system, override, words):
    data = {} if system == "features" else {"data.folder": "images"}
    with pytest.raises(UserError, match=words):
        load_config(system, presets(system)[0], [override], **data)


def test_a_run_is_stored_with_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(
        "cgan", "compact", ["features_weights=runs/features", "synthetic.folder=made", "data.folder=images"]
    ).resolved()
    assert config.features_weights == tmp_path / "runs" / "features"
    assert config.synthetic.folder == tmp_path / "made"
    assert config.data.folder == tmp_path / "images"
    cache = load_config("prior", presets("prior")[0]).resolved().images.cache
    assert cache == tmp_path / "runs" / "images"
