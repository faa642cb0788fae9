import copy

import numpy as np
import pytest
import yaml

from relumen.errors import CheckFailedError
from relumen.export.jdll import jdll_cut, jdll_predict, read_as_jdll
from relumen.package import read_package
from relumen.tiling import TilePlan, predict_tiled


def _rdf(*, tile=64, scale=2, halo=8, channels=1, **extra) -> dict:
    """An rdf with what JDLL reads of it; the halo in input pixels."""
    normalise = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}
    names = [f"c{index}" for index in range(channels)]

    def axes(sizes, factor, **about):
        space = [{"type": "space", "id": name, "size": sizes[name], "scale": factor, **about} for name in "yx"]
        return [{"type": "batch"}, *space, {"type": "channel", "id": "channel", "channel_names": names}]

    follow = {name: {"tensor_id": "input", "axis_id": name} for name in "yx"}
    return {
        "format_version": "0.5.10",
        "name": "a model",
        "config": {"bioimageio": {"nickname": "brave-otter"}},
        "inputs": [{"id": "input", "axes": axes({"y": tile, "x": tile}, scale**2), "preprocessing": [normalise]}],
        "outputs": [{"id": "output", "axes": axes(follow, scale, halo=halo * scale)}],
        "weights": {"onnx": {"source": "weights.onnx"}},
        **extra,
    }


def _network(scale):
    """Blurs over 2 pixels on each side and enlarges: a receptive field that a halo of 2 holds."""

    def run(tiles):
        wide = np.pad(tiles, ((0, 0), (2, 2), (2, 2), (0, 0)))
        size = tiles.shape[1:3]
        shifts = [(y, x) for y in range(5) for x in range(5)]
        blurred = sum(wide[:, y : y + size[0], x : x + size[1]] * (1 + y + 2 * x) for y, x in shifts) / 100
        return blurred.repeat(scale, 1).repeat(scale, 2).astype(np.float32)

    return run


def _normalised(image):
    return ((image - image.mean((0, 1))) / (image.std((0, 1)) + 1e-6)).astype(np.float32)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("size", [(26, 24), (64, 64), (64, 58), (63, 90), (109, 98), (211, 190)])
def test_fiji_shows_what_predict_tiled_gives(cells, scale, size):
    rdf, run = _rdf(scale=scale), _network(scale)
    image = cells[300 : 300 + size[0], 300 : 300 + size[1], np.newaxis].astype(np.float32)
    cut = jdll_cut(rdf, image)
    assert all(tile.shape == (1, 64, 64, 1) for tile in cut.tiles)
    ours = predict_tiled(_normalised(image), run, TilePlan(size, (64, 64), 8, scale))
    difference = np.abs(cut.merge([run(tile) for tile in cut.tiles]) - ours)
    assert difference.max() <= 1e-5 * ours.std()


def test_a_small_image_of_odd_size_is_shifted_by_one_output_pixel(cells):
    """A fault of JDLL's: it halves what is over once in input and once in output pixels."""
    image = cells[300:325, 300:364, np.newaxis].astype(np.float32)
    rdf, run = _rdf(), _network(2)
    cut = jdll_cut(rdf, image)
    assert (cut.source[0].before, cut.target[0].before) == (20, 39)
    ours = predict_tiled(_normalised(image), run, TilePlan((25, 64), (64, 64), 8, 2))
    fiji = cut.merge([run(tile) for tile in cut.tiles])
    np.testing.assert_allclose(fiji[1:], ours[:-1], atol=1e-4)
    assert np.abs(fiji - ours).max() > 0.01


def test_eight_and_sixteen_bits_give_one_picture(cells):
    rdf, run = _rdf(), _network(2)
    image = cells[300:400, 300:420, np.newaxis]
    pictures = []
    for copied in (image.astype(np.uint8), image.astype(np.uint16) * 200):
        cut = jdll_cut(rdf, copied)
        pictures.append(cut.merge([run(tile) for tile in cut.tiles]))
    np.testing.assert_allclose(pictures[0], pictures[1], atol=1e-4 * pictures[0].std())


def test_several_channels_are_normalised_wrongly_by_jdll_unless_together():
    rng = np.random.default_rng(0)
    image = np.stack([rng.normal(100, 5, (64, 64)), rng.normal(2000, 300, (64, 64))], -1).astype(np.float32)
    rdf = _rdf(channels=2, halo=0)
    (tile,) = jdll_cut(rdf, image).tiles
    assert np.abs(tile[0] - _normalised(image)).max() > 1  # each channel's figures were laid upon the whole
    rdf["inputs"][0]["preprocessing"][0]["kwargs"] = {"axes": ["channel", "y", "x"]}
    (tile,) = jdll_cut(rdf, image).tiles
    np.testing.assert_allclose(tile[0], (image - image.mean()) / image.std(), atol=1e-4)


def test_open_sizes_are_not_tiled(cells):
    rdf = _rdf()
    for axis in rdf["inputs"][0]["axes"][1:3]:
        axis["size"] = {"min": 16, "step": 16}
    cut = jdll_cut(rdf, cells[:100, :200, np.newaxis])
    assert [tile.shape for tile in cut.tiles] == [(1, 112, 208, 1)] * 4  # too small for the halo, so cut in four
    rdf["outputs"][0]["axes"][1].pop("halo")
    rdf["outputs"][0]["axes"][2].pop("halo")
    assert [tile.shape for tile in jdll_cut(rdf, cells[:112, :208, np.newaxis]).tiles] == [(1, 112, 208, 1)]


def test_postprocessing_is_done_on_the_whole(cells):
    steps = [
        {"id": "scale_linear", "kwargs": {"gain": 2, "offset": 1}},
        {"id": "clip", "kwargs": {"min": 0.0, "max": 3.0}},
        {"id": "sigmoid"},
        {"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 0.5, "std": 0.25}},
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
    ]
    rdf, run = _rdf(), _network(2)
    image = cells[300:400, 300:420, np.newaxis].astype(np.float32)
    plain = predict_tiled(_normalised(image), run, TilePlan((100, 120), (64, 64), 8, 2))
    rdf["outputs"][0]["postprocessing"] = steps
    cut = jdll_cut(rdf, image)
    wanted = (1 / (1 + np.exp(-np.clip(2 * plain + 1, 0, 3))) - 0.5) / (0.25 + 1e-6)
    np.testing.assert_allclose(cut.merge([run(tile) for tile in cut.tiles]), wanted, atol=1e-4)


FAILURES = {
    "less than a third of the tile of 64; at least 22": lambda rdf: None,
    "ClassCastException": lambda rdf: rdf.update(documentation={"source": "README.md"}),
    "format_version is '0.4.10'": lambda rdf: rdf.update(format_version="0.4.10"),
    "neither config.bioimageio.nickname nor id": lambda rdf: rdf.update(config={}),
    "without allow_tiling: true": lambda rdf: rdf["config"].update(deepimagej={}),
    "name is not set": lambda rdf: rdf.pop("name"),
    "inputs has 2 tensors": lambda rdf: rdf["inputs"].append(copy.deepcopy(rdf["inputs"][0])),
    "no channel_names": lambda rdf: rdf["inputs"][0]["axes"][3].pop("channel_names"),
    "no channel axis": lambda rdf: rdf["inputs"][0]["axes"].pop(),
    r"axes\[0\] has no type": lambda rdf: rdf["inputs"][0]["axes"][0].pop("type"),
    "the image has 1 channels and the model takes 2": lambda rdf: rdf["inputs"][0]["axes"][3]["channel_names"].append(
        "b"
    ),
    "no input": lambda rdf: rdf["outputs"][0]["axes"][1]["size"].update(tensor_id="other"),
    "Model specs too complex": lambda rdf: rdf["outputs"][0]["axes"][1].update(size=130),
    "scale and halo do not fit": lambda rdf: rdf["outputs"][0]["axes"][1].update(halo=90, scale=4.0),
    "the halo of 40 leaves nothing": lambda rdf: rdf["outputs"][0]["axes"][1].update(halo=80),
    "it has no 'softmax'": lambda rdf: rdf["inputs"][0].update(preprocessing=[{"id": "softmax"}]),
    "clip lacks a bound": lambda rdf: rdf["inputs"][0].update(preprocessing=[{"id": "clip", "kwargs": {"min": 0}}]),
    "eps is None": lambda rdf: rdf["inputs"][0]["preprocessing"][0]["kwargs"].update(eps=None),
    "over 50 million pixels": lambda rdf: [axis.update(size=8192) for axis in rdf["inputs"][0]["axes"][1:3]],
}


@pytest.mark.parametrize("words", FAILURES)
def test_it_fails_where_jdll_fails_and_says_why(words):
    rdf = _rdf()
    FAILURES[words](rdf)
    sides = (100, 21) if words.startswith("less") else (4096, 4096) if words.startswith("over") else (100, 90)
    with pytest.raises(CheckFailedError, match=f"JDLL, and so DeepImageJ, fails: .*{words}"):
        jdll_cut(rdf, np.ones((*sides, 1), np.float32))


def test_an_answer_of_the_wrong_size_is_told():
    cut = jdll_cut(_rdf(), np.ones((100, 100, 1), np.float32))
    with pytest.raises(CheckFailedError, match=r"measures \(64, 64\), the rdf promises \(128, 128\)"):
        cut.merge(cut.tiles)


def test_the_plain_pair_of_scales_fails_as_in_fiji():
    """Scale 1 at the input and 1/2 at the output is right by the specification; JDLL doubles the halo instead."""
    rdf = _rdf()
    for index in (1, 2):
        rdf["inputs"][0]["axes"][index]["scale"] = 1.0
        rdf["outputs"][0]["axes"][index]["scale"] = 0.5
    with pytest.raises(CheckFailedError, match="the halo of 32 leaves nothing of the input tile of 64"):
        jdll_cut(rdf, np.ones((100, 100, 1), np.float32))


def test_reads_a_package_and_runs_it(hand_made, cells):
    from relumen.runners import package_runner

    package = read_package(hand_made)
    model = read_as_jdll(yaml.safe_load((hand_made / "rdf.yaml").read_text()))
    assert "".join(model.inputs) == "byxc"
    assert (model.inputs["y"].low, model.inputs["y"].halo, model.outputs["y"].scale) == (64, 8, 2.0)
    picture = jdll_predict(package, cells[300:400, 300:420, np.newaxis], package_runner(package, "onnx"))
    assert picture.shape == (200, 240, 1) and picture.std() > 0.05
