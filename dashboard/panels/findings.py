"""The first page's findings: places to look at first, what the features look at, and leakage."""

from dataclasses import replace

import numpy as np
import streamlit as st

from core.common.captions import headline, with_class_names
from core.common.dataframes import numbers
from core.common.formatting import counted
from core.common.records import Templates
from core.common.score_names import score_label
from core.measures.image_columns import LEAK
from core.measures.label_issues import TABLE as LABEL_ISSUES
from core.measures.label_issues import is_open, listed_issues, own_errors
from core.measures.leaks import sentence_on_leaks
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.measures.slice_comparison import is_filtered, with_split
from core.store import Study
from dashboard.cache import concept_reads, feature_reads, highlight_reads, image_filter, reads, score_reads
from dashboard.cache.feature_reads import Listing
from dashboard.components import widgets
from dashboard.components.cards import Card, Picture, cards
from dashboard.components.page_link import link
from dashboard.panels import feature_cards, feature_list
from dashboard.panels.feature_cards import HEAT, heat_pictures, others_name, population_name, thumbnails
from dashboard.state import served_studies, session
from dashboard.state.pages import of_confusion, of_labels, of_slice

# The first page's findings: three places to look at first, and what the features look at, as cards.


_say = Templates.beside(__file__)
PICTURES = 4
MOST_CARDS = 3  # places to look at first
CONFIDENT_FIRST = f"{score_label('confidence')}, highest first"  # an order of the page Images
FEATURES = 4
EXAMPLES = 5  # of features with words
WAY = (
    "1. **Choose images and an encoder.** They are looked at, and nothing is written: number of images and "
    "classes, samples, time and disk space. No encoder at hand? Choose *Shipped with Peregrine*.\n"
    "2. **Start.** It keeps running if you close this page.\n"
    "3. **Open the study.** Which features fire and where they look, what is misclassified and why."
)


def look_first(study: Study, population: Slice) -> None:
    """The worst confusion, the worst slice, the features on the background of the images of the filter and,
    where one of these is not known, the labels that may be wrong and the images with the lowest score.
    """
    shows = (_confusion, _slice, _background, _labels, _lowest, *(() if study.labelled else (_highest,)))
    made = [card for show in shows if (card := show(study, population))][:MOST_CARDS]
    if not made:
        return
    st.header("Look at these first")
    opens = {card.id: target for card, target in made}
    cards_only = [card for card, _ in made]

    def opened(card_id: str) -> None:
        page, where, parts = opens[card_id]
        session.set_filter(where)
        session.go(page, **parts)

    cards(
        cards_only,
        key="overview_first",
        label="Places to look at first",
        on_open=opened,
        width=215,
        spread=True,
        pictures_first=True,
    )


Target = tuple[str, str, dict[str, str]]  # page, filter, further parts of its address


def _card(study: Study, card_id: str, target: Target, **parts) -> tuple[Card, Target]:
    page, where, query = target
    address = session.href(page, study, **({session.WHERE: where} if where else {}), **query)
    return Card(card_id, href=address, **parts), target


def _confusion(study: Study, population: Slice) -> tuple[Card, Target] | None:
    worst = highlight_reads.worst_confusion(study, population)
    if worst is None:
        return None
    if worst.n == 1 and (card := _confident_errors(study, population)):
        return card  # no classes are confused twice, so none of them is the worst
    pushed = concept_reads.pushed_by(study, population, worst.true, worst.predicted)
    kind = "all_of_class" if worst.n == worst.of else "some_of_class"
    subtitle = _say("only_of_class" if worst.of == 1 else kind, n=worst.n, of=worst.of, what=worst.true)
    return _card(
        study,
        "confusion",
        ("errors", session.filter_text(), of_confusion(worst.true, worst.predicted)),
        title=_say("confusion", names=(worst.true, worst.predicted)),
        subtitle=subtitle,
        pictures=thumbnails(study, worst.rows[:PICTURES]),
        lines=(str(pushed),) if pushed else (),
        action="Open this confusion →",
    )


def _confident_errors(study: Study, population: Slice) -> tuple[Card, Target] | None:
    """The misclassified images with the highest confidence; None where there are fewer than two."""
    images = reads.images(study)
    wrong = images["correct"].eq(False).fillna(False).to_numpy(bool) & reads.mask(study, population)
    rows = np.flatnonzero(wrong & np.isfinite(numbers(images, "confidence")))
    if len(rows) < 2:
        return None
    rows = rows[np.argsort(-numbers(images, "confidence")[rows], kind="stable")]
    where = replace(Slice.parse(session.filter_text()), correct=False)
    return _card(
        study,
        "confident",
        ("images", str(where), {"images_sort": CONFIDENT_FIRST}),
        title=_say("confident", n=len(rows)),
        subtitle="Each confuses a different pair of classes",
        pictures=thumbnails(study, rows[:PICTURES]),
        lines=(with_class_names(headline(reads.image_facts(study, int(rows[0])))),),
        action="Open these images →",
    )


def _slice(study: Study, population: Slice) -> tuple[Card, Target] | None:
    worst = highlight_reads.worst_slice(study, population)
    if worst is None:
        return None
    name = plain_name(Slice.parse(worst.where), reads.feature_words(study), study.feature_kind)
    return _card(
        study,
        "slice",
        ("errors", session.filter_text(), of_slice(worst.where)),
        title=_say("slice", what=f"{name[:1].upper()}{name[1:]}", value=worst.errors / worst.n),
        subtitle=_say("size_of_slice", n=worst.errors, of=worst.n, chance=worst.rest),
        pictures=thumbnails(study, worst.rows[:PICTURES]),
        action="Open this slice →",
    )


def _labels(study: Study, population: Slice) -> tuple[Card, Target] | None:
    """The labels that may be wrong and are not decided on, of both splits unless the filter names one; None
    where there are none.
    """
    if not study.has(LABEL_ISSUES):
        return None
    every = reads.label_issues(study, image_filter.of_page())
    listed = listed_issues(every)
    table = listed.loc[is_open(listed)]
    if table.empty:
        return None
    first = with_class_names(f"{table['label'].iat[0]}, likely {table['suggested'].iat[0]}")
    n_checked, n_decided = int(every["n_checked"].iat[0]), len(listed) - len(table)
    kind = "checked_and_decided" if n_decided else "checked"
    return _card(
        study,
        "labels",
        ("errors", session.filter_text(), of_labels()),
        title=_say("labels", n=len(table)),
        subtitle=_say(kind, of=n_checked, what=first, n=n_decided),
        pictures=thumbnails(study, session.rows_held(study, table["image_id"].head(PICTURES))),
        lines=(warning,) if (warning := own_errors(every)) else (),
        action="Open these labels →",
    )


def _lowest(study: Study, population: Slice) -> tuple[Card, Target] | None:
    """The images on which the first score is lowest: what can be doubted also without labels."""
    return _extremes(study, population, "lowest", "Where this score expects errors first")


def _highest(study: Study, population: Slice) -> tuple[Card, Target] | None:
    return _extremes(study, population, "highest", "Where this score expects errors last")


def _extremes(study: Study, population: Slice, which: str, about: str) -> tuple[Card, Target] | None:
    lowest = score_reads.lowest(study, population)
    if lowest is None or len(lowest[1]) < 2 * PICTURES:
        return None
    score, rows = lowest
    first = rows if which == "lowest" else rows[::-1]
    name = score_label(score)
    return _card(
        study,
        which,
        ("images", session.filter_text(), {"images_sort": f"{name}, {which} first"}),
        title=_say(which, what=f"{name[:1].lower()}{name[1:]}"),
        subtitle=about,
        pictures=thumbnails(study, first[:PICTURES]),
        action="Open these images →",
    )


def _background(study: Study, population: Slice) -> tuple[Card, Target] | None:
    features = highlight_reads.background_features(study, population)
    if not features:
        return None
    n = len(features)
    clearest = _say("clearest", names=tuple(reads.feature_names(study, features[:3])))
    return _card(
        study,
        "background",
        ("features", session.filter_text(), feature_list.widgets_query(Listing(verdict="spurious"))),
        title=_say("one_on_background" if n == 1 else "on_background", n=n),
        lines=(clearest,),
        pictures=_background_pictures(study, population, features[:PICTURES]),
        action="Open this feature →" if n == 1 else "Open these features →",
    )


def _background_pictures(study: Study, population: Slice, features: list[int]) -> tuple[Picture, ...]:
    """A picture of each feature: of the images of a filter, or without one the one where it is largest."""
    if not is_filtered(study, population):
        return tuple(picture for number in features for picture in heat_pictures(study, number, 1, HEAT))
    by_feature = feature_cards.pictures(study, population, tuple(features), look=HEAT)
    return tuple(picture for number in features for picture in by_feature[number][:1])


def feature_findings(
    study: Study, population: Slice, *, title: str = "What its features look at", n: int = FEATURES
) -> None:
    """A few telling features with their heatmaps on images of a filter; a click opens the feature."""
    if not study.has("features"):
        return
    numbers = highlight_reads.features_to_show(study, population, n)
    if not numbers:
        return
    st.header(title)
    feature_cards.with_lines(
        study,
        population,
        _firing_lines(study, population, numbers),
        key="overview_features",
        label="Features and what they look at",
        width=165,
        spread=True,
    )


def _firing_lines(study: Study, population: Slice, features: list[int]) -> dict[int, str]:
    """On what each feature fires: on which classes, or under a filter on how many of its images."""
    if not is_filtered(study, population):
        return {feature: reads.where_it_fires(study, feature) for feature in features}
    rates = feature_reads.listed(study, population).set_index("feature")[["rate", "rate_against"]]
    here, others = population_name(population), others_name(population)
    return {
        feature: f"fires on {widgets.percent(rate)} of {here}, {widgets.percent(elsewhere)} of {others}"
        for feature, (rate, elsewhere) in zip(features, rates.loc[features].to_numpy(), strict=True)
    }


@widgets.stable_container
def words_example(study: Study) -> None:
    """What features with words look like, in the embedded study, where it is served."""
    demo = served_studies.example_beside(study)
    if demo is not None and demo.has("concepts"):
        title = _say("example", what=served_studies.DEFAULT)
        feature_findings(demo, with_split(demo, Slice()), title=title, n=EXAMPLES)


@widgets.stable_container
def time_estimate(study: Study | None) -> None:
    """Draw features of `study`, if there is one, as an example, and say how a study is made."""
    if study is not None and study.has("heatmap_maps"):
        name = widgets.plain(served_studies.name_of(study))
        title = _say("example_of_two", what=name)
        feature_findings(study, with_split(study, Slice()), title=title, n=2)
    st.markdown(WAY)


# Leakage on the first page: evaluation images that train has, too, with pairs of them and a filter.


PAIRS = 200  # that are listed
COLUMNS = {
    "image_id": "Evaluation image",
    "label": "Class",
    "train_image": "Train image",
    "train_label": "Class there",
    "exact": "Same pixels",
}


def leakage(study: Study, population: Slice) -> None:
    """How many evaluation images of the filter have a duplicate in train; nothing where none has."""
    leaks = reads.slice_table(study, population, "leaks")
    n_val = int((reads.mask(study, population) & study.is_val).sum())
    sentence = sentence_on_leaks(leaks, n_val)
    if sentence is None:
        return
    with st.container(border=True, key="overview_leakage", gap="xsmall"):
        st.markdown(f":orange[:material/content_copy:] **Leakage:** {widgets.plain(sentence)}.")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Leave them out",
                key="leakage_without",
                help="Filter by leak=false, on every page",
                on_click=session.set_filter,
                args=(str(Slice.joined([population, _leak("false")])),),
            )
            where = Slice.joined([population, _leak("true")])
            link(
                "images",
                f"Show {counted(len(leaks), 'image')}",
                study,
                where=where,
                icon_right="arrow_forward",
            )
        with st.expander("Pairs"):
            listed = leaks.head(PAIRS).loc[:, list(COLUMNS)].rename(columns=COLUMNS)
            st.dataframe(listed, hide_index=True, alt="Evaluation images and their duplicates in train")


def _leak(value: str) -> Slice:
    return Slice(extras={LEAK: (value,)})
