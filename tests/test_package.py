import copy
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from relumen.errors import UserError
from relumen.normalisation import Normalisation
from relumen.package import open_package, read_package
from relumen.rdf import file_in, read_rdf


def _rdf() -> dict:
    """A package as relumen writes it: two times magnification, a halo of ten input pixels."""
    y, x = {"tensor_id": "input", "axis_id": "y"}, {"tensor_id": "input", "axis_id": "x"}
    return {
        "format_version": "0.5.10",
        "type": "model",
        "name": "nuclei x2",
        "inputs": [
            {
                "id": "input",
                "axes": [
                    {"type": "batch"},
                    {"type": "space", "id": "y", "size": 128, "scale": 4.0},
                    {"type": "space", "id": "x", "size": 128, "scale": 4.0},
                    {"type": "channel", "id": "channel", "channel_names": ["dna"]},
                ],
                "preprocessing": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"], "eps": 1e-6}}],
            }
        ],
        "outputs": [
            {
                "id": "output",
                "axes": [
                    {"type": "batch"},
                    {
                        "type": "space",
                        "id": "y",
                        "size": y,
                        "scale": 2.0,
                        "halo": 20,
                    },
                    {
                        "type": "space",
                        "id": "x",
                        "size": x,
                        "scale": 2.0,
                        "halo": 20,
                    },
                    {"type": "channel", "id": "channel", "channel_names": ["restored"]},
                ],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 15}},
        "config": {"relumen": {"pixel_size_um": 0.65}},
    }


def _write(folder: Path, rdf: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = rdf if isinstance(rdf, str) else yaml.safe_dump(rdf)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    (folder / "weights.onnx").write_bytes(b"onnx")
    return folder


def test_reads_what_the_network_is(tmp_path):
    package = read_package(_write(tmp_path, _rdf()))
    assert (package.name, package.input_id, package.output_id) == ("nuclei x2", "input", "output")
    assert (package.tile, package.scale, package.halo) == ((128, 128), 2, 10)
    assert (package.input_channels, package.output_channels) == (1, 1)
    assert package.normalisation == Normalisation(measured=True, eps=1e-6)
    assert package.training_pixel_size == 0.65
    assert package.weights == {"onnx": tmp_path / "weights.onnx"}
    assert package.input_axes == package.output_axes == "byxc"


def test_a_zip_is_unpacked_and_removed_again(tmp_path):
    folder = _write(tmp_path / "model", _rdf())
    flat = Path(shutil.make_archive(str(tmp_path / "flat"), "zip", folder))
    nested = Path(shutil.make_archive(str(tmp_path / "nested"), "zip", tmp_path, "model"))
    for archive in (flat, nested):
        with open_package(archive) as package:
            inside = package.folder
            assert package.weights["onnx"].read_bytes() == b"onnx"
        assert not inside.exists()


def test_open_sizes_become_a_sensible_tile(tmp_path):
    rdf = _rdf()
    for axis in rdf["inputs"][0]["axes"][1:3]:
        axis["size"] = {"min": 32, "step": 16}
    assert read_package(_write(tmp_path, rdf)).tile == (176, 176)  # 128 and both halos, the next legal size


def test_channel_first_and_plain_scale(tmp_path):
    rdf = _rdf()
    for tensor in rdf["inputs"] + rdf["outputs"]:
        b, y, x, c = tensor["axes"]
        tensor["axes"] = [b, c, y, x]
    for axis in rdf["inputs"][0]["axes"][2:]:
        axis["scale"] = 1.0
    for axis in rdf["outputs"][0]["axes"][2:]:
        axis["scale"] = 0.5
    package = read_package(_write(tmp_path, rdf))
    assert (package.scale, package.input_axes, package.output_axes) == (2, "bcyx", "bcyx")


def test_normalisation_over_all_channels_together(tmp_path):
    rdf = _rdf()
    rdf["inputs"][0]["axes"][3]["channel_names"] = ["dna", "actin"]
    rdf["inputs"][0]["preprocessing"][0]["kwargs"] = {"axes": ["channel", "y", "x"], "eps": "1e-5"}
    package = read_package(_write(tmp_path, rdf))
    assert package.normalisation == Normalisation(measured=True, together=True, eps=1e-5)
    rdf["inputs"][0].pop("preprocessing")
    assert read_package(_write(tmp_path, rdf)).normalisation == Normalisation()


def _set(path: str, value: object):
    """A change of one place of an rdf: 'inputs.0.id'."""

    def change(rdf):
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        place = rdf
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


def _twice(key):
    return lambda rdf: rdf[key].append(copy.deepcopy(rdf[key][0]))


BROKEN = [
    (_set("format_version", "0.4.10"), "format_version is 0.4.10.*update-format"),
    (_set("format_version", 0.5), "format_version should be text"),
    (_set("format_version", None), "format_version should be text"),
    (_set("type", "dataset"), "type is 'dataset'"),
    (_set("name", None), "name should be text"),
    (_set("inputs", None), "inputs should be a list"),
    (_set("inputs", "image"), "inputs should be a list"),
    (_set("inputs", []), "inputs should be a list"),
    (_set("outputs", [3]), "outputs should be a list"),
    (_twice("inputs"), "inputs has 2 tensors"),
    (_twice("outputs"), "outputs has 2 tensors"),
    (_set("inputs.0.id", 5), r"inputs\[0\].id should be text"),
    (_set("inputs.0.axes", "byxc"), r"inputs\[0\].axes should be a list"),
    (_set("inputs.0.axes.1.id", "z"), r"inputs\[0\].axes\[1\] is 'z'"),
    (_set("inputs.0.axes.1.type", "time"), r"inputs\[0\].axes\[1\] is 'y' of type 'time'"),
    (_set("inputs.0.axes.1.id", "x"), "the axis 'x' twice"),
    (_set("inputs.0.axes.1", None), "no axis 'y'"),
    (_set("inputs.0.axes.1.size", "big"), r"inputs\[0\], axis y: size should be"),
    (_set("inputs.0.axes.1.size", {"min": 32, "step": 0}), r"inputs\[0\], axis y: size should be"),
    (_set("inputs.0.axes.1.size", True), r"inputs\[0\], axis y: size should be"),
    (_set("inputs.0.axes.1.size", 20), "leaves nothing of a tile"),
    (_set("inputs.0.axes.2.scale", -1), r"inputs\[0\], axis x: scale"),
    (_set("inputs.0.axes.3.channel_names", None), r"inputs\[0\], channel axis"),
    (_set("outputs.0.axes.1.size", None), r"outputs\[0\], axis y: size should be"),
    (_set("outputs.0.axes.1.size.tensor_id", "other"), "refers to the tensor 'other'"),
    (_set("outputs.0.axes.1.size.offset", 3), "an offset of 3"),
    (_set("outputs.0.axes.1.scale", 3.0), "pixels for each input pixel"),
    (_set("outputs.0.axes.1.scale", 8.0), "pixels for each input pixel"),
    (_set("outputs.0.axes.1.scale", 1.0), "magnifies y by 4 and x by 2"),
    (_set("outputs.0.axes.1.halo", -2), r"outputs\[0\], axis y: halo"),
    (_set("outputs.0.axes.1.halo", "wide"), r"outputs\[0\], axis y: halo"),
    (_set("inputs.0.preprocessing", [{"id": "scale_range"}]), "preprocessing is scale_range"),
    (_set("inputs.0.preprocessing", ["x"]), "preprocessing should be a list of steps"),
    (_set("inputs.0.preprocessing.0.kwargs", "x"), r"preprocessing\[0\].kwargs"),
    (_set("inputs.0.preprocessing.0.kwargs.axes", ["x"]), "over y and x it is"),
    (_set("inputs.0.preprocessing.0.kwargs.axes", 7), "axes should be a list"),
    (_set("inputs.0.preprocessing.0.kwargs.eps", "small"), "eps should be a small number"),
    (_set("outputs.0.postprocessing", [{"id": "sigmoid"}]), "postprocessing is sigmoid"),
    (_set("weights", None), "weights should name"),
    (_set("weights", {"torchscript": {"source": "x.pt"}}), "weights has torchscript"),
    (_set("weights.onnx", "weights.onnx"), "weights.onnx should have a source"),
    (_set("weights.onnx.source", None), "weights.onnx.source should name a file"),
    (_set("weights.onnx.source", "gone.onnx"), "no such file"),
    (_set("weights.onnx.source", "9" * 300), "has no such file"),
    (_set("weights.onnx.source", "https://example.org/w.onnx"), "is an address"),
    (_set("weights.onnx.source", "FILE:/etc/passwd"), "is an address"),
    (_set("weights.onnx.source", "../weights.onnx"), "leads out"),
    (_set("weights.onnx.source", "/etc/passwd"), "leads out"),
    (_set("weights.onnx.source", "C:\\w.onnx"), "leads out"),
    (_set("config.relumen.pixel_size_um", 0), "pixel_size_um should be"),
    (_set("config.relumen.pixel_size_um", float("inf")), "pixel_size_um should be"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN, ids=[words for _, words in BROKEN])
def test_a_broken_rdf_is_told_by_its_field(tmp_path, change, words):
    rdf = _rdf()
    change(rdf)
    with pytest.raises(UserError, match=words):
        read_package(_write(tmp_path, rdf))


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
NOT_YAML = {
    "tabs": "a:\n\t- b",
    "half a list": "inputs: [",
    "a tag that runs code": "a: !!python/object/apply:os.system ['true']",
    "aliases without end": ALIASES,
    "merges without end": MERGES,
    "itself": "a: &a [*a]",
    "a deep nest": "[" * 3000,
    "an endless number": "a: " + "1" * 5000,
    "no such day": "timestamp: 2024-13-45",
    "an empty number": "a: !!int ''",
    "no time": "a: !!timestamp soon",
    "control characters": "a: \x00",
    "a text": "just words",
    "a list": "- a\n- b",
    "nothing": "",
    "too large": "a: b\n" * 300_000,
}


@pytest.mark.parametrize("text", NOT_YAML.values(), ids=NOT_YAML.keys())
def test_what_is_not_an_rdf_is_refused_plainly(tmp_path, text):
    with pytest.raises(UserError, match=r"rdf\.yaml"):
        read_rdf(_write(tmp_path, text))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "rdf.yaml").write_bytes(b"\xff\xfe\xfd\x80")
    with pytest.raises(UserError, match="not readable as YAML"):
        read_rdf(tmp_path)


def test_nothing_there_no_rdf_and_a_file_that_is_no_zip(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    for source, words in [
        (tmp_path / "none", "no package at"),
        (tmp_path, "has no rdf.yaml. It holds: notes.txt"),
        (tmp_path / "notes.txt", "not a zip"),
    ]:
        with pytest.raises(UserError, match=words), open_package(source):
            pass


def test_a_hostile_zip_leaves_nothing_outside(tmp_path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("rdf.yaml", yaml.safe_dump(_rdf()))
        zipped.writestr("../../escaped", b"evil")
    with pytest.raises(UserError, match="leads out"), open_package(archive):
        pass
    assert not list(tmp_path.parent.rglob("escaped"))


def test_a_link_out_of_the_package_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="link that leads out"):
        file_in(folder, {"source": "weights.onnx"}, "weights.onnx")
