"""The calls by which models come to the zoo: its artifact manager, over plain HTTP.

The same calls as bioimageio.spec's upload() makes (create, put_file, PUT, edit), for two reasons not that function
itself: it writes rdf.yaml anew in the newest format, which Fiji can't read, and in version 0.5.12 it no longer fits the
zoo. Seen against the zoo's server software (hypha 0.21) on one machine: its files arrive wrapped in a web form's
envelope, and its last call, which asks for review, is refused with 403, since it says ``version: stage`` instead of
``stage: true``; the zoo's page by now looks for the status "in-review". Here the calls are as on the zoo's own page and
in its scripts: https://github.com/bioimage-io/bioimage.io, src/components/ApiDocs.tsx and public/skills, 2026-08.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from relumen.errors import CheckFailedError, UserError

if TYPE_CHECKING:
    import httpx

SERVER = "https://hypha.aicell.io"
TOKEN_VARIABLE = "BIOIMAGEIO_HYPHA_UPLOAD_TOKEN"
_SERVICE = "public/services/artifact-manager"
_TIMEOUT_S = 120.0
_WAITS_S = (1.0, 4.0)
"""Between tries of a call that may be made twice."""


class ZooClient:
    """The zoo's artifact manager, as the owner of a token.

    Args:
        server: its address.
        token: of the user's account; sent to this server alone, and part of no message.
        wait: sleeps so many seconds between tries.

    Raises:
        UserError: an address to which a token should not be sent.
    """

    def __init__(self, server: str, token: str, wait: Callable[[float], None] = time.sleep) -> None:
        import httpx

        if not re.match(r"https://[^/\s]|http://(localhost|127\.0\.0\.1)(:|/|$)", server):
            raise UserError(
                f"The server's address should begin with https://, to keep the token safe. Received: {server}"
            )
        self.server = server.rstrip("/")
        self._token = token
        self._wait = wait
        self._client = httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def create(self, **values: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
        """Makes a draft; made once, since a second try might make a second one.

        Raises:
            UserError: the token is not accepted.
            CheckFailedError: refused, or no answer.
        """
        return self._call("create", values, tries=1)

    def call(self, function: str, **values: Any) -> Any:  # noqa: ANN401  JSON
        """Any other call; it may be made twice. Errors as of :meth:`create`."""
        return self._call(function, values, tries=1 + len(_WAITS_S))

    def send(self, address: str, file: Path) -> None:
        """Sends a file's bytes to an address that put_file gave. Errors as of :meth:`create`."""

        def put() -> httpx.Response:
            with file.open("rb") as stream:  # opened anew for each try
                return self._client.put(address, content=stream, headers={"Content-Type": ""})

        self._answer(f"sending {file.name}", put, tries=1 + len(_WAITS_S))

    def _call(self, function: str, values: dict[str, Any], tries: int) -> Any:  # noqa: ANN401
        url = f"{self.server}/{_SERVICE}/{function}"
        headers = {"Authorization": f"Bearer {self._token}"}
        response = self._answer(function, lambda: self._client.post(url, json=values, headers=headers), tries)
        try:
            return response.json()
        except ValueError as error:
            raise CheckFailedError(f"The zoo's answer to {function} can't be read. Is {self.server} right?") from error

    def _answer(self, what: str, ask: Callable[[], httpx.Response], tries: int) -> httpx.Response:
        import httpx

        problem = ""
        for attempt in range(tries):
            if attempt:
                self._wait(_WAITS_S[attempt - 1])
            try:
                response = ask()
            except httpx.HTTPError as error:
                problem = f"The zoo can't be reached ({what}: {self._plain(str(error)) or type(error).__name__})."
                continue
            if response.status_code < 400:
                return response
            problem = f"The zoo refused {what} ({response.status_code}): {self._detail(response)}"
            if response.status_code == 401:
                raise UserError(
                    "The zoo does not accept the token (401). It may have run out: make a new one at "
                    f"https://bioimage.io/#/api?tab=hypha-rpc and set {TOKEN_VARIABLE}."
                )
            if response.status_code == 403:
                raise CheckFailedError(
                    f"{problem} The account may not do this. Log in at bioimage.io once, or ask there."
                )
            if response.status_code < 500 and response.status_code != 429:
                raise CheckFailedError(problem)
        raise CheckFailedError(f"{problem} Try again later.")

    def _detail(self, response: httpx.Response) -> str:
        try:
            said = response.json()
        except ValueError:
            said = response.text
        detail = said.get("detail", said) if isinstance(said, dict) else said
        return self._plain(str(detail)).removeprefix("RemoteException: ")[:300]

    def _plain(self, text: str) -> str:
        """A text of others without the token, should it be in it, nor the signature of an address."""
        return re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", text.replace(self._token, "..."))
