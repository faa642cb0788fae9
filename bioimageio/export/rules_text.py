"""Rules about what a package says of itself: format, names, people, licence, card."""

from __future__ import annotations

import re
from collections.abc import Iterator

from relumen.rdf import short

from .rule import Content, Rule, as_list, dig

_NEWEST = (0, 5, 10)  # from 0.5.11 on, documentation and covers are maps, which JDLL cannot cast
_LINK = re.compile(r"https?://\S+|doi\.org/\S+", re.IGNORECASE)


def _format_version(content: Content) -> Iterator[str]:
    version = content.at("format_version")
    if not isinstance(version, str) or not re.fullmatch(r"\d{1,4}\.\d{1,4}\.\d{1,4}", version):
        yield f"format_version is {short(version)}. Write three numbers as text, such as format_version: 0.5.10."
        return
    parts = tuple(int(part) for part in version.split("."))
    if parts[:2] != _NEWEST[:2] or parts > _NEWEST:
        yield f"format_version is {version}, and JDLL reads 0.5 up to 0.5.10. Write format_version: 0.5.10."


def _plain_strings(content: Content) -> Iterator[str]:
    documentation, covers = content.at("documentation"), content.at("covers")
    if not isinstance(documentation, str):
        yield f"documentation is {short(documentation)}, and JDLL dies on it. Write documentation: README.md."
    if not isinstance(covers, list) or not all(isinstance(cover, str) for cover in covers):
        yield f"covers is {short(covers)}, and JDLL dies on it. Write a list of names: covers: [cover.png]."


def _no_id(content: Content) -> Iterator[str]:
    if "id" in content.rdf:
        yield (
            f"id is {short(content.rdf['id'])}: the zoo gives the id, and JDLL takes it for the model's name. "
            "Leave it out and set config.bioimageio.nickname."
        )


def _nickname(content: Content) -> Iterator[str]:
    nickname = content.at("config", "bioimageio", "nickname")
    if not isinstance(nickname, str) or not nickname.strip():
        yield (
            f"config.bioimageio.nickname is {short(nickname)}, and JDLL ends in a null pointer without it. "
            "Write a short name there, such as brave-otter."
        )


def _tiling(content: Content) -> Iterator[str]:
    config = content.at("config")
    if not isinstance(config, dict) or config.get("deepimagej") is None:
        return
    ours = config["deepimagej"]
    if dig(ours, "allow_tiling") is not True:
        yield (
            f"config.deepimagej is there with allow_tiling {short(dig(ours, 'allow_tiling'))}, and every run fails. "
            "Write allow_tiling: true, or leave config.deepimagej out."
        )
    if dig(ours, "pyramidal_model") not in (None, False):
        yield "config.deepimagej.pyramidal_model is set, and JDLL then tiles without halo. Leave it out."


def _name(content: Content) -> Iterator[str]:
    for field, example in (("name", "Nuclei x2"), ("description", "Doubles the resolution of DAPI images")):
        value = content.at(field)
        if not isinstance(value, str) or not value.strip():
            yield f"{field} is {short(value)}. Write a few words, such as {field}: {example}."


def _people(content: Content) -> Iterator[str]:
    for field, key in (("authors", "name"), ("maintainers", "github_user")):
        people = content.at(field)
        named = [person for person in as_list(people) if isinstance(dig(person, key), str) and dig(person, key)]
        if not named or len(named) < len(as_list(people)):
            yield f"{field} is {short(people)}. List at least one person, each with {key}."
    if not isinstance(content.at("uploader", "email"), str):
        yield f"uploader is {short(content.at('uploader'))}. Write uploader with the email that the zoo may write to."


def _citation(content: Content) -> Iterator[str]:
    cites = content.at("cite")
    good = [
        cite
        for cite in as_list(cites)
        if isinstance(dig(cite, "text"), str) and any(isinstance(dig(cite, key), str) for key in ("doi", "url"))
    ]
    if not good or len(good) < len(as_list(cites)):
        yield f"cite is {short(cites)}. List what to cite, each with text and doi or url."


def _licence(content: Content) -> Iterator[str]:
    licence = content.at("license")
    if not isinstance(licence, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        yield f"license is {short(licence)}. Write an SPDX name, such as license: CC-BY-4.0."


def _tags(content: Content) -> Iterator[str]:
    tags = content.at("tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or "deepimagej" not in tags:
        yield f"tags is {short(tags)}. List words for the search, deepimagej among them."


def _git_repo(content: Content) -> Iterator[str]:
    address = content.at("git_repo")
    if not isinstance(address, str) or not re.fullmatch(r"https?://\S+", address):
        yield f"git_repo is {short(address)}. Write the address of the code that made the model."


def _card(content: Content) -> Iterator[str]:
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
    Rule("format version", "JDLL reads this format version", _format_version),
    Rule("plain strings", "documentation and covers are plain names", _plain_strings),
    Rule("no id", "The id is left to the zoo", _no_id),
    Rule("nickname", "config.bioimageio.nickname is set", _nickname),
    Rule("tiling", "DeepImageJ may tile", _tiling),
    Rule("name", "Name and description are there", _name),
    Rule("people", "Authors, maintainers and uploader are named", _people),
    Rule("citation", "It says what to cite", _citation),
    Rule("license", "The licence has an SPDX name", _licence),
    Rule("tags", "The tags name deepimagej", _tags),
    Rule("git repo", "The code's address is there", _git_repo),
    Rule("card", "The card has a Validation heading and tells the training data", _card),
)
