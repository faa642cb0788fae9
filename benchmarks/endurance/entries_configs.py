"""Configurations and run folders of strangers: how they are damaged, and how relumen takes them."""

from __future__ import annotations

import json
import random

import corpus
import damage
import damage_values
import payloads
from damage_values import changed_json, changed_yaml
from sandbox import Give, Site


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
            name = draw.choice(
                [".".join(map(str, place)) for place in damage_values.leaves(values)] + ["", ".", "a..b"]
            )
            word = f"{name}={draw.choice((*payloads.YAML, *damage.TEXTS))}"
            return lambda: training.load_config(system, preset, [word])
        path = str(site.write("a.yaml", changed_yaml(draw, values)))
        return lambda: training.load_config(system, path)
    if kind == "search":
        values = load_search(draw.choice(search_presets())).model_dump(mode="json")
        path = str(site.write("a.yaml", changed_yaml(draw, values)))
        return lambda: load_search(path)
    if kind == "flow":
        path = str(site.write("a.yaml", changed_yaml(draw, training.preset_values("flow", "paper"))))
        return lambda: training.load_flow_config(path)
    file = site.write("a.yaml", changed_yaml(draw, {"port": 0, "priors": ["a"], "warm": ["a"], "batch": 1, "queue": 9}))
    return lambda: validated(ServeConfig, file_values(file))


def run_folder(draw: random.Random, site: Site) -> Give:
    """A run folder whose config.yaml or about.json is damaged."""
    from relumen.export.from_run import Credits, describe
    from relumen.restore import open_model
    from relumen.run import RunFolder, kind_of
    from relumen.training.config import parse_config

    run = RunFolder(site.copy(corpus.run(site.kept), "run"))
    if draw.random() < 0.5:
        run.config_file.write_bytes(changed_yaml(draw, run.config()))
    else:
        run.about_file.write_bytes(changed_json(draw, json.loads(run.about_file.read_text())))
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
