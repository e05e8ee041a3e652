"""Faults of what is sent: files that are dropped."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import numpy as np

from core.errors import PeregrineError
from dashboard.jobs import dropped_images
from tests.campaign.outcome import Outcome

NAMES = (
    *(
        "{}.png",
        "a.png",
        "birds/{}.png",
        "../{}.png",
        "{}.exe",
        "/{}.png",
        ".{}.png",
        "a/b/{}.txt",
        "ü {}.png",
    ),
)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def drops(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Drops of up to 100,000 small files: all kept below one folder, or one line and nothing."""
    outcome, kept = Outcome(), 0
    with patch.dict(os.environ, {"PEREGRINE_STUDIES": str(folder / "studies")}):
        for number in range(n):
            n_files = 100_000 if number == 0 else int(10 ** rng.uniform(0, 3.8))
            names = [NAMES[int(place)] for place in rng.integers(len(NAMES), size=min(n_files, 3))]
            files = [(names[at % len(names)].format(at), PIXEL) for at in range(n_files)]
            outcome.tried += 1
            try:
                done = dropped_images.keep(files)
            except PeregrineError as error:
                outcome.said(f"error: {error}\n", f"{n_files} of {names}")
                continue
            kept += done.n
            inside = sum(path.is_file() for path in done.folder.rglob("*"))
            if inside != done.n + done.captions or done.n + done.captions + len(done.refused) > n_files:
                outcome.went_wrong(f"{n_files} of {names}: {done}")
    outside = [path for path in folder.rglob("*") if path.is_file() and "dropped" not in path.parts]
    outcome.wrong += len(outside)
    outcome.note = f"{kept:,} files kept"
    return outcome
