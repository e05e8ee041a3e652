"""What a reader can choose about a figure of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FigureOptions:
    """Choices that figures share; each uses those that concern it, and chooses by itself what is not given.

    Attributes:
        classes: class names. features: feature numbers. images: pictures a row or group.
        score: a column of the table `quality`. variant: of the overlap. mask: core or spurious.
        colours: colour map of heatmaps. combine: how the maps of several features become one.
        seed: of random features. device: where heatmaps that are not stored are computed.
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
