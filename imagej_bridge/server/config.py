"""What a server is started with."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from relumen.configs import Frozen
from relumen.errors import UserError

TOKEN_VARIABLE = "RELUMEN_TOKEN"
SHORTEST_TOKEN = 16
_MEBI = 1 << 20


def default_folder() -> Path:
    """Where a user's jobs are kept: in the folder that XDG_STATE_HOME names, or in ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state") / "relumen" / "server"


class ServeConfig(Frozen):
    """Where the server listens, what it keeps, and how much of everything it allows."""

    folder: Path = Field(default_factory=default_folder, description="Where jobs and their files are kept.")
    host: str = Field(
        default="127.0.0.1", description="Address to listen at; any but this machine's own needs a token."
    )
    port: int = Field(default=8765, ge=0, le=65535, description="Port to listen at; 0: any that is free.")
    token: SecretStr | None = Field(default=None, description="What clients must know; None: nothing.")
    max_bytes: int = Field(default=512 * _MEBI, ge=1, description="Of an uploaded image.")
    max_pixels: int = Field(default=64 * _MEBI, ge=1, description="Of an uploaded image, all planes together.")
    max_result_pixels: int = Field(default=1024 * _MEBI, ge=1, description="Of a search's result, all planes together.")
    max_iterations: int = Field(default=20_000, ge=1, description="Of a search.")
    max_solutions: int = Field(default=64, ge=1, description="Of a search.")
    max_seconds: float = Field(default=12 * 3600, gt=0, description="Of one job's work.")
    queue: int = Field(default=100, ge=1, description="Jobs that may wait.")
    expire_s: float = Field(default=7 * 86_400, gt=0, description="How long a result is kept, seconds.")
    min_free_bytes: int = Field(default=256 * _MEBI, ge=0, description="No job is accepted with less room on the disk.")
    upload_s: float = Field(default=60, gt=0, description="How long an upload may pause, seconds.")
    batch: int = Field(default=0, ge=0, description="Windows that are searched at once; 0: by the device.")
    preview_every: int = Field(default=10, ge=1, description="Iterations between two previews.")
    checkpoint_s: float = Field(default=10, gt=0, description="Seconds between two checkpoints of a job.")
    priors: tuple[Path, ...] = Field(default=(), description="Priors that are served beside the shipped ones.")
    warm: tuple[str, ...] = Field(default=(), description="Names of the priors that are compiled at the start.")
    drain_s: float = Field(default=30, gt=0, description="How long a stop may wait for running jobs, seconds.")
    replicas: int = Field(default=0, ge=0, description="Ray's processes that search; 0: no Ray, this process does.")

    @model_validator(mode="after")
    def _exposed_only_with_a_token(self) -> ServeConfig:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached from other machines, and there is no token. Write a secret of at least "
                f"{SHORTEST_TOKEN} characters into a file and name it with --token-file, or set {TOKEN_VARIABLE}; "
                "or listen at 127.0.0.1."
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is reached from this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_token(file: Path | None) -> str | None:
    """The token of a file, or else of the environment; None where there is neither.

    Raises:
        UserError: the file can't be read, or the token is short or can't stand in a header.
    """
    if file is None:
        token, source = os.environ.get(TOKEN_VARIABLE), f"the variable {TOKEN_VARIABLE}"
        if token is None:
            return None
    else:
        source = str(file)
        try:
            token = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The token's file {file} can't be read ({error}).") from error
    token = token.strip()
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise UserError(
            f"A token has at least {SHORTEST_TOKEN} letters, digits and signs, without spaces. That of {source} has "
            f"{len(token)} characters. Make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token
