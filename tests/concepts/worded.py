"""A small study with concepts, groups and failures that are known, for the tests of the views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.concepts.failures import compute_failures
from core.concepts.groups import find_groups
from core.config import FailuresConfig
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import StepRun, write_study

MARKUP = "<b>loud</b> [link](http://x)"
ALPHA = 0.125
WORDS = [  # group, rank, word, score, kept
    ("3", 1, "night sky", 0.5, True),
    ("3", 2, "blue", 0.4, True),
    ("3", 3, "redness", 0.3, True),
    ("3", 4, "grass", 0.45, False),
    ("7", 1, "sky", 0.6, True),
    ("7", 2, "scattered", 0.2, True),
    ("1_2", 1, MARKUP, 0.25, True),
]


def make_worded(folder: Path) -> Path:
    """Add the steps `concepts` (of features 3 and 7 and of the group 1_2) and `failures` to a study."""
    study = open_study(folder)
    raw = study.vector("representations")
    ids = study.images["image_id"].to_numpy(object)[np.flatnonzero(study.is_val)]
    parts = {"3": ids[:6], "7": ids[6:10], "1_2": ids[:2]}
    concepts = pd.DataFrame(WORDS, columns=["group", "rank", "word", "score", "kept"])
    concepts.insert(3, "kind", "word")
    concepts["discarded_by"] = np.where(concepts["kept"], "", f"{ids[11]}; {ids[12]}")
    concepts[["auc", "auc_low", "auc_high"]] = np.nan  # what its images show is not known
    high = [
        pd.DataFrame({"group": group, "image_id": some, "activation": np.linspace(0.9, 0.5, len(some))})
        for group, some in parts.items()
    ]
    high = pd.concat(high, ignore_index=True).assign(
        left=2.0, top=3.0, right=22.0, bottom=33.0, hot=True, cosine=0.3
    )
    high.loc[1, ["left", "top", "right", "bottom"]] = np.nan
    captions = pd.DataFrame({"group": "3", "image_id": ids[0], "rank": [1, 2], "caption": [MARKUP, "a sky"]})
    counter = pd.DataFrame({"group": "3", "image_id": ids[11:13], "rank": [1, 2], "score": [0.8, 0.7]})
    few = pd.DataFrame({"feature": range(raw.shape[1]), "n_images": 1})
    few["explainable"] = few["feature"].isin([3, 7])
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            step.table("concepts", concepts)
            step.table("highly_activating", high)
            step.table("captions", captions.assign(cosine=0.3, confidence=0.3))
            step.table("counterfactuals", counter)
            step.table("concept_features", few)
            step.table("explained", explained(parts))
            step.table("groups", groups(raw[study.is_val]))
            step.summary = {
                "k": 3.0,
                "alpha": ALPHA,
                "gamma": 0.8,
                "n_images": 40,
                "n_bank": 99,
                "clip": "tiny",
                "notes": [],
                "per_k": [{"k": 4.0, "n_joint_groups": 2, "n_explainable": 5}],
            }
        with writer.step("failures", {"top": 3}) as step:
            config = FailuresConfig(top=3)
            compute_failures(open_study(folder), step, config, StepRun(Progress.silent()))
    return folder


def explained(parts: dict[str, np.ndarray]) -> pd.DataFrame:
    """Table `explained`: the group is interpretable, the single features are not."""
    return pd.DataFrame(
        {
            "group": list(parts),
            "n_features": [1, 1, 2],
            "n_images": [len(some) for some in parts.values()],
            "clip_cosine": [0.5, 0.6, 0.9],
            "clip_cosine_with_diagonal": [0.6, 0.7, 0.95],
            "interpretable": [False, False, True],
            "words": ["night sky; blue; redness", "sky; scattered", MARKUP],
            "largest_beta": 0.5,
        }
    )


def groups(raw: np.ndarray) -> pd.DataFrame:
    """Table `groups` of the val images as Algorithm 1 finds them, and the group that was explained."""
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    feature_groups = list(find_groups(np.packbits(h > ALPHA, axis=1), h.shape[1]))
    table = pd.DataFrame(
        {
            "group": [group.name for group in feature_groups],
            "n_images": [len(group.rows) for group in feature_groups],
            "n_features": [len(group.features) for group in feature_groups],
            "clip_cosine": np.nan,
            "interpretable": False,
            "clip_cosine_with_diagonal": np.nan,
        }
    )
    joint = {"group": "1_2", "n_images": 2, "n_features": 2, "clip_cosine": 0.9, "interpretable": True}
    return pd.concat([table, pd.DataFrame([joint | {"clip_cosine_with_diagonal": 0.95}])], ignore_index=True)
