"""What the zoo's own libraries, bioimageio.spec and bioimageio.core, say of a package, without the network.

The zoo's library checks the format, and warns in three degrees: "alert" where a field is missing without which a model
is not findable, citable and reusable (what it calls FAIR), "warning", and "info". An alert counts here as refused: a
reviewer sends such a model back.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import get_ident
from typing import Any
from unittest.mock import patch

from relumen.package import WEIGHTS_FORMATS
from relumen.rdf import RDF_NAME

from .report import Check, Matter
from .rule import Content, RuleResult
from .rules_files import named_files

REFUSED = "zoo format"
"""How the checks begin that the zoo's library refuses the format for."""
_ALERT, _ERROR = 35, 50
_MOST_WORDS = 300
_NEEDS = {"torchscript": "PyTorch", "pytorch_state_dict": "PyTorch", "keras_hdf5": "an older Keras"}
_EXPLAINED = {
    "name": "Name the model in 5 to 64 letters, digits, spaces and _ + - ( ), so that people find it.",
    "description": "Say in one or two sentences, up to 512 characters, what the model does.",
    "documentation": "Write a README.md with a heading Validation: how good the model is on images not trained on.",
    "authors": "List who made the model, at least one of them or of maintainers with a github_user.",
    "maintainers": "List who answers questions, each with a github_user.",
    "cite": "List what to cite, each with a text, and a doi or a url.",
    "license": "Name the licence as SPDX does, such as CC-BY-4.0 or MIT.",
    "tags": "Add words that people search for, such as the task, the modality and 2d.",
    "covers": "Add a picture, twice as wide as high or square, below 500 KB.",
    "git_repo": "Give the address of the code that made the model.",
    "version": "Give the model's version as three numbers, such as 0.1.0.",
    "icon": "Use one or two emoji, or a picture file of the package.",
    "uploader": "Give the e-mail address that the zoo may write to.",
    "training_data": "Name the data set by its id in the zoo, or describe it.",
    "run_mode": "Leave run_mode out: few programs know any.",
    "format_version": "Write format_version: 0.5.10, the newest that Fiji reads.",
    "timestamp": "Write the date and time as 2024-12-31T12:00:00.",
    "attachments": "Name files of the package, each with its SHA-256.",
    "test_tensor": "Save one real image as the network takes it, and the network's answer, as float32 .npy files.",
    "sample_tensor": "Save an image and the answer to it as TIFF, for people to try.",
    "weights": "Only the weights of the training have no parent. For each other format name the one it was made from.",
}


def format_checks(content: Content, rules: Sequence[RuleResult]) -> Iterator[Check]:
    """The zoo's own check of the format, with every error and every warning in plain words.

    Args:
        content: the package.
        rules: what relumen's rules said; what one of them told already is not told again.
    """
    name = REFUSED
    missing = _missing(content)
    if missing:
        yield Check(name, "skipped", f"It reads every file that rdf.yaml names. {missing}", matters="zoo")
        return
    try:
        with _offline(content.rdf) as known:
            entries = _read(content.folder, known)
    # The library reads whatever the file holds, and odd content makes it fail in odd ways.
    except Exception as error:
        yield Check(name, "failed", f"bioimageio.spec fails on rdf.yaml: {_shortened(str(error))}", matters="zoo")
        return
    told = {field for rule in rules if rule.status in ("failed", "advice") for field in rule.fields}
    seen: set[str] = set()
    for place, message, severity in entries:
        field = next((part for part in reversed(place) if part in _EXPLAINED), place[0] if place else "")
        where = ".".join(place) or "rdf.yaml"
        if where in seen or (field in told and len(place) <= 3):
            continue
        seen.add(where)
        said = f"{_EXPLAINED.get(field, 'Write it as the format asks.')} The zoo's words: {_shortened(message)}"
        matters: Matter = "better" if severity < _ALERT else "zoo"
        kind = REFUSED if severity > _ALERT else "zoo warning"
        yield Check(f"{kind}: {where}", "failed" if matters == "zoo" else "advice", said, matters=matters)
    if not entries:
        yield Check(name, "passed", "bioimageio.spec accepts it without any warning", matters="zoo")


def core_checks(content: Content, refused: bool) -> Iterator[Check]:
    """bioimageio.core's own test, for each format of the weights.

    Args:
        content: the package.
        refused: the format was refused, so nothing can be tested.
    """
    weights = content.at("weights")
    for form in weights if isinstance(weights, dict) else ():
        name = f"bioimageio test, {form}"
        if not isinstance(form, str) or not isinstance(weights[form], dict):
            continue  # told by the rule about weights
        missing = _missing(content)
        if form not in WEIGHTS_FORMATS:
            why = (
                f"relumen does not install {_NEEDS.get(form, 'what runs ' + form)}. Where it is installed, run "
                f"'bioimageio test PACKAGE --weight-format {form}'."
            )
        elif refused:
            why = "The zoo refuses the format. Mend that first."
        else:
            why = missing
        if why:
            yield Check(name, "skipped", why, matters="zoo")
            continue
        try:
            with _offline(content.rdf) as known:
                faults = _test(content.folder, form, known)
        # What someone else's network does is not foreseen.
        except Exception as error:
            faults = [_shortened(str(error))]
        if faults:
            yield Check(name, "failed", "; ".join(faults), matters="zoo")
        else:
            yield Check(name, "passed", "The zoo's test passes", matters="zoo")


def _missing(content: Content) -> str:
    """Why the files can't be read here, or nothing: the libraries would look for them in the network."""
    wrong = [message for where, entry, _ in named_files(content) for path, message in [content.find(entry, where)]
             if path is None]  # fmt: skip
    return f"A file is not there: {wrong[0]}" if wrong else ""


def _read(folder: Path, known: dict[str, None]) -> list[tuple[tuple[str, ...], str, int]]:
    """Place, message and severity of all that bioimageio.spec has to say; several faults of a place come together."""
    import bioimageio.spec

    with _quiet(), bioimageio.spec.ValidationContext(log_warnings=False, known_files=dict(known)):
        description = bioimageio.spec.load_description(
            (folder / RDF_NAME).resolve(), known_files=dict(known), perform_io_checks=True
        )
    entries: dict[tuple[str, ...], tuple[str, int]] = {}
    for detail in description.validation_summary.details:
        for entry in detail.errors:
            place = tuple(str(part) for part in entry.loc if _is_place(part))
            entries.setdefault(place, (entry.msg, _ERROR))
        for entry in detail.warnings:
            place = tuple(str(part) for part in entry.loc if _is_place(part))
            entries.setdefault(place, (entry.msg, entry.severity))
    return [(place, message, severity) for place, (message, severity) in entries.items()]


def _is_place(part: int | str) -> bool:
    """Whether a part of a place is one of the file's; the others name classes of the library."""
    return isinstance(part, int) or part.replace("_", "").isalnum()


def _test(folder: Path, form: str, known: dict[str, None]) -> list[str]:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # bioimageio.core would set torch, for child processes too
    import bioimageio.core
    import bioimageio.spec

    rdf_file = (folder / RDF_NAME).resolve()
    with (
        _quiet(),
        tempfile.TemporaryDirectory(prefix="relumen-zoo-test-") as scratch,
        contextlib.chdir(scratch),  # it unzips SavedModels into the current folder, and leaves them there
    ):
        model = bioimageio.spec.load_description(rdf_file, known_files=dict(known), perform_io_checks=True)
        tested = bioimageio.core.load_description_and_test(model, weight_format=form, devices=["cpu"])  # type: ignore[arg-type]
    summary = tested.validation_summary
    if summary.status == "passed":
        return []
    faults = [
        f"{'.'.join(map(str, entry.loc))}: {entry.msg}".strip(": ")
        for detail in summary.details
        for entry in detail.errors
    ]
    return faults or [summary.status]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library warns and draws progress bars; its findings are in its summary."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _offline(rdf: dict[str, Any]) -> Iterator[dict[str, None]]:
    """The library has no offline mode: what it would look up is told to it as known. Gives the known addresses.

    Where a field is wrong it begins anew, and has forgotten them; so no address is looked up in this thread meanwhile.
    """
    look_up, thread = socket.getaddrinfo, get_ident()

    def refuse(*asked: Any, **more: Any) -> Any:  # noqa: ANN401  as the library's own
        if get_ident() == thread:
            raise OSError(errno.ENETUNREACH, "no address is looked up while a package is checked")
        return look_up(*asked, **more)

    with known_addresses(rdf) as known, patch.object(socket, "getaddrinfo", refuse):
        yield known


@contextlib.contextmanager
def known_addresses(rdf: dict[str, Any]) -> Iterator[dict[str, None]]:
    """Tells the library that the people of an rdf are there, and gives its addresses for ``known_files``."""
    from bioimageio.spec._internal.constants import KNOWN_GITHUB_USERS

    addresses = {text.rstrip("/") for text in _texts(rdf) if text.startswith(("http://", "https://"))}
    users = {str(user).lower() for user in _texts(rdf, "github_user")} - KNOWN_GITHUB_USERS
    KNOWN_GITHUB_USERS.update(users)
    try:
        yield {form: None for address in addresses for form in (address, f"{address}/")}
    finally:
        KNOWN_GITHUB_USERS.difference_update(users)


def _texts(value: object, key: str | None = None) -> Iterator[str]:
    """Every text inside lists and maps, or those under one key."""
    if isinstance(value, dict):
        for name, part in value.items():
            if isinstance(part, str):
                if key in (None, name):
                    yield part
            else:
                yield from _texts(part, key)
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, str) and key is None:
                yield part
            else:
                yield from _texts(part, key)


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 3]}..."
