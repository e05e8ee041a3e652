"""Fine-tunings of all methods with and without regularisers, in one resumable table.

python -m benchmarks.evidence.training_table --preset cpu -o build/training
python -m benchmarks.evidence.training_table --preset cpu --pretrained FOLDER -o build/training

Every encoder is trained from its configs/METHOD_glyphworld.toml (unless --pretrained has METHOD.safetensors),
becomes the start of the fine-tunings, and each of these is judged in memory like a study: probe, Q with a D
of its own and with the start's. runs.csv has a row a run and grows run by run: an interrupted command goes on
where it was. table.md sums it up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.evidence.training_report import write_report
from core.training.objective import DEFAULTS

METHODS = tuple(DEFAULTS)
KEY = ["method", "regularizer", "frozen", "rate", "seed"]


@dataclass(frozen=True)
class Preset:
    """How large and how long."""

    images: str  # of the pre-training
    tuned: str  # of the fine-tunings
    judged: str  # of the probe
    epochs: int  # of a fine-tuning
    pretraining: dict[str, Any]  # changes to the config files
    seeds: dict[str, tuple[int, ...]]  # by method; "" for the others
    controls: tuple[str, ...]  # methods that are also run at the paper's rate, and with frozen weights
    dilated: bool  # judged on the finer last map, as the demo study is; four times the work in the last stage


PRESETS = {
    # About 35 minutes of one core for the fine-tunings; 1 h for the pre-trainings.
    "cpu": Preset(
        images="glyphworld?train=3000&val=1000",
        tuned="glyphworld?train=1000&val=100",
        judged="glyphworld?train=2000&val=1000",
        epochs=2,
        pretraining={"epochs": 10, "batch_size": 64},
        seeds={"": (0,), "simclr": (0, 1, 2), "simsiam": (0, 1, 2)},
        controls=("simclr", "simsiam"),
        dilated=False,
    ),
    # As the config files have it; every run with three seeds.
    "gpu": Preset(
        images="glyphworld?train=12000&val=2000",
        tuned="glyphworld?train=12000&val=2000",
        judged="glyphworld?train=12000&val=2000",
        epochs=20,
        pretraining={},
        seeds={"": (0, 1, 2)},
        controls=METHODS,
        dilated=True,
    ),
}


@dataclass(frozen=True)
class Planned:
    """One row of the table."""

    method: str
    regularizer: str  # none, q, lasso; "start" for the encoder before any fine-tuning
    frozen: bool
    rate: str  # paper, practical, or "" for the start
    seed: int

    @property
    def key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in KEY)

    @property
    def name(self) -> str:
        parts = (self.method, self.regularizer, "frozen" if self.frozen else self.rate, str(self.seed))
        return "-".join(part for part in parts if part)


def planned(preset: Preset, methods: Sequence[str], seeds: Sequence[int] | None) -> Iterator[Planned]:
    """The runs, first those that every method has, so that a table cut short is still a table."""
    for method in methods:
        yield Planned(method, "start", False, "", 0)
        for kind in ("none", "lasso", "q"):
            yield Planned(method, kind, False, "practical", _seeds(preset, method, seeds)[0])
    for method in methods:
        seeds_of_method = _seeds(preset, method, seeds)
        for seed in seeds_of_method[1:]:
            for kind in ("none", "lasso", "q"):
                yield Planned(method, kind, False, "practical", seed)
    for method in methods:
        if method not in preset.controls:
            continue
        seeds_of_method = _seeds(preset, method, seeds)
        for seed in seeds_of_method if preset.dilated else seeds_of_method[:1]:
            yield Planned(method, "none", True, "practical", seed)
            for kind in ("none", "lasso", "q"):
                yield Planned(method, kind, False, "paper", seed)


def _seeds(preset: Preset, method: str, given: Sequence[int] | None) -> Sequence[int]:
    return given or preset.seeds.get(method, preset.seeds[""])


class Table:
    """The rows so far, on disk after each."""

    def __init__(self, folder: Path):
        self.path = folder / "runs.csv"
        self.rows: list[dict[str, Any]] = []
        if self.path.exists():
            frame = pd.read_csv(self.path, keep_default_na=False, na_values=["nan"], dtype={"rate": str})
            self.rows = [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]

    def has(self, run: Planned) -> bool:
        return any(tuple(row[name] for name in KEY) == run.key for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        temporary = self.path.with_suffix(".tmp")
        pd.DataFrame(self.rows).to_csv(temporary, index=False, na_rep="nan")
        temporary.replace(self.path)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.training_table", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--preset", choices=tuple(PRESETS), default="cpu")
    parser.add_argument("--pretrained", type=Path, metavar="FOLDER", help="with METHOD.safetensors in it")
    parser.add_argument("--methods", metavar="A,B", help=f"default: {','.join(METHODS)}")
    parser.add_argument("--seeds", metavar="0,1,2", help="of every method; default: the preset's")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--keep", action="store_true", help="keep the fine-tuned encoders in FOLDER/runs")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args(words)
    methods = tuple(args.methods.split(",")) if args.methods else METHODS
    seeds = [int(seed) for seed in args.seeds.split(",")] if args.seeds else None
    fill(
        PRESETS[args.preset],
        args.output,
        methods=methods,
        seeds=seeds,
        pretrained=args.pretrained,
        device=args.device,
        keep=args.keep,
    )


def fill(
    preset: Preset,
    folder: Path,
    *,
    methods: Sequence[str] = METHODS,
    seeds: Sequence[int] | None = None,
    pretrained: Path | None = None,
    device: str = "auto",
    keep: bool = False,
) -> None:
    """Run what the table lacks, row by row; `table.md` is written anew after each."""
    from benchmarks.__main__ import machine
    from benchmarks.evidence import training_runs as runs
    from core.store import open_study

    folder.mkdir(parents=True, exist_ok=True)
    table, todo = Table(folder), list(planned(preset, methods, seeds))
    studies: dict[str, Path] = {}
    for number, run in enumerate(todo):
        if table.has(run):
            continue
        print(f"[{number + 1} of {len(todo)}] {run.name}", flush=True)
        if run.method not in studies:
            start = runs.pretrain(run.method, preset, folder, pretrained, device)
            studies[run.method] = runs.start_study(start, preset, folder, device)
        study, began = open_study(studies[run.method]), time.monotonic()
        if run.regularizer == "start":
            row = runs.start_row(study, device)
        else:
            row = runs.finetuned_row(run, study, preset, folder, device, keep=keep)
        about = {"seconds": round(time.monotonic() - began, 1), "device": machine()}
        table.add({**dict(zip(KEY, run.key, strict=True)), **row, **about})
        write_report(folder)
    write_report(folder)
    print(f"{table.path}, {folder / 'table.md'}")


if __name__ == "__main__":
    main()
