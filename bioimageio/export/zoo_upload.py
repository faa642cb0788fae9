"""Brings a package to the zoo as a draft, and asks for its review."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relumen.errors import CheckFailedError, UserError
from relumen.rdf import RDF_NAME

from .zoo_client import SERVER, ZooClient
from .zoo_folder import ZooFiles

COLLECTION = "bioimage-io/bioimage.io"
DRAFT, IN_REVIEW, IN_REVISION = "draft", "in-review", "in-revision"
_REVIEWER_RIGHTS = ("rw", "rw+", "*")
_PAGE = "https://bioimage.io/#/upload?artifact_id={}&stage=true"


@dataclass(frozen=True)
class Uploaded:
    """What is at the zoo now.

    Attributes:
        artifact: its id there, such as bioimage-io/affable-shark.
        address: of its page.
        others: files of the draft that do not belong to the package.
        in_review: whether reviewers were asked.
    """

    artifact: str
    address: str
    others: tuple[str, ...]
    in_review: bool


def upload(
    files: ZooFiles,
    client: ZooClient,
    *,
    draft: str | None = None,
    review: bool = True,
    on_step: Callable[[str], None] = lambda said: None,
) -> Uploaded:
    """Sends a package's files as they are.

    Args:
        files: the package.
        client: the zoo.
        draft: of an earlier upload, to go on with; None makes a new one.
        review: whether to ask for review at the end.
        on_step: told each step.

    Raises:
        UserError: the rdf has an id, the token is not accepted, or the draft is no draft any more.
        CheckFailedError: the zoo refused something or can't be reached; where a draft was made, it says how to go on.
    """
    if "id" in files.rdf:
        raise UserError("rdf.yaml has an id, and the zoo gives new models their own. Leave it out.")
    manifest = _plain_values(files.rdf)
    if draft is None:
        artifact = _create(client, manifest)
        on_step(f"Draft made: {artifact}")
    else:
        artifact = _reopen(client, draft)
    try:
        client.call("edit", artifact_id=artifact, manifest=manifest | {"status": DRAFT}, stage=True)
        for name in files.names:
            on_step(f"Sending {name}")
            weight = 1 if name.endswith((".zip", ".onnx", ".keras", ".pt")) else 0  # what counts as a download
            address = client.call("put_file", artifact_id=artifact, file_path=name, download_weight=weight)
            client.send(str(address), files.folder / name)
        others = _check_arrived(client, artifact, files)
        if review:
            client.call("edit", artifact_id=artifact, manifest=manifest | {"status": IN_REVIEW}, stage=True)
    except (UserError, CheckFailedError, OSError) as error:
        raise CheckFailedError(
            f"{error} The draft {artifact} is at the zoo, and not whole. Nobody reviews it yet. To go on with it, run "
            f"the same command with --draft {artifact}."
        ) from error
    page = _PAGE.format(artifact) if client.server == SERVER else f"{client.server}/{artifact}"
    return Uploaded(artifact, page, others, review)


def _create(client: ZooClient, manifest: dict[str, Any]) -> str:
    collection = client.call("read", artifact_id=COLLECTION)
    rights = (collection.get("config") or {}).get("permissions") if isinstance(collection, dict) else None
    # The zoo's page does so too: rights are taken over when a draft is made, and at no later time.
    reviewers = {user: "rw+" for user, right in (rights or {}).items() if right in _REVIEWER_RIGHTS and user != "*"}
    answer = client.create(
        parent_id=COLLECTION,
        alias="{animal_adjective}-{animal}",
        type="model",
        manifest=manifest | {"status": DRAFT},
        config={"permissions": reviewers},
        stage=True,
    )
    artifact = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(artifact, str):
        raise CheckFailedError(f"The zoo made no draft; it answered {str(answer)[:200]}. Try again later.")
    return artifact


def _reopen(client: ZooClient, draft: str) -> str:
    artifact = draft if "/" in draft else f"{COLLECTION.split('/')[0]}/{draft}"
    found = client.call("read", artifact_id=artifact, stage=True)
    status = (found.get("manifest") or {}).get("status") if isinstance(found, dict) else None
    if status not in (None, DRAFT, IN_REVISION):
        raise UserError(
            f"{artifact} is {status} at the zoo, so it is not changed from here. Use its page at bioimage.io."
        )
    return artifact


def _check_arrived(client: ZooClient, artifact: str, files: ZooFiles) -> tuple[str, ...]:
    """Names of files of the draft that the package does not have.

    Raises:
        CheckFailedError: one of the package's files is not there, or has another size.
    """
    there = _listed(client, artifact, "")
    for name in files.names:
        size = (files.folder / name).stat().st_size
        if there.get(name) != size:
            raise CheckFailedError(f"{name} has {size} bytes here, and {there.get(name, 'no')} at the zoo.")
    return tuple(name for name in there if name not in files.names)


def _listed(client: ZooClient, artifact: str, folder: str) -> dict[str, int]:
    where = {"dir_path": folder.rstrip("/")} if folder else {}
    found: dict[str, int] = {}
    listed = client.call("list_files", artifact_id=artifact, stage=True, **where)
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and "name" in entry for entry in listed):
        raise CheckFailedError(f"The zoo doesn't tell which files arrived; it answered {str(listed)[:200]}.")
    for entry in listed:
        name = f"{folder}{entry['name']}"
        if entry.get("type") == "directory":
            found |= _listed(client, artifact, f"{name.rstrip('/')}/")
        else:
            found[name] = entry.get("size", -1)
    return found


def _plain_values(rdf: dict[str, Any]) -> dict[str, Any]:
    """The rdf's fields for the zoo's data base; the file itself is sent as it is.

    Raises:
        UserError: a value that JSON does not know.
    """
    try:
        return json.loads(json.dumps(rdf, default=lambda value: value.isoformat(), allow_nan=False))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{RDF_NAME} has a value that the zoo can't store: {error}.") from error
