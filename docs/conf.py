"""The guide as a site, by Sphinx: the Markdown pages of this folder, and what is written from the code itself.

Built by ``make docs``. See docs/development.md.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel
from sphinx.application import Sphinx

from relumen.quiet import import_tensorflow

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from cards import catalogue_markdown, write_cards  # noqa: E402
from commands import commands_markdown  # noqa: E402
from configuration import configuration_markdown  # noqa: E402
from links import ROOT, site_links  # noqa: E402

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_REPOSITORY = _PROJECT["urls"]["Repository"]
_WRITTEN = {
    "models": catalogue_markdown,
    "reference/commands": commands_markdown,
    "reference/configuration": configuration_markdown,
}

project = _PROJECT["name"]
release = version = _PROJECT["version"]
author = ", ".join(each["name"] for each in _PROJECT["authors"])
copyright = author  # noqa: A001  Sphinx's name

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_extensions"]
myst_enable_extensions = ["colon_fence", "html_image"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # tests run the notebooks; they come with what they showed

autodoc_default_options = {"exclude-members": "model_config, model_post_init"}  # pydantic's own
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
nitpicky = True
nitpick_ignore_regex = [
    (r"py:(class|obj|exc)", r"(?!relumen\.).*"),  # types of other libraries have no pages here
    (r"py:class", r"relumen\.(configs\.Validated|evaluation\.system\.C|training\.data\.T|imagej_bridge\.fiji\.Given)"),
]

html_theme = "furo"
html_title = f"{project} {release}"
html_theme_options = {"source_repository": _REPOSITORY, "source_branch": "main", "source_directory": "docs/"}
copybutton_exclude = ".linenos, .gp, .go"


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    """What a page says: its file, what is written from the code, and links that lead somewhere in the site."""
    text = source[0] + ("\n" + _WRITTEN[name]() if name in _WRITTEN else "")
    page = f"docs/{name}.md"
    source[0] = site_links(text, page, page, _REPOSITORY)


def _begin(app: Sphinx) -> None:
    """Writes the cards' pages, and imports what the Python reference shows.

    Before autodoc does: it changes the annotations of pydantic's BaseModel, from which further models can't be made.
    """
    write_cards(_REPOSITORY)
    import_tensorflow()
    for page in (ROOT / "docs" / "reference" / "python").glob("*.md"):
        for name in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8")):
            import_module(name)


def _sign(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, answer: str | None
) -> tuple[str, str | None] | None:
    """A configuration's arguments stand in the tables of presets and configurations, with what each means."""
    is_model = isinstance(thing, type) and issubclass(thing, BaseModel)
    return ("", None) if what == "class" and is_model else None


def _tell(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Napoleon takes what stands before a colon for the type of a value: an empty comment keeps a sentence whole."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> None:
    """Tells Sphinx what this site does beside reading pages."""
    app.connect("builder-inited", _begin)
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _tell, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", _sign)
