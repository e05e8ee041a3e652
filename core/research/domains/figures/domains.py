"""Kalibhat, dissertation, Figs 2.3 to 2.5 of one study: features of a class in each domain, and maps of the
parts.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.maps import Colouring
from core.charts.theme import Theme, finish

MARGINS = 60  # px above and below the maps
PART_TITLES = {"all": "all features", "prefix": "prefix", "rest": "rest"}


def part_title(part: str, k: int | None, n_features: int) -> str:
    """
    >>> part_title("prefix", 32, 512), part_title("all", None, 512)
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
    """Plot every image by each part (Kalibhat, dissertation, Figs 2.4, 2.5): a column a part, a row a
    colouring.

    Args:
        places: (n, 2) by part. rows: a colouring by names of the same images, by what it shows.
        titles: of the parts.
    """
    figure = make_subplots(
        len(rows),
        len(places),
        subplot_titles=[titles[part] for part in places],
        row_titles=[f"by {name}" for name in rows],
        horizontal_spacing=0.03,
        vertical_spacing=0.04,
    )
    for row, (shown, colouring) in enumerate(rows.items(), 1):
        for column, points in enumerate(places.values(), 1):
            for code, name in enumerate(colouring.names):
                of_domain = colouring.codes == code
                marker = {"color": colouring.palette[code], "size": theme.stroke(3), "opacity": 0.7}
                trace = go.Scatter(
                    x=points[of_domain, 0], y=points[of_domain, 1], mode="markers", marker=marker, name=name,
                    legendgroup=shown, legendgrouptitle_text=shown, showlegend=column == 1, hoverinfo="skip",
                )  # fmt: skip
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
    """Return the height in px of a figure whose legend shows groups of so many names, under one another.

    Plotly cuts a legend that is longer than its figure off. A line is as high as its text, 16 px at least,
    with 3 px between two.
    """
    line = max(16.0, 1.3 * theme.font_size) + 3
    return round((sum(groups) + len(groups)) * line + 12 * len(groups) + MARGINS)
