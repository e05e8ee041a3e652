"""Commands in several processes: the work is shared or left to the first process, and nobody stops it.

Groups are forked (`forked_ranks`), which costs no imports; one is started by torchrun's own agent.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

import core.cli
from core.store import open_study
from core.study.steps import STEPS
from tests.command_line import contents
from tests.data.pictures import picture
from tests.sampling import sample

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("--images", "glyphworld?train=64&val=32")  # three chunks, which two processes share unevenly
ENCODER = ("--encoder", "timm:resnet10t", "--input-size", "64", "--resize", "64", "--workers", "0")
ANSWERS = ("--answers", "knn")
CLIP = "asset:glyphworld"
WORDS = ("--captions", "glyphworld?n=400", "--k", "1.5")
SETTINGS = ("--batch-size", "8", "--epsilon", "1.5", "--lr", "0.1")
ANALYZE = (*IMAGES, *ENCODER, *WORDS[:2], *SETTINGS)
BASES = (
    ("--kind", "random", "--size", "24", "--k", "3"),
    ("--kind", "pca", "--size", "6", "--k", "3", "--on", "positions"),
)
SIZES = sample([2, 3, 4], 1)
OF_STEP = {  # what the processes make together, by the beginnings of its files
    **{name: STEPS[name].outputs for name in ("embed", "heatmaps", "overlap", "concepts", "search")},
    "crops and captions": ("concept_cache",),
    "basis": ("basis_random", "basis_pca"),
}
Run = tuple[int, list[str], dict[str, str]]


def run_of(n: int, *words: object, **environment: str) -> Run:
    return n, [*map(str, words)], environment


@pytest.fixture(scope="module")
def forked() -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Run commands in groups of processes, one group after the other; see `forked_ranks`."""
    command = [sys.executable, "-m", "tests.pipeline.forked_ranks"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=environment, cwd=ROOT) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None and answers is not None

        def run(*runs: Run) -> list[dict[str, Any]]:
            made = []
            for one in runs:
                print(json.dumps(one), file=asked, flush=True)
                made.append(json.loads(answers.readline()))
            return made

        yield run


def whole_study(n: int, study: Path) -> list[Run]:
    """A study with words and two bases, made by n processes."""
    return [
        run_of(n, "analyze", study, *ANALYZE, *ANSWERS),
        run_of(n, "concepts", study, *WORDS),
        run_of(n, "failures", study),  # again, with words
        run_of(n, "search", study, "--clip", CLIP, "--workers", "0"),
        *(run_of(n, "basis", study, *words, "--device", "cpu") for words in BASES),
    ]


@pytest.fixture(scope="module")
def studies(forked, tmp_path_factory) -> dict[int, Path]:
    """The study of one process, and those of several, by their number."""
    folder = tmp_path_factory.mktemp("ranks")
    made = {n: folder / str(n) for n in (1, *SIZES)}
    runs = [run for n, study in made.items() for run in whole_study(n, study)]
    for (n, words, _), done in zip(runs, forked(*runs), strict=True):
        assert done["codes"] == [0] * n, f"{words} in {n}: {done['err']}"
        assert [bool(out) for out in done["out"]] == [True] + [False] * (n - 1)  # one of them prints
    return made


@pytest.fixture(scope="module")
def alone(studies) -> Path:
    return studies[1]


@pytest.mark.parametrize("step", OF_STEP)
def test_shared_step__makes_the_bytes_of_one_process(studies, step):
    made = []
    for study in studies.values():
        files = contents(study)
        names = [name for name in files if name.startswith(OF_STEP[step])]
        made.append({name: files[name] for name in names})
    assert made[0]
    for theirs in made[1:]:
        assert theirs.keys() == made[0].keys()
        assert [name for name in theirs if theirs[name] != made[0][name]] == []


@pytest.mark.parametrize("n", SIZES)
def test_several_processes__make_the_study_of_one(studies, n):
    study = open_study(studies[1])
    assert study.summary("concepts")["n_concepts"] and study.summary("overlap")["n_images"] == 96
    assert len(study.bases) == len(BASES)
    ours, theirs = contents(studies[1]), contents(studies[n])
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_steps_that_are_shared__are_those_of_the_documents():
    """Table of docs/scale.md: step, what all processes share."""
    lines = (ROOT / "docs/scale.md").read_text().splitlines()
    rows = [line.strip("|").split("|")[0].strip(" `") for line in lines if line.startswith("| `")]
    documented = [name for name in rows if name in STEPS]
    assert documented == [name for name in STEPS if name in core.cli.SHARED]
    assert {name for name, step in STEPS.items() if step.shared or step.makes_study} < set(documented)


def test_step_of_numbers__is_the_first_process_s(forked, alone, tmp_path):
    study = shutil.copytree(alone, tmp_path / "study")
    (done,) = forked(run_of(2, "features", study, "--redo"))
    assert done["codes"] == [0, 0] and [bool(out) for out in done["out"]] == [True, False]
    assert contents(study) == contents(alone)


def test_group__that_ends_early_says_why_once_and_fewer_processes_complete(forked, alone, tmp_path):
    study = shutil.copytree(alone, tmp_path / "study")
    for folder, n in (("pictures", 4), ("elsewhere", 3)):
        (tmp_path / folder).mkdir()
        for number in range(n):
            (tmp_path / folder / f"{number}.png").write_bytes(picture(number))
    images = "--images", tmp_path / "pictures", *ENCODER
    killed, lost, resumed, missing, unseen = forked(
        run_of(2, "overlap", study, "--redo", KILLED="1 1"),
        run_of(4, "heatmaps", study, "--batch-size", "8", "--redo", KILLED="2,3 1"),
        run_of(2, "resume", study, "--batch-size", "8"),
        run_of(2, "concepts", tmp_path / "none", *WORDS),
        run_of(2, "embed", tmp_path / "other", *images, BLIND=str(tmp_path / "elsewhere")),
    )
    assert killed["codes"] == [2, -9] and "because another one has ended" in killed["err"][0]
    assert lost["codes"] == [2, 2, -9, -9], lost  # of two machines with two processes each, one is gone
    assert all(err.count("because another one has ended") == 1 for err in lost["err"][:2])
    assert resumed["codes"] == [0, 0] and contents(study) == contents(alone)
    assert missing["codes"][0] == 2 and "".join(missing["err"]).count("error: no study at") == 1
    assert unseen["codes"][1] == 2 and "sees other images than the first process" in unseen["err"][1]
    assert "this is a bug" not in str([killed, missing, unseen])


@pytest.mark.exhaustive("test_group… and test_torchrun… kill one, and go on")
def test_any_order_of_failures__ends_in_the_study_of_one(forked, alone, tmp_path):
    """A process is killed at a moment that is drawn; then some go on, how many is drawn, and one is slow."""
    study, draw = shutil.copytree(alone, tmp_path / "study"), random.Random(0)
    steps = sample(["embed", "overlap", "heatmaps"] * 4, 2)
    batch = ("--batch-size", "8")
    killed, resumed, options = [], [], {"embed": (*IMAGES, *ENCODER, *batch), "heatmaps": batch}
    for step in steps:
        words = step, study, *options.get(step, ())
        n = draw.choice([2, 3, 4])
        moment = f"{draw.randrange(n)} {draw.randint(1, 3)}"
        killed.append(run_of(n, *words, "--redo", KILLED=moment))
        resumed.append(run_of(draw.choice([2, 3]), *words, SLOW="1 .05"))
    made = forked(*(run for pair in zip(killed, resumed, strict=True) for run in pair))
    assert all(-9 in one["codes"] for one in made[::2]), [*zip(killed, made[::2], strict=True)]
    assert not any(code for one in made[1::2] for code in one["codes"]), made[1::2]
    assert "this is a bug" not in str(made)
    assert contents(study) == contents(alone)


def test_restart__processes_meet_that_torchrun_has_started_differently_often(forked, alone):
    """Each machine counts the restarts that began there."""
    (done,) = forked(run_of(2, "resume", alone, "--batch-size", "8", RESTARTED="1"))
    assert done["codes"] == [0, 0], done["err"]


def test_torchrun__starts_a_killed_group_again_and_the_study_is_that_of_one(forked, alone, tmp_path):
    study = shutil.copytree(alone, tmp_path / "study")
    (done,) = forked(run_of(1, "heatmaps", study, "--redo", "--batch-size", "8", KILLED="1 1", RESTARTS="1"))
    assert done["codes"] == [0], done["err"]
    assert "Signal 9 (SIGKILL)" in done["err"][0] or "exitcode: -9" in done["err"][0], done["err"]
    assert contents(study) == contents(alone)


@pytest.mark.exhaustive("test_several_processes__make_the_study_of_one waits in the same way")
def test_demo__second_study_waits_for_the_first(forked, tmp_path):
    for words in ((), ("--fresh",)):
        (done,) = forked(run_of(2, "demo", "--studies", tmp_path, *words, SHORT="demo"))
        assert done["codes"] == [0, 0], done["err"]
        for name in ("demo", "demo-finetuned"):
            assert open_study(tmp_path / name).state("features") == "done"
