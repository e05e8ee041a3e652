"""Inputs that atheris makes, guided by which lines of core.data and others they reach; where it is installed.

Each reader has a process of its own, `python -m tests.campaign.fuzzing KIND SECONDS SEED FOLDER`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tests.campaign.outcome import Outcome

IS_POSSIBLE = importlib.util.find_spec("atheris") is not None
NEEDS = "the package atheris (pip install atheris)"
ROOMS = ("answers", "bases", "cli", "concepts", "config", "data", "encoders", "measures", "study", "training")
FOUND, BEGUN, KINDS = "outcome.json", "begun", "kinds.json"
LARGEST = 1 << 16  # bytes of an input
WRITE_EVERY = 16  # inputs; the library ends the process on its own


def fuzz(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """`n` seconds of each reader, as `reading.inputs` judges them."""
    outcome, counts = Outcome(), []
    kinds = _started(folder / "kinds", KINDS, "", 0, 0)
    for kind in json.loads(kinds.read_text()):
        seed = int(rng.integers(1, 2**31))
        own = Outcome(**json.loads(_started(folder / kind, FOUND, kind, n, seed).read_text()))
        if own.tried <= 1:
            outcome.went_wrong(f"{kind}: nothing but the whole file was tried")
        for name in ("tried", "refused", "wrong", "lines"):
            setattr(outcome, name, getattr(outcome, name) + getattr(own, name))
        outcome.examples += sorted(set(own.examples))
        counts.append(f"{kind} {own.tried:,}")
    outcome.note = ", ".join(counts)
    return outcome


def _started(folder: Path, result: str, *words: object) -> Path:
    """Run the process of a reader to its end; what it left, also where it was killed."""
    folder.mkdir()
    command = [sys.executable, "-m", __name__, *map(str, words), str(folder)]
    with open(folder / "log", "wb") as log:
        code = subprocess.run(
            command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"}
        ).returncode
    if code or not (folder / result).exists():
        text = (folder / "log").read_text(errors="replace")[-300:]
        outcome = Outcome(1, wrong=1, examples=[f"{' '.join(map(str, words))}: ended with {code}: {text}"])
        (folder / result).write_text(json.dumps(asdict(outcome)))
    return folder / result


def main() -> None:
    atheris = importlib.import_module("atheris")

    kind, seconds, seed, folder = sys.argv[1], *map(int, sys.argv[2:4]), Path(sys.argv[4])
    with atheris.instrument_imports(include=[f"core.{room}" for room in ROOMS]):
        from tests.campaign import reading
    readers = reading.readers(folder)
    if not kind:
        (folder / KINDS).write_text(json.dumps(list(readers)))
        return
    path, read = readers[kind]
    corpus, outcome = folder / "corpus", Outcome()
    corpus.mkdir()
    (corpus / "whole").write_bytes(path.read_bytes())

    def one(data: bytes) -> None:
        path.write_bytes(data)
        reading.judge(outcome, kind, path, read)
        if outcome.tried % WRITE_EVERY == 1 or outcome.wrong or outcome.lines:
            (folder / FOUND).write_text(json.dumps(asdict(outcome)))

    options = (f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LARGEST}", "-rss_limit_mb=0")
    atheris.Setup([sys.argv[0], *options, "-handle_alrm=0", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
