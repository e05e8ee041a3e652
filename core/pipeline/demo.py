"""The embedded studies: one small image set embedded by the two encoders in `assets/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.common.worker_group import is_first
from core.config.checks import has_umap
from core.errors import StudyError
from core.pipeline import run as pipeline
from core.store import open_study

if TYPE_CHECKING:
    from pathlib import Path

    from core.jobs.progress import Progress

FIRST = "demo"
SETTINGS: dict[str, Any] = {
    "images": "glyphworld",
    "epsilon": "auto",
    # As in the authors' code. At the paper's 0.7 only 5 of 190 features have a counterfactual image (for half
    # of them the nearest image is below 0.62), so the contrast would do nothing; at 0.3 all have one.
    "beta": 0.3,
}
UMAP = {"method": "umap"}  # of the map; without umap-learn it is PCA alone
# Before and after: the second encoder is the first, trained further with eq. 3 (lambda1 as the search of
# docs/RESULTS.md chose it, so that the reward acts).
ENCODERS = {FIRST: "asset:simclr_glyphworld", "demo-finetuned": "asset:simclr_q_glyphworld"}


def build(studies: Path, name: str, *, fresh: bool, pool: str | None = None, progress: Progress) -> None:
    """Build the embedded study `name` (a key of ENCODERS) below `studies`, or the parts it lacks.

    Args:
        pool: how the encoder's map is pooled; None: the average.
    """
    if fresh and is_first():
        pipeline.delete_study(studies / name)
    chosen = {} if name == FIRST else chosen_by(studies / FIRST)
    options = demo_settings(name) | chosen | ({"pool": pool} if pool else {})
    pipeline.analyze(studies / name, options, progress)


def chosen_by(first: Path) -> dict[str, Any]:
    """Return the epsilon that the first study has chosen, where it has: `compare` needs the same."""
    try:
        study = open_study(first)
    except StudyError:
        return {}
    epsilon = study.summary("features").get("epsilon")
    return {} if epsilon is None else {"epsilon": epsilon}


def demo_settings(name: str) -> dict[str, Any]:
    """Return the settings of the embedded study `name`."""
    return SETTINGS | {"encoder": ENCODERS[name]} | (UMAP if has_umap() else {})
