"""`make bench [ONLY=name]`: ratios against a limit or a peer, each measured in one run on this machine.

Prints a table and writes build/bench.json = [{name, value, unit, goal, holds, detail}].
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
from pathlib import Path

from benchmarks.results import Absent, Result

BENCHES = (
    "allocator",
    "answers",
    "before",
    "bases",
    "bases_scale",
    "copies",
    "coverage",
    "embed",
    "features",
    "folder",
    "groups",
    "heatmaps",
    "imagenet",
    "labels",
    "large",
    "leaderboard",
    "peers",
    "pictures",
    "positions",
    "project",
    "ranks",
    "reading",
    "remedies",
    "retrieve",
    "scores",
    "search",
    "start",
    "tables",
    "training",
    "views",
)
OUT = Path("build/bench.json")


def machine() -> str:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.machine()}, {cores} cores, {device}, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=BENCHES, help="run one benchmark")
    names = [name for name in BENCHES if parser.parse_args().only in (None, name)]
    print(f"machine: {machine()}", flush=True)
    results: list[Result | Absent] = []
    for name in names:
        for result in importlib.import_module(f"benchmarks.bench_{name}").run():
            print(result.line(), flush=True)
            results.append(result)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([result.as_dict() for result in results], indent=1) + "\n")
    print(f"written to {OUT}")


if __name__ == "__main__":
    main()
