"""A study of an encoder, without heatmaps: probe accuracy, and how well the scores predict errors.

`python -m benchmarks.gpu.look FOLDER IMAGES ENCODER DEVICE`; FOLDER/look.json gets the numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress

STEPS = ("embed", "features", "neighbours", "probe", "quality")


def main() -> None:
    folder, images, encoder, device = Path(sys.argv[1]), *sys.argv[2:]
    options = {"embed": {"images": images, "encoder": encoder}, "features": {"epsilon": "auto"}}
    for step in STEPS:
        run_step(step, folder, {"device": device, **options.get(step, {})}, Progress.silent())
    study = Study(folder)
    scores = study.table("quality_metrics").loc[:, ["score", "auroc", "auroc_low", "auroc_high"]]
    summary = {"top1": study.summary("probe")["top1"], "scores": scores.to_dict("records")}
    (folder / "look.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
