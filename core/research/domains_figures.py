"""The figures of a study's domains: Kalibhat, dissertation, Figs 2.3 to 2.5."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts import maps
from core.charts.chart import Chart, class_numbers, seeded_rows
from core.charts.maps import Colouring
from core.charts.options import FigureOptions
from core.charts.theme import Theme, finish
from core.common.dataframes import known_mean, numbers, unit_rows
from core.config.checks import check_map_options
from core.errors import SettingsError
from core.research.domains_parts import part_columns
from core.research.domains_topic import DomainsFacts
from core.store import Study

MARGINS = 60  # px above and below the maps
PART_TITLES = {"all": "all features", "prefix": "prefix", "rest": "rest"}


def _part_title(part: str, k: int | None, n_features: int) -> str:
    """Name a part of representations in figures of domains (research): prefix, rest or all.

    >>> _part_title("prefix", 32, 512), _part_title("all", None, 512)
    ('prefix (features 0 to 31)', 'all features')
    """
    if not k or part == "all":
        return PART_TITLES[part]
    first, last = (0, k - 1) if part == "prefix" else (k, n_features - 1)
    return f"{part} (features {first} to {last})"


def domain_features(
    means: np.ndarray,
    classes: Sequence[str],
    domains: Sequence[str],
    *,
    k: int | None,
    jaccard: Mapping[str, float],
    theme: Theme,
) -> go.Figure:
    """Draw the mean activation of every feature for a few classes, one strip a domain (Kalibhat,
    dissertation, Fig. 2.3).

    Args:
        means: (n_classes, n_domains, n_features) of L2-normalised rows; NaN where a class has no image.
        k: features of the prefix, which a line separates. jaccard: by part, for the title.
    """
    figure = make_subplots(len(classes), 1, shared_xaxes=True, vertical_spacing=0.03)
    for row, name in enumerate(classes, 1):
        hover = f"{name}, %{{y}}<br>feature %{{x}}: %{{z:.3f}}<extra></extra>"
        trace = go.Heatmap(z=means[row - 1], y=list(domains), coloraxis="coloraxis", hovertemplate=hover)
        figure.add_trace(trace, row, 1)
        figure.update_yaxes(title_text=name, autorange="reversed", showgrid=False, ticks="", row=row, col=1)
        if k:
            edge = {"x0": k - 0.5, "x1": k - 0.5, "y0": 0, "y1": 1, "yref": "y domain"}
            line = {"color": theme.misclassified, "width": theme.stroke(2)}
            figure.add_shape(type="line", **edge, line=line, row=row, col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(
        title_text="feature" + (" (left of the line: the prefix)" if k else ""), row=len(classes), col=1
    )
    words = [f"{PART_TITLES[part]} {value:.2f}" for part, value in jaccard.items() if np.isfinite(value)]
    height = 26 * len(domains) * len(classes) + 130
    finish(figure, theme, height=height)
    bar = {
        "title": {"text": "mean activation", "side": "right"},
        "thickness": theme.stroke(12),
        "outlinewidth": 0,
    }
    finite_means = means[np.isfinite(means)]
    least, most = np.quantile(finite_means, [0.005, 0.995]).tolist() if finite_means.size else (0.0, 1.0)
    least = min(least, 0.0)  # below 0: of signed features
    most = most if most > least else 1.0
    figure.update_layout(
        height=max(height, theme.height or 0),
        coloraxis={"colorscale": theme.sequential, "cmin": least, "cmax": most, "colorbar": bar},
    )
    if words:
        title = f"outstanding features shared by two domains (Jaccard): {', '.join(words)}"
        figure.update_layout(title={"text": title, "font": {"size": theme.font_size}, "x": 0.01})
    return figure


def part_maps(
    places: Mapping[str, np.ndarray],
    rows: Mapping[str, Colouring],
    *,
    titles: Mapping[str, str],
    theme: Theme,
) -> go.Figure:
    """Plot a map by each part, in domains (research; Kalibhat, dissertation, Figs 2.4, 2.5).

    A column a part, a row a colouring.

    Args:
        places: (n, 2) by part. rows: a colouring by names of the same images, by what it shows.
        titles: of the parts.
    """
    part_titles = [titles[part] for part in places]
    figure = make_subplots(
        len(rows),
        len(places),
        subplot_titles=part_titles,
        row_titles=[f"by {name}" for name in rows],
        horizontal_spacing=0.03,
        vertical_spacing=0.04,
    )
    for row, (shown, colouring) in enumerate(rows.items(), 1):
        for column, points in enumerate(places.values(), 1):
            for code, name in enumerate(colouring.names):
                of_domain = colouring.codes == code
                marker = {"color": colouring.palette[code], "size": theme.stroke(3), "opacity": 0.7}
                x, y = points[of_domain].T
                trace = go.Scatter(
                    x=x,
                    y=y,
                    mode="markers",
                    marker=marker,
                    name=name,
                    legendgroup=shown,
                    legendgrouptitle_text=shown,
                    showlegend=column == 1,
                    hoverinfo="skip",
                )
                figure.add_trace(trace, row, column)
    figure.update_xaxes(showticklabels=False, showgrid=False, ticks="", showline=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, ticks="")
    height = 300 * len(rows) + 60
    finish(figure, theme, height=height)
    figure.update_annotations(font_size=theme.font_size)
    legend = {"orientation": "v", "x": 1.05, "xanchor": "left", "y": 1, "yanchor": "top"}
    figure.update_layout(legend={**legend, "itemsizing": "constant", "tracegroupgap": 12})
    squares = round(0.36 * (theme.width or 900) * len(rows))
    heights = (
        theme.height or height,
        squares,
        legend_height([len(shown.names) for shown in rows.values()], theme),
    )
    return figure.update_layout(height=max(heights))


def legend_height(groups: Sequence[int], theme: Theme) -> int:
    """Return the height in px of a figure of domains (research) with legends of so many names.

    Plotly cuts a legend that is longer than its figure off. A line is as high as its text, 16 px at least,
    with 3 px between two.
    """
    line = max(16.0, 1.3 * theme.font_size) + 3
    return round((sum(groups) + len(groups)) * line + 12 * len(groups) + MARGINS)


MOST_CLASSES = 5  # rows that can be told apart
MOST_POINTS = 2000  # t-SNE and UMAP are computed for the figure
PARTS = ("all", "prefix", "rest")


def _prefix_of(study: Study) -> int | None:
    """Features of the domain prefix in the study's step `domains`; None if there is none."""
    return study.facts(DomainsFacts).prefix


def ddm_features(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Figure of features by domain (research: Kalibhat, dissertation, Fig. 2.3), for some classes."""
    study = studies[0]
    names, codes = _domains_of(study)
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
    return domain_features(means, classes, names, k=_prefix_of(study), jaccard=shared, theme=theme)


def ddm_map(studies: Sequence[Study], options: FigureOptions, theme: Theme) -> go.Figure:
    """Figure of a map by each part, coloured by domain and by class (research).

    Kalibhat, dissertation, Figs 2.4 and 2.5: the parts by --projection.
    """
    study = studies[0]
    k, n_features = _prefix_of(study), study.array("representations").shape[1]
    names, codes = _domains_of(study)
    rows = np.flatnonzero(codes >= 0)
    rows = rows[seeded_rows(len(rows), MOST_POINTS, options.seed)]
    parts = PARTS if k else ("all",)
    if options.projection == "pca":
        table = study.table("domain_map")
        places = {}
        for part in parts:
            x, y = table[f"x_{part}"], table[f"y_{part}"]
            places[part] = np.stack([x.to_numpy()[rows], y.to_numpy()[rows]], 1)
    else:
        raw = study.array("representations").rows(np.sort(rows))[np.argsort(np.argsort(rows))]
        places = {}
        for part in parts:
            of_part = raw[:, part_columns(part, k or 0, n_features)]
            places[part] = _projected(of_part, options.projection, options.seed)
    colourings = {"domain": maps.by_name(np.array(names, object)[codes[rows]], title="domain", theme=theme)}
    if study.labelled:
        labels = study.images["label"].to_numpy(object)[rows]
        colourings["class"] = maps.by_name(labels, title="class", theme=theme, order=options.classes)
    titles = {part: _part_title(part, k, n_features) for part in parts}
    return part_maps(places, colourings, titles=titles, theme=theme)


def _domains_of(study: Study) -> tuple[list[str], np.ndarray]:
    """The names of a study's domains (research), and (n,) codes of the images, -1 without one."""
    names = list(study.facts(DomainsFacts).domains)
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
    from core.analysis.map_step import umap_class

    return np.asarray(
        umap_class()(n_neighbors=min(15, len(h) - 1), random_state=seed, n_jobs=1).fit_transform(h)
    )


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
