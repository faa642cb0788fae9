"""relumen serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from relumen.cli.progress import say


def serve(
    config: Annotated[
        Path | None, typer.Option(help="A YAML file of the settings; options given here count more.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where jobs and results are kept. [default: ~/.local/state/relumen/server]"),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address; one for other machines needs a token. [default: 127.0.0.1]"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: any that is free. [default: 8765]")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="A file with the secret that clients must know. [default: the variable RELUMEN_TOKEN]"),
    ] = None,
    prior: Annotated[
        list[Path] | None, typer.Option(help="A prior to serve beside the shipped ones; again for each.")
    ] = None,
    warm: Annotated[
        list[str] | None, typer.Option(help="A prior, by its name, to compile at the start; again for each.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Windows that are searched at once. [default: by the device]")
    ] = None,
    queue: Annotated[int | None, typer.Option(help="Jobs that may wait. [default: 100]")] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Of an uploaded image. [default: 512 MiB]")] = None,
    max_pixels: Annotated[int | None, typer.Option(help="Of an uploaded image, all planes. [default: 64 Mi]")] = None,
    max_result_pixels: Annotated[int | None, typer.Option(help="Of a search's result. [default: 1024 Mi]")] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Of a search. [default: 20000]")] = None,
    max_solutions: Annotated[int | None, typer.Option(help="Of a search. [default: 64]")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Of the work on one job. [default: 12 hours]")] = None,
    expire_s: Annotated[float | None, typer.Option(help="How long results are kept. [default: 7 days]")] = None,
    drain_s: Annotated[float | None, typer.Option(help="How long a stop may wait for jobs. [default: 30]")] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Search in processes of Ray, on this machine or many.")] = False,
    replicas: Annotated[int | None, typer.Option(min=1, help="How many, with --ray. [default: 2]")] = None,
) -> None:
    """Serves searches and restorations over HTTP, for Fiji and for programs. All results are synthesised.

    No accepted job is lost, also when the server is killed and started again. The interface is described at /docs.

    Example: relumen serve --port 8765 --prior runs/my-prior
    """
    from relumen.allocator import share_one_heap
    from relumen.device import describe_device

    share_one_heap()
    say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.configs import file_values, validated
    from relumen.imagej_bridge.server.config import ServeConfig, read_token
    from relumen.imagej_bridge.server.serve import serve as serve_until_stopped
    from relumen.imagej_bridge.server.work import make_worker

    given: dict[str, Any] = {
        "folder": folder,
        "host": host,
        "port": port,
        "token": read_token(token_file),
        "priors": prior,
        "warm": warm,
        "batch": batch,
        "queue": queue,
        "max_bytes": max_bytes,
        "max_pixels": max_pixels,
        "max_result_pixels": max_result_pixels,
        "max_iterations": max_iterations,
        "max_solutions": max_solutions,
        "max_seconds": max_seconds,
        "expire_s": expire_s,
        "drain_s": drain_s,
        "replicas": (replicas or 2) if ray else None,
    }
    said = {name: value for name, value in given.items() if value is not None}
    settings = validated(ServeConfig, {**(file_values(config) if config else {}), **said})
    serve_until_stopped(settings, make_worker, say)
