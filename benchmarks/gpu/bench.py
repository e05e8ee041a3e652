"""One benchmark with everything that it writes below a folder, as JSON; tiny, if asked for.

`python -m benchmarks.gpu.bench NAME FILE [--tiny]`: FILE gets the rows, and its folder what is kept.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.results import Absent, Result

NAMES = ("answers", "bases", "decoding", "embed", "heatmaps", "training")
TINY: dict[str, dict[str, Any]] = {
    "answers": {"N_IMAGES": 2000, "ON_CPU": 100, "REPEATS": 1},
    "bases": {"LATENTS": 128, "ROUNDS": 1},
    "decoding": {"N_IMAGES": 8, "N_DRAWN": 2},
    "embed": {"IMAGES": "glyphworld?train=24&val=8", "REPEATS": 1},
    "heatmaps": {
        "SCENES": "glyphworld?train=16&val=8",
        **{"REPEATS": 1, "N_IMAGES": 1, "N_FEATURES": 2, "N_PHOTOGRAPHS": 4, "GRID": 2},
    },
    "training": {"BATCH": 8, "SIZE": 32, "ROUNDS": 1, "STEPS": 1},
}


def main() -> None:
    name, file, *rest = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.bench_{name}")
    changes = {"FOLDER": Path(file).parent / "kept"} | (TINY[name] if rest == ["--tiny"] else {})
    for constant, value in changes.items():
        if hasattr(module, constant):
            setattr(module, constant, value)
    rows: list[Result | Absent] = []
    for row in getattr(module, "on_a_gpu", module.run)():
        print(row.line(), flush=True)
        rows.append(row)
    Path(file).write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
