"""Fourier augmentations on images of a study, and what is nearest then (dissertation, Figs 5.3, 5.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.options import FigureOptions
from core.charts.panels import Header, Picture, Strip, picture_grid
from core.charts.shown_names import as_text
from core.charts.theme import Theme
from core.common.dataframes import check_same_length, known_mean, unit_rows
from core.concepts.search import like_image
from core.errors import SettingsError, ShapeError, StudyError
from core.research.fourier_previews import PREVIEWS
from core.store import Study
from core.training.preview import augmented, centred

# Retrieval: share of nearest images of the same class (Kalibhat's dissertation, Fig. 5.4). No torch.


KS = (1, 4)
AT_ONCE = 1 << 24  # similarities held at a time


@dataclass(frozen=True)
class Retrieval:
    """How well each image finds others of its group among all others.

    Attributes:
        precision: {k: (n,) share of the k nearest images that are of its group}. average_precision: (n,).
            Both are NaN for an image without a group or without any partner in it. n_undefined: how many.
        chance: expected precision of a random order, over the images that count; NaN without any.
    """

    precision: dict[int, np.ndarray]
    average_precision: np.ndarray
    n_undefined: int
    chance: float

    def row(self) -> dict[str, float]:
        """Return precision_K for each k and map: means over the images that count, NaN without any."""
        means = {f"precision_{k}": known_mean(values) for k, values in self.precision.items()}
        return {**means, "map": known_mean(self.average_precision)}


def precision_at_k(raw: np.ndarray, groups: np.ndarray, *, ks: Sequence[int] = KS) -> Retrieval:
    """Rank all other images by cosine for each, and compare groups, for Fourier research's retrieval.

    precision_k(i) = |{j among the k nearest: g_j = g_i}| / k
    AP(i) = mean over the ranks r of the images of i's group of (images of i's group up to r) / r

    An image itself is never among its results. Equal cosines: the lower row first. A zero row has cosine 0.

    Args:
        raw: (n, n_features) representations. groups: (n,) int codes of a class, background or style, -1 for
            none; images of group -1 can be found, and are always wrong.
        ks: numbers of results, each below n.
    Raises:
        ShapeError: the two disagree on n. SettingsError: a k that is below 1, or not below n.
    """
    raw, groups = np.asarray(raw, np.float64), np.asarray(groups)
    if raw.ndim != 2:
        raise ShapeError(f"raw has shape {raw.shape}; expected (n_images, n_features)")
    check_same_length("raw rows", len(raw), "groups", len(groups))
    n = len(raw)
    for k in ks:
        if not 1 <= k < n:
            raise SettingsError(f"k = {k} must lie between 1 and {n - 1}: there are {n} images")
    h = unit_rows(raw)
    partners = np.array([(groups == code).sum() - 1 if code >= 0 else 0 for code in groups], np.int64)
    precision = {k: np.full(n, np.nan) for k in ks}
    average = np.full(n, np.nan)
    for start in range(0, n, max(1, AT_ONCE // max(n, 1))):
        rows = np.arange(start, min(start + max(1, AT_ONCE // n), n))
        same = _ranked(h, groups, rows)
        n_matches = same.cumsum(1)
        some = partners[rows] > 0
        for k in ks:
            precision[k][rows[some]] = n_matches[some, k - 1] / k
        ranks = np.arange(1, n)
        gained = (same * (n_matches / ranks)).sum(1)
        average[rows[some]] = gained[some] / partners[rows[some]]
    counted = partners > 0
    chance = float((partners[counted] / (n - 1)).mean()) if counted.any() else float("nan")
    return Retrieval(precision, average, int((~counted).sum()), chance)


def _ranked(h: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(len(rows), n - 1) bool: whether the nearest, second nearest … other image is of the row's group."""
    cosine = np.round(h[rows] @ h.T, 12)  # rounding must not decide ties
    cosine[np.arange(len(rows)), rows] = -np.inf
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :-1]
    return (groups[order] == groups[rows][:, None]) & (groups[rows] >= 0)[:, None]


# Kalibhat, dissertation, Figs 5.3 and 5.4: Fourier augmentations on images of a study, and the nearest
# images of queries.


FOUR = ("amplitude", "phase", "mask", "mixture")
STRENGTHS = {  # of each transform: Table C.2's, and stronger, as Kalibhat varies them
    "amplitude": ({}, {"low": 0.2, "high": 3.0}),
    "phase": ({"angle": 0.55}, {"angle": 1.4}),
    "mask": ({"fraction": 0.1}, {"fraction": 0.6}),
    "mixture": ({}, {"kernels": 8.0}),
}
NEAREST, QUERIES, MOST_RANKED = 4, 5, 5000
GROUPS = ("background", "style")


def fda_examples(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Show evaluation images, each beside the four transforms at two strengths (Fig. 5.3) (research)."""
    study = studies[0]
    rows = spread_rows(study, options.images or 4)
    strips = []
    for number, row in enumerate(rows):
        image = study.image(int(row))
        pictures = [Picture(centred(image), row=int(row))]
        for name in FOUR:
            for values in STRENGTHS[name]:
                changed = augmented(image, name, values, seed=options.seed + number)
                pictures.append(Picture(changed, row=int(row)))
        strips.append(Strip("", pictures))
    headers = [Header("Image", 0, 1)]
    for number, name in enumerate(FOUR):
        headers.append(Header(PREVIEWS[name].title, 1 + 2 * number, 3 + 2 * number))
    note = (
        "Left of each pair: a strength of training (Table C.2); right: stronger. Images evenly spaced by row."
    )
    return picture_grid(strips, headers=headers, breaks=(1, 3, 5, 7), note=note, theme=theme)


def retrieval_sheet(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Show queries with their nearest evaluation images, for one study or several (Fourier research)."""
    first, strips, notes = studies[0], [], []
    queries = first.images["image_id"].to_numpy()[spread_rows(first, options.images or QUERIES)]
    for number, image_id in enumerate(queries):
        for study in studies:
            row = _row_in(study, image_id)
            rows, cosines = like_image(study, row, NEAREST, among=study.is_val)
            pictures = [_picture(study, row, row, "query")]
            pictures += [
                _picture(study, row, int(other), f"{cosine:.2f}")
                for other, cosine in zip(rows, cosines, strict=True)
            ]
            title = as_text(study.name) if len(studies) > 1 else ""
            strips.append(Strip(title, pictures, apart=number > 0 and study is studies[0]))
    for study in studies:
        notes.append(_precision_words(study))
    note = f"Nearest evaluation images by cosine; blue frame: same class. {' '.join(notes)}"
    return picture_grid(strips, breaks=(1,), note=note, theme=theme)


def _precision_words(study: Study) -> str:
    """Precision at 1 and 4 and mean average precision by class, and at 4 by what else the images tell.

    A seeded sample of very many images.
    """
    rows = np.flatnonzero(study.is_val)
    sample = ""
    if len(rows) > MOST_RANKED:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_RANKED, replace=False))
        sample = f" ({MOST_RANKED:,} of the images)"
    labels = study.images["label"].iloc[rows]
    if labels.isna().all() or len(rows) < 2:
        return f"{as_text(study.name)}: the images have no labels."
    ks = [k for k in (1, NEAREST) if k < len(rows)]
    raw = study.array("representations").rows(rows)
    precision = precision_at_k(raw, pd.factorize(labels)[0], ks=ks)
    row = precision.row()
    parts = [f"at {k} {100 * row[f'precision_{k}']:.1f} %" for k in ks]
    mean_precision = row["map"]
    chance = 100 * precision.chance
    sentences = [
        f"{as_text(study.name)}{sample}: same class {', '.join(parts)}, mean average precision "
        f"{mean_precision:.3f}; by chance {chance:.1f} %"
    ]
    for group in _scene_groups(study):
        groups = study.table("attributes", [group])[group].iloc[rows]
        if groups.nunique() > 1:
            precision = precision_at_k(raw, pd.factorize(groups)[0], ks=ks[-1:])
            share = 100 * precision.row()[f"precision_{ks[-1]}"]
            sentences.append(
                f"same {group} at {ks[-1]} {share:.1f} %; by chance {100 * precision.chance:.1f} %"
            )
    return f"{'; '.join(sentences)}."


def _scene_groups(study: Study) -> list[str]:
    """List what the images tell beside their class: background and style of Glyphworld's scenes."""
    return [name for name in GROUPS if study.has("attributes") and name in study.columns("attributes")]


def spread_rows(study: Study, n: int) -> np.ndarray:
    """Return at most n evenly spaced evaluation images for a figure of Fourier research.

    Raises:
        StudyError: there is no image.
    """
    among = study.is_val if study.chosen is None else study.chosen
    rows = np.flatnonzero(among) if among.any() else np.arange(study.n_images)
    if not len(rows):
        raise StudyError(f"'{study.path}' has no images")
    places = np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int)
    return rows[places]


def _row_in(study: Study, image_id: str) -> int:
    """Return the row of an image for a figure of Fourier research. Raises StudyError if it is lacking."""
    rows = np.flatnonzero((study.images["image_id"] == image_id).to_numpy())
    if not len(rows):
        raise StudyError(f"'{study.path}' lacks the image '{image_id}': the studies have other images")
    return int(rows[0])


def _picture(study: Study, query: int, row: int, text: str) -> Picture:
    labels = study.images["label"]
    query_label, label = labels.iat[query], labels.iat[row]
    comparable = row != query and not (pd.isna(query_label) or pd.isna(label))
    verdict = ("correct" if query_label == label else "misclassified") if comparable else ""
    name = "" if pd.isna(label) else as_text(str(label)[:16])
    return Picture(centred(study.image(row), 128), caption="<br>".join(filter(None, (name, text))),
                   verdict=verdict, row=row)  # fmt: skip


# The charts read their studies as they draw: they have no table apart.
FDA_EXAMPLES = Chart(
    name="fda_examples",
    title="Fourier augmentations on images",
    source="Kalibhat's dissertation, Fig. 5.3",
    needs=("images",),
    table=lambda study, _: [study],
    draw=fda_examples,
    column="double",
)
RETRIEVAL_SHEET = Chart(
    name="retrieval_sheet",
    title="the nearest images of some queries; --with: other encoders",
    source="Kalibhat's dissertation, Fig. 5.4",
    needs=("images", "representations"),
    table=lambda studies, _: studies,
    draw=retrieval_sheet,
    studies=(1, 4),
    column="double",
)
