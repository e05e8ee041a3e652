"""What research adds to the pages: one table, of which a page shows its row, and what the rows draw."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.charts.theme import Theme
from core.common.command_line import command_line
from core.common.formatting import counted, percent
from core.compare.compare import Comparison
from core.errors import PeregrineError
from core.research import changed_inputs_moved as search
from core.research.domains_topic import DomainsFacts
from core.research.transfer_compared_words import carries_words
from core.research.transfer_learning_topic import FewShotFacts
from core.research.visual_tokens_beside_study import FOLDER, ShownTokens, rank_weights, shown_tokens
from core.research.visual_tokens_graph import SceneGraph
from core.research.visual_tokens_scene_graph import attention_figure, scene_graph_figure
from core.store import Study
from dashboard.cache.reader import cached_read
from dashboard.components import widgets
from dashboard.components.chart import chart, download

# Accuracy estimated without labels, in the view Compare.


def accuracy_estimates(comparison: Comparison) -> None:
    """Accuracy without labels, where a study holds estimates of it."""
    if not len(comparison.estimates.table):
        return
    st.header("Accuracy estimated without labels")
    st.markdown("\n".join(f"- {widgets.plain(line)}." for line in comparison.estimates.sentences()))
    with st.expander("All methods, with their errors where the truth is known", icon=":material/table:"):
        by_method = comparison.estimates.by_method()
        st.dataframe(
            by_method, hide_index=True, alt="Every estimate of accuracy with its errors in back tests"
        )
        st.caption(
            "Each estimate is of all images that it speaks of, whatever the filter. In brackets beside it: "
            "its prediction interval. In 95 % of the back tests the truth lay that near to the estimate. "
            "In brackets beside an error: how many points more (+) or fewer (−) than with the accuracy on "
            "evaluation images, as if nothing had changed; 95 % intervals, paired over images. By chance "
            "alone: the sampling noise of the accuracies that the estimates are compared with, on slices and "
            "on copies."
        )
        download(comparison.shared.studies, comparison.estimates.table, name="accuracy_estimates")


# What a probe reads of the domain of an image, in one line of the overview.


NO_LEAD = 0.05  # share of the lead over the base rate that counts as none
DOMAIN_PARTS = {"rest": "the rest", "prefix": "the prefix"}


def domain_probe_line(study: Study) -> None:
    """Show how well a probe reads the domain, once the step `domains` has run."""
    if not study.has("domain_probes"):
        return
    facts = study.facts(DomainsFacts)
    with st.container(border=True):
        st.markdown(domain_sentence(facts), help=widgets.help_text("domain_probe"))
        for caution in facts.cautions:
            st.caption(f":material/warning: {widgets.plain(caution[:1].upper() + caution[1:])}.")


def domain_sentence(facts: DomainsFacts) -> str:
    """Say what a probe reads from all features and, with a prefix, from its parts."""
    rate, column = facts.base_rate, widgets.plain(facts.column.replace("_", " "))
    best = {part: facts.best_probe(part) for part in ("all", *DOMAIN_PARTS)}
    if rate is None or best["all"] is None:
        return f"**Do the representations tell the {column}?** Too few images to tell."
    share = {part: widgets.percent(value, digits=0) for part, value in best.items() if value is not None}
    verdict = "Yes" if best["all"] - rate > NO_LEAD * (1 - rate) else "Hardly"
    line = f"{verdict}: a probe names it in {share['all']}, guessing in {widgets.percent(rate, digits=0)}."
    parts = [f"{name} {share[part]}" for part, name in DOMAIN_PARTS.items() if part in share]
    more = f" From {' and from '.join(parts)}." if parts else ""
    return f"**Do the representations tell the {column}?** {line}{more}"


# What probes on a few images of each class reach, beside the accuracy on the Overview.


def few_shot_words(study: Study) -> str:
    """Say how accurate probes on a few images of each class are: "trained on 5 images a class: 51.2 %";
    empty without the step `few-shot`.
    """
    parts = []
    for shots, result in study.facts(FewShotFacts).shots.items():
        between = ""
        if result.low is not None and result.high is not None:
            between = f" ({100 * result.low:.1f} to {100 * result.high:.1f})"
        left = len(result.left_out)
        without = f", {counted(left, 'smaller class', 'smaller classes')} left out" if left else ""
        parts.append(f"{shots}: {percent(result.accuracy)}{between}{without}")
    if not parts:
        return ""
    first, *others = parts
    first = first.replace(":", " images a class:", 1)
    return "; ".join([f"trained on {first}", *(f"on {part}" for part in others)])


# The images nearest to an opened image's embedding, moved as implicit feature modification moves it.


NEIGHBOURS_SHOWN = 6
LARGEST_MOVE, FIRST_MOVE, MOVE_STEP = 2.0, 0.2, 0.05
MOVE_KINDS = {
    "positive": "This image, moved away from a view of it",
    "negative": "Another image, moved towards that view",
}


@cached_read(max_entries=256, spinner="Comparing with every image")
def nearest_to_moved(
    study: Study, row: int, epsilon: float, kind: str, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The images nearest to a moved embedding; empty where the move leads nowhere."""
    try:
        return search.near_moved(study, row, k, epsilon=epsilon, kind=kind)
    except PeregrineError:
        return np.empty(0, np.int64), np.empty(0, np.float32)


def near_moved_embedding(study: Study, row: int) -> None:
    """The slider and the nearest images; nothing for a study without the moved embeddings."""
    if not search.has_moved(study):
        return
    st.header("Moved embedding", help=widgets.help_text("perturbed"))
    epsilon = st.slider(
        "Size of the move (epsilon)", 0.0, LARGEST_MOVE, FIRST_MOVE, MOVE_STEP, key="alike_epsilon"
    )
    for kind, title in MOVE_KINDS.items():
        rows, cosines = nearest_to_moved(study, row, float(epsilon), kind, NEIGHBOURS_SHOWN)
        st.caption(title if len(rows) else f"{title}: the move ends at a point without direction.")
        if len(rows):
            moved = row if kind == "positive" else search.partner_of(row, study.n_images)
            widgets.nearest_gallery(
                study,
                rows,
                cosines,
                key=f"detail_moved_{kind}",
                label=f"images nearest to the moved embedding, {kind}",
                names={moved: "the moved image"},
            )


# The scene graph of an image, and what an encoder of tokens looks at.


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


# Words carried by a linear map between two encoders, in the view Compare.


CARRIED_COLUMNS = {"carried": "words carried", "direct": "its own words", "n_shared": "in both"}


def carried_words(comparison: Comparison) -> None:
    """Words carried by a linear map between two encoders, beside those found directly."""
    if not comparison.transfers:
        paths = [study.path for study in comparison.shared.studies[:2]]
        st.caption("Words can also be carried from one study to another and checked against its own:")
        st.code(command_line("transfer", *paths[:2]), language="bash", wrap_lines=True)
        return
    for transfer in comparison.transfers:
        st.markdown(
            f"**Words carried from {widgets.plain(transfer.source)} to {widgets.plain(transfer.target)}**"
        )
        for method, about in transfer.about.items():
            line = f"{method}: {transfer.explained(method)}."
            if carries_words(transfer.explained_share.get(method)):
                alike, chance = (widgets.number(about.get(name)) for name in ("jaccard", "chance"))
                line += (
                    f" {about.get('n_with_words', 0):,} features got words; of these words "
                    f"{widgets.percent(about.get('precision'))} are among the feature's own; Jaccard "
                    f"{alike}, by chance {chance}."
                )
            st.caption(widgets.plain(line))
        table = transfer.features.rename(columns=CARRIED_COLUMNS)
        st.dataframe(table, hide_index=True, alt="Carried words of each feature beside its own")
        pair = [
            comparison.shared.studies[comparison.names.index(name)]
            for name in (transfer.source, transfer.target)
        ]
        download(pair, transfer.features, name=f"compare_transfer_{comparison.names.index(transfer.target)}")


# What research adds to the pages: one table, of which a page shows its row.


BESIDE_THE_ACCURACY = (few_shot_words,)  # (study) -> words
ON_THE_OVERVIEW = (domain_probe_line,)  # (study)
OF_AN_IMAGE = {"Scene graph": scene_graph_part}  # further parts of its page: (study, row, facts)
BELOW_SIMILAR_IMAGES = (near_moved_embedding,)  # (study, row)
BELOW_COMPARED_FEATURES = (accuracy_estimates,)  # (comparison)
BELOW_COMPARED_WORDS = (carried_words,)  # (comparison), of studies that have words
