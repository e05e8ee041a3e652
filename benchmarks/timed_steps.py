"""Processor seconds of each step of an analysis: `python timed_steps.py STUDY OPTIONS.json`, of any version.

Run as a file with PYTHONPATH at the root of a checkout, whose code is measured. Prints {step: seconds}.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.pipeline.run import analyze
from core.study.progress import Progress


def spent() -> float:
    """Processor seconds of this process, and of those that it has started and that have ended."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def main(study: str, options: str) -> None:
    seconds: dict[str, float] = {}
    usual = Progress.step

    @contextmanager
    def timed(self: Any, name: str) -> Iterator[None]:
        began = spent()
        with usual(self, name):
            yield
        seconds[name] = spent() - began

    Progress.step = timed  # type: ignore[method-assign]
    analyze(study, json.loads(Path(options).read_text()), Progress.silent())
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
