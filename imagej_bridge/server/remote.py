"""Replicas of Ray Serve that search, on this machine or on a cluster's; the server in front keeps jobs and files.

A replica keeps nothing of a search (:class:`.Engine`): where one dies, the half second that it was at is done again by
another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from relumen.allocator import share_one_heap
from relumen.errors import CheckFailedError, UserError
from relumen.search.priors import Priors
from relumen.search.states import Search, SearchState

from .config import ServeConfig
from .engine import GPU_BATCH, Engine, Lane, Moment, Task

_NAME = "relumen"
_TRIES, _PAUSE_S = 20, 3.0  # Serve starts a new replica within seconds
_UNANSWERED_S = 1800.0  # compiling is part of the first answer

logger = logging.getLogger("relumen.server")


class Replica:
    """One process that searches; made by Serve.

    Args:
        priors: folders of priors beside the shipped ones; the same path on every machine.
        batch: searches at once.
        warm: what is compiled before the first search.
    """

    def __init__(self, priors: Sequence[Path], batch: int, warm: Sequence[Task]) -> None:
        share_one_heap()
        self._engine = Engine(Priors(priors), batch)
        for task in warm:
            self._engine.warm_up(task)

    async def advance(
        self, task: Task, searches: Sequence[Search], state: SearchState | None, seconds: float
    ) -> Moment:
        """See :meth:`.Lane.advance`; in a thread, so that Serve's questions after its health are answered."""
        return await asyncio.to_thread(self._engine.advance, task, searches, state, seconds)


class RemoteLane:
    """A lane whose searches are done by whichever replica is free.

    Args:
        handle: of the deployment.
        batch: searches at once.
        close: ends all replicas; may be called again.
    """

    def __init__(self, handle: Any, batch: int, close: Callable[[], None]) -> None:  # noqa: ANN401 (Ray's)
        self.batch = batch
        self.close = close
        self._handle = handle

    def advance(self, task: Task, searches: Sequence[Search], state: SearchState | None, seconds: float) -> Moment:
        """See :meth:`.Lane.advance`."""
        from ray.exceptions import RayError, RayTaskError

        for _ in range(_TRIES):
            try:
                return self._handle.advance.remote(task, searches, state, seconds).result(timeout_s=_UNANSWERED_S)
            except RayTaskError as error:  # raised by the search itself
                cause = error.cause
                raise (cause if isinstance(cause, Exception) else error) from None
            except RayError as error:
                logger.warning("A replica was lost (%s); its searches go on with another.", type(error).__name__)
                time.sleep(_PAUSE_S)
        raise CheckFailedError("The server lost its replicas, and no new ones came. Its log says more.")


def open_replicas(config: ServeConfig, warm: Sequence[Task]) -> list[Lane]:
    """Starts the replicas, and as many lanes.

    Ray is that of RAY_ADDRESS where the variable is set, and else of this machine, started for this server.

    Args:
        config: how many, and which priors.
        warm: what is compiled before the first search.

    Raises:
        CheckFailedError: Ray doesn't start.
    """
    import ray
    from ray import serve

    try:
        ray.init(
            address=os.environ.get("RAY_ADDRESS"),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
        gpus = ray.cluster_resources().get("GPU", 0)
        batch = config.batch or (GPU_BATCH if gpus else 1)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start(proxy_location="Disabled")  # nothing but this process speaks to them
        replica: Any = serve.deployment(Replica)  # whose annotation is of a function
        deployment = replica.options(
            num_replicas=config.replicas,
            max_ongoing_requests=1,
            ray_actor_options={"num_cpus": 1, "num_gpus": min(1.0, gpus / config.replicas)},
        )
        folders = [path.resolve() for path in config.priors]
        handle = serve.run(deployment.bind(folders, batch, list(warm)), name=_NAME, route_prefix=None)
    except Exception as error:
        raise CheckFailedError(f"Ray does not start its replicas ({type(error).__name__}: {error}).") from error

    @cache
    def close() -> None:
        serve.shutdown()
        ray.shutdown()

    return [RemoteLane(handle, batch, close) for _ in range(config.replicas)]


def check_ray() -> None:
    """Whether Ray is installed.

    Raises:
        UserError: it is not.
    """
    if find_spec("ray") is None:
        raise UserError("Ray is not installed. Run, in relumen's folder: pip install -c constraints.txt '.[ray]'")
