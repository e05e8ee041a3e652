"""Overview: what the encoder sees and where it goes wrong, in pictures; what to look at first."""

import html
import math

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.caveats import doubt, doubts_on_accuracy, notes_on_accuracy, whose_accuracy
from core.analysis.recommendation import advise
from core.charts.miou_scale import CONTROL_NAMES
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.common.records import Templates
from core.common.step_facts import EmbedFacts, FeaturesFacts, QualityFacts
from core.encoders.readout import encoder_title, layer_words, readout_words, weights_words
from core.measures.label_issues import TABLE as ISSUES
from core.measures.label_issues import is_open, listed_issues, own_errors
from core.measures.overlap import ENCODER
from core.measures.slice import Slice
from core.measures.slice_comparison import is_filtered
from core.measures.slice_features import FEW_OF_A_CLASS
from core.publish.accuracies import accuracies_line, table_of
from core.store import Study
from core.study.commands import Resume
from core.study.missing import Missing
from core.study.steps import STEPS
from core.study.write_access import guest_is_asking
from dashboard.cache import (
    feature_reads,
    highlight_reads,
    image_filter,
    label_reads,
    reads,
    score_reads,
    slice_reads,
)
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.job_follower import making_command, run_button
from dashboard.components.page_link import link
from dashboard.components.widgets import scale
from dashboard.panels import exports, findings, further_steps, research, study_progress, tour
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.findings import leakage
from dashboard.panels.other_encoders import other_encoders_menu
from dashboard.panels.tried_picture import picture_field
from dashboard.server import table_downloads
from dashboard.state import session
from dashboard.state.pages import of_labels

OVERLAP = "Grad-CAM overlap with the object (mIoU)"
_say = Templates.beside(__file__)
NO_OUTCOMES = "No image here has a known outcome."
NO_LABELS = "Labels would tell accuracy and errors: images in folders named by class, or a table."
NO_MASKS = "Masks of the objects would tell whether it looks at them."
NOT_SHOWN_HERE = {"map", "search"}  # steps of which this page shows nothing


def overview_page(study: Study, population: Slice) -> None:
    filtered = is_filtered(study, population)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        widgets.page_header(widgets.plain(highlight_reads.finding(study, population)), _sentence(study))
        tour.start(study)
        brings_pictures = not (study.facts(EmbedFacts).encoder.is_given or guest_is_asking())
        if brings_pictures:
            with st.container(width="content", gap="xxsmall"):
                link("try_picture", "Try a picture of your own", study, icon="add_photo_alternate")
                other_encoders_menu(study, kind="tertiary")
    filter_bar(study, population)
    gaps_matter = bool(set(study.missing()) - NOT_SHOWN_HERE)
    first = st.container()
    if slice_reads.count(study, population):
        _of_images(study, population, filtered=filtered)
    else:
        widgets.empty_state("No images", widgets.NO_MATCH)
    with first if gaps_matter else st.container():
        _unfinished(study)
    _assumed(study)
    if brings_pictures:
        st.header("Try a picture of your own")
        picture_field(small=True, leads_there=True)
    with st.expander("About this study", icon=":material/info:"):
        left, right = st.columns(2, gap="large")
        with left:
            _holdings(study)
        with right:
            _steps(study)
        _remarks(study)
    table_downloads.section(study)
    exports.tool_exports_section(study)
    exports.report_section(study)


def _assumed(study: Study) -> None:
    """What was assumed of the encoder and does most harm where it is wrong."""
    for line in study.facts(EmbedFacts).encoder.most_harmful:
        st.caption(f":material/help: {widgets.plain(line[:1].upper() + line[1:])}")


def _of_images(study: Study, population: Slice, *, filtered: bool) -> None:
    """What holds of the images of the filter; research speaks of the whole study."""
    _headline(study, population, filtered=filtered)
    _accuracies(study)
    _doubted_labels(study, population)
    leakage(study, population)
    with st.container(key="overview_places", gap="xsmall"):
        findings.look_first(study, population)
    with st.container(key="overview_looks", gap="xsmall"):
        findings.feature_findings(study, population)
    _prediction(study, population)
    for show in () if filtered else research.ON_THE_OVERVIEW:
        show(study)


def _sentence(study: Study) -> str:
    embed = study.facts(EmbedFacts)
    encoder = embed.encoder
    kind = "images_and_skipped" if embed.n_skipped else "images"
    parts: list[str] = [_say(kind, n=study.n_images, of=embed.n_skipped)]
    if study.class_names:
        parts.append(counted(len(study.class_names), "class"))
    if encoder.is_given:
        parts.append(_say("given", what=widgets.plain(study.encoder_name or "a file")))
    elif study.encoder_name:
        parts.append(widgets.plain(encoder_title(study.encoder_name)))
    if encoder.report is not None and encoder.report.layout == "random":
        parts.append(f"**{weights_words(encoder.report)}**")
    if encoder.layer:
        parts.append(widgets.plain(layer_words(encoder)))
    if words := readout_words(encoder):
        parts.append(words)
    return " · ".join(parts)


def _headline(study: Study, population: Slice, *, filtered: bool) -> None:
    """Up to three numbers with their scale, low enough that pictures begin on the first screen."""
    no_masks = further_steps.missing(study)
    cards = [
        *[(1.1, lambda: _accuracy(study, population, filtered=filtered))] * study.labelled,
        *[(1.1, lambda: _features(study, population, filtered=filtered))] * study.has("features"),
        *[(1.4, lambda: _overlap(study, population))] * (not no_masks),
    ]
    lacks = [*[NO_LABELS] * (not study.labelled), *[NO_MASKS] * no_masks]
    if lacks:
        cards.append((1.4, lambda: _lacks(study, lacks)))
    with st.container(key="overview_headline"):
        for column, (_, show) in zip(st.columns([one for one, _ in cards], gap="small"), cards, strict=True):
            with column:
                show()
    for note in reads.feature_notes(study):
        st.caption(widgets.plain(note))
    for note in doubts_on_accuracy(study):
        (st.warning if study.answer else st.caption)(widgets.plain(note))


def _lacks(study: Study, lacks: list[str]) -> None:
    """What further numbers would need, in place of them."""
    with st.container(border=True, height="stretch", gap="xxsmall"):
        for line in lacks:
            st.caption(line)
        if NO_MASKS in lacks:
            link("masks", "Add masks", study, icon_right="arrow_forward")


def _accuracy(study: Study, population: Slice, *, filtered: bool) -> None:
    accuracy = highlight_reads.class_accuracy(study, population)
    if accuracy is None:
        why = NO_OUTCOMES if filtered and study.has("probe") else _why_no_accuracy(study)
        widgets.metric("Accuracy", "not defined", explain="accuracy", detail=why)
        return
    name, scope = widgets.plain(whose_accuracy(study)), study.accuracy_scope(accuracy.n, filtered=filtered)
    if filtered:  # in a slice of one class, every guess would be right
        detail = str(scope)
    else:
        guess = widgets.percent(accuracy.guess, digits=int(accuracy.guess < 0.01))
        guessing = "guessing" if accuracy.beats_guessing else f"always “{widgets.plain(accuracy.common)}”"
        detail = f"{scope}; {guessing}: {guess}"
    if filtered or (not accuracy.beats_guessing and accuracy.worst):
        detail = f"95 % interval: {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}; {detail}"
    if accuracy.worst and accuracy.n >= FEW_OF_A_CLASS * len(study.class_names):
        worst = widgets.percent(accuracy.worst_accuracy, digits=0)
        detail += f"; worst class: {widgets.plain(accuracy.worst)}, {worst}"
    if without := int(reads.mask(study, population).sum()) - accuracy.n:
        why = " (see Notes, below)" if study.answer and study.answer.facts.get("notes") else ""
        detail += f"; {without:,} more without a verdict{why}"
    for say in () if filtered else research.BESIDE_THE_ACCURACY:
        detail += f"; {words}" if (words := say(study)) else ""
    widgets.metric(f"{name}, accuracy", widgets.percent(accuracy.accuracy), explain="accuracy", detail=detail)


def _accuracies(study: Study) -> None:
    """Every accuracy that the study holds, whatever the filter; nothing where there is one."""
    rows = label_reads.accuracies(study)
    if len(rows) < 2:
        return
    with st.expander(widgets.plain(accuracies_line(rows)), icon=":material/percent:"):
        heads, cells = table_of(rows)
        table = pd.DataFrame(cells, columns=heads)
        st.dataframe(
            table, hide_index=True, alt="Accuracies, their images and the commands that they are from"
        )


def _doubted_labels(study: Study, population: Slice) -> None:
    """How many of the errors may be errors of the labels, as the report says it, and the way to these."""
    line = label_reads.doubted_errors(study, population)
    if not line:
        return
    issues = reads.label_issues(study, Slice()) if study.has(ISSUES) else None
    own = "" if issues is None else own_errors(issues)
    none_open = issues is None or not is_open(listed_issues(issues)).any()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="overview_doubts"):
        lines = " ".join(filter(None, (str(line), own)))
        st.markdown(f":orange[:material/flag:] {widgets.plain(lines)}", width="stretch")
        way = "These labels" if none_open or guest_is_asking() else "Decide on them"
        link("errors", way, study, icon_right="arrow_forward", where="", **of_labels())


def _why_no_accuracy(study: Study) -> str:
    if len(study.class_names) == 1:
        return "All images are of one class, so there is nothing to tell apart."
    if study.has("probe") and not study.is_val.any():
        return reads.NONE_HELD_OUT
    if skipped := study.why_skipped("probe"):
        return f"{widgets.plain(skipped[0].upper() + skipped[1:])}."
    return study_progress.time_left(study.path) or "No classifier of these features has been evaluated yet."


def _features(study: Study, population: Slice, *, filtered: bool) -> None:
    rates = reads.feature_differences(study, population).set_index("feature")["rate"]
    fire = rates.sort_index().to_numpy() > 0
    alive = int(np.count_nonzero(fire))
    telling = reads.discriminative(study) & fire
    n_telling = int(np.count_nonzero(telling))
    # Over the evaluation images once they are scored, as everywhere; until then over all of them.
    mean = study.facts(QualityFacts).mean_firing
    if mean is None:
        mean = study.facts(FeaturesFacts).mean_firing
    if filtered or study.answer:
        mean = reads.headline(study, population)["n_firing"]
    detail = f"{widgets.number(mean, digits=1)} of them on an average image"
    if feature_reads.classes_tell(study):
        detail += f"; {n_telling:,} {'is' if n_telling == 1 else 'are'} discriminative"
    widgets.metric(
        "Active features", f"{alive:,} of {len(rates):,}", explain="active_features", detail=detail
    )


def _overlap(study: Study, population: Slice) -> None:
    """Where the encoder's mIoU with the object lies between heatmaps that know nothing and the best one."""
    means = _object_scale(study, population)
    value = means.pop(ENCODER, math.nan)
    if not math.isfinite(value):
        why = "No image here has a heatmap and a mask of the object."
        if study.why_missing("overlap_summary"):
            why = study_progress.time_left(study.path) or "Not computed yet."
        if study.why_skipped("heatmaps"):
            why = "It needs heatmaps, and this study has none."
        widgets.metric(OVERLAP, "not defined", explain="miou", detail=why)
        return
    marks = sorted(means.items(), key=lambda pair: pair[1])
    with st.container(border=True, height="stretch", gap=None):
        below = [name for name, mean in marks if value < mean and name != CONTROL_NAMES["ceiling"]]
        beats = [name for name, mean in marks if value >= mean]
        kind = ("between" if beats else "lowest") if below else ("highest" if beats else "alone")
        label = _say(kind, value=value, names=("".join(beats[-1:]), "".join(below[:1])))
        st.metric(OVERLAP, f"{value:.2f}", help=widgets.help_text("miou"))
        scale(value, marks, label=label)
        st.caption(_images_of_overlap(study, population))


def _images_of_overlap(study: Study, population: Slice) -> str:
    """Of which images the mIoU with the object is, counted as below the scale on Masks."""
    table = reads.slice_table(study, population, "overlap_scale")
    encoder = table.loc[(table["heatmap"] == ENCODER).to_numpy()].reset_index(drop=True)
    if (encoder["images"] == "both masks").any():
        return _say("of_both_masks", n=int(encoder["n"].max()))
    return _say("of_object_mask", n=int(encoder.loc[(encoder["mask"] == "core").to_numpy(), "n"].iat[0]))


def _object_scale(study: Study, population: Slice) -> dict[str, float]:
    """mIoU with the object, of the encoder's heatmaps and of control heatmaps."""
    if not study.has("overlap"):
        return {}
    table = reads.slice_table(study, population, "overlap_scale")
    mine = table.loc[table["mask"] == "core"].reset_index(drop=True)
    means = dict(zip(mine["heatmap"].astype(str).tolist(), numbers(mine, "value").tolist(), strict=True))
    if "uniform" in means:
        means.pop("noise", None)  # they are nearly the same
    return {
        CONTROL_NAMES.get(str(name), str(name)): mean for name, mean in means.items() if math.isfinite(mean)
    }


def _prediction(study: Study, population: Slice) -> None:
    """Which score tells which images are misclassified, in one line."""
    recommended = score_reads.recommended(study, population)
    if recommended is None:
        return
    aurocs = score_reads.aurocs(study, population)
    tested = aurocs.dropna(subset="auroc")
    worth = score_reads.verdict(study, population, recommended.score)
    line = f"**Which score to trust?** {advise(recommended, worth)}"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch", gap="xsmall"):
            st.markdown(line)
            if calibrated := score_reads.confidence_sentence(study, population):
                st.markdown(f"**How sure is it?** {widgets.plain(calibrated)}")
        link(
            "predicting_errors",
            _say("compared", n=len(tested)) if len(tested) else _say("scores", n=len(reads.scores(study))),
            study,
            icon_right="arrow_forward",
        )


def _unfinished(study: Study) -> None:
    """What is missing and the button that makes it, as long as anything is; the same while a command runs, so
    that nothing below moves when one begins.
    """
    missing = study.missing()
    if not missing:
        return
    names = ", ".join(STEPS[step].title for step in missing)
    with st.container(border=True):
        stale = all(why.state == "stale" for why in missing.values())
        what = "Inputs or formulas have changed" if stale else "Not computed yet"
        st.markdown(f":orange[:material/pending:] **{what}:** {names}")
        _next_step(study, missing)


def _steps(study: Study) -> None:
    """What each step of the study did, by whichever answer the page reads it."""
    study = getattr(study, "whole", study)
    st.header("Steps")
    missing = study.missing()
    lines = []
    for step, row in STEPS.items():
        if row.on_request and step not in study.manifest["steps"]:
            continue
        name = row.title
        skipped = study.why_skipped(step)
        if row.on_request and step not in missing and study.state(step) == "missing":
            continue
        if step in missing:
            lines.append(f":orange[:material/pending:] {name}: {widgets.plain(missing[step].reason)}")
        elif skipped:
            lines.append(f":gray[:material/remove_circle_outline:] {name}: {widgets.plain(skipped)}")
        else:
            lines.append(f":green[:material/check_circle:] {name}")
    unshown = [widgets.plain(one.line) for one in study.no_longer_shown]
    lines += [f":gray[:material/visibility_off:] {line}" for line in unshown]
    st.markdown("  \n".join(lines))


def _next_step(study: Study, missing: dict[str, Missing]) -> None:
    step, why = next(iter(missing.items()))
    command = making_command(study, step, redo=why.redo)
    if not isinstance(command, Resume):
        st.caption(widgets.plain(f"{STEPS[step].title}: {why.reason}"))
    if command is not None:
        run_button(command, key="overview_next")
    else:
        st.code(why.command, language="bash", wrap_lines=True)


def _holdings(study: Study) -> None:
    study = getattr(study, "whole", study)  # by some answers no image is a train image
    embed = study.facts(EmbedFacts)
    n_val = int(study.is_val.sum())
    source = study.settings("embed").get("images")
    facts = {
        "Train images": f"{len(study.is_val) - n_val:,}",
        "Evaluation images": f"{n_val:,}",
        **({"Groups": f"{embed.n_groups or 0:,} by {embed.group}"} if embed.group else {}),
        "Classes": f"{len(study.class_names):,}" if study.labelled else "no labels",
        "Images from": str(source or "given representations"),
        "Encoder": study.encoder_name or "given representations",
        "Layer": embed.encoder.layer or "not known",
        "One vector from": readout_words(embed.encoder) or "not known",
        "Precision": embed.encoder.precision or "not known",
        "Skipped images": f"{embed.n_skipped:,}",
    }
    st.header("What it holds")
    pairs = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(fact)}</dd>" for name, fact in facts.items())
    st.html(f"<dl class=facts>{''.join(pairs)}</dl>")


def _remarks(study: Study) -> None:
    """Everything that was assumed, ignored or skipped, so that no number surprises."""
    embed = study.facts(EmbedFacts)
    above = {*doubts_on_accuracy(study), *embed.encoder.most_harmful}  # what the page says already
    answer, of_answer = study.answer, []
    if answer is not None:
        notes = answer.facts.get("notes", [])
        of_answer = [f"{answer.name}: {note}" for note in notes if doubt(note) not in above]
    of_probe = [] if answer else notes_on_accuracy(study)
    further = (*of_probe, *embed.notes, *embed.encoder.assumptions)
    remarks = [*of_answer, *(note for note in further if note not in above)]
    if remarks:
        with st.expander(f"Notes ({len(remarks)})", icon=":material/sticky_note_2:"):
            st.markdown("\n".join(f"- {widgets.plain(remark)}" for remark in remarks))
    if embed.n_skipped and study.has("skipped"):
        skipped = reads.table(study, "skipped")
        with st.expander(f"Skipped images ({len(skipped):,})", icon=":material/broken_image:"):
            st.caption("Unreadable files, excluded from all numbers.")
            st.dataframe(skipped.head(1000), hide_index=True, alt="Skipped image files with the reason")
            download(study, skipped, name="skipped_images", label="All as CSV")


overview_page(session.current_study(), image_filter.population())
