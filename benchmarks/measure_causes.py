"""Precision and recall of the causes of errors, where the cause was planted.

    python -m core demo && python -m core causes studies/demo
    python -m benchmarks.measure_causes score studies/demo
    python -m benchmarks.measure_causes plant photographs planted
    python -m core embed studies/planted --images planted/images
    python -m core answers studies/planted --add head && python -m core features studies/planted
    python -m core neighbours studies/planted && python -m core crossfit studies/planted
    python -m core causes studies/planted --right 2000
    python -m benchmarks.measure_causes score studies/planted --planted planted/planted.csv

Glyphworld records what makes each scene hard. In pictures turns, darkness and crops are planted by
seed, and wrong labels where each class has several pictures.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from core.measures.image_columns import CAUSES
from core.measures.intervals import wilson
from core.store import Study, open_study

OF_WORLD = {"faded": "picture", "blurred": "picture", "background": "background", "companion": "background"}
KINDS = ("turn", "picture", "crop")
LABEL = "label"
DARK = 0.15  # of the light is left
MARGIN = 1.6  # of a cropped picture's shorter side is added to its length, so that the view cuts the object


def scores(study: Study, planted: pd.Series) -> pd.DataFrame:
    """Count, for each cause, the errors that it was planted in and those for which it holds.

    Args:
        planted: by image id; images without a cause that the step knows are "unexplained".
    Returns:
        cause, planted, said, right, precision and recall with Wilson's interval, false_rate_alike. Precision
        is NaN where it was never said, recall where it was never planted.
    """
    table, rates = study.table("causes"), study.table("cause_rates").set_index("cause")
    truth = table.loc[:, "image_id"].map(planted).fillna("unexplained").to_numpy(object)
    rows = []
    for cause in CAUSES:
        here = (table["cause"] == cause).to_numpy()
        said, true = table["holds"].to_numpy(bool)[here], truth[here] == cause
        n_said, n_true, n_right = (int(np.count_nonzero(one)) for one in (said, true, said & true))
        precision, recall = wilson(n_right, n_said), wilson(n_right, n_true)
        shares = (n_right / n_said if n_said else np.nan, n_right / n_true if n_true else np.nan)
        ends = tuple(float(end) for pair in (precision, recall) for end in pair)
        rows.append((cause, n_true, n_said, n_right, *shares, *ends, rates["false_rate_alike"][cause]))
    columns = ["cause", "planted", "said", "right", "precision", "recall"]
    ends = ["precision_low", "precision_high", "recall_low", "recall_high", "false_rate_alike"]
    return pd.DataFrame(rows, columns=[*columns, *ends])


def plant(images: Path, out: Path, n_each: int, seed: int) -> None:
    """Copy CLASS/IMAGE photographs, or NAME_words.jpg, and change n_each of them in each way of KINDS.

    `planted.csv` says what was done: image_id, cause. Turned by 90, 180 or 270 degrees; darkened to DARK; cut
    to a strip whose object lies at one end, on a ground that goes on; put into the folder of another class,
    drawn uniformly, where no class has a single picture.
    """
    rng = np.random.default_rng(seed)
    files = sorted(path for path in images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    labels = [path.parent.name if path.parent != images else path.stem.partition("_")[0] for path in files]
    classes, counts = np.unique(labels, return_counts=True)
    kinds = (*KINDS, LABEL) if counts.min() > 1 else KINDS
    drawn = rng.permutation(len(files))[: n_each * len(kinds)]
    kind_of = {int(at): kinds[number % len(kinds)] for number, at in enumerate(drawn)}
    rows = []
    for at, path in enumerate(files):
        label, name = labels[at], path.name
        if kind_of.get(at) == LABEL:
            label, name = str(rng.choice(classes[classes != label])), f"{label}_{name}"
        target = out / "images" / label / name
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.open(path).convert("RGB")
        changed(picture, kind_of.get(at, ""), rng).save(target, quality=92)
        rows += [(f"{label}/{name}", kind_of[at])] if at in kind_of else []
    pd.DataFrame(rows, columns=["image_id", "cause"]).to_csv(out / "planted.csv", index=False)


def changed(picture: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """The picture with one planted cause; itself without."""
    if kind == "turn":
        return picture.rotate(90 * int(rng.integers(1, 4)), expand=True)
    if kind == "picture":
        return Image.fromarray((np.asarray(picture) * DARK).astype(np.uint8))
    if kind == "crop":  # the object is moved to the left end of a long picture
        side = min(picture.size)
        ground = np.asarray(picture)[:side, -1:].mean(0).astype(np.uint8)[0]
        wide = Image.new(
            "RGB", (picture.width + round(MARGIN * side), picture.height), tuple(ground.tolist())
        )
        wide.paste(picture, (0, 0))
        return wide
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    planting = commands.add_parser("plant")
    planting.add_argument("images", type=Path)
    planting.add_argument("out", type=Path)
    planting.add_argument("--each", type=int, default=20)
    planting.add_argument("--seed", type=int, default=0)
    scoring = commands.add_parser("score")
    scoring.add_argument("study", type=Path)
    scoring.add_argument("--planted", type=Path)
    args = parser.parse_args()
    if args.command == "plant":
        return plant(args.images, args.out, args.each, args.seed)
    study = open_study(args.study)
    if args.planted:
        planted = pd.read_csv(args.planted).set_index("image_id").loc[:, "cause"]
    else:
        world = study.table("attributes", ["image_id", "cause"]).set_index("image_id").loc[:, "cause"]
        planted = world.map(OF_WORLD)
    print(scores(study, planted).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
