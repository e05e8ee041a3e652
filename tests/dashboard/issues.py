"""A table of labels that were checked, written through the writer: which are listed is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.measures.label_issues import NEAREST, STORED, TABLE
from core.store import open_study
from core.study.writer import write_study


def write_issues(folder: Path, n_listed: int) -> pd.DataFrame:
    """List the first labels of a study, in its order: each is said to be of the next class, by nine tenths.

    The nearest images of each are the last ones of the study. Return the table.
    """
    study = open_study(folder)
    images, names = study.images, list(study.class_names)
    places = [names.index(label) for label in images["label"]]
    n, listed = len(images), np.arange(len(images)) < n_listed
    facts = {
        "suggested": [names[(place + 1) % len(names)] for place in places],
        "confidence": np.where(listed, 0.9, 0.1),
        "margin": np.where(listed, -0.8, 0.8),
        "rank": np.arange(1, n + 1),
        "listed": listed,
        "n_checked": n,
        "probability_wrong": np.linspace(0.99, 0, n),
        "own_classifier": None,
    }
    for rank in range(1, NEAREST + 1):
        facts |= {f"near_{rank}": images["image_id"].iat[n - rank], f"near_{rank}_similarity": 1 - rank / 10}
        facts[f"near_{rank}_label"] = images["label"].iat[n - rank]
    table = images.loc[:, ["image_id", "split", "label"]].assign(**facts).loc[:, list(STORED)]
    classes = (np.array(places)[:, None] + np.arange(1, len(names) + 1)) % len(names)
    shares = np.linspace(0.9, 0, len(names), dtype=np.float32)[None].repeat(n, 0)
    inputs = ("representations", "images")
    with write_study(folder) as writer, writer.step("crossfit", {"planted": n_listed}, inputs) as step:
        step.table(TABLE, table)
        step.vector("crossfit_classes", classes.astype(np.int32))
        step.vector("crossfit_probabilities", shares)
    return table
