"""The guide builds as a site without a warning, forgets no public module, and quotes messages that exist."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from relumen.catalogue import catalogue

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]

# What no program should rest on: the command line, the server's inside, what a training or an evaluation is made of,
# and helpers. A new module goes into docs/reference/python/, or here.
INSIDE = re.compile(
    r"relumen$|relumen\.(cli|imagej_bridge\.(server\.(?!status$)|macros|program|transport)|imagej_bridge\.server$)"
    r"|relumen\.(allocator|archive|claims|device|divergence|doctor|jobs|jvm|keras_files|maven|ome_zarr\w*|onnx_claims|plain_yaml|quiet|rdf|reducing|saved_model_safety"
    r"|spool|storage|tables|tiff_claims|whole)$"
    r"|relumen\.(evaluation|export|models|models\.baselines|prior|training|training\.presets|search\.presets)$"
    r"|relumen\.prior\.(arrays|official_\w+|pickles|rosinality|torch_files)$"
    r"|relumen\.search\.(best|placing|report)$|relumen\.models\.(scales|stylegan2_layers)$"
    r"|relumen\.export\.(advice\w*|card|channels_last|cover|defects|engine_worker|foreign|keras_\w+|jdll_processing|macro|normalisation"
    r"|plain|rdf|rules_\w+|systems|target|tiles|weights|zoo\w*)$"
    r"|relumen\.training\.(adversary|augment|bbbc021|cascade|cell_\w+|cgan|cin_gan|crop\w*|csbdeep|cutter|cyclegan"
    r"|density|esrgan|features\w*|held_out|loop|one_phase|pix2pix|prior|prior_data|prior_flow|prior_transfer|replicas"
    r"|restoration|sensitivity|shipping|unpaired|w2s)$"
    r"|relumen\.evaluation\.(chatton|comparison|filters|gheisari_genovesio|han_yin|limited_(?!rows)\w+|panels"
    r"|razdaibiedina|rls_\w+|ship_prior|synthesis|tables|telling|zoom)$"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; Sphinx fails of a warning, such as a link or an anchor that leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-d",
        folder / "doctrees",
        DOCS,
        folder / "html",
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "html"


def test_every_page_is_there_and_shows_no_raw_directive(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert {page for page in pages if not (site / page).is_file()} == set()
    assert [page for page in site.rglob("*.html") if ":::{" in page.read_text(encoding="utf-8")] == []


def test_what_is_written_from_the_code_is_there(site: Path) -> None:
    models = (site / "models.html").read_text(encoding="utf-8")
    assert all(f'href="models/{entry.name}.html"' in models for entry in catalogue())
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "relumen train esrgan --data my-images/ --degrade" in re.sub(r"<[^>]+>", "", commands)
    values = (site / "reference" / "configuration.html").read_text(encoding="utf-8")
    assert "phase_2.losses.adversarial" in values and "PULSE" in values


def test_links_out_of_the_guide_lead_to_the_repository_and_pictures_come_along(site: Path) -> None:
    benchmarks = (site / "benchmarks.html").read_text(encoding="utf-8")
    assert "https://github.com/relumen/relumen/blob/main/benchmarks/restore_memory.md" in benchmarks
    pages = (page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    assert not [
        link for page in pages for link in re.findall(r'(?:href|src)="([^"]*\.\./(?:shipped|benchmarks)/[^"]*)"', page)
    ]


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r'\]\((?!https?:)([^)\s#]+)|src="(?!https?:)([^"]+)"', text)
    assert [link for pair in links for link in pair if link and not (ROOT / link).exists()] == []


def test_no_module_is_forgotten() -> None:
    shown = set()
    for page in (DOCS / "reference" / "python").glob("*.md"):
        shown |= set(re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8")))
    known = set(_modules())
    assert shown - known == set()
    assert {name for name in known - shown if not INSIDE.match(name)} == set()
    assert {name for name in shown if INSIDE.match(name)} == set()


def test_quoted_messages_are_those_of_the_code() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## DeepImageJ's own messages")[0]
    blocks = re.findall(r"^(> .+(?:\n> .+)*)", text, re.MULTILINE)
    quoted = [" ".join(line.removeprefix("> ") for line in block.splitlines()) for block in blocks]
    said = "\n".join(_said())
    assert len(quoted) > 40
    assert [message for message in quoted for part in message.split("…") if part.strip(" .,;:()") not in said] == []


def _modules() -> list[str]:
    return [
        f"{package}.{path.stem}".removesuffix(".__init__")
        for package in SETUPTOOLS["packages"]
        for path in _folder(package).glob("*.py")
    ]


def _folder(package: str) -> Path:
    """Where a package lies: its own folder, or one inside that of the package above."""
    if (folder := SETUPTOOLS["package-dir"].get(package)) is not None:
        return ROOT / folder
    above, _, name = package.rpartition(".")
    return _folder(above) / name


def _said() -> list[str]:
    """All texts of the code, each in one line, with … where a value stands."""
    texts = []
    for folder in {Path(folder).parts[0] for folder in SETUPTOOLS["package-dir"].values()}:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr | ast.Constant):
                    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                    words = (str(each.value) if isinstance(each, ast.Constant) else "…" for each in parts)
                    texts.append(" ".join("".join(words).split()))
        for path in [*(ROOT / folder).rglob("*.java"), *(ROOT / folder).rglob("*.ijm")]:
            joined = re.sub(r'"\s*\+\s*"', "", path.read_text(encoding="utf-8")).replace("\\n", " ").replace('\\"', '"')
            texts.append(" ".join(joined.split()))
    return texts
