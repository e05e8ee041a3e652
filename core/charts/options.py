"""Options of the figures in the catalogue."""

from dataclasses import dataclass

from core.config import option

SHOWN = "contents (each figure uses the options that apply to it)"


@dataclass(frozen=True)
class FigureOptions:
    """Options that figures share; each uses those that apply to it, with a default for the rest."""

    classes: tuple[str, ...] = option("names of the classes", (), metavar="A,B", group=SHOWN)
    features: tuple[int, ...] = option("numbers of the features", (), metavar="J,K", group=SHOWN)
    images: int | None = option("images per row or group", None, metavar="N", minimum=1, group=SHOWN)
    image: str = option("id of the image of a scene graph", "", metavar="ID", group=SHOWN)
    # a column of the table `quality`
    score: str = option(
        "score: q_score or a baseline such as confidence", "q_score", metavar="NAME", group=SHOWN
    )
    variant: str = option(
        "definition of the overlap", "paper", choices=("paper", "binary", "soft", "energy"), group=SHOWN
    )
    mask: str = option("masks that miou_by_class uses", "core", choices=("core", "spurious"), group=SHOWN)
    combine: str = option(
        "how the heatmaps of several features are combined",
        "mean",
        choices=("mean", "sum", "max", "min"),
        group=SHOWN,
    )
    colours: str = option(
        "colour map of heatmaps: inferno, viridis, turbo, jet …", "inferno", metavar="MAP", group=SHOWN
    )
    projection: str = option("projection of ddm_map", "pca", choices=("pca", "umap", "tsne"), group=SHOWN)
    seed: int = option("random seed of randomly chosen features", 0, metavar="N", minimum=0)
    # where heatmaps that are not stored are computed
    device: str = option("auto, cpu, cuda, cuda:N or mps", "auto", metavar="NAME", group="running")
    versus: str = option(
        "slice that slice_differences compares with", "", metavar="TEXT", left_out="all others", group=SHOWN
    )
    trait: str = option(
        "traits that slice_differences compares",
        "feature",
        choices=("feature", "concept", "column", "picture"),
        group=SHOWN,
    )
    log: bool = False  # logarithmic axis of activation rates
    cutoff: float | None = None  # score below which images are flagged
    against: tuple[str, ...] = ()  # further scores to draw beside `score`
    panels: tuple[str, ...] = ()  # of class representations, sides of changed heatmaps (none: the usual ones)
