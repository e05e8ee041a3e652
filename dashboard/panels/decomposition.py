"""An image as crops with words: what it activates, and what speaks for the answer."""

import html
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.charts import word_bars
from core.charts.theme import Theme
from core.pictures.decomposition import stored
from core.store import Study
from core.study.commands import DecomposeImage
from core.study.jobs import Job, read_report
from dashboard.cache import concept_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.components.job_follower import follow, start_button, why_not
from dashboard.components.page_link import link
from dashboard.jobs import launcher
from dashboard.panels import study_progress, word_evidence
from dashboard.state import served_studies, session

# What a decomposed image looks like: the picture with numbered boxes, its features, and both answers.


OUTLINED = 3  # boxes drawn on the picture: more would hide it
COLUMNS = 3
TOP_IMAGES = 5
Description = Mapping[str, Any]


def decomposition(
    study: Study, decomposed: Description, *, picture: str, crop: Callable[[Description], str]
) -> None:
    """The whole result.

    Args:
        decomposed: of `core.pictures.decomposition`. picture: address of the image. crop: address of a
            feature's crop, or an empty text where none is known.
    """
    left, right = st.columns([2, 3], gap="large")
    with left:
        _picture(decomposed, picture)
    with right:
        _verdict(decomposed)
        _summary(study, decomposed)
    _features(study, decomposed, crop)
    _behind(study, decomposed)


def _picture(decomposed: Description, address: str) -> None:
    """The image with the boxes of its strongest features, each with its place in the list below."""
    size = decomposed.get("size")
    frames = (
        []
        if size is None
        else [_frame(at, part["box"], size) for at, part in enumerate(decomposed["features"])]
    )
    image = (
        f'<img src="{html.escape(address, quote=True)}" alt="The image that is decomposed" '
        'style="width:100%;border-radius:6px;background:rgba(127,140,155,.16);image-rendering:auto">'
    )
    boxes = "".join(frames[:OUTLINED][::-1])  # the strongest on top
    st.html(f'<div style="position:relative;line-height:0;max-width:420px">{image}{boxes}</div>')
    if any(frames):
        st.caption("The boxes say where its strongest features look; the numbers are those of the list.")


def _frame(at: int, box: list[int] | None, size: list[int]) -> str:
    if box is None:
        return ""
    left, top, right, bottom = box
    width, height = size
    corner = f"left:{100 * left / width:.2f}%;top:{100 * top / height:.2f}%"
    across, down = 100 * (right - left) / width, 100 * (bottom - top) / height
    position = f"{corner};width:{across:.2f}%;height:{down:.2f}%"
    label = (
        "position:absolute;left:-2px;top:-2px;background:#fff;color:#1F2A37;font-size:11px;line-height:15px;"
        "padding:0 4px;border-radius:3px"
    )
    return (
        f'<div style="position:absolute;box-sizing:border-box;border:2px solid #fff;border-radius:3px;'
        f'box-shadow:0 0 0 1px rgba(31,42,55,.75),inset 0 0 0 1px rgba(31,42,55,.75);{position}">'
        f'<span style="{label}">{at + 1}</span></div>'
    )


def _verdict(decomposed: Description) -> None:
    answer, truth = decomposed["answer"], decomposed["truth"]
    if answer is None:
        return
    share = widgets.percent(answer["confidence"])
    st.markdown(f"The classifier says **{widgets.plain(answer['predicted'])}** (confidence {share})")
    if truth is None:
        return
    if truth["true"] == answer["predicted"]:
        st.badge("classified correctly", icon=":material/check:", color="blue")
    else:
        st.markdown(
            f"It is **{widgets.plain(truth['true'])}** (confidence {widgets.percent(truth['confidence'])})"
        )
        st.badge("misclassified", icon=":material/close:", color="orange")


def _summary(study: Study, decomposed: Description) -> None:
    n, n_shown = decomposed["n_features"], len(decomposed["features"])
    if not n:
        st.markdown(
            f"No feature reaches {decomposed['alpha']:.3f}, above which an image counts as activating it "
            "highly: nothing stands out in this image.",
            help=widgets.help_text("highly_activating"),
        )
        return
    line = f"It activates **{n}** feature{'s' * (n != 1)} highly, above {decomposed['alpha']:.3f}"
    st.markdown(line + (f"; the {n_shown} strongest are shown." if n_shown < n else "."),
                help=widgets.help_text("highly_activating"))  # fmt: skip
    words: dict[str, int] = {}
    for part in decomposed["features"]:
        for word in part["words"]:
            words[word] = words.get(word, 0) + 1
    by_count = sorted(words.items(), key=lambda pair: -pair[1])
    common = [word for word, count in by_count if count > 1][:8]
    if common:
        st.caption("Words that several of them share")
        st.markdown(" ".join(f":blue-badge[{widgets.plain(word)}]" for word in common))
    group = decomposed["group"]
    if n > 1 and study.has("groups") and (reads.table(study, "groups", ("group",))["group"] == group).any():
        link(
            "features", "These features as a group", study, icon="hub", features_as="Groups", group=str(group)
        )


def _features(study: Study, decomposed: Description, crop: Callable[[Description], str]) -> None:
    if not decomposed["features"]:
        return
    st.header("Its features", help=widgets.help_text("word_score"))
    for start in range(0, len(decomposed["features"]), COLUMNS):
        parts = decomposed["features"][start : start + COLUMNS]
        for at, (part, column) in enumerate(zip(parts, st.columns(COLUMNS), strict=False), start + 1):
            with column:
                _feature(study, at, part, crop(part))


def _feature(study: Study, at: int, part: Description, address: str) -> None:
    number = int(part["feature"])
    with st.container(border=True, gap="small", height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            link("feature", f"{at}. **{study.feature_kind} {number}**", study, feature=str(number))
            st.caption(f"activation {part['activation']:.3f}", width="content")
        if address:
            st.html(
                f'<img src="{html.escape(address, quote=True)}" '
                f'alt="Where {study.feature_kind} {number} looks" '
                'style="display:block;width:100%;height:120px;object-fit:contain;border-radius:6px;'
                'background:rgba(127,140,155,.16)">'
            )
        if part["words"]:
            st.markdown(" ".join(f":gray-badge[{widgets.plain(word)}]" for word in part["words"]))
        else:
            st.caption("No words: too few images activate it highly to explain it.")


def _named(study: Study, side: str, number: int, has_words: bool) -> None:
    """A feature's name, which leads to its own page, and the images it is largest on."""
    icon = "lightbulb" if has_words else "bar_chart"
    link("feature", widgets.plain(reads.feature_name(study, number)), study, icon=icon, feature=str(number))
    if study.has("top_images"):
        rows = reads.top_rows(study, number, limit=TOP_IMAGES)
        captions = {int(row): () for row in rows}
        widgets.image_gallery(
            study,
            rows,
            key=f"decompose_{side}_{number}",
            captions=captions,
            tile=60,
            label=f"images on which {study.feature_kind} {number} is largest",
        )


def _bars(table: pd.DataFrame, colour: str, kind: str, theme: Theme) -> go.Figure:
    return word_bars.contribution_bars(table, colour=getattr(theme, colour), kind=kind, theme=theme)


def _behind(study: Study, decomposed: Description) -> None:
    """The features that speak for the answer, and for the truth where that is another class."""
    answer, truth = decomposed["answer"], decomposed["truth"]
    if answer is None:
        return
    right = truth is not None and truth["true"] == answer["predicted"]
    meaning = "correct" if right else ("neutral" if truth is None else "misclassified")
    sides = [("answer", f"Behind the answer, {answer['predicted']}", answer, meaning)]
    if truth is not None and not right:
        sides.append(("truth", f"Behind the truth, {truth['true']}", truth, "correct"))
    for column, (side, title, behind, colour) in zip(st.columns(2, gap="large"), sides, strict=False):
        with column:
            st.header(widgets.plain(title), help=widgets.help_text("contribution"))
            table = pd.DataFrame(
                {
                    "feature": behind["features"],
                    "contribution": behind["contributions"],
                    "words": ["; ".join(words) for words in behind["words"]],
                }
            )
            drawn_from = (colour, *table["feature"], *table["contribution"], *table["words"])
            chart(
                study,
                f"decompose_{side}",
                partial(_bars, table, colour, study.feature_kind),
                *drawn_from,
                alt=f"What the strongest features add to the logit of the {side}",
                data=table,
            )
            for number, words in zip(behind["features"], behind["words"], strict=True):
                _named(study, side, int(number), bool(words))


# An image as crops with words: what it activates, and what speaks for the probe's answer.


# Of this session, each with the image that it is about: `About` and the folder, the result, or the reason.
CROPS_JOB, CROPS_RESULT, CROPS_TROUBLE = "_decompose_job", "_decompose_result", "_decompose_trouble"
AboutCrops = tuple[str, str]  # key of a study as it is now, and image_id


def crops_of_image(study: Study, row: int) -> None:
    """The crops of an image of the study: where each feature that it highly activates looks, with words."""
    if not word_evidence.ready(study, "No feature was put into words"):
        return
    about = study.key, str(study.column("images", "image_id").iat[row])
    result = _kept(CROPS_RESULT, about)
    decomposed: dict[str, Any] = result or stored(study, row) | {"size": concept_reads.size_of(study, row)}
    picture = served_studies.picture_url(study, row, "image")
    without = sum(part["box"] is None for part in decomposed["features"])
    if without and result is None:
        _ask(study, about, without)
    decomposition(
        study,
        decomposed,
        picture=picture,
        crop=lambda part: concept_reads.crop_url(study, row, tuple(part["box"])) if part["box"] else "",
    )


def _ask(study: Study, about: AboutCrops, without: int) -> None:
    """Where the other features look is not stored: the encoder can say."""
    if (folder := _kept(CROPS_JOB, about)) is not None:
        _progress(folder, about)
        return
    features, they = ("one of its features looks", "it looks")
    if without > 1:
        features, they = (f"{without} of its features look", "they look")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.caption(f"Where {features} is not stored.", width="content")
        if why := _kept(CROPS_TROUBLE, about):  # the last job ended without a result
            st.error(widgets.plain(why[:1].upper() + why[1:]), icon=":material/error:")
        refused = start_button(
            request_crops(study, about[1]),
            f"Compute where {they}",
            key="decompose_again",
            icon=":material/center_focus_strong:",
            then=partial(_started, about),
        )
        why_not(refused)


def request_crops(study: Study, image_id: str) -> DecomposeImage:
    """Return the command that looks at an image of a study, by the answer of the page."""
    return DecomposeImage(study.path.resolve(), image_id, answer=served_studies.answer_option(study))


def _started(about: AboutCrops, job: Job) -> None:
    _forget()
    session.set_widget(CROPS_JOB, (about, job.folder))


def _forget() -> None:
    """Another picture, or none: what is known of the last one goes."""
    if (job := session.recall(CROPS_JOB)) is not None:
        launcher.discard(job[1])
    for name in (CROPS_JOB, CROPS_RESULT, CROPS_TROUBLE):
        session.set_widget(name, None)


def _kept(name: str, about: AboutCrops) -> Any:
    """What this session keeps under JOB, RESULT or TROUBLE; None where it is about another image."""
    whose, value = session.recall(name) or (None, None)
    return value if whose == about else None


def _progress(folder: Path, about: AboutCrops) -> None:
    """Show how far the job is; when it has ended, fetch its result and remove its folder."""

    def fetch(job: Job | None) -> None:
        result = read_report(folder)
        if result is None:
            why = (job.error if job is not None else None) or "the job ended without a result"
            session.set_widget(CROPS_TROUBLE, (about, why))
        else:
            session.set_widget(CROPS_RESULT, (about, result))
        launcher.discard(folder)
        session.set_widget(CROPS_JOB, None)

    follow(folder, _working, on_done=fetch)


def _working(job: Job) -> None:
    study_progress.staged(job, least=3)
    st.button("Stop", key="decompose_stop", icon=":material/stop:", on_click=_forget)
