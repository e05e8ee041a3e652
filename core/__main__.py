"""`python -m core …`, installed as `peregrine …`."""

import os
import sys

from core.cli import main
from core.common.memory import collect_rarely, keep_freed_memory, leave_the_rest
from core.common.threads import settle_threads


def run() -> int:
    """Run one command of `python -m core`; modules of the working directory are importable, too, last."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    collect_rarely()
    keep_freed_memory()
    settle_threads()
    code = main()
    leave_the_rest()
    return code


if __name__ == "__main__":
    sys.exit(run())
