"""Official checkpoints and rosinality's: the images of ours are those of the papers' equations with their weights."""

from __future__ import annotations

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.prior.checkpoints import import_checkpoint
from relumen.prior.pickles import RefusedError
from relumen.prior.variables import Variables

from . import layouts, reference
from .layouts import WIDTHS, dumped, saved, saved_old, written

TOLERANCE = 1e-4


def rng():
    return np.random.default_rng(7)


def tensorflow_file(folder, protocol=4, variables=None, **options):
    variables = layouts.tensorflow_variables(rng()) if variables is None else variables
    return written(folder / "tf.pkl", dumped(layouts.tensorflow_networks(variables, **options), protocol))


def pytorch_file(folder, protocol=4, state=None, clamp=None, more=None):
    state = layouts.pytorch_state(rng()) if state is None else state
    network = layouts.pytorch_network(state, clamp, more)
    value = {"training_set_kwargs": {"class_name": "x"}, "G": None, "D": None, "augment_pipe": None, "G_ema": network}
    return written(folder / "torch.pkl", dumped(value, protocol))


def rosinality_file(folder, save=saved, state=None, **more):
    state = layouts.rosinality_state(rng()) if state is None else state
    return written(folder / "rosinality.pt", save({"g_ema": layouts.rosinality_tensors(state), **more}))


def difference(imported, by_the_book):
    """Greatest difference of w, of images from z, and of images from a w of its own for each layer."""
    generator, a = imported.generator(), imported.architecture
    draw = np.random.default_rng(1)
    z, styles = draw.normal(size=(2, a.z_dim)), draw.normal(size=(2, a.style_inputs, a.w_dim))
    w = by_the_book.mapping(z)
    same = np.repeat(w[:, np.newaxis], a.style_inputs, 1)
    pairs = [(generator.mapping(z.astype(np.float32)), w)]
    pairs += [(generator(z.astype(np.float32)), np.stack([by_the_book.image(each) for each in same]))]
    pairs += [(generator.synthesis(styles.astype(np.float32)), np.stack([by_the_book.image(each) for each in styles]))]
    assert all(np.asarray(theirs).std() > 0.3 for _, theirs in pairs)
    return max(np.abs(np.asarray(ours) - theirs).max() for ours, theirs in pairs)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_tensorflow_checkpoint_gives_the_images_of_the_equations(tmp_path, protocol):
    imported = import_checkpoint(tensorflow_file(tmp_path, protocol, mapping_lrmul=0.01))
    a, variables = imported.architecture, layouts.tensorflow_variables(rng())
    assert (a.widths, a.channels, a.z_dim, a.w_dim, a.mapping_layers, a.clamp) == (WIDTHS, 3, 20, 16, 2, None)
    np.testing.assert_array_equal(imported.weights["w_avg"], variables["dlatent_avg"])
    assert difference(imported, reference.of_tensorflow(variables)) < TOLERANCE


@pytest.mark.parametrize("protocol", [2, 3, 5])
def test_a_pytorch_checkpoint_gives_the_images_of_the_equations(tmp_path, protocol):
    imported = import_checkpoint(pytorch_file(tmp_path, protocol))
    a, state = imported.architecture, layouts.pytorch_state(rng())
    assert (a.widths, a.channels, a.z_dim, a.w_dim, a.mapping_layers, a.clamp) == (WIDTHS, 2, 20, 16, 2, None)
    np.testing.assert_array_equal(imported.weights["w_avg"], state["mapping.w_avg"].astype(np.float32))
    assert difference(imported, reference.of_pytorch(state)) < TOLERANCE


def test_the_clamp_of_half_precision_is_kept(tmp_path):
    by_the_book = reference.of_pytorch(layouts.pytorch_state(rng()))
    by_the_book.clamp = 1.5
    clamped = import_checkpoint(pytorch_file(tmp_path, clamp=1.5))
    assert clamped.architecture.clamp == 1.5
    assert difference(clamped, by_the_book) < TOLERANCE
    assert difference(import_checkpoint(pytorch_file(tmp_path)), by_the_book) > 0.1
    assert import_checkpoint(tensorflow_file(tmp_path, conv_clamp=256)).architecture.clamp == 256


@pytest.mark.parametrize("save", [saved, saved_old])
def test_a_checkpoint_of_rosinality_gives_the_images_of_the_equations(tmp_path, save):
    imported = import_checkpoint(rosinality_file(tmp_path, save, g_optim={"state": {0: {"step": 3}}, "lr": [0.002]}))
    by_the_book = reference.of_rosinality(layouts.rosinality_state(rng()))
    assert imported.architecture.widths == WIDTHS
    assert difference(imported, by_the_book) < TOLERANCE
    # The file does not hold the mean w: it is that of random codes.
    mean = by_the_book.mapping(np.random.default_rng(3).normal(size=(20_000, 16))).mean(0)
    assert np.abs(imported.weights["w_avg"] - mean).max() < 0.05
    converted = import_checkpoint(rosinality_file(tmp_path, save, latent_avg=layouts.Tensor(np.arange(16))))
    np.testing.assert_array_equal(converted.weights["w_avg"], np.arange(16))


def test_the_source_text_in_a_file_is_neither_run_nor_kept(tmp_path):
    for file in (tensorflow_file(tmp_path), pytorch_file(tmp_path)):
        assert layouts.Module.source.encode() in file.read_bytes()
        imported = import_checkpoint(file)  # it would end this process
        assert set(imported.weights) == {
            variable.path.removeprefix("generator/") for variable in imported.generator().weights
        }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label_size": 10}, "'label_size' is 10"),
        ({"architecture": "orig"}, "'architecture' is 'orig'"),
        ({"resample_kernel": [1, 2, 1]}, r"'resample_kernel' is \[1, 2, 1\]"),
        ({"resample_kernel": None}, "'resample_kernel' is None"),
        ({"resample_kernel": [np.ones(2), 3, 3, 1]}, r"'resample_kernel' is a list, .* \[1, 3, 3, 1\]"),
        ({"normalize_latents": False}, "'normalize_latents' is False"),
        ({"nonlinearity": "relu"}, "'nonlinearity' is 'relu'"),
        ({"mapping_lrmul": "fast"}, "'mapping_lrmul' is 'fast'"),
    ],
)
def test_tensorflow_generators_unlike_ours_are_refused(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        import_checkpoint(tensorflow_file(tmp_path, **options))


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("", {"c_dim": 5}, "c_dim.* is 5"),
        ("synthesis.b8", {"architecture": "resnet"}, "b8.architecture is 'resnet'"),
        ("synthesis.b8.conv0", {"activation": "relu"}, "conv0.activation is 'relu'"),
        ("synthesis.b8.conv1", {"use_noise": False}, "use_noise is False"),
        ("synthesis.b8.conv1", {"conv_clamp": 256}, "differ in conv_clamp"),
        ("", {"z_dim": "20"}, "z_dim is '20'"),
        ("", {"z_dim": 0}, "z_dim is 0, not a whole number from 1"),
    ],
)
def test_pytorch_generators_unlike_ours_are_refused(tmp_path, path, fields, words):
    with pytest.raises(UserError, match=words):
        import_checkpoint(pytorch_file(tmp_path, more={path: fields}))


def test_stylegan_1_and_3_are_told_apart(tmp_path):
    first = layouts.tensorflow_networks(layouts.tensorflow_variables(rng()))
    first[2].state["build_func_name"] = "G_style"
    with pytest.raises(UserError, match="made by 'G_style', not by StyleGAN2's G_main"):
        import_checkpoint(written(tmp_path / "1.pkl", dumped(first)))
    third = layouts.Module("Generator", parts={"synthesis": layouts.Module("S", parts={"input": layouts.Module("I")})})
    with pytest.raises(UserError, match="StyleGAN3"):
        import_checkpoint(written(tmp_path / "3.pkl", dumped({"G_ema": third})))


def test_a_generator_without_layers_is_refused(tmp_path):
    block = layouts.Module("SynthesisBlock", architecture="skip")
    dense = layouts.Module("FullyConnectedLayer", activation="lrelu")
    parts = {
        "synthesis": layouts.Module("SynthesisNetwork", parts={"b4": block}),
        "mapping": layouts.Module("MappingNetwork", parts={"fc0": dense}),
    }
    network = layouts.Module("Generator", parts=parts, c_dim=0)
    with pytest.raises(UserError, match="lack or differ in conv_clamp"):
        import_checkpoint(written(tmp_path / "bare.pkl", dumped({"G_ema": network})))


def test_missing_misshapen_foreign_and_broken_variables_are_named(tmp_path):
    def refused(changes, words, without=()):
        state = layouts.pytorch_state(rng()) | changes
        with pytest.raises(UserError, match=words) as caught:
            import_checkpoint(pytorch_file(tmp_path, state={k: v for k, v in state.items() if k not in without}))
        assert str(tmp_path / "torch.pkl") in str(caught.value)

    name = "synthesis.b8.conv1.weight"
    refused({}, f"{name}' is missing", without=(name,))
    refused({name: np.zeros((10, 9, 3, 3))}, rf"{name}' has shape \(10, 9, 3, 3\), not \(10, 10, 3, 3\)")
    refused({name: np.full((10, 10, 3, 3), np.nan)}, f"{name}' has values that are not finite")
    refused({"synthesis.b8.skip.weight": np.zeros((10, 12, 1, 1))}, "does not have: 'synthesis.b8.skip.weight'")
    refused({"synthesis.b8.resample_filter": np.full((4, 4), 1 / 16)}, r"is not \[1, 3, 3, 1\]")
    blurred = layouts.rosinality_state(rng()) | {"convs.0.conv.blur.kernel": np.full((4, 4), 1 / 4)}
    with pytest.raises(UserError, match=r"is not \[1, 3, 3, 1\]"):
        import_checkpoint(rosinality_file(tmp_path, state=blurred))


def test_a_double_beyond_single_precision_is_refused():
    with pytest.raises(RefusedError, match="'gain' has values that are not finite"):
        Variables({"gain": np.array([1e39])}).take("gain", 1)


def test_values_that_are_no_checkpoint_are_named(tmp_path):
    for value, kind in (([1, 2], "list"), ({"g_ema": {}}, "dict"), ((1, 2, 3), "tuple")):
        with pytest.raises(UserError, match=f"holds a {kind} that is none of these"):
            import_checkpoint(written(tmp_path / "other.pkl", dumped(value)))
    with pytest.raises(UserError, match="cannot be read"):
        import_checkpoint(tmp_path / "nothing.pkl")
    with pytest.raises(UserError, match="cannot be read"):
        import_checkpoint(tmp_path)
