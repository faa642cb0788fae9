"""Packages of strangers, as zips and folders: how they are damaged, and how relumen takes them."""

from __future__ import annotations

import random
from pathlib import Path

import corpus
import damage
import damage_arrays
import damage_values
import damage_zip
import payloads
import yaml
from sandbox import FaultError, Give, Site


def unpack(draw: random.Random, site: Site) -> Give:
    """A zip that is unpacked."""
    from relumen.archive import unpack

    parts = {name: b"x" * 50 for name in ("rdf.yaml", "README.md", "sub/weights.bin")}
    archive = site.write("a.zip", damage_zip.zipped(draw, damage_zip.write(parts, 8)))

    def give() -> None:
        unpack(archive, site.new("a/b/target"))
        _only(site.watch.output, site.new("a/b/target"))

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
        tree = damage_values.values(draw, yaml.safe_load(text))
        data = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
    elif way < 0.8:
        data = payloads.yaml_bytes(draw, text)
    else:
        data = damage.any_bytes(draw, text.encode())
    file.write_bytes(data)
    if draw.random() < 0.2:
        (folder / "cover.png").write_bytes(damage_arrays.png(draw, (folder / "cover.png").read_bytes()))
        (folder / "test_input.npy").write_bytes(damage_arrays.npy(draw, (folder / "test_input.npy").read_bytes()))
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
    archive = site.write("a.zip", damage_zip.zipped(draw, damage_zip.write(parts, 8)))

    def give() -> None:
        with open_package(archive) as package:
            if not package.folder.resolve().is_relative_to(site.watch.temporary):
                raise FaultError(f"unpacked to {package.folder}")

    return give


def verify(draw: random.Random, site: Site) -> Give:
    """A package with one damaged file, verified as far as that needs no Java, and but for pictures of many tiles."""
    from relumen.export.verify import verify_package

    folder = site.copy(corpus.package(site.kept), "package")
    path = folder / draw.choice(("rdf.yaml", "model.onnx", "model.keras", "saved_model.zip", "test_input.npy"))
    data = path.read_bytes()
    if path.suffix == ".yaml":
        data = damage_values.changed_yaml(draw, yaml.safe_load(data))
    elif path.suffix == ".npy":
        data = damage_arrays.npy(draw, data)
    elif path.suffix == ".onnx":
        data = damage.any_bytes(draw, data)
    else:
        data = damage_zip.zipped(draw, data)
    path.write_bytes(data)

    return lambda: verify_package(folder, sizes=())
