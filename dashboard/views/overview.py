"""Overview: what the study holds, its headline numbers beside their base rates, and what to do next."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from core.common.score_names import score_label
from core.steps import STEPS
from core.storage.missing import Missing
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.run_button import run_button, step_command
from dashboard.panels import report, tour
from dashboard.panels.filter_bar import filter_bar
from dashboard.server import table_downloads
from dashboard.state import image_filter, session
from dashboard.state.image_filter import SHOWN_IMAGES

SAMPLES = 12
FACTS_STYLE = (  # the class twice: it has to weigh more than Streamlit's own rule for lists
    "<style>dl.facts.facts {display: grid; grid-template-columns: max-content 1fr; margin: 0; padding: 0}"
    " @media (max-width: 1000px) {dl.facts.facts {grid-template-columns: 1fr}"
    " dl.facts.facts dt {border: 0; padding-bottom: 0}}"
    " .facts dt, .facts dd {margin: 0; padding: .4rem .75rem .4rem 0; overflow-wrap: anywhere;"
    " border-bottom: 1px solid rgba(128,140,155,.3); font-variant-numeric: tabular-nums}"
    " .facts dt {opacity: .8}</style>"
)


def page(study: Study) -> None:
    widgets.page_header(widgets.plain(served_studies.name_of(study)), _sentence(study))
    tour.start(study)
    _headline(study)
    _verdict(study)
    filter_bar(study, says=f"The filter narrows these: {SHOWN_IMAGES}. The numbers above are of all.")
    left, right = st.columns([3, 2], gap="large")
    with left:
        _samples(study)
    with right:
        _steps(study)
        _holdings(study)
    _remarks(study)
    table_downloads.section(study)
    report.section(study)


def _sentence(study: Study) -> str:
    embed = study.summary("embed")
    encoder = embed.get("encoder") or {}
    words = f"{study.n_images:,} images"
    if study.class_names:
        words += f" of {len(study.class_names):,} classes"
    if encoder.get("family") == "given":
        words += f", with the representations given in {widgets.plain(study.encoder_name or 'a file')}"
    elif study.encoder_name:
        words += f", seen by {widgets.plain(study.encoder_name)}"
    return words + "."


def _headline(study: Study) -> None:
    with st.container(horizontal=True, gap="small", key="headline"):
        _accuracy(study)
        _auroc(study)
        features = study.summary("features")
        n_features = (study.summary("embed").get("encoder") or {}).get("n_features")
        if features:
            epsilon = features.get("epsilon")
            widgets.metric(
                "Features firing on an image",
                widgets.number(_mean_firing(study), digits=1),
                explain="mean_firing",
                detail=f"on average, at epsilon = {epsilon:g}" if epsilon is not None else None,
            )
            widgets.metric(
                "Discriminative features",
                widgets.number(features.get("n_discriminative"), digits=0),
                explain="discriminative",
                detail=f"of {n_features:,} features" if n_features else None,
            )
    for note in reads.feature_notes(study):
        st.caption(widgets.plain(note))


def _mean_firing(study: Study) -> float | None:
    """Over the evaluation images once they are scored, as everywhere; until then over all of them."""
    of_all = study.summary("features").get("mean_firing")
    return study.summary("quality").get("mean_firing", of_all)


def _accuracy(study: Study) -> None:
    accuracy = study.summary("probe").get("top1")
    if accuracy is None:
        return
    labels = study.images.loc[study.is_val, "label"].value_counts(normalize=True)
    base = float(labels.iloc[0]) if len(labels) else None
    widgets.metric(
        "Probe accuracy",
        widgets.percent(accuracy),
        explain="accuracy",
        detail=f"{int(study.is_val.sum()):,} evaluation images; guessing: {widgets.percent(base)}",
    )


def _auroc(study: Study) -> None:
    quality = study.summary("quality")
    value = quality.get("q_auroc")
    if value is None:
        return
    low, high = quality.get("q_auroc_interval") or (np.nan, np.nan)
    detail = "not defined here" if widgets.undefined(value) else f"{low:.3f} to {high:.3f}; guessing: 0.500"
    widgets.metric(
        "Q-Score AUROC",
        widgets.number(value) if not widgets.undefined(value) else "not defined",
        explain="q_auroc",
        detail=detail + _rank(study),
    )


def _rank(study: Study) -> str:
    """ "; 3rd of 9 scores" by AUROC, or nothing where AUROC is not defined."""
    if not study.has("quality_metrics"):
        return ""
    metrics = reads.table(study, "quality_metrics", ("score", "auroc")).dropna()
    order = metrics.sort_values("auroc", ascending=False)["score"].tolist()
    return f"; {_ordinal(order.index('q_score') + 1)} of {len(order)} scores" if "q_score" in order else ""


def _ordinal(place: int) -> str:
    tail = {1: "st", 2: "nd", 3: "rd"}.get(place % 10 if place % 100 not in (11, 12, 13) else 0, "th")
    return f"{place}{tail}"


def _verdict(study: Study) -> None:
    """The trust check (docs/method.md 2.5) in its one sentence, with the scores that beat Q named."""
    sentence = study.summary("quality").get("premise_sentence")
    if not sentence:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**Can the Q-Score be trusted here?** {widgets.plain(sentence)}")
        better = _better_scores(study)
        if better:
            st.caption(f"Better than Q in this study: {', '.join(better)}. Details are on the Quality page.")


def _better_scores(study: Study) -> list[str]:
    if not study.has("quality_metrics"):
        return []
    metrics = reads.table(study, "quality_metrics", ("score", "auroc", "label_free")).dropna(subset="auroc")
    own = metrics.loc[metrics["score"] == "q_score", "auroc"]
    if own.empty:
        return []
    better = metrics.query("auroc > @own.iloc[0]").sort_values(by="auroc", ascending=False)
    return [
        f"{score_label(row['score'])} ({row['auroc']:.3f}{'' if row['label_free'] else ', needs labels'})"
        for row in better.to_dict("records")
    ]


def _samples(study: Study) -> None:
    st.subheader("A few of the images")
    rows = image_filter.shown(study)
    shown = rows[np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).round().astype(int)]
    widgets.image_gallery(study, shown, key="overview_samples", tile=120, label="sample images")
    st.page_link(
        "views/images.py", label="All images", icon=":material/photo_library:", query_params=_link(study)
    )


def _link(study: Study) -> dict[str, str]:
    return {session.STUDY: served_studies.name_of(study)}


def _steps(study: Study) -> None:
    st.subheader("Steps")
    missing = study.missing()
    lines = []
    for step, row in STEPS.items():
        name = row.title
        skipped = study.summary(step).get("skipped")
        if step in missing:
            lines.append(f":orange[:material/pending:] {name}: {widgets.plain(missing[step].reason)}")
        elif skipped:
            lines.append(f":gray[:material/remove_circle_outline:] {name}: {widgets.plain(skipped)}")
        else:
            lines.append(f":green[:material/check_circle:] {name}")
    st.markdown("  \n".join(lines))
    _next_step(study, missing)


def _next_step(study: Study, missing: dict[str, Missing]) -> None:
    if missing:
        step, why = next(iter(missing.items()))
        st.caption("Next: fill in what is missing.")
        if (command := step_command(study, step, redo=why.redo)) is not None:
            st.code(command.shell, language="bash", wrap_lines=True)
            run_button(command, key="overview_next")
        else:
            st.code(why.command, language="bash", wrap_lines=True)
    elif study.summary("quality").get("q_auroc") is not None:
        st.page_link(
            "views/predicting_errors.py",
            label="Next: look at the images it represents worst",
            icon=":material/arrow_forward:",
            query_params=_link(study),
        )
    else:
        st.page_link(
            "views/features.py",
            label="Next: see which features fire, and on what",
            icon=":material/arrow_forward:",
            query_params=_link(study),
        )


def _holdings(study: Study) -> None:
    embed, encoder = study.summary("embed"), study.summary("embed").get("encoder") or {}
    facts = {
        "Train images": f"{int((~study.is_val).sum()):,}",
        "Evaluation images": f"{int(study.is_val.sum()):,}",
        "Classes": f"{len(study.class_names):,}" if study.labelled else "no labels",
        "Images from": str(study.settings("embed").get("images") or "given representations"),
        "Encoder": study.encoder_name or "given representations",
        "Layer": str(encoder.get("layer") or "not known"),
        "Skipped images": f"{embed.get('n_skipped', 0):,}",
    }
    st.subheader("What it holds")
    pairs = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(fact)}</dd>" for name, fact in facts.items())
    st.html(f"{FACTS_STYLE}<dl class=facts>{''.join(pairs)}</dl>")


def _remarks(study: Study) -> None:
    """Everything that was assumed, ignored or skipped, so that no number surprises."""
    embed = study.summary("embed")
    encoder = embed.get("encoder") or {}
    remarks = [*embed.get("notes", []), *encoder.get("assumptions", [])]
    if remarks:
        with st.expander(f"Notes ({len(remarks)})", icon=":material/sticky_note_2:"):
            st.markdown("\n".join(f"- {widgets.plain(remark)}" for remark in remarks))
    if embed.get("n_skipped") and study.has("skipped"):
        skipped = reads.table(study, "skipped")
        with st.expander(f"Skipped images ({len(skipped):,})", icon=":material/broken_image:"):
            st.caption("These files could not be read and are in no number on these pages.")
            st.dataframe(skipped.head(1000), hide_index=True, alt="Skipped image files with the reason")
            download(skipped, name="skipped_images", label="All as CSV")


page(session.current_study())
