"""Run commands in this process, as a user would type them, and look at what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.cli import main
from core.store import Study, open_study
from tests.data.pictures import picture

SMALL = ("--encoder", "timm:resnet10t", "--input-size", "32", "--resize", "32")
# In its folder, but no part of a study.
OUTSIDE = {"progress.json", "log.txt", "result.json", "speed.json", ".lock"}
QUICK = ("--device", "cpu", "--workers", "0", "--lr", "0.1", "--epsilon", "1.5")


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line about what went wrong; nothing may follow it, and no traceback."""
        assert self.code == 2, f"exit code {self.code}\n{self.err}"
        lines = self.err.splitlines()
        assert lines[-1].startswith("error: ") and "Traceback" not in self.err, self.err
        assert sum(line.startswith("error:") for line in lines) == 1, self.err
        return lines[-1].removeprefix("error: ")


Command = Callable[..., Said]


def runner(capsys: Any) -> Command:
    def run(*words: object) -> Said:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Said(code, *capsys.readouterr())

    return run


def analyzed(run: Command, study: Path, images: object, *words: object) -> Study:
    """The study that `analyze` makes of `images` with the small encoder, checked to have worked."""
    said = run("analyze", study, "--images", images, *SMALL, *QUICK, *words)
    assert said.code == 0, said.err
    return open_study(study)


def info_of(run: Command, study: Path) -> dict[str, Any]:
    """`info --json`; a NaN in it would be no JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(run("info", study, "--json").out, parse_constant=refuse)


def photos(folder: Path, counts: Mapping[str, int], *, size: tuple[int, int] = (12, 10)) -> Path:
    """Small pictures of classes: `{"cat": 3}` -> cat/0.png …; the class "" is a flat folder."""
    seed = 0
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / label / f"{number}.png").write_bytes(picture(seed, size=size))
            seed += 1
    return folder


def contents(study: Path) -> dict[str, bytes]:
    """Every file of a study but those that say when and how it was made."""
    files = (path for path in sorted(study.rglob("*")) if path.is_file() and path.name not in OUTSIDE)
    return {str(path.relative_to(study)): path.read_bytes() for path in files}


def sharp_representations(n_rows: int, n_classes: int, n_features: int = 32) -> np.ndarray:
    """(n_rows, n_features) float32: row i fires the features of class i % n_classes, and few others."""
    rng = np.random.default_rng(0)
    raw = rng.gamma(0.1, 0.05, (n_rows, n_features)).astype(np.float32)
    block = n_features // (2 * n_classes)
    for row in range(n_rows):
        own = (row % n_classes) * block
        raw[row, own : own + block] += 1 + rng.random(block, np.float32)
    return raw


def write_given(folder: Path) -> tuple[str, ...]:
    """Words that make a study of 40 sharp representations of 2 classes, quickly and without pictures."""
    np.save(folder / "raw.npy", sharp_representations(40, 2))
    rows = [f"{row},{'cat' if row % 2 else 'dog'}" for row in range(40)]
    (folder / "rows.csv").write_text("\n".join(["image_id,label", *rows]) + "\n")
    return ("--images", str(folder / "rows.csv"), "--representations", str(folder / "raw.npy"), *QUICK)
