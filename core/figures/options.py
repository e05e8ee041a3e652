"""Options of the figures in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FigureOptions:
    """Options shared by figures; each figure uses those that apply to it, and has defaults for the others.

    Attributes:
        classes: class names. features: feature numbers. images: images per row or group.
        score: a column of the table `quality`. variant: of the overlap. mask: core or spurious.
        colours: colour map of heatmaps. combine: how to combine the maps of several features.
        seed: of random features. device: for computing heatmaps that are not stored.
        log: logarithmic axis of activation rates. cutoff: score below which images are flagged.
        against: further scores to draw beside `score`. metric: by which scores are ranked.
        masked: "both masks" or "any mask": which images of an overlap count ("": both, if there are such).
        split: all, train or val, of an overlap. panels: of class representations (none: all).
        selectable: cells can be clicked.
    """

    classes: tuple[str, ...] = ()
    features: tuple[int, ...] = ()
    images: int | None = None
    score: str = "q_score"
    variant: str = "paper"
    mask: str = "core"
    combine: str = "mean"
    colours: str = "inferno"
    seed: int = 0
    device: str = "auto"
    log: bool = False
    cutoff: float | None = None
    against: tuple[str, ...] = ()
    metric: str = "auroc"
    masked: str = ""
    split: str = "all"
    panels: tuple[str, ...] = ()
    selectable: bool = False
