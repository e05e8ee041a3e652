"""Second studies over the images of a first one, as another encoder would make them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from core.pipeline.run import analyze
from core.study.progress import Progress
from core.study.writer import write_study
from tests.manifests import edited_manifest
from tests.synthetic import planted_representations


def second_study(
    first: Path, folder: Path, *, seed: int = 7, keep: slice | None = None, rename: str = "", **options
) -> Path:
    """Make a study of the images of one that `make_study` made, with other representations.

    The table and the representations go to `folder` + '.input'; the pictures stay where they are.

    Args:
        keep: only these rows of its table of images. rename: put before every image id.
    """
    source = first.with_name(first.name + ".input")
    table = pd.read_csv(source / "images.csv")
    if keep is not None:
        table = table.iloc[keep]
    table["image_id"] = rename + table["image_id"]
    classes = np.unique(table["label"], return_inverse=True)[1]
    raw = planted_representations(np.random.default_rng(seed), classes, 48, 4)
    own = folder.with_name(folder.name + ".input")
    own.mkdir(parents=True)
    if "path" in table:
        table["path"] = [os.path.relpath(source / path, own) for path in table["path"]]
    listing = own / f"{folder.name}.csv"
    table.to_csv(listing, index=False)
    np.save(own / f"{folder.name}.npy", raw)
    settings = {"epsilon": "auto", "bootstrap": 50, "workers": 0, "lr": 0.1, "method": "pca"} | options
    images = {"images": str(listing), "representations": str(own / f"{folder.name}.npy")}
    analyze(folder, images | settings, Progress.silent())
    return folder


def add_concepts(folder: Path, words: dict[str, list[str]]) -> None:
    """Give a study words by hand: group -> kept words, best first."""
    rows = [
        (group, rank, word, "word", 0.3, True, "")
        for group, group_words in words.items()
        for rank, word in enumerate(group_words, start=1)
    ]
    columns = ["group", "rank", "word", "kind", "score", "kept", "discarded_by"]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", pd.DataFrame(rows, columns=columns))
        step.summary = {"k": 3.0, "n_explainable": len(words), "clip": "asset:glyphworld"}


def change_summary(folder: Path, step: str, **values: object) -> None:
    """Change what a step said of itself."""
    with edited_manifest(folder) as manifest:
        manifest["steps"][step]["summary"] |= values
