"""Use a short loan of a GPU: its tests, its benchmarks, and SimCLR on CIFAR-10 as far as the time allows.

`python -m benchmarks.gpu [--minutes 25] [-o build/gpu]`. Everything is written below one folder. What was
done there is not done again, and the training resumes where it stopped, so several short calls do what a long
one does. With `--pieces MIB`, FOLDER/travel holds what the next machine needs, in small files: bring that
folder there, and the same command goes on. `--dry-run`, and a machine without a GPU, do all of it at tiny
sizes.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.__main__ import machine
from benchmarks.gpu import bench, travel
from benchmarks.gpu.timed import DONE, FAILED, STOPPED, Clock, run_within
from core.training import files

CONFIG = "configs/simclr_cifar10_gpu.toml"
TESTS = ("tests/common/test_on_the_gpu.py", "tests/encoders/test_encoder.py")
TINY_IMAGES = "glyphworld?train=64&val=32"
TINY_TRAINING = (
    *("--arch", "timm:test_resnet", "--stem", "standard", "--crop-size", "24", "--batch-size", "16"),
    *("--precision", "fp32"),
)
OF_TESTS, OF_BENCHES, FOR_STUDY = 0.2, 0.3, 0.15  # largest shares of the time that is left


@dataclass(frozen=True)
class Loan:
    """What is asked for, and where it goes."""

    folder: Path
    images: str
    epochs: int
    tiny: bool
    clock: Clock

    @property
    def weights(self) -> Path:
        return self.folder / "simclr_cifar10.safetensors"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def main(words: list[str] | None = None) -> None:
    args = _parser().parse_args(words)
    tiny = args.dry_run or not torch.cuda.is_available()
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    report = _report(folder, tiny)
    if tiny:
        print("no GPU is used: everything at tiny sizes" if args.dry_run else "no CUDA device: a dry run")
    images = TINY_IMAGES if tiny else _images(args.images, folder)
    epochs = args.epochs or (2 if tiny else 35)
    loan = Loan(folder, images, epochs, tiny, Clock(args.minutes))
    travel.unpack(folder / "travel", loan.weights)
    for name, stage in STAGES.items():
        _do(name, stage, loan, report)
    if args.pieces:
        pieces = travel.pack(loan.weights, folder / "travel", args.pieces)
        for path in (_report_path(folder), files.log_path(loan.weights), files.sidecar_path(loan.weights)):
            if path.exists() and pieces:
                shutil.copy(path, folder / "travel" / path.name)
    if any(stage["state"] == FAILED for stage in report["stages"].values()):
        raise SystemExit(f"some of it failed: see {_report_path(folder)} and the logs beside it")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=25.0, help="time that all of it may take")
    parser.add_argument("-o", "--output", default="build/gpu", metavar="FOLDER")
    parser.add_argument(
        "--images",
        default="data/cifar10",
        metavar="DIR",
        help="CIFAR-10 as train/ and test/, or a .tar of it",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="of the whole training (default: 35)")
    parser.add_argument(
        "--pieces", type=float, metavar="MIB", help="leave the training's state in files of at most MIB"
    )
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, on the CPU")
    return parser


def _report_path(folder: Path) -> Path:
    return folder / "report.json"


def _report(folder: Path, tiny: bool) -> dict[str, Any]:
    """Read the report of an earlier call of the same size, or begin one."""
    for path in (_report_path(folder), folder / "travel" / "report.json"):
        if path.exists():
            status = json.loads(path.read_text(encoding="utf-8"))
            if status["tiny"] == tiny:
                return status
    return {"tiny": tiny, "stages": {}}


def _images(named: str, folder: Path) -> str:
    """A folder of images; a .tar, .tar.xz … is unpacked into the folder of results first."""
    path, there = Path(named), folder / "data"
    if not path.is_file():
        return named
    if not there.exists():
        with tarfile.open(path) as archive:
            archive.extractall(there.with_name("data.part"), filter="data")
        there.with_name("data.part").rename(there)
    inside = sorted(there.iterdir())
    return str(inside[0] if len(inside) == 1 else there)


def _do(name: str, stage: Callable[[Loan], tuple[str, Any]], loan: Loan, report: dict[str, Any]) -> None:
    """Run a stage unless it is done, and write down what came of it."""
    if report["stages"].get(name, {}).get("state") == DONE:
        print(f"{name}: done before")
        return
    began = time.monotonic()
    state, result = stage(loan)
    seconds = round(time.monotonic() - began, 1)
    report["stages"][name] = {"state": state, "seconds": seconds, "machine": machine(), "result": result}
    _report_path(loan.folder).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {state} after {seconds:.0f} s, {loan.clock.left / 60:.1f} minutes left", flush=True)


def tests(loan: Loan) -> tuple[str, Any]:
    """Run the tests that compare the GPU with the CPU."""
    words = ["-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={loan.folder / 'tests'}", *TESTS]
    tiny = {"PEREGRINE_TEST_DEVICE": "cpu"} if loan.tiny else {}
    words += ["-k", "nearest_rows or retrieval"] if loan.tiny else []
    state = run_within(words, loan.log("tests"), OF_TESTS * loan.clock.left, **tiny)
    shutil.rmtree(loan.folder / "tests", ignore_errors=True)
    lines = loan.log("tests").read_text(encoding="utf-8").splitlines() if loan.log("tests").exists() else []
    return state, next((line for line in reversed(lines) if "passed" in line or "failed" in line), None)


def benches(loan: Loan) -> tuple[str, Any]:
    """Run the benchmarks whose figures depend on the GPU."""
    until = loan.clock.left * (1 - OF_BENCHES)
    states, rows = [], {}
    for name in bench.NAMES:
        file = loan.folder / "bench" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        words = ["-m", "benchmarks.gpu.bench", name, str(file), *(["--tiny"] if loan.tiny else [])]
        if not file.exists():
            states.append(run_within(words, loan.log("bench"), loan.clock.left - until))
        rows[name] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    return _worst(states), rows


def training(loan: Loan) -> tuple[str, Any]:
    """Train until the whole is done, or only the time for a look at the encoder is left."""
    words = ["-m", "core", "train", CONFIG, "--images", loan.images, "-o", str(loan.weights)]
    words += ["--epochs", str(loan.epochs), "--cache", str(loan.folder / "cache")]
    words += [*TINY_TRAINING, "--device", "cpu"] if loan.tiny else []
    state = run_within(words, loan.log("train"), loan.clock.left * (1 - FOR_STUDY))
    log = files.log_path(loan.weights)
    epochs = list(csv.DictReader(log.open(encoding="utf-8"))) if log.exists() else []
    return state, {"epochs": len(epochs), "of": loan.epochs, "last": epochs[-1] if epochs else None}


def study(loan: Loan) -> tuple[str, Any]:
    """Measure the encoder as it is: probe accuracy, and how well the scores predict errors."""
    if not loan.weights.exists():
        return STOPPED, "there are no weights yet"
    folder = loan.folder / "study"
    shutil.rmtree(folder, ignore_errors=True)  # of the encoder as it was after fewer epochs
    device = "cpu" if loan.tiny else "auto"
    words = ["-m", "benchmarks.gpu.look", str(folder), loan.images, str(loan.weights), device]
    state = run_within(words, loan.log("study"), loan.clock.left)
    if state != DONE:
        return state, None
    unfinished = files.resume_path(loan.weights).exists()
    summary = json.loads((folder / "look.json").read_text(encoding="utf-8"))
    return (STOPPED if unfinished else DONE), summary


def _worst(states: list[str]) -> str:
    return next((state for state in (FAILED, STOPPED) if state in states), DONE)


STAGES: dict[str, Callable[[Loan], tuple[str, Any]]] = {
    "tests": tests,
    "benchmarks": benches,
    "training": training,
    "study": study,
}

if __name__ == "__main__":
    main()
