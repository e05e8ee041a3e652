"""What changes under a command: its images, and the clock."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np

from core.common.command_line import PREFIX
from core.common.processes import host_name, process_started
from core.study.jobs import list_jobs, read_job
from core.study.progress import PROGRESS, write_record
from tests.campaign.calls import judge
from tests.campaign.children import CLOCK, children
from tests.campaign.disks import IS_POSSIBLE as IS_POSSIBLE
from tests.campaign.disks import NEEDS as NEEDS
from tests.campaign.outcome import Outcome
from tests.campaign.writing import command
from tests.command_line import SMALL, contents, write_given
from tests.data.pictures import picture

KINDS_OF_CHANGE = ("changed", "vanished", "appeared", "cut short")
YEAR = 365 * 86400
JUMPS = (3600, 86400, YEAR, 20 * YEAR, 2**31 - 1)  # seconds that the clock jumps
STATES: dict[str, dict[str, object]] = {  # of a job, and what its record says beside it
    "running": {},
    "interrupted": {"pid_started": "another process of this number"},
    "done": {"state": "done"},
}


def embedding(at: Path, study: str = "study") -> list[str]:
    """Embed the 40 small pictures."""
    images = ["--images", str(at / "photos")]
    return ["embed", str(at / study), *images, *SMALL, "--device", "cpu", "--workers", "0"]


def changing_images(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """A picture is changed, removed, added or cut while `embed` runs.

    The same command afterwards has to make what a new study of the pictures as they are then is.
    """
    outcome, met, at = Outcome(), Counter[str](), folder / "at"
    command(at, at / "study")
    shutil.copytree(at / "photos", folder / "photos")
    with children(folder, at) as run:
        run(embedding(at))  # the first loads what the next find in memory
        shutil.rmtree(at / "study")
        begin = time.monotonic()
        assert run(embedding(at))["code"] == 0
        seconds = time.monotonic() - begin
        for number in range(n):
            shutil.rmtree(at)
            shutil.copytree(folder / "photos", at / "photos")
            kind = KINDS_OF_CHANGE[number % len(KINDS_OF_CHANGE)]
            run.begin(embedding(at))
            time.sleep(float(rng.uniform(0, seconds)))
            _change(rng, kind, at / "photos" / "cat")
            done = run.end()
            outcome.tried += 1
            met[kind] += 1
            judge(outcome, done, kind)
            again, new = run(embedding(at)), run(embedding(at, "new"))
            if again["code"] or new["code"] or contents(at / "study") != contents(at / "new"):
                outcome.lost += 1
                outcome.examples.append(f"{kind}: {again['said'][-300:]}")
    outcome.note = ", ".join(f"{kind} {count}" for kind, count in met.items())
    return outcome


def _change(rng: np.random.Generator, kind: str, pictures: Path) -> None:
    one = pictures / f"{rng.integers(20)}.png"
    if kind == "vanished":
        one.unlink()
    elif kind == "cut short":
        os.truncate(one, 40)
    else:
        new = one if kind == "changed" else one.with_name("new.png")
        new.write_bytes(picture(int(rng.integers(100, 1000)), size=(12, 10)))


def jumping_clock(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """The clock jumps at a random look at it, by hours or years, while a study is made: it is the same."""
    outcome, at, met = Outcome(), folder / "at", Counter[str]()
    command(at, at / "study")
    study = at / "study"
    kinds = {"embed": embedding(at), "analyze": ["analyze", str(study), *write_given(at)]}
    with children(folder, at) as run:
        expected, looks = {}, {}
        for name, words in kinds.items():
            done = run(words)
            assert done["code"] == 0, done["said"]
            expected[name], looks[name] = contents(study), done["looks"]
            shutil.rmtree(study)
        for number in range(n):
            name = list(kinds)[number % len(kinds)]
            seconds = int(rng.choice(JUMPS) * rng.choice((-1, 1)))
            look = int(rng.integers(looks[name])) + 1
            done = run(kinds[name], CLOCK, look, seconds)
            outcome.tried += 1
            met["forward" if seconds > 0 else "back"] += 1
            what = f"{name}: {seconds} s at look {look} of {looks[name]}"
            judge(outcome, done, what)
            if done["code"] or contents(study) != expected[name]:
                outcome.lost += 1
                outcome.examples.append(f"{what}: {done['said'][-300:]}")
            shutil.rmtree(study)
    outcome.note = ", ".join(f"{kind} {count}" for kind, count in met.items())
    return outcome


def clock_of_jobs(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """The clock jumps between the last word of a job and a look at it: only what runs reads as running."""
    outcome, met, job = Outcome(), Counter[str](), folder / "job"
    job.mkdir()
    started = process_started(os.getpid())
    for _ in range(n):
        seconds = int(rng.choice(JUMPS) * rng.choice((-1, 1)))
        state = str(rng.choice(list(STATES)))
        about = {"pid": os.getpid(), "pid_started": started, "host": host_name()} | STATES[state]
        written = {"command": [*PREFIX, "analyze", "x"], "state": "running", "updated": time.time() - seconds}
        write_record(job / PROGRESS, written | about)
        outcome.tried += 1
        met[state] += 1
        found = read_job(job)
        if found is None or found.state != state or [one.state for one in list_jobs(folder)] != [state]:
            outcome.went_wrong(f"{state} {seconds} s ago reads {found and found.state}")
    outcome.note = ", ".join(f"{kind} {count}" for kind, count in met.items())
    return outcome
