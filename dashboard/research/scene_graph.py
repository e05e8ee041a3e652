"""The scene graph of an image, and what an encoder of tokens looks at."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.charts.theme import Theme
from core.common.command_line import command_line
from core.research.visual_tokens.figures.scene_graph import attention_figure, scene_graph_figure
from core.research.visual_tokens.tokens.beside_study import FOLDER, ShownTokens, rank_weights, shown_tokens
from core.research.visual_tokens.tokens.graph import SceneGraph
from core.store import Study
from dashboard.cache.reader import cached_read
from dashboard.components import widgets
from dashboard.components.chart import chart


def token_stamp(study: Study) -> float:
    """Return a value that changes when a command writes tokens beside the study."""
    try:
        return (study.path / FOLDER).stat().st_mtime
    except OSError:
        return 0.0


@cached_read(max_entries=128)
def found_tokens(study: Study, row: int, stamp: float) -> ShownTokens:
    """See `beside_study.shown_tokens`."""
    return shown_tokens(study, row)


@cached_read(max_entries=8)
def weights_of_ranks(study: Study, stamp: float) -> list[float] | None:
    """See `beside_study.rank_weights`."""
    return rank_weights(study.path)


def scene_graph_part(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The part "Scene graph" of an image's page."""
    stamp = token_stamp(study)
    tokens = found_tokens(study, row, stamp)
    if not tokens.anything:
        st.info("This study has no visual tokens. This command shows those of a model here:")
        command = command_line("train-tokens", "CONFIG", study=study.path)
        st.code(command, language="bash", wrap_lines=True)
        return
    name = widgets.image_name(facts)
    graphs = distinct_graphs(tokens.planted, tokens.extracted)
    if graphs:
        st.header("Objects and relations")
        for (kind, graph), column in zip(graphs.items(), st.columns(len(graphs)), strict=True):
            with column:
                _graph(study, row, stamp, kind, graph, name)
    _attention(study, row, stamp, tokens.attention, name)


def distinct_graphs(planted: SceneGraph | None, extracted: SceneGraph | None) -> dict[str, SceneGraph]:
    """Return the graphs to show by kind; one where the extracted graph is the planted one."""
    if (
        planted is not None
        and extracted is not None
        and in_words(planted) == in_words(extracted)
        and np.array_equal(planted.boxes, extracted.boxes)
    ):
        return {"planted": planted}
    graphs = {"planted": planted, "extracted": extracted}
    return {kind: graph for kind, graph in graphs.items() if graph is not None}


def _graph(study: Study, row: int, stamp: float, kind: str, graph: SceneGraph, name: str) -> None:
    """The graph over its picture, and its relations in words."""

    def draw(theme: Theme) -> go.Figure:
        image_id = str(study.column("images", "image_id").iat[row])
        return scene_graph_figure(study.source.read_id(image_id), graph, theme=theme)

    st.caption("As Glyphworld planted them" if kind == "planted" else "As the segmenter found them")
    relations = relations_frame(graph)
    alt = f"{kind} scene graph of {name}: {in_words(graph)}"
    chart(study, f"scene_graph_{kind}", draw, row, stamp, alt=alt, data=relations)
    st.dataframe(relations, hide_index=True, height="content", alt=f"{kind} relations of {name}")


def in_words(graph: SceneGraph) -> str:
    """ "red dog left of blue cat; red dog on green grass"."""
    named = [node.phrase for node in graph.nodes]
    relations = [f"{named[t.subject]} {t.predicate} {named[t.object]}" for t in graph.triples]
    return "; ".join(relations) or ", ".join(named)


def relations_frame(graph: SceneGraph) -> pd.DataFrame:
    """Tabulate the relations as a reader reads them."""
    named = [node.phrase for node in graph.nodes]
    rows = [(named[t.subject], t.predicate, named[t.object], round(t.score, 3)) for t in graph.triples]
    return pd.DataFrame(rows, columns=["Subject", "Relation", "Object", "Score"])


def _attention(study: Study, row: int, stamp: float, attention: pd.DataFrame, name: str) -> None:
    weights = weights_of_ranks(study, stamp)
    if weights is None and attention.empty:
        return
    st.header("What the encoder looks at")
    alt = f"learned weights of ranks, and attention of the last layer on {name}"
    draw = partial(attention_figure, weights, attention)
    chart(study, "token_attention", lambda theme: draw(theme=theme), row, stamp, alt=alt, data=attention)
