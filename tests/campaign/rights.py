"""What an ordinary user may not read, or not write: every command, with files of other rights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.pipeline.verify import verify
from tests.campaign.calls import commands, copy, judge, make
from tests.campaign.children import Children, children
from tests.campaign.disks import IS_POSSIBLE as IS_POSSIBLE
from tests.campaign.disks import NEEDS as NEEDS
from tests.campaign.outcome import Outcome

FULL, NOTHING, READ = 0o755, 0o000, 0o555


@contextmanager
def _tried(folder: Path) -> Iterator[tuple[Path, Path, Children]]:
    """Yield a folder with a study, a copy of it that stays as it is, and what runs commands."""
    at, whole = folder / "at", folder / "whole"
    make(at)
    copy(at, whole)
    with children(folder, at) as run:
        yield at, whole, run


def no_permission(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Files and folders that the user may not read, or not write, of a study and beside it."""
    outcome, met = Outcome(), Counter[str]()
    with _tried(folder) as (at, whole, run):
        words = commands(at)
        for number in range(n):
            copy(whole, at)
            name = list(words)[number % len(words)]
            inside = sorted(path for path in at.rglob("*") if not path.is_symlink())
            one = inside[int(rng.integers(len(inside)))]
            if number % 4 == 0:
                one = at / "study"
            if number % 4 == 2:
                one = at / "out"
            rights = NOTHING if rng.random() < 0.5 else READ
            one.chmod(rights)
            done = run(words[name], how="ordinary")
            one.chmod(FULL)
            outcome.tried += 1
            met[f"{rights:03o}"] += 1
            judge(outcome, done, f"{name}: {one.relative_to(at)} has {rights:03o}")
            again = run(words[name])
            if (again["code"] and done["code"]) or verify(at / "study"):
                outcome.lost += 1
                outcome.examples.append(f"{name}: {one.relative_to(at)} {again['said'][-300:]}")
    outcome.note = ", ".join(f"rights {rights} {count}" for rights, count in met.items())
    return outcome
