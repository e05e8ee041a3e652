"""Options of the figures in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config import option

SHOWN = "contents (each figure uses the options that apply to it)"


@dataclass(frozen=True)
class FigureOptions:
    """Options that figures share; each uses those that apply to it, with a default for the rest."""

    classes: tuple[str, ...] = field(
        default=(), metadata=option("names of the classes", metavar="A,B", group=SHOWN)
    )
    features: tuple[int, ...] = field(
        default=(), metadata=option("numbers of the features", metavar="J,K", group=SHOWN)
    )
    images: int | None = field(
        default=None, metadata=option("images per row or group", metavar="N", minimum=1, group=SHOWN)
    )
    image: str = field(
        default="", metadata=option("id of the image of a scene graph", metavar="ID", group=SHOWN)
    )
    score: str = field(  # a column of the table `quality`
        default="q_score",
        metadata=option("score: q_score or a baseline such as confidence", metavar="NAME", group=SHOWN),
    )
    variant: str = field(
        default="paper",
        metadata=option(
            "definition of the overlap", choices=("paper", "binary", "soft", "energy"), group=SHOWN
        ),
    )
    mask: str = field(
        default="core",
        metadata=option("masks that miou_by_class uses", choices=("core", "spurious"), group=SHOWN),
    )
    combine: str = field(
        default="mean",
        metadata=option(
            "how the heatmaps of several features are combined",
            choices=("mean", "sum", "max", "min"),
            group=SHOWN,
        ),
    )
    colours: str = field(
        default="inferno",
        metadata=option("colour map of heatmaps: inferno, viridis, turbo, jet …", metavar="MAP", group=SHOWN),
    )
    projection: str = field(
        default="pca",
        metadata=option("projection of ddm_map", choices=("pca", "umap", "tsne"), group=SHOWN),
    )
    seed: int = field(default=0, metadata=option("random seed of randomly chosen features", metavar="N"))
    device: str = field(  # where heatmaps that are not stored are computed
        default="auto",
        metadata=option("auto, cpu, cuda, cuda:N or mps", metavar="NAME", group="running"),
    )
    versus: str = field(
        default="",
        metadata=option(
            "slice that slice_differences compares with", metavar="TEXT", default="all others", group=SHOWN
        ),
    )
    trait: str = field(
        default="feature",
        metadata=option(
            "traits that slice_differences compares", choices=("feature", "concept", "column"), group=SHOWN
        ),
    )
    log: bool = False  # logarithmic axis of activation rates
    cutoff: float | None = None  # score below which images are flagged
    against: tuple[str, ...] = ()  # further scores to draw beside `score`
    metric: str = "auroc"  # by which scores are ranked
    masked: str = (
        ""  # "both masks" or "any mask": which images of an overlap count ("": both, if there are such)
    )
    split: str = "all"  # all, train or val, of an overlap
    panels: tuple[str, ...] = ()  # of class representations, sides of changed heatmaps (none: the usual ones)
    selectable: bool = False  # cells can be clicked
