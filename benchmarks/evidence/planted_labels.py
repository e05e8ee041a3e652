"""How many planted wrong labels the list of likely wrong labels finds (docs/method.md 2.9).

python -m benchmarks.evidence.planted_labels studies/demo

Gives 5 % of the labels of a study, of both splits, another class, and trains the probe on them. Prints, over
five draws, how many of the labels listed are planted (precision), how many of the planted ones are listed
(recall), and the same for as many images drawn at random. Writes only below a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from core.jobs.progress import Progress
from core.measures.label_issues import label_issues
from core.pipeline.run import run_step
from core.store import Study, open_study

SHARE, DRAWS, FIRST = 0.05, 5, 20


def planted(study: Study, share: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of images with a share of the labels changed, and which are (n_images,) bool."""
    rng, names = np.random.default_rng(seed), np.array(study.class_names, object)
    codes = pd.Categorical(study.images["label"], categories=list(names)).codes.astype(int)
    changed = np.zeros(len(codes), bool)
    changed[rng.choice(len(codes), round(share * len(codes)), replace=False)] = True
    codes[changed] = (codes[changed] + rng.integers(1, len(names), changed.sum())) % len(names)
    return study.images[["image_id", "split"]].assign(label=names[codes]), changed


def measure(study: Study, folder: Path, seed: int) -> dict[str, float]:
    """Make a study of the changed labels, and compare its list with what was planted."""
    table, changed = planted(study, SHARE, seed)
    folder.mkdir()
    table.to_csv(folder / "images.csv", index=False)
    np.save(folder / "raw.npy", study.array("representations").rows(np.arange(study.n_images)))
    options = {"images": str(folder / "images.csv"), "representations": str(folder / "raw.npy"), "workers": 0}
    for step in ("embed", "probe"):
        run_step(step, folder / "study", options, Progress.silent())
    noisy = open_study(folder / "study")
    listed = label_issues(noisy, noisy.is_val)["image_id"].to_numpy()
    wrong = set(table["image_id"][changed & study.is_val])
    hits = np.isin(listed, list(wrong))
    n_val = int(study.is_val.sum())
    return {
        "accuracy against these labels": float(noisy.summary("probe")["top1"]),
        "planted": len(wrong),
        "listed": len(listed),
        "precision": float(hits.mean()),
        f"precision of the first {FIRST}": float(hits[:FIRST].mean()),
        "recall": float(hits.sum() / len(wrong)),
        "precision at random": len(wrong) / n_val,
        "recall at random": len(listed) / n_val,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.planted_labels", description=__doc__)
    parser.add_argument("study", type=Path)
    study = open_study(parser.parse_args().study)
    with tempfile.TemporaryDirectory() as scratch:
        rows = [measure(study, Path(scratch) / str(seed), seed) for seed in range(DRAWS)]
    print(pd.DataFrame(rows).agg(["mean", "min", "max"]).round(2).T.to_markdown())


if __name__ == "__main__":
    main()
