"""What the weights of the Q-Score regulariser change: fine-tune with each of several lambda1 and with none.

Kalibhat 2024, Fig. A.8. Four epochs over 4,000 scenes of Glyphworld at a tenth of SimCLR's own rate,
reading `sum`, seed 0, one run each: 5 minutes of one core. lambda_search.md has the table; the rows of that
run are not kept. Begin with the study of the start encoder: `python -m core demo studies/demo`.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.encoders.registry import load_encoder
from core.pipeline.run import run_step
from core.research.transfer_learning_evaluate import judge_on_study, study_images
from core.store import Study
from core.study.progress import Progress
from core.training import files
from core.training.finetune import finetune, finetune_config
from reproductions import common

NAME = "lambda_search"
LAMBDA1 = (1e-4, 1e-3, 1e-2, 1e-1)
SMOKE = {"epochs": 1, "batch_size": 30, "image_size": 32, "crop_size": 32, "precision": "fp32"}
CHANGES = ("weight_change", "batchnorm_change", "statistics_change")  # columns of a training's log


def tiny_study(folder: Path) -> Study:
    """Make the study of a smoke run."""
    images = {"images": "glyphworld?train=60&val=30&size=48", "encoder": "asset:simclr_glyphworld"}
    for step, options in (("embed", images), ("features", {"epsilon": "auto"}), ("probe", {"epochs": 2})):
        run_step(step, folder, options, Progress.silent())
    return Study(folder)


def rows(path: Path, folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a fine-tuning."""
    study = tiny_study(folder / "study") if smoke else Study(path)
    training: dict[str, Any] = SMOKE if smoke else {"epochs": 4}
    for lambda1 in LAMBDA1[2:3] if smoke else (0.0, *LAMBDA1):
        began = time.monotonic()
        regularizer = {"kind": "q" if lambda1 else "none", "lambda1": lambda1, "lambda2": 0.0}
        output = folder / f"{lambda1:g}.safetensors"
        finetune(finetune_config(study, output, practical=True, regularizer=regularizer, **training))
        log = pd.read_csv(files.log_path(output)).iloc[-1]
        row = judge_on_study(study_images(study, load_encoder(str(output))), study)
        row |= {name: float(log[name]) for name in CHANGES}
        yield {**regularizer, **row, "seconds": round(time.monotonic() - began, 1)}


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw top-1 accuracy and its 95 % interval by lambda1; 0 is the training without a regulariser."""
    value, low, high = (100 * table[f"top1{end}"] for end in ("", "_low", "_high"))
    ends = {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}
    names = [f"{lambda1:g}" for lambda1 in table["lambda1"]]
    figure = go.Figure(go.Scatter(x=names, y=value, error_y=ends, mode="lines+markers"))
    return figure.update_layout(xaxis_type="category", xaxis_title="λ₁", yaxis_title="top-1 accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    parser = common.options(__doc__)
    parser.add_argument("--study", type=Path, default=Path("studies/demo"), metavar="FOLDER",
                        help="study of the start encoder (default: %(default)s)")  # fmt: skip
    args = parser.parse_args(argv)
    folder = common.output_folder(args) / "encoders" / NAME
    common.run_script(NAME, args, partial(rows, args.study, folder), draw)


if __name__ == "__main__":
    main()
