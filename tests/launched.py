"""torchrun's own agent, whose processes are forked from one that has imported all: each would load torch."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable

from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def launch(function: Callable[..., int | None], *arguments: object, max_restarts: int = 0) -> None:
    """Call a function in two processes, as `torchrun --standalone --nproc-per-node 2` starts them.

    Raises torch's ChildFailedError where one has failed more often than both may be started again.
    """
    config = LaunchConfig(
        1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="fork",
        max_restarts=max_restarts, monitor_interval=0.1,
    )  # fmt: skip
    elastic_launch(config, _and_end)(function, *arguments)


def _and_end(function: Callable[..., int | None], *arguments: object) -> None:
    code = function(*arguments)
    atexit._run_exitfuncs()  # a forked process ends without them
    if code:
        sys.exit(code)
