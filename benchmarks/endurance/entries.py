"""Where files of strangers enter relumen: for each entry how its input is damaged, and how it is taken."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import corpus
import damage
import numpy as np
import payloads
import yaml
from sentry import Watch

Give = Callable[[], object]
"""Has relumen take what was made."""

_BIG_INFO = "Info of a user\n" * 20


class FaultError(Exception):
    """relumen did what it must not do, and raised nothing."""


@dataclass
class Site:
    """What the entries work with.

    Attributes:
        watch: the folders.
        kept: of the corpus.
    """

    watch: Watch
    kept: Path
    stock: dict[str, bytes] = field(default_factory=dict)

    def write(self, name: str, data: bytes) -> Path:
        """A file beside the current folder's others."""
        path = self.watch.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def copy(self, source: Path, name: str) -> Path:
        """A copy of a folder of the corpus."""
        return Path(shutil.copytree(source, self.watch.input / name, symlinks=True))

    def new(self, name: str) -> Path:
        """Where a result may go."""
        return self.watch.output / name

    @cached_property
    def http(self) -> Any:  # noqa: ANN401  imports the server
        """A server in this process."""
        from http_asking import Asking

        return Asking(self.watch.server)


def base_files(folder: Path) -> None:
    """Small whole files of each format, by which the damage begins."""
    import tifffile
    from PIL import Image as Picture

    cells = corpus.cells()[300:332, 300:340]
    stack = np.stack([cells, cells[::-1], cells[:, ::-1]])
    how: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "imagej": (stack.astype(np.uint16), {"imagej": True, "resolution": (2, 2), "metadata": {
            "axes": "ZYX", "unit": "um", "spacing": 0.5, "Info": _BIG_INFO, "Labels": ["a", "b", "c"],
            "Ranges": (0.0, 255.0)}}),
        "ome": (stack, {"ome": True, "metadata": {"axes": "CYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}}),
        "plain": (cells, {"resolution": (300, 300), "resolutionunit": 3}),
        "float": (cells.astype(np.float32), {}),
        "rgb": (np.moveaxis(stack, 0, -1), {"photometric": "rgb"}),
        "tiled": (np.tile(cells, (2, 2)), {"tile": (16, 16), "compression": "zlib"}),
        "big": (stack, {"bigtiff": True, "metadata": {"axes": "TYX"}}),
        "motorola": (stack, {"byteorder": ">"}),
        "bits": (cells > 40, {}),
        **{
            name: (cells, {"compression": name, "rowsperstrip": 8})
            for name in ("lzw", "packbits", "zlib", "zstd", "lzma")
        },
        "predicted": (cells, {"compression": "zlib", "predictor": True}),
    }  # fmt: skip
    for name, (pixels, options) in how.items():
        tifffile.imwrite(folder / f"{name}.tif", pixels, **options)
    with tifffile.TiffWriter(folder / "pyramid.tif") as writer:
        writer.write(np.tile(cells, (2, 2)), subifds=1, tile=(16, 16))
        writer.write(cells[:16, :16], subfiletype=1, tile=(16, 16))
    for name, pixels, options in (
        ("grey", cells, {}),
        ("deep", cells.astype(np.uint16) * 200, {}),
        ("rgba", np.dstack([*stack, cells]), {}),
        ("palette", cells, {"bits": 4}),
    ):
        picture = Picture.fromarray(pixels)
        (picture.quantize(16) if name == "palette" else picture).save(folder / f"{name}.png", **options)
    for name, array in (
        ("f4", cells.astype("<f4")),
        ("u2", stack.astype(">u2")),
        ("fortran", np.asfortranarray(cells)),
    ):
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "care.npz", X=stack[None, :1].astype("f4"), Y=stack[None, :1].astype("f4"), axes="SCYX")
    _checkpoints(folder)
    (folder / "evil").mkdir()
    payloads.saved_models(folder / "evil")
    from relumen.image_writing import image_writer

    for version in ("0.4", "0.5"):
        with image_writer(folder / f"v{version}.ome.zarr", stack.shape, "ZYX", np.uint8, ome_zarr=version) as writer:
            for plane in range(len(stack)):
                writer.write((plane,), 0, stack[plane])


def _checkpoints(folder: Path) -> None:
    """Checkpoints of others' generators, of random numbers, as the tests write them."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "prior"))
    import layouts

    drawn = np.random.default_rng(0)
    network = layouts.pytorch_network(layouts.pytorch_state(drawn))
    found = {
        "pytorch.pkl": layouts.dumped({"G": network, "D": None, "G_ema": network}),
        "tensorflow.pkl": layouts.dumped(layouts.tensorflow_networks(layouts.tensorflow_variables(drawn))),
    }
    state = {"g_ema": layouts.rosinality_tensors(layouts.rosinality_state(drawn))}
    found |= {"new.pt": layouts.saved(state), "old.pt": layouts.saved_old(state)}
    for name, data in found.items():
        (folder / name).write_bytes(data)


def stock(kept: Path) -> Path:
    """The whole files."""
    return corpus.once(kept / "files", base_files)


def _base(draw: random.Random, site: Site, pattern: str) -> tuple[str, bytes]:
    path = draw.choice(sorted(stock(site.kept).glob(pattern)))
    return path.name, path.read_bytes()


# Images


def _image(draw: random.Random, site: Site) -> Path:
    suffix, change = draw.choice((("tif", damage.tiff),) * 5 + (("png", damage.png),) * 2 + (("npy", damage.npy),) * 2)
    name, data = _base(draw, site, f"*.{suffix}")
    data = payloads.object_array(draw) if suffix == "npy" and draw.random() < 0.1 else change(draw, data)
    return site.write(draw.choice((name, name, name, f"a.{draw.choice(('tif', 'tiff', 'png', 'npy', 'TIF'))}")), data)


def read_image(draw: random.Random, site: Site) -> Give:
    """An image, read and looked at."""
    from relumen.images import read_image

    path = _image(draw, site)
    axes = draw.choice((None,) * 8 + ("YX", "ZYX", "CYX", "TZCYX", "XY", "", "YYX", "\0"))

    def give() -> None:
        image = read_image(path, axes)
        image.describe()
        np.asarray(image.plane({axis: 0 for axis in image.axes if axis in "TZ"}, 0)).sum()

    return give


def restore(draw: random.Random, site: Site) -> Give:
    """An image that is restored, by a network that repeats each pixel."""
    from relumen.restore import Restorer, restore_file

    path = _image(draw, site)
    channels = draw.choice((1, 1, 1, 3))
    model = Restorer(
        name="repeating",
        run=lambda tiles: tiles.repeat(2, 1).repeat(2, 2),
        scale=2,
        channels=channels,
        tile=(32, 32),
        any_size=draw.random() < 0.5,
        halo=draw.choice((0, 4)),
        pixel_size_um=0.1,
    )
    target = site.new(draw.choice(("a.tif", "a.tif", "a.npy", "a.png", "a.ome.zarr")))
    output = draw.choice(("float32", "input"))

    return lambda: restore_file(path, model, target, output=output, say=lambda text: None)  # type: ignore[arg-type]


_ZARR = (".zattrs", ".zarray", ".zgroup", "zarr.json")


def ome_zarr(draw: random.Random, site: Site) -> Give:
    """An OME-Zarr with damaged metadata or chunks."""
    from relumen.images import read_image

    source = draw.choice(sorted(stock(site.kept).glob("*.zarr")))
    folder = site.copy(source, source.name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for _ in range(draw.choice((1, 1, 2))):
        path = draw.choice(files)
        if path.name in _ZARR and draw.random() < 0.7:
            whole = source / path.relative_to(folder)
            path.write_bytes(_json(draw, json.loads(whole.read_text())))
        elif draw.random() < 0.1:
            path.unlink(missing_ok=True)
            path.symlink_to("../../outside/secret.txt")
        elif path.exists():
            path.write_bytes(damage.any_bytes(draw, path.read_bytes()))

    def give() -> None:
        image = read_image(folder)
        np.asarray(image.plane({axis: 0 for axis in image.axes if axis in "TZ"}, 0)).sum()

    return give


def training_data(draw: random.Random, site: Site) -> Give:
    """A folder to train on, with an image or patches that are damaged."""
    from relumen.training.config import read_data_config
    from relumen.training.data import load_data

    folder = site.copy(corpus.images(site.kept), "images")
    if draw.random() < 0.4:
        _, data = _base(draw, site, "care.npz")
        folder = site.write("care.npz", damage.zipped(draw, data))
    else:
        _image(draw, site).rename(folder / draw.choice(("b.tif", "d.png", "e.npy", "validation/c.tif")))
    values = {"folder": str(folder), "degradation": {} if folder.is_dir() else None}

    return lambda: load_data(read_data_config(values), 2)


# Packages


def unpack(draw: random.Random, site: Site) -> Give:
    """A zip that is unpacked."""
    from relumen.archive import unpack

    parts = {name: b"x" * 50 for name in ("rdf.yaml", "README.md", "sub/weights.bin")}
    archive = site.write("a.zip", damage.zipped(draw, payloads.write(parts, 8)))

    def give() -> None:
        unpack(archive, site.new("a/b/target"))
        _only(site.new("a"), site.new("a/b/target"))

    return give


def _only(folder: Path, inside: Path) -> None:
    """Nothing lies in a folder but in one that is inside it."""
    stray = [path for path in folder.rglob("*") if not (path.is_relative_to(inside) or inside.is_relative_to(path))]
    links = [path for path in inside.rglob("*") if path.is_symlink()]
    if stray or links:
        raise FaultError(f"outside of the target: {stray} {links}")


def rdf(draw: random.Random, site: Site) -> Give:
    """A package with another rdf.yaml, read and held against the rules."""
    from relumen.export.rules import check_rules
    from relumen.package import read_package

    folder = site.copy(corpus.package(site.kept), "package")
    file = folder / "rdf.yaml"
    text = file.read_text()
    way = draw.random()
    if way < 0.55:
        tree = damage.values(draw, yaml.safe_load(text))
        data = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
    elif way < 0.8:
        data = payloads.yaml_bytes(draw, text)
    else:
        data = damage.any_bytes(draw, text.encode())
    file.write_bytes(data)
    if draw.random() < 0.2:
        (folder / "cover.png").write_bytes(damage.png(draw, (folder / "cover.png").read_bytes()))
        (folder / "test_input.npy").write_bytes(damage.npy(draw, (folder / "test_input.npy").read_bytes()))
    if draw.random() < 0.1:
        (folder / "sample_input.tif").unlink()
        (folder / "sample_input.tif").symlink_to("../../../outside/secret.txt")

    def give() -> None:
        check_rules(folder)
        read_package(folder)

    return give


def package_zip(draw: random.Random, site: Site) -> Give:
    """A package as a zip that is damaged, opened."""
    from relumen.package import open_package

    source = corpus.package(site.kept)
    parts = {path.name: path.read_bytes() for path in source.iterdir() if path.stat().st_size < 50_000}
    archive = site.write("a.zip", damage.zipped(draw, payloads.write(parts, 8)))

    def give() -> None:
        with open_package(archive) as package:
            if not package.folder.resolve().is_relative_to(site.watch.temporary):
                raise FaultError(f"unpacked to {package.folder}")

    return give


# Configurations


def _values(draw: random.Random, values: dict[str, Any]) -> bytes:
    text = yaml.safe_dump(values)
    way = draw.random()
    if way < 0.5:
        return yaml.safe_dump(damage.values(draw, values), allow_unicode=True).encode("utf-8", "surrogatepass")
    return payloads.yaml_bytes(draw, text) if way < 0.85 else damage.any_bytes(draw, text.encode())


def _json(draw: random.Random, values: Any) -> bytes:  # noqa: ANN401  plain values
    way = draw.random()
    if way < 0.65:
        return json.dumps(damage.values(draw, values)).encode("utf-8", "surrogatepass")
    data = json.dumps(values).encode()
    if way < 0.8:
        return damage.any_bytes(draw, data)
    odd = (
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 5000,
        b"NaN",
        b"-Infinity",
        b'"\\ud800"',
        b"\xff",
        b"",
        b"null",
        b"{}",
    )
    return draw.choice(
        (*odd, data + data, b"\xef\xbb\xbf" + data, data.replace(b'"', b"'"), data.replace(b"1", b"1e999"))
    )


def config(draw: random.Random, site: Site) -> Give:
    """A configuration of any command."""
    from relumen.configs import file_values, validated
    from relumen.imagej_bridge.server.config import ServeConfig
    from relumen.search.config import load_search
    from relumen.search.config import presets as search_presets
    from relumen.training import config as training

    systems = ("esrgan", "cascade", "cin-gan", "cgan", "cyclegan", "features", "prior", "pix2pix")
    kind = draw.choice(("training", "training", "search", "serve", "flow", "override"))
    if kind == "training" or kind == "override":
        system = draw.choice(systems)
        preset = draw.choice(training.presets(system))
        values = {"system": system, **training.preset_values(system, preset)}
        if kind == "override":
            name = draw.choice([".".join(map(str, place)) for place in damage.leaves(values)] + ["", ".", "a..b"])
            word = f"{name}={draw.choice((*payloads.YAML, *damage.TEXTS))}"
            return lambda: training.load_config(system, preset, [word])
        path = str(site.write("a.yaml", _values(draw, values)))
        return lambda: training.load_config(system, path)
    if kind == "search":
        values = load_search(draw.choice(search_presets())).model_dump(mode="json")
        path = str(site.write("a.yaml", _values(draw, values)))
        return lambda: load_search(path)
    if kind == "flow":
        path = str(site.write("a.yaml", _values(draw, training.preset_values("flow", "paper"))))
        return lambda: training.load_flow_config(path)
    file = site.write("a.yaml", _values(draw, {"port": 0, "priors": ["a"], "warm": ["a"], "batch": 1, "queue": 9}))
    return lambda: validated(ServeConfig, file_values(file))


def run_folder(draw: random.Random, site: Site) -> Give:
    """A run folder whose config.yaml or about.json is damaged."""
    from relumen.export.from_run import Credits, describe
    from relumen.restore import open_model
    from relumen.run import RunFolder, kind_of
    from relumen.training.config import parse_config

    run = RunFolder(site.copy(corpus.run(site.kept), "run"))
    if draw.random() < 0.5:
        run.config_file.write_bytes(_values(draw, run.config()))
    else:
        run.about_file.write_bytes(_json(draw, json.loads(run.about_file.read_text())))
    way = draw.randrange(4)

    def give() -> None:
        opened = RunFolder.open(run.path)
        if way == 0:
            kind_of(opened.config())
            parse_config(opened.config())
        elif way == 1:
            describe(opened.about(), opened.config(), "a name", Credits())
        elif way == 2:
            with open_model(run.path) as restorer:
                restorer.plan(100, 100)
        else:
            opened.about()

    return give


# Networks


def pickle(draw: random.Random, site: Site) -> Give:
    """A checkpoint that is imported."""
    from relumen.prior.checkpoints import import_checkpoint
    from relumen.prior.folder import write_imported

    name, data = _base(draw, site, "*.p[kt]*")
    way = draw.random()
    if way < 0.2:
        data = payloads.hostile_pickle(draw)
    elif way < 0.65 and name.endswith(".pkl"):
        data = payloads.other_instructions(draw, data)
    elif name == "new.pt" and way < 0.8:
        members = damage.read_members(data)
        at = [i for i, (info, _) in enumerate(members) if info.filename.endswith("data.pkl")][0]
        inside = payloads.hostile_pickle(draw) if way < 0.5 else payloads.other_instructions(draw, members[at][1])
        members[at] = (members[at][0], inside)
        data = damage.write_members(members, 0)
    elif name == "new.pt" and way < 0.9:
        data = damage.zipped(draw, data)
    else:
        data = damage.any_bytes(draw, data)
    path = site.write(name, data)

    def give() -> None:
        imported = import_checkpoint(path)
        write_imported(imported, path, site.new("prior"), command="relumen prior import", stains=())

    return give


def keras(draw: random.Random, site: Site) -> Give:
    """A .keras file, as a run's network, a package's weights, or a prior's flow."""
    from relumen.prior.folder import Prior
    from relumen.run import RunFolder
    from relumen.runners import runner

    of = draw.choice(("run", "weights", "prior", "flow"))
    folder = site.copy({"run": corpus.run, "weights": corpus.package}.get(of, corpus.prior)(site.kept), "folder")
    path = folder / ("flow.keras" if of == "flow" else "model.keras")
    data, way = path.read_bytes(), draw.random()
    if way < 0.35:
        data = payloads.keras_file(draw, data)
    elif way < 0.75:
        members = damage.read_members(data)
        at = draw.randrange(len(members))
        info, content = members[at]
        if info.filename.endswith(".json"):
            content = _json(draw, json.loads(content))
        else:
            content = payloads.hdf5(draw, content) if draw.random() < 0.4 else damage.any_bytes(draw, content)
        members[at] = (info, content)
        data = damage.write_members(members, draw.choice((0, 8)))
    else:
        data = damage.zipped(draw, data)
    path.write_bytes(data)

    def give() -> None:
        if of == "run":
            RunFolder.open(folder).network()
        elif of == "weights":
            runner("keras_v3", path, input_id="input", output_id="output")
        elif of == "flow":
            Prior.open(folder).flow  # noqa: B018  is loaded
        else:
            Prior.open(folder).generator  # noqa: B018  is loaded

    return give


def saved_model(draw: random.Random, site: Site) -> Give:
    """A SavedModel in a zip."""
    from relumen.runners import runner

    if draw.random() < 0.25:
        path = draw.choice(sorted((stock(site.kept) / "evil").glob("*.zip")))
        file, runs = site.write("a.zip", path.read_bytes()), True
    else:
        data = (corpus.package(site.kept) / "saved_model.zip").read_bytes()
        members, way, runs = damage.read_members(data), draw.random(), False
        at = [i for i, (info, _) in enumerate(members) if info.filename == "saved_model.pb"][0]
        if way < 0.5:
            members[at] = (members[at][0], payloads.saved_model_bytes(draw, members[at][1]))
            data = damage.write_members(members)
        elif way < 0.8:
            members[at] = (members[at][0], damage.any_bytes(draw, members[at][1]))
            data = damage.write_members(members)
        else:
            data = damage.zipped(draw, data)
        file = site.write("a.zip", data)

    def give() -> None:
        run = runner("tensorflow_saved_model_bundle", file, input_id="input", output_id="output")
        if runs:
            run(np.ones((1, 32, 32, 1), np.float32))

    return give


def onnx(draw: random.Random, site: Site) -> Give:
    """An ONNX file."""
    from relumen.runners import runner

    data = (corpus.package(site.kept) / "model.onnx").read_bytes()
    change = payloads.onnx_file if draw.random() < 0.6 else damage.any_bytes
    path = site.write("model.onnx", change(draw, data))

    return lambda: runner("onnx", path, input_id="input", output_id="output")


def prior(draw: random.Random, site: Site) -> Give:
    """A prior's folder with damaged texts."""
    from relumen.prior.folder import Prior

    folder = site.copy(corpus.prior(site.kept), "prior")
    path = folder / draw.choice(("about.json", "flow.json"))
    path.write_bytes(_json(draw, json.loads(path.read_text())))

    def give() -> None:
        opened = Prior.open(folder)
        opened.about_flow  # noqa: B018  is read

    return give


# Commands


def command(draw: random.Random, site: Site) -> Give:
    """A command with one of all these: it ends with 0, 1 or 2, and no traceback."""
    from relumen.cli import main

    words, make = draw.choice(
        (
            (["restore", "{}", "-m", "esrgan-widefield", "-o", str(site.new("a.tif"))], _image),
            (["data", "check", "{}"], _image_folder),
            (["data", "describe", "{}"], _image_folder),
            (["prior", "import", "{}", "-o", str(site.new("p"))], lambda d, s: _after(pickle, d, s, "*.p*")),
            (["restore", str(corpus.images(site.kept)), "-m", "{}", "-o", str(site.new("r"))],
             lambda d, s: _after(package_zip, d, s, "*.zip")),
            (["export", "{}", "-o", str(site.new("e"))], lambda d, s: _after(run_folder, d, s, "run")),
            (["train", "esrgan", "--resume", "{}"], lambda d, s: _after(run_folder, d, s, "run")),
            (["search", "{}", "--prior", "prior-cells", "--factor", "16", "--set", "iterations=1",
              "-o", str(site.new("s"))], _image),
        )
    )  # fmt: skip
    path = str(make(draw, site))

    def give() -> None:
        sys.argv = ["relumen", *(word.replace("{}", path) for word in words)]
        try:
            main()
        except SystemExit as end:
            if end.code not in (None, 0, 1, 2):
                raise FaultError(f"the command ended with {end.code!r}") from end

    return give


def _image_folder(draw: random.Random, site: Site) -> Path:
    _image(draw, site)
    return site.watch.input


def _after(entry: Callable[[random.Random, Site], Give], draw: random.Random, site: Site, pattern: str) -> Path:
    entry(draw, site)
    return next(site.watch.input.glob(pattern))


# HTTP


def http(draw: random.Random, site: Site) -> Give:
    """A request to the server, by its ASGI interface."""
    return site.http.request(draw, lambda: _body(draw, site))


def connection(draw: random.Random, site: Site) -> Give:
    """Bytes that are no request, or half of one, over a socket."""
    return site.http.raw(draw, lambda: _body(draw, site))


def _body(draw: random.Random, site: Site) -> bytes:
    if draw.random() < 0.2:
        return draw.choice((b"", draw.randbytes(500), bytes(1 << 20), np.ones((3, 8, 8), "<f4").tobytes()))
    _, data = _base(draw, site, "*.tif")
    return damage.tiff(draw, data) if draw.random() < 0.9 else data


@dataclass(frozen=True)
class Entry:
    """Where a kind of input enters.

    Attributes:
        make: makes one, and gives what has relumen take it.
        share: of a thousand inputs.
    """

    make: Callable[[random.Random, Site], Give]
    share: int


ENTRIES = {
    "image": Entry(read_image, 250),
    "image that is restored": Entry(restore, 70),
    "OME-Zarr": Entry(ome_zarr, 50),
    "training images": Entry(training_data, 40),
    "zip": Entry(unpack, 90),
    "rdf.yaml": Entry(rdf, 110),
    "package as zip": Entry(package_zip, 40),
    "configuration": Entry(config, 80),
    "run folder": Entry(run_folder, 50),
    "pickle": Entry(pickle, 85),
    "prior's folder": Entry(prior, 15),
    "Keras file": Entry(keras, 30),
    "SavedModel": Entry(saved_model, 20),
    "ONNX": Entry(onnx, 20),
    "command line": Entry(command, 10),
    "HTTP request": Entry(http, 100),
    "HTTP connection": Entry(connection, 20),
}
"""All that were thought of."""
