"""Networks of strangers: how they are damaged, and how relumen loads and runs them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import corpus
import damage
import damage_zip
import numpy as np
import payloads_graphs
import payloads_keras
import payloads_pickle
from damage_values import changed_json
from sandbox import Give, Site
from whole_files import stock

from relumen.errors import UserError

_TILE = np.ones((1, 16, 16, 1), np.float32)


def pickle(draw: random.Random, site: Site) -> Give:
    """A checkpoint that is imported."""
    from relumen.prior.checkpoints import import_checkpoint
    from relumen.prior.folder import write_imported

    name, data = site.whole(draw, "*.p[kt]*")
    way = draw.random()
    if way < 0.2:
        data = payloads_pickle.hostile_pickle(draw)
    elif way < 0.65 and name.endswith(".pkl"):
        data = payloads_pickle.other_instructions(draw, data)
    elif name == "new.pt" and way < 0.8:
        members = damage_zip.read_members(data)
        at = [i for i, (info, _) in enumerate(members) if info.filename.endswith("data.pkl")][0]
        inside = (
            payloads_pickle.hostile_pickle(draw)
            if way < 0.5
            else payloads_pickle.other_instructions(draw, members[at][1])
        )
        members[at] = (members[at][0], inside)
        data = damage_zip.write_members(members, 0)
    elif name == "new.pt" and way < 0.9:
        data = damage_zip.zipped(draw, data)
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
    path.write_bytes(_damaged_keras(draw, path.read_bytes()))

    def give() -> None:
        if of == "run":
            network = RunFolder.open(folder).network()
            _run(lambda tiles: network.predict_on_batch(tiles))
        elif of == "weights":
            runner("keras_v3", path, input_id="input", output_id="output")(_TILE)
        elif of == "flow":
            Prior.open(folder).flow  # noqa: B018  is loaded
        else:
            Prior.open(folder).generator  # noqa: B018  is loaded

    return give


def keras_export(draw: random.Random, site: Site) -> Give:
    """A .keras file that is to be exported."""
    from relumen.export.keras_file import load_keras

    data = (corpus.package(site.kept) / "model.keras").read_bytes()
    path = site.write("network.keras", _damaged_keras(draw, data))

    def give() -> None:
        network = load_keras(path)
        _run(lambda tiles: network.predict_on_batch(tiles))

    return give


def _run(network: Callable[[np.ndarray], object]) -> None:
    """Runs a Keras network on a tile: it may raise what Keras raises, and is to do no more than compute."""
    try:
        network(_TILE)
    except Exception as error:  # of any engine
        raise UserError(f"The network can't be run: {error}") from error


def _damaged_keras(draw: random.Random, data: bytes) -> bytes:
    """The file with other layers, other members, or damaged as a zip."""
    way = draw.random()
    if way < 0.35:
        data = payloads_keras.keras_file(draw, data)
    elif way < 0.75:
        members = damage_zip.read_members(data)
        at = draw.randrange(len(members))
        info, content = members[at]
        if info.filename.endswith(".json"):
            content = changed_json(draw, json.loads(content))
        else:
            content = payloads_keras.hdf5(draw, content) if draw.random() < 0.4 else damage.any_bytes(draw, content)
        members[at] = (info, content)
        data = damage_zip.write_members(members, draw.choice((0, 8)))
    else:
        data = damage_zip.zipped(draw, data)
    return data


def saved_model(draw: random.Random, site: Site) -> Give:
    """A SavedModel in a zip."""
    from relumen.runners import runner

    if draw.random() < 0.25:
        path = draw.choice(sorted((stock(site.kept) / "evil").glob("*.zip")))
        file = site.write("a.zip", path.read_bytes())
    else:
        data = (corpus.package(site.kept) / "saved_model.zip").read_bytes()
        members, way = damage_zip.read_members(data), draw.random()
        at = [i for i, (info, _) in enumerate(members) if info.filename == "saved_model.pb"][0]
        if way < 0.5:
            members[at] = (members[at][0], payloads_graphs.saved_model_bytes(draw, members[at][1]))
            data = damage_zip.write_members(members)
        elif way < 0.8:
            members[at] = (members[at][0], damage.any_bytes(draw, members[at][1]))
            data = damage_zip.write_members(members)
        else:
            data = damage_zip.zipped(draw, data)
        file = site.write("a.zip", data)

    return lambda: runner("tensorflow_saved_model_bundle", file, input_id="input", output_id="output")(_TILE)


def onnx(draw: random.Random, site: Site) -> Give:
    """An ONNX file."""
    from relumen.runners import runner

    data = (corpus.package(site.kept) / "model.onnx").read_bytes()
    change = payloads_graphs.onnx_file if draw.random() < 0.6 else damage.any_bytes
    path = site.write("model.onnx", change(draw, data))

    return lambda: runner("onnx", path, input_id="input", output_id="output")(_TILE)


def prior(draw: random.Random, site: Site) -> Give:
    """A prior's folder with damaged texts."""
    from relumen.prior.folder import Prior

    folder = site.copy(corpus.prior(site.kept), "prior")
    path = folder / draw.choice(("about.json", "flow.json"))
    path.write_bytes(changed_json(draw, json.loads(path.read_text())))

    def give() -> None:
        opened = Prior.open(folder)
        opened.about_flow  # noqa: B018  is read

    return give
