"""Rules about what a package says of itself: format, names, people, licence, card."""

from __future__ import annotations

import re
from collections.abc import Iterator

from relumen.rdf import short

from .rule import Content, Fault, Rule, as_list, dig, older_format

_NEWEST = (0, 5, 10)  # from 0.5.11 on, documentation and covers are maps, which JDLL cannot cast
_LINK = re.compile(r"https?://\S+|doi\.org/\S+", re.IGNORECASE)


def _format_version(content: Content) -> Iterator[str | Fault]:
    version = content.at("format_version")
    if not isinstance(version, str) or not re.fullmatch(r"\d{1,4}\.\d{1,4}\.\d{1,4}", version):
        yield Fault(
            f"format_version is {short(version)}. Write three numbers as text, such as format_version: 0.5.10.",
            "format_version: 0.5.10",
        )
        return
    parts = tuple(int(part) for part in version.split("."))
    if older_format(content):
        yield Fault(
            f"format_version is {version}. Fiji reads this older format too, but the zoo takes new models in 0.5, and "
            "relumen checks 0.5 alone. Convert it with 'bioimageio update-format' of bioimageio.core, which writes "
            "the newest 0.5, and verify the result: what Fiji can't read of that is told then.",
            matters="zoo",
        )
    elif parts[:2] != _NEWEST[:2] or parts > _NEWEST:
        yield Fault(
            f"format_version is {version}, and JDLL, which reads packages in Fiji, knows 0.5 up to 0.5.10. Write "
            "format_version: 0.5.10, with documentation and covers as plain names.",
            "format_version: 0.5.10",
        )


def _plain_strings(content: Content) -> Iterator[str | Fault]:
    documentation, covers = content.at("documentation"), content.at("covers")
    if documentation is None:
        yield Fault(
            "documentation is missing: nothing tells what the model does. Write a README.md and name it.",
            "documentation: README.md",
            "zoo",
        )
    elif not isinstance(documentation, str):
        name = _source(documentation) or "README.md"
        yield Fault(
            f"documentation is {short(documentation)}, and JDLL dies on it. Write documentation: {name}.",
            f"documentation: {name}",
        )
    if covers is not None and (not isinstance(covers, list) or not all(isinstance(cover, str) for cover in covers)):
        names = [name for name in map(_source, as_list(covers)) if name] or ["cover.png"]
        yield Fault(
            f"covers is {short(covers)}, and JDLL dies on it. Write a list of names: covers: [{', '.join(names)}].",
            "\n".join(["covers:", *(f"- {name}" for name in names)]),
        )


def _source(entry: object) -> str | None:
    """The file's name in a map with source and sha256, as formats from 0.5.11 on have it."""
    name = dig(entry, "source")
    return name if isinstance(name, str) else None


def _no_id(content: Content) -> Iterator[str | Fault]:
    if "id" in content.rdf:
        name = content.rdf["id"]
        yield Fault(
            f"id is {short(name)}: the zoo gives the id, and refuses a new model that has one; JDLL takes it for the "
            "model's name. Leave it out and set config.bioimageio.nickname.",
            _nickname_lines(name),
            "zoo" if isinstance(name, str) else "fiji",
        )


def _nickname(content: Content) -> Iterator[str | Fault]:
    nickname = content.at("config", "bioimageio", "nickname")
    if nickname is None and isinstance(content.at("id"), str):
        return  # JDLL takes the id instead; that it should not be there is told by the rule about it
    if not isinstance(nickname, str) or not nickname.strip():
        yield Fault(
            f"config.bioimageio.nickname is {short(nickname)}, and JDLL ends in a null pointer without it. "
            "Write a short name there, such as brave-otter.",
            _nickname_lines(content.at("name")),
        )


def _nickname_lines(name: object) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-") if isinstance(name, str) else ""
    return f"config:\n  bioimageio:\n    nickname: {words[:60] or 'brave-otter'}"


def _tiling(content: Content) -> Iterator[str | Fault]:
    config = content.at("config")
    if not isinstance(config, dict) or config.get("deepimagej") is None:
        return
    ours = config["deepimagej"]
    if dig(ours, "allow_tiling") is not True:
        yield Fault(
            f"config.deepimagej is there with allow_tiling {short(dig(ours, 'allow_tiling'))}, and every run fails. "
            "Write allow_tiling: true, or leave config.deepimagej out.",
            "config:\n  deepimagej:\n    allow_tiling: true",
        )
    if dig(ours, "pyramidal_model") not in (None, False):
        yield "config.deepimagej.pyramidal_model is set, and JDLL then tiles without halo. Leave it out."


def _name(content: Content) -> Iterator[str | Fault]:
    for field, example in (("name", "Nuclei x2"), ("description", "Doubles the resolution of DAPI images")):
        value = content.at(field)
        if not isinstance(value, str) or not value.strip():
            yield f"{field} is {short(value)}. Write a few words, such as {field}: {example}."


def _people(content: Content) -> Iterator[str | Fault]:
    for field, key in (("authors", "name"), ("maintainers", "github_user")):
        people = content.at(field)
        named = [person for person in as_list(people) if isinstance(dig(person, key), str) and dig(person, key)]
        if not named or len(named) < len(as_list(people)):
            example = "- name: Ada Lovelace" + ("\n  github_user: ada" if field == "maintainers" else "")
            yield Fault(
                f"{field} is {short(people)}. List at least one person, each with {key}.", f"{field}:\n{example}"
            )
    if not isinstance(content.at("uploader", "email"), str):
        yield Fault(
            f"uploader is {short(content.at('uploader'))}. Write uploader with the email that the zoo may write to.",
            "uploader:\n  email: ada@example.org",
            "better",
        )


def _citation(content: Content) -> Iterator[str | Fault]:
    cites = content.at("cite")
    good = [
        cite
        for cite in as_list(cites)
        if isinstance(dig(cite, "text"), str) and any(isinstance(dig(cite, key), str) for key in ("doi", "url"))
    ]
    if not good or len(good) < len(as_list(cites)):
        yield Fault(
            f"cite is {short(cites)}. List what to cite, each with text and doi or url.",
            "cite:\n- text: Lovelace, Notes on images of cells, 2024\n  doi: 10.1000/182",
        )


def _licence(content: Content) -> Iterator[str | Fault]:
    licence = content.at("license")
    if not isinstance(licence, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        yield Fault(
            f"license is {short(licence)}. Write an SPDX name, such as license: CC-BY-4.0.", "license: CC-BY-4.0"
        )


def _tags(content: Content) -> Iterator[str | Fault]:
    tags = content.at("tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or "deepimagej" not in tags:
        yield f"tags is {short(tags)}. List words for the search, deepimagej among them."


def _git_repo(content: Content) -> Iterator[str | Fault]:
    address = content.at("git_repo")
    if not isinstance(address, str) or not re.fullmatch(r"https?://\S+", address):
        yield Fault(
            f"git_repo is {short(address)}. Write the address of the code that made the model.",
            "git_repo: https://github.com/ada/cells",
        )


def _card(content: Content) -> Iterator[str | Fault]:
    named = content.at("documentation")
    if not isinstance(named, str):
        return  # told by the rule about plain strings
    path, wrong = content.find(named, "documentation")
    if path is None:
        yield wrong
        return
    text = path.read_bytes()[: 1 << 20].decode("utf-8", errors="replace")
    if not re.search(r"^#{1,6}[^\n]*\bvalidation\b", text, re.IGNORECASE | re.MULTILINE):
        yield f"{named} has no heading with the word Validation. Add one, with figures of images not trained on."
    section = re.search(r"^#{1,6}[^\n]*\btraining data\b[^#]*", text, re.IGNORECASE | re.MULTILINE)
    if not isinstance(content.at("training_data"), dict) and not (section and _LINK.search(section.group())):
        yield (
            "Nothing tells where the training data are. Set training_data, or add a heading Training data with a link "
            f"to {named}."
        )


TEXT_RULES = (
    Rule("format version", "JDLL reads this format version", _format_version, fields=("format_version",)),
    Rule(
        "plain strings",
        "documentation and covers are plain names",
        _plain_strings,
        fields=("documentation",),
        blocked=older_format,
    ),
    Rule("no id", "The id is left to the zoo", _no_id, fields=("id",)),
    Rule("nickname", "config.bioimageio.nickname is set", _nickname),
    Rule("tiling", "DeepImageJ may tile", _tiling),
    Rule("name", "Name and description are there", _name, "zoo", ("name", "description")),
    Rule("people", "Authors, maintainers and uploader are named", _people, "zoo", ("authors", "maintainers")),
    Rule("citation", "It says what to cite", _citation, "zoo", ("cite",)),
    Rule("license", "The licence has an SPDX name", _licence, "zoo", ("license",)),
    Rule("tags", "The tags name deepimagej", _tags, "better"),
    Rule("git repo", "The code's address is there", _git_repo, "better"),
    Rule("card", "The card has a Validation heading and tells the training data", _card, "better"),
)
