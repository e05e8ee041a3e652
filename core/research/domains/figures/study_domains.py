"""The figures of a study's domains: read its tables and call the drawing functions."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.charts import maps
from core.charts.chart import Chart, class_numbers, seeded_rows
from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.common.dataframes import known_mean, numbers, unit_rows
from core.config.checks import check_map_options
from core.errors import SettingsError
from core.research.domains.analysis.parts import part_columns
from core.research.domains.figures import domains
from core.store import Study

MOST_CLASSES = 5  # rows that can be told apart
MOST_POINTS = 2000  # t-SNE and UMAP are computed for the figure
PARTS = ("all", "prefix", "rest")


def prefix_of(study: Study) -> int | None:
    """Features of the domain prefix in the study's step `domains`; None if there is none."""
    return study.summary("domains").get("prefix")


def ddm_features(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Kalibhat, dissertation, Fig. 2.3, for the classes of --classes or those with the most images."""
    study = studies[0]
    names, codes = domains_of(study)
    labels = study.images["label"].to_numpy(object)
    shown_classes = class_numbers(study, options)
    if not shown_classes:
        present = [(labels == name).sum() for name in study.class_names]
        shown_classes = list(np.argsort(present)[::-1][:MOST_CLASSES])
    array = study.array("representations")
    means = np.full((len(shown_classes), len(names), array.shape[1]), np.nan)
    for row, number in enumerate(shown_classes):
        for code in range(len(names)):
            rows = np.flatnonzero((labels == study.class_names[number]) & (codes == code))
            if len(rows):
                means[row, code] = unit_rows(array.rows(rows)).mean(0)
    table = study.table("domain_jaccard")
    shared = {part: known_mean(numbers(table.loc[table["part"] == part], "jaccard")) for part in PARTS}
    classes = [study.class_names[number] for number in shown_classes]
    return domains.domain_features(means, classes, names, k=prefix_of(study), jaccard=shared, theme=theme)


def ddm_map(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Kalibhat, dissertation, Figs 2.4 and 2.5: the parts by --projection, coloured by domain and by
    class.
    """
    study = studies[0]
    k, n_features = prefix_of(study), study.array("representations").shape[1]
    names, codes = domains_of(study)
    rows = np.flatnonzero(codes >= 0)
    rows = rows[seeded_rows(len(rows), MOST_POINTS, options.seed)]
    parts = PARTS if k else ("all",)
    if options.projection == "pca":
        table = study.table("domain_map")
        places = {
            part: np.stack([table[f"{axis}_{part}"].to_numpy()[rows] for axis in "xy"], 1) for part in parts
        }
    else:
        raw = study.array("representations").rows(np.sort(rows))[np.argsort(np.argsort(rows))]
        places = {
            part: _projected(raw[:, part_columns(part, k or 0, n_features)], options.projection, options.seed)
            for part in parts
        }
    colourings = {"domain": maps.by_name(np.array(names, object)[codes[rows]], title="domain", theme=theme)}
    if study.labelled:
        labels = study.images["label"].to_numpy(object)[rows]
        colourings["class"] = maps.by_name(labels, title="class", theme=theme, order=options.classes)
    titles = {part: domains.part_title(part, k, n_features) for part in parts}
    return domains.part_maps(places, colourings, titles=titles, theme=theme)


def domains_of(study: Study) -> tuple[list[str], np.ndarray]:
    """The names of the domains, and (n,) codes of the images, -1 without one."""
    names = list(study.summary("domains")["domains"])
    places = {name: code for code, name in enumerate(names)}
    column = study.table("domains", ["domain"])["domain"]
    return names, np.array([places.get(name, -1) for name in column])


def _projected(rows: np.ndarray, projection: str, seed: int) -> np.ndarray:
    """(n, 2) places of rows by UMAP or t-SNE of their L2-normalised columns."""
    if len(rows) < 8:
        raise SettingsError(f"--projection {projection} needs at least 8 images; use pca")
    h = unit_rows(rows)
    if projection == "tsne":
        from sklearn.manifold import TSNE

        nearest = min(30.0, (len(h) - 1) / 3)
        return TSNE(2, perplexity=nearest, init="pca", random_state=seed).fit_transform(h)
    check_map_options({"method": "umap"})
    from umap import UMAP  # pyright: ignore

    return np.asarray(UMAP(n_neighbors=min(15, len(h) - 1), random_state=seed, n_jobs=1).fit_transform(h))


# The chart reads its studies as it draws: it has no table apart.
DDM_FEATURES = Chart(
    name="ddm_features",
    title="features of a class in each domain",
    source="Kalibhat's dissertation, Fig. 2.3",
    needs=("domains", "domain_jaccard"),
    table=lambda study, _: [study],
    draw=ddm_features,
    column="double",
)
DDM_MAP = Chart(
    name="ddm_map",
    title="prefix, rest and all features on maps, by domain and class (--projection)",
    source="Kalibhat's dissertation, Figs 2.4, 2.5",
    needs=("domains", "domain_map"),
    table=lambda study, _: [study],
    draw=ddm_map,
    column="double",
)
