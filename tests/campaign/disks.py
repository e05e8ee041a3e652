"""Faults of disks, by a library between a command and the system (`faults.c`): read-only, a quota, reads that
fail or are slow, and the power that goes.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from core.errors import PeregrineError
from core.measures.saved_slices_file import texts
from core.measures.slice import Slice
from core.study.traces import read_traces
from tests.browser.harness import PATIENCE, dashboard
from tests.campaign.outcome import Outcome
from tests.campaign.reading import whole_study
from tests.campaign.writing import begun, command, compare, ended, expected_of
from tests.command_line import contents
from tests.dashboard.server.test_server import ask
from tests.study.flips import read_all
from tests.synthetic import make_study

IS_POSSIBLE = sys.platform == "linux" and shutil.which("cc") is not None
NEEDS = "Linux and a C compiler"
SOURCE = Path(__file__).with_name("faults.c")
READ = """
import sys
from pathlib import Path
from tests.study.flips import read_all
print(read_all(Path(sys.argv[1])))
"""
OLDER = 20
SAVE = f"""
import sys
from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import open_study
from core.study import trace_changes
study = open_study(sys.argv[1])
ids = sorted(study.images["image_id"])
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    at = min(number, {OLDER})
    changes.set_note(study, ids[at], str(number))
    saved_slices.save(study.path, f"slice {{at:02d}}", Slice(fires=(number,)), overwrite=True)
    print(number, flush=True)
"""
PATHS = ("/", "/thumb/demo/0", "/image/demo/1", "/overlay/demo/0?features=1", "/table/demo/images.csv")


def faulty(folder: Path, under: Path, **faults: object) -> dict[str, str]:
    """Variables that make a command meet faults below a folder; there must be a C compiler."""
    library = folder / "faults.so"
    if not library.exists():
        build = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(build, check=True)
    named = {f"FAULTS_{name.upper()}": str(value) for name, value in faults.items()}
    return {"LD_PRELOAD": str(library), "FAULTS_UNDER": str(under), **named}


def read_only(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Commands on a study of a read-only disk; then all of it is read there, and served."""
    expected, _ = expected_of(folder)
    outcome, study = Outcome(), folder / "whole"
    core = [sys.executable, "-m", "core"]
    kinds = (
        [*command(folder, study), "--epsilon", "1.25"],
        [*core, "features", str(study), "--redo"],
        [*core, "embed", str(study), "--redo"],
        [*core, "resume", str(study)],
    )
    variables = faulty(folder, study, read_only=1)
    for number in range(n):
        words = kinds[number % len(kinds)]
        said, what = ended(words, variables), " ".join(words[3:4])
        outcome.tried += 1
        outcome.said(said, what) if said else outcome.went_wrong(f"{what} was not refused")
        if contents(study) != expected:
            outcome.lost += 1
    _read_there(outcome, study, variables, complaints=read_all(study))
    served = folder / "served"
    served.mkdir()
    shutil.move(whole_study(folder), served / "demo")
    with dashboard(served, patience=PATIENCE, port=None, **faulty(folder, served, read_only=1)) as url:
        for path in PATHS:
            outcome.tried += 1
            if (status := ask(url, path).status) != 200:
                outcome.went_wrong(f"{path}: {status}")
    outcome.note = "writers refused; readers and the dashboard see nothing of it"
    return outcome


def _read_there(outcome: Outcome, study: Path, variables: dict[str, str], complaints: int | None) -> None:
    """Read all of a study as pages do, and count an exception, or another number of complaints, as wrong."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(study)], capture_output=True, text=True, check=False,
        cwd=SOURCE.parents[2], env=os.environ | variables,
    )  # fmt: skip
    outcome.tried += 1
    if done.returncode or (complaints is not None and int(done.stdout) != complaints):
        outcome.went_wrong(f"reading: {done.stdout[-100:]} {done.stderr[-300:]}")
    elif int(done.stdout):
        outcome.refused += 1


def quotas(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """No room after a random number of bytes in all; then the same command with room."""
    expected, _ = expected_of(folder)
    total, outcome = sum(map(len, expected.values())), Outcome()
    for number in range(n):
        study, room = folder / "study", int(rng.integers(64, 2 * total))
        shutil.rmtree(study, ignore_errors=True)
        study.mkdir()
        full = (errno.EDQUOT, errno.ENOSPC)[number % 2]
        words = command(folder, study)
        said = ended(words, faulty(folder, study, room=room, full=full))
        outcome.tried += 1
        if said:
            outcome.said(said, f"room for {room} bytes")
        compare(outcome, study, expected, words, f"room for {room} bytes")
    outcome.note = f"64 to {2 * total:,} bytes, EDQUOT and ENOSPC in turn"
    return outcome


def failing_reads(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Every Nth read fails once: of the pictures, and of the study, by a writer and by what pages read."""
    expected, _ = expected_of(folder)
    outcome, finished = Outcome(), whole_study(folder)
    for number in range(n):
        study, each = folder / "study", int(rng.integers(16, 400))
        where = (folder / "photos", study, finished)[number % 3]
        variables = faulty(folder, where, read_error=each)
        if where == finished:
            _read_there(outcome, finished, variables, complaints=None)
            continue
        shutil.rmtree(study, ignore_errors=True)
        words = command(folder, study)
        said, what = ended(words, variables), f"read {each} of {where.name}"
        outcome.tried += 1
        if said:
            outcome.said(said, what)
        compare(outcome, study, expected, words, what)
    outcome.note = "one read in 16 to 400: of pictures, of the study by a writer, by readers"
    return outcome


def slow_reads(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Every read takes milliseconds, as on a busy network; the command is killed, and run again."""
    expected, seconds = expected_of(folder)
    outcome, study = Outcome(), folder / "study"
    for _ in range(n):
        shutil.rmtree(study, ignore_errors=True)
        slow = int(rng.integers(1000, 20_000))
        words, variables = command(folder, study), faulty(folder, folder / "photos", slow_us=slow)
        process = begun(words, variables)
        time.sleep(float(rng.uniform(0, 2 * seconds)))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        outcome.tried += 1
        if said := ended(words, variables):
            outcome.lost += 1
            outcome.examples.append(said[-300:])
        compare(outcome, study, expected, words, f"{slow} microseconds a read")
    return outcome


def power(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """The power goes at a random moment, and what was not synced is lost (see `lose_unsynced`)."""
    expected, seconds = expected_of(folder)
    outcome, lost = Outcome(), 0
    for _ in range(n):
        study, log, kept = folder / "study", folder / "log", folder / "kept"
        for one in (study, kept):
            shutil.rmtree(one, ignore_errors=True)
        log.unlink(missing_ok=True)
        study.mkdir()
        kept.mkdir()
        words = command(folder, study)
        process = begun(words, faulty(folder, study, log=log, kept=kept))
        time.sleep(float(rng.uniform(0.3, 1) * seconds))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        lost += lose_unsynced(rng, log) if log.exists() else 0
        outcome.tried += 1
        compare(outcome, study, expected, words, f"power cut {outcome.tried}")
    outcome.note = f"{lost} contents and names that were not synced were lost"
    return outcome


def power_words(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """The power goes while notes and slices are saved: none that was said to be saved may be lost."""
    whole, study, log, kept, said = (folder / name for name in ("whole", "study", "log", "kept", "said"))
    make_study(whole, pictures=False)
    outcome, lost = Outcome(), 0
    assert not ended([sys.executable, "-c", SAVE, str(whole), "0", str(OLDER)])
    for _ in range(n):
        for one in (study, kept):
            shutil.rmtree(one, ignore_errors=True)
        log.unlink(missing_ok=True)
        kept.mkdir()
        shutil.copytree(whole, study)
        words = [sys.executable, "-c", SAVE, str(study), str(OLDER), "1000000"]
        with open(said, "w") as file:
            process = begun(words, faulty(folder, study, log=log, kept=kept), stdout=file)
        while not said.stat().st_size:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        lost += lose_unsynced(rng, log)
        outcome.tried += 1
        _look_for(outcome, study, last=int(said.read_text().split("\n")[-2]))
    outcome.note = (
        f"{OLDER} notes and {OLDER} slices before; {lost} contents and names that were not synced were lost"
    )
    return outcome


def _look_for(outcome: Outcome, study: Path, last: int) -> None:
    """Count a cut as lost unless the older notes and slices are there, and what was saved last."""
    try:
        notes = [int(one.note) for _, one in sorted(read_traces(study).images.items())]
        slices = [Slice.parse(text).fires[0] for _, text in sorted(texts(study).items())]
    except PeregrineError as error:
        outcome.lost += 1
        outcome.examples.append(str(error))
        return
    for kind, found in (("notes", notes), ("slices", slices)):
        if found[:-1] != list(range(OLDER)) or found[-1] < last:
            outcome.lost += 1
            outcome.examples.append(f"{kind}: {found}, {last} was saved")
            return


def lose_unsynced(rng: np.random.Generator, log: Path) -> int:
    """Undo what a disk may lose by the log of `faults.c`; return how many contents and names were undone.

    Contents that were written and not synced become empty. Of the files made, renamed and removed in a folder
    since it was synced, a random number of the last are undone, in each folder on its own.
    """
    dirty: set[str] = set()
    names: dict[str, list[list[str]]] = defaultdict(list)  # by folder: what was done to names, in order
    for text in log.read_text().splitlines():
        what, first, second, third = text.split("\t")
        if what in "CW":
            dirty.add(first)
        if what == "S":
            dirty.discard(first)
            names.pop(first, None)
        elif what == "R":
            dirty.discard(second)
            if first in dirty:
                dirty.remove(first)
                dirty.add(second)
        elif what == "U":
            dirty.discard(first)
        if what in "CRUM":
            names[os.path.dirname(second if what == "R" else first)].append([what, first, second, third])
    n_lost = 0
    for path in sorted(dirty):
        if os.path.isfile(path):
            os.truncate(path, 0)
            n_lost += 1
    for done in names.values():
        for what, first, second, third in reversed(done[int(rng.integers(len(done) + 1)) :]):
            _undo(what, first, second, third)
            n_lost += 1
    return n_lost


def _undo(what: str, first: str, second: str, third: str) -> None:
    """Undo one line of the log: a file made, a rename (with what it replaced), a removal, a folder made."""
    if what == "M":
        shutil.rmtree(first, ignore_errors=True)
    elif what == "C" and os.path.isfile(first):
        os.unlink(first)
    elif what == "R" and os.path.isfile(second):
        os.replace(second, first)
    path, before = (second, third) if what == "R" else (first, second)
    if before and os.path.isdir(os.path.dirname(path)):
        os.replace(before, path)
