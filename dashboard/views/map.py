"""Map: every image as a point; near ones are represented alike. Colour, select, open."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.charts import maps
from core.charts.theme import Theme
from core.common.records import Templates
from core.common.score_names import score_label
from core.common.step_facts import MapFacts
from core.config.checks import has_umap
from core.measures.map_clusters import Cluster
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import feature_reads, image_filter, map_reads, reads, score_reads
from dashboard.components import widgets
from dashboard.components.chart import chart, page_theme
from dashboard.components.choose_one import choose_one, feature_number, select_one
from dashboard.components.job_follower import start_button, step_command, why_not
from dashboard.components.page_link import link
from dashboard.components.scatter import Outline, scatter
from dashboard.panels import facets, marks, search_box
from dashboard.panels.filter_bar import filter_bar
from dashboard.server.map_points import Wanted, cloud
from dashboard.state import served_studies, session

_say = Templates.beside(__file__)
KIND, COLOUR, FEATURE = "map_kind", "map_colour", "map_feature"
OUTLINE = "map_outline"  # part of the URL: corners of the selection, as x,y;x,y;…
KINDS = {
    "pca": "PCA",
    "umap": "UMAP",
    "rest_umap": "Rest, UMAP",
    "rest": "Rest, PCA",
    "prefix_umap": "Prefix, UMAP",
    "prefix": "Prefix, PCA",
}
REST = "The features after the domain prefix, meant to tell nothing of the domain."
PREFIX = "The domain prefix alone, meant to tell the domain."
PARTS = {"rest": REST, "rest_umap": REST, "prefix": PREFIX, "prefix_umap": PREFIX}
ACTIVATION = "Activation of a feature"
MOST_APART = 4  # features, and words, that are named of a selection
MOST_FOUND = 60  # images of a search that are ringed
MUCH = 0.3  # share of the variance from which on a plane shows most of what lies near what
WIDEST = 1.7  # of a map that keeps no distances: its axes have no unit, and may fill a wide page
BESIDE = 380  # pixels of the selection, beside the map from 1280 pixels and below it on narrower pages


def map_page(study: Study, population: Slice) -> None:
    widgets.page_header("Map", "Which images does the encoder find similar? Every point is an image.")
    if not widgets.needs(study, "map_pca", "The map"):
        return
    filter_bar(study, population)
    n_chosen = int(np.count_nonzero(reads.mask(study, population)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="map_controls"):
        kind, by, feature, query = _controls(study)
    with st.container():  # always there, so that the map below keeps its place
        hits = _found(study, query, population)
    if not n_chosen:
        widgets.empty_state("No images", widgets.NO_MATCH)
        return
    if by == "activation":
        map_reads.activation(study, feature)  # here, where a spinner says what is read
    request = Wanted(kind, by, feature if by == "activation" else 0, page_theme().name, population)
    outline = _outline()
    with st.container(horizontal=True, gap="medium", key="map_row"):
        with st.container(key="map_left"):
            _scatter(study, request, n_chosen, outline, hits)
            _line(study, n_chosen, kind, by)
        if outline:
            with st.container(key="map_right", width=BESIDE, gap="small"):
                apart = map_reads.set_apart(study, kind, population, outline)
                _selected(study, map_reads.outlined(study, kind, population, outline), *apart)
    _figure(study, request)


def _scatter(
    study: Study,
    request: Wanted,
    n_chosen: int,
    outline: tuple[tuple[float, float], ...],
    hits: np.ndarray | None,
) -> None:
    n_drawn = min(n_chosen, map_reads.MOST_POINTS)
    rows = np.empty(0, np.int64) if hits is None else hits
    xy = map_reads.places(study, request.kind)[rows]
    named = map_reads.clusters(study, request.kind, request.where.split)
    hit_points = [(int(row), float(x), float(y)) for row, (x, y) in zip(rows, xy, strict=True)]
    toggle = partial(facets.toggle_legend, study, request.by) if facets.legend_filters(request.by) else None

    def outlined(corners: Outline) -> None:
        session.set_url(OUTLINE, ";".join(f"{x:.6g},{y:.6g}" for x, y in corners) or None)

    scatter(
        request.address(study),
        key=f"map_{request.kind}",
        label=f"Map of {n_drawn:,} images. Arrow keys move, plus and minus zoom, 0 shows all.",
        pictures=_pictures(study),
        outline=outline,
        clusters=[_label_of(one) for one in named],
        search_hits=hit_points,
        pressed=facets.legend_pressed(study, request.by, image_filter.of_page()),
        widest=_widest(study, request.kind),
        on_open=lambda row: session.open_image(study, row),
        on_outline=outlined,
        on_legend=toggle,
    )


def _label_of(cluster: Cluster) -> dict[str, object]:
    return {
        "words": cluster.name,
        "x": cluster.x,
        "y": cluster.y,
        "top": cluster.top,
        "bottom": cluster.bottom,
        "reason": cluster.reason,
    }


def _found(study: Study, query: search_box.Query, where: Slice) -> np.ndarray | None:
    """(m,) rows that a search found, the nearest first; None: nothing is looked for, or not found yet."""
    search_box.trouble()
    if not query:
        return None
    note = f"Of them {MOST_FOUND:,} at most are ringed."
    hits = search_box.results(study, query, where, note=note)
    return None if hits is None else search_box.shown_rows(hits)[:MOST_FOUND]


def _controls(study: Study) -> tuple[str, str, int, search_box.Query]:
    """Which map, what colours it, the feature where that is an activation, and what is searched for."""
    there = map_reads.kinds(study)
    kind, feature = there[0], 0
    if len(there) > 1:
        words = [KINDS[one] for one in there]
        picked = choose_one("Map", words, key=KIND, on_change=session.set_url, args=(OUTLINE, None))
        kind = there[words.index(picked)] if picked in words else kind
    _offer_umap(study, kind)
    choices = _choices(study)
    st.caption("Colour by", width="content")
    by = select_one("Colour", choices, key=COLOUR, width=220)
    if by == ACTIVATION:
        n_features = study.array("representations").shape[1]
        feature = feature_number("Feature", n_features, key=FEATURE, width=130, shows_label=False)
    query = search_box.field(study)
    return kind, choices.get(by, next(iter(choices.values()))), feature, query


def _choices(study: Study) -> dict[str, str]:
    """What the points can be coloured by, as far as the study holds it."""
    columns = {"Class": "label"} if study.labelled else {}
    if reads.images(study).has_values("correct"):
        columns |= {"Correct or misclassified": "correct", "Predicted class": "predicted"}
    for column in map_reads.attributes(study):
        columns.setdefault(column.replace("_", " ").capitalize(), f"{map_reads.ATTRIBUTE}{column}")
    if study.labelled and not map_reads.classes_tell(study) and len(columns) > 1:
        columns["Class"] = columns.pop("Class")  # nearly all of it would be grey
    scores = reads.scores(study)
    if scores:  # without labels the first one gives the colour
        first = score_reads.picked_first(study)
        columns |= {
            score_label(column): column for column in sorted(scores, key=lambda score: score != first)
        }
    for column in map_reads.amounts(study):
        columns.setdefault(column.replace("_", " ").capitalize(), f"{map_reads.PICTURE}{column}")
    if study.has("row_stats"):
        columns[ACTIVATION] = "activation"
    return columns


def _pictures(study: Study) -> str:
    if not study.has("thumbnails"):
        return ""
    head, _, tail = served_studies.picture_url(study, 0).rpartition("/0?")
    return f"{head}/{{row}}?{tail}"


def _widest(study: Study, kind: str) -> float:
    """How much wider than high a map may be drawn: not at all where its plane shows most of the distances."""
    shares = study.facts(MapFacts).shares
    keeps_distances = not kind.endswith("umap") and (kind in PARTS or sum(shares) >= MUCH)
    return 1.0 if keeps_distances else WIDEST


def _line(study: Study, n_chosen: int, kind: str, by: str) -> None:
    """One line on what the map is."""
    shares = study.facts(MapFacts).shares
    line = f"{KINDS[kind]}: images near each other look alike to the encoder."
    if kind in PARTS:
        line = PARTS[kind]
    elif kind == "pca" and len(shares) == 2:
        line = f"PCA: the two axes hold {widgets.percent(sum(shares), digits=0)} of the variance"
        line += "." if sum(shares) >= MUCH else ", so images beside each other here need not be alike."
    if n_chosen > map_reads.MOST_POINTS:
        line += f" A random {map_reads.MOST_POINTS:,} are drawn; a selection takes all that lie in it."
    legend = "; the legend filters" if facets.legend_filters(by) else ""
    line += f" Click an image to open it; *Lasso* and *Box* select{legend}."
    st.caption(line, help=widgets.help_text(f"map_{kind}"))


def _offer_umap(study: Study, kind: str) -> None:
    """A button that adds UMAP to a study that has only PCA."""
    command = step_command(study, "map", {"method": "umap"})
    if kind == "pca" and not study.has("map_umap") and has_umap() and command is not None:
        about = "UMAP keeps the nearest neighbours of each image together. PCA stays beside it."
        why_not(start_button(command, "Compute UMAP", key="map_umap_run", about=about))


def _outline() -> tuple[tuple[float, float], ...]:
    """The selection in the URL; one that cannot be read is dropped with a note."""
    text = session.url_text(OUTLINE)
    if not text:
        return ()
    try:
        corners = tuple((float(x), float(y)) for x, y in (part.split(",") for part in text.split(";")))
        if not all(map(math.isfinite, (value for corner in corners for value in corner))):
            raise ValueError
    except ValueError:
        session.set_url(OUTLINE, None)
        session.notify("The link's selection on the map cannot be read, so it was dropped.")
        return ()
    return corners


def _selected(study: Study, rows: np.ndarray, features: pd.DataFrame, words: pd.DataFrame) -> None:
    """The images in the selection: how many, what to do with them, and what they are."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header("Selected images", anchor=False, width="content")
        st.button(
            "Clear selection",
            type="tertiary",
            icon=":material/close:",
            on_click=session.set_url,
            args=(OUTLINE, None),
        )
    st.markdown(f"**{len(rows):,}** selected{_shares(study, rows)}")
    _set_apart(study, features, words.head(MOST_APART))
    marks.action_bar(study, rows, key="map_selected", sticky=False)
    widgets.image_gallery(
        study, rows, key="map_gallery", page_size=20, select=True, tile=84, label="selected images"
    )


def _set_apart(study: Study, features: pd.DataFrame, words: pd.DataFrame) -> None:
    """What is more common on the selected images than on the others of the filter: features, the first of
    each name, and words.
    """
    if len(features) and features["q"].iloc[0] <= map_reads.SIGNIFICANT:
        st.markdown("**What sets them apart**", help=widgets.help_text("set_apart"))
    else:
        st.caption(
            "No feature is significantly more common on them than on the other images (q at most 0.05 over "
            f"all features).{' These lean most to them, which could be chance:' * bool(len(features))}"
        )
    named = feature_reads.names(study)
    titles = features["feature"].map(lambda feature: named.get(feature, f"{study.feature_kind} {feature}"))
    features = features.assign(name=titles).drop_duplicates("name").head(MOST_APART)
    with st.container(gap="xsmall"):
        for row in features.to_dict("records"):
            feature, rates = str(row["feature"]), _rates(row["rate"], row["rate_against"])
            name = widgets.plain(named.get(row["feature"], study.feature_kind))
            link("feature", f"{name} #{feature}: {rates}", study, feature=feature)
    if len(words):
        texts = [
            f"{widgets.plain(word)} {_rates(here, elsewhere)}"
            for word, here, elsewhere in words[["word", "rate", "rate_against"]].itertuples(index=False)
        ]
        st.caption("Words: " + "; ".join(texts))


def _rates(here: float, elsewhere: float) -> str:
    return f"{widgets.percent(here, digits=0)}, elsewhere {widgets.percent(elsewhere, digits=0)}"


def _shares(study: Study, rows: np.ndarray) -> str:
    """What the selected images have in common."""
    images = reads.images(study)
    parts = []
    if study.labelled and len(rows):
        counts = images["label"].iloc[rows].value_counts()
        if len(counts) and counts.iloc[0] > 1:  # one image of each class is no common class
            kind = "mostly" if 2 * counts.iloc[0] >= len(rows) else "most_often"
            name, share = widgets.plain(counts.index[0]), float(counts.iloc[0] / len(rows))
            parts.append(_say(kind, what=name, value=share))
    if "correct" in images and bool((verdicts := images["correct"].iloc[rows]).notna().any()):
        parts.append(_say("correct", value=float(verdicts.mean())))
    return "".join(f", {part}" for part in parts)


def _figure(study: Study, request: Wanted) -> None:
    """The map as a figure for a paper, drawn on request: it is another few megabytes."""
    if not st.toggle("As a figure to save", key="map_figure", bind="query-params"):
        return
    drawn = cloud(study, request).in_slice()
    shares = study.facts(MapFacts).shares

    def draw(theme: Theme) -> go.Figure:
        colouring = cloud(study, replace(request, theme=theme.name)).in_slice().colouring
        return maps.representation_map(drawn.xy, colouring, kind=request.kind, shares=shares, theme=theme)

    data = reads.images(study).frame().iloc[drawn.rows].assign(x=drawn.xy[:, 0], y=drawn.xy[:, 1])
    alt = f"Map of {len(drawn.rows):,} images"
    depends_on = (request.where, request.identity(study))
    chart(study, "map_chart", draw, *depends_on, alt=alt, data=pd.DataFrame(data))


map_page(session.current_study(), image_filter.population())
