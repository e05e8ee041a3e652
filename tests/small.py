"""A study written by hand through the real writer: eight images whose every value is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.store import Study, open_study
from core.study.writer import write_study

LABELS = ["dog", "dog", "cat", "cat", "golden retriever", "dog", "cat", None]
PREDICTED = ["dog", "cat", "cat", "dog", "golden retriever", "dog", "dog", "cat"]
SPLITS = ["train", "train", "train", "val", "val", "val", "val", "val"]
Q_SCORES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, np.nan, 0.25]
FIRING = [[0], [0, 2], [1], [0, 2], [], [2], [0, 1, 2], []]  # features that fire, by image
N_FEATURES = 4


def image_ids() -> list[str]:
    return [f"{split}/{number}.jpg" for number, split in enumerate(SPLITS)]


def write_small_study(
    folder: Path, *, features: bool = True, labels: bool = True, head: dict[str, np.ndarray] | None = None
) -> Study:
    """`features=False` stops after embed; `labels=False` leaves out what needs labels; `head`: the weights
    of each class of the encoder's own head."""
    with write_study(folder) as writer:
        with writer.step("embed", {"images": "photos", "encoder": "none"}) as step:
            step.table("images", _images(labels))
            step.table("attributes", _attributes())
            step.table("skipped", pd.DataFrame({"path": ["broken.jpg"], "reason": ["truncated"]}))
            _write_representations(step)
            if head is not None:
                step.table("head_classes", pd.DataFrame({"output": range(len(head)), "name": list(head)}))
                step.vector("head_weights", np.stack(list(head.values())))
            step.summary = {"n_images": 8}
        if features:
            with writer.step("features", {"epsilon": 4.0}, ("representations", "images")) as step:
                _write_features(step)
            with writer.step("neighbours", {"k": 2}, ("representations", "images")) as step:
                step.vector("neighbours", np.arange(10, dtype=np.int32).reshape(5, 2) % 3)
                step.vector("neighbour_similarity", np.linspace(0, 1, 10, dtype=np.float32).reshape(5, 2))
            with writer.step("quality", {}, ("representations", "features")) as step:
                step.table("quality", _quality(labels))
    return open_study(folder)


def _images(labels: bool) -> pd.DataFrame:
    names = LABELS if labels else [None] * 8
    label = pd.Series(names, dtype="string")
    return pd.DataFrame({"image_id": image_ids(), "path": image_ids(), "split": SPLITS, "label": label})


def _attributes() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": image_ids(),
            "background": ["sand", "grass", "sand", "wet sand", "grass", "sand", "snow", "snow"],
            "hardness": np.linspace(0, 0.7, 8),
            "background_agrees": [True, False] * 4,
            "label": ["shadowed"] * 8,
        }
    )


def raw_representations() -> np.ndarray:
    return np.arange(8 * N_FEATURES, dtype=np.float32).reshape(8, N_FEATURES)


def _write_representations(step) -> None:
    raw = raw_representations()
    writer = step.array("representations")
    for chunk, start in enumerate(range(0, 8, 3)):
        writer.put(chunk, raw[start : start + 3])
    step.finish_array("representations", 3)


def _write_features(step) -> None:
    by_feature = [[row for row, fired in enumerate(FIRING) if j in fired] for j in range(N_FEATURES)]
    step.vector("firing_by_feature_ptr", np.cumsum([0, *map(len, by_feature)]).astype(np.int64))
    step.vector("firing_by_feature_rows", np.concatenate(by_feature).astype(np.int32))
    step.table("features", _features())


def _features() -> pd.DataFrame:
    columns = {
        "feature": range(N_FEATURES),
        "mean": 0.1,
        "std": 0.2,
        "activation_rate": [50.0, 25.0, 40.0, 0.0],
        "tail": ["upper", "middle", "middle", "lower"],
        "discriminative": [False, True, True, False],
        "top_class": ["dog", "cat", "dog", None],
        "purity": [0.5, 1.0, 0.75, np.nan],
        "n_firing_train": [2, 1, 1, 0],
    }
    return pd.DataFrame(columns)


def _quality(labels: bool) -> pd.DataFrame:
    frame = pd.DataFrame({"image_id": image_ids(), "split": SPLITS, "q_score": Q_SCORES})
    frame["n_firing"] = [len(fired) for fired in FIRING]
    for column in ("n_firing_discriminative", "norm", "max_activation", "q_all_features", "hoyer"):
        frame[column] = 1.0
    frame["knn_similarity"] = np.where(np.array(SPLITS) == "val", 0.5, np.nan)
    frame["predicted"] = PREDICTED if labels else None
    for column in ("confidence", "margin", "energy"):
        frame[column] = 0.9 if labels else np.nan
    right = [None if a is None else a == b for a, b in zip(LABELS, PREDICTED, strict=True)]
    frame["correct"] = pd.array(right if labels else [None] * 8, dtype="boolean")
    return frame
