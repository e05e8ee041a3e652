"""The promise of every step and training: a run that was killed, and is run again, ends with the same bytes.

A row for each step comes from `STEPS`, and one for each training from the table of methods. What only one of
them has (a log, a message, a refusal) is tested where it is made.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from core.analysis import representations
from core.cli import main
from core.store import open_study
from core.study.steps import STEPS
from core.training import files
from core.training.methods import METHODS
from core.training.trainer import train
from tests.command_line import contents
from tests.shared import made_once
from tests.synthetic import _make_seen_study

ON_ONE_CORE = ("--device", "cpu")
ONE_PROCESS = (*ON_ONE_CORE, "--workers", "0")
CHUNK_ROWS = 24  # three chunks of representations
CLIP = "asset:glyphworld"
CAPTIONS = ["a red disc", "a blue square", "a green ground", "a yellow disc on white", "a dark square"]
# What a step needs to be told beside the study; all others take the settings of the run before.
WORDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "concepts": lambda folder: (
        "--captions",
        str(folder / "captions.txt"),
        "--clip",
        CLIP,
        "--min-images",
        "2",
        "--k",
        "1.5",
        *ON_ONE_CORE,
    ),
    "search": lambda _: ("--clip", CLIP, *ONE_PROCESS),
    "domains": lambda _: ("--column", "label"),
    "embed": lambda _: ONE_PROCESS,
    "heatmaps": lambda _: ONE_PROCESS,
    "overlap": lambda _: ONE_PROCESS,
}
# The planted encoder has no classifier of its own; tests/answers/test_head.py interrupts one that has.
NOT_OF_THIS_STUDY = {"answers"}
RESUMED = [name for name in STEPS if name not in NOT_OF_THIS_STUDY]


class Killed(BaseException):
    """Nobody handles it, so that it leaves on disk what a kill does."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study in which every step has run once, and with a few captions beside it."""

    def make(at: Path) -> None:
        (at / "captions.txt").write_text("\n".join(CAPTIONS) + "\n", encoding="utf-8")
        study = _make_seen_study(
            at / "study", n_train=40, n_val=24
        )  # no copy, which keeps paths of the first
        for name in RESUMED:
            if open_study(study).state(name) != "done" or "skipped" in open_study(study).summary(name):
                assert main(words_of(name, study, at)) == 0, name

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        patch.setattr(representations, "CHUNK_ROWS", CHUNK_ROWS)
        return made_once(tmp_path_factory, "resumable", make)


def words_of(step: str, study: Path, folder: Path) -> list[str]:
    return [step, str(study), *WORDS.get(step, lambda _: ())(folder)]


@contextmanager
def killed_before_rename(number: int | None) -> Iterator[list[str]]:
    """Kill what runs inside before its nth file takes its name; gives the names that were taken."""
    taken: list[str] = []
    real = os.replace

    def replace(source: object, target: object, **options: object) -> None:
        if "progress.json" not in str(target):  # no part of the study
            taken.append(Path(str(target)).name)
        if len(taken) == number:
            raise Killed
        real(source, target, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace)
        yield taken


@pytest.mark.parametrize("step", RESUMED)
def test_a_killed_step__run_again_ends_with_the_same_bytes(
    folder: Path, step: str, tmp_path: Path, trusted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(representations, "CHUNK_ROWS", CHUNK_ROWS)
    whole, study = (shutil.copytree(folder / "study", tmp_path / name) for name in ("whole", "study"))
    with killed_before_rename(None) as taken:
        assert main([*words_of(step, whole, folder), "--redo"]) == 0
    assert contents(whole) == contents(folder / "study"), "another run gives other bytes"
    with killed_before_rename(len(taken) // 2 + 1), pytest.raises(Killed):
        main([*words_of(step, study, folder), "--redo"])
    assert contents(study) != contents(whole), "it was killed too late to tell"
    assert main(words_of(step, study, folder)) == 0
    for later in STEPS:  # those that read what was made again
        if open_study(study).state(later) == "stale":
            assert main(words_of(later, study, folder)) == 0
    assert contents(study) == contents(whole)


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_training__run_again_ends_with_the_same_weights(
    tiny_source, tiny_config, stopping_at, tmp_path: Path, method: str
) -> None:
    settings = {"method": method, "epochs": 1, "half": False, "head_hidden": 8, "head_out": 6}
    settings["objective"] = {
        "queue": 24,
        "queue_from": 0.3,
        "prototypes": 8,
        "local_crops": 2,
        "bottleneck": 6,
    }
    settings["batch_size"] = 32  # two steps
    whole = train(tiny_config(**settings, output=str(tmp_path / "whole.safetensors")))
    with stopping_at(1), pytest.raises(KeyboardInterrupt):
        train(tiny_config(**settings))
    torch.manual_seed(999)  # another process would start from another state
    output = train(tiny_config(**settings))
    assert output.read_bytes() == whole.read_bytes()
    assert losses(output) == losses(whole) and all(math.isfinite(float(loss)) for loss in losses(whole))


def losses(output: Path) -> list[str]:
    with open(files.log_path(output), encoding="utf-8") as file:
        return [row["loss"] for row in csv.DictReader(file)]
