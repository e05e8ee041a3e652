"""What a dry run found, drawn; and what the file of an own encoder does not say."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.common.captions import with_class_names
from core.common.durations import expected_duration
from core.common.entries import record_of
from core.common.formatting import counted, full_sentence, step_times
from core.common.records import Templates
from core.common.step_facts import CheckpointFacts, EncoderFacts
from core.config.options import OPTIONS, in_form
from core.config.settings import FORM, OF_CHECKPOINT
from core.encoders.readout import encoder_title, layer_words, readout_words, weights_words
from dashboard.components import widgets
from dashboard.components.form_fields import OPTION_PREFIX, option_field
from dashboard.components.gallery import Tile, gallery
from dashboard.components.tooltips import plain
from dashboard.panels.new_study_request import CHECKPOINT
from dashboard.state import session

# What the file of an own encoder may not say: its architecture, how images are prepared, its classes.


_say = Templates.beside(__file__)
ARCHITECTURE = "Architecture (if the file does not tell)"
NAMED = "timm:resnet10t or torchvision:shufflenet_v2_x1_0"
UNNAMED = re.compile(r"architecture|name the model|It looks like|: Try ")  # in errors of the dry run
OWN_FIELDS = {option.flag: option.title for option in in_form(OF_CHECKPOINT)}
OPTION = re.compile(rf"({'|'.join(OWN_FIELDS)})\b(?: FILE)?")


@widgets.stable_container
def own_encoder_fields(encoder: str) -> tuple[str, dict[str, str]]:
    """The architecture and the texts of the options of a checkpoint; "" leaves it to the file."""
    if encoder != CHECKPOINT:
        return "", {}
    architecture = st.text_input(
        ARCHITECTURE,
        key="new_architecture",
        bind="query-params",
        placeholder="resnet18, timm:NAME or torchvision:NAME",
        help=f"For example {NAMED}.",
    )
    short, given = st.columns(2, gap="small"), {}
    for number, option in enumerate(in_form(OF_CHECKPOINT)):
        with st.container() if option.described["names"] else short[number % 2]:
            given[option.name] = option_field(option)
    return architecture or "", given


def is_for_fields(note: str) -> bool:
    """Whether a note of the dry run asks for something that is given in these fields."""
    return OPTION.search(note) is not None


def in_fields(note: str) -> str:
    """A note of the dry run with the fields in place of the command's options.

    >>> in_fields("an encoder of their size needs --resize 32 --input-size 32")
    'An encoder of their size needs Resize 32 and Input size 32. This is set under Options.'
    """
    text = re.sub(r"(?<=\d) (?=--)", " and ", note)
    text = OPTION.sub(lambda option: OWN_FIELDS[option[1]], text)
    return _say("set_under_options", what=f"{text[:1].upper()}{text[1:]}")


def where_named(error: str) -> str:
    """Where on the page an architecture is named that a dry run lacked; "" for other errors.

    >>> where_named("there are no weights in it")
    ''
    """
    if not UNNAMED.search(error):
        return ""
    return _say("write_name", what=ARCHITECTURE, why=NAMED)


# What a dry run found, drawn: counts, classes, samples, the checkpoint's layout, time and disk.


Found = Mapping[str, Any]
LEVEL_FIELD = f"{OPTION_PREFIX}class_level"
BY_HEAD = "the encoder's own classifier"
BY_PROBE = (
    "a linear probe, fitted here to the train images, as the encoder has no classifier of these classes: "
    "accuracy and errors are those of the probe"
)
BY_BOTH = "the encoder's own classifier; a linear probe of the train images can be chosen beside it"
FEW_EVALUATED = 50  # images below which an accuracy says little
FEW = 10  # images of the smallest class below which its numbers say little


def found_panel(report: Found, start: Callable[[], None], *, own: bool = False) -> None:
    """Everything that the dry run says: the headline, what may be wrong, what `start` draws, the rest.

    Args:
        own: the encoder is a checkpoint, and the page has the fields of `own_encoder`.
    """
    images, encoder = report["images"], report["encoder"]
    splits, by_head = images["splits"], _by_own_classifier(images)
    with st.container(horizontal=True, gap="medium"):
        st.metric("Images", f"{images['n_images']:,}")
        st.metric("Train", f"{0 if by_head else splits.get('train', 0):,}")
        st.metric("Evaluation", f"{by_head or splits.get('val', 0):,}")
        st.metric("Classes", f"{images['n_classes']:,}" if images["n_classes"] else "no labels")
        st.metric("Features", f"{encoder['n_features']:,}")
    notes = [*images["notes"], *report.get("assumptions", []), *(report.get("masks") or {}).get("notes", [])]
    if images.get("how_read"):
        notes = [note for note in notes if note != images["how_read"]]
        _folders(images)
    for_fields = [note for note in notes if own and is_for_fields(note)]
    for line in [*_warnings(report), *map(in_fields, for_fields)]:
        st.warning(plain(line), icon=":material/warning:")
    if by_head:
        about = f"The encoder's own classifier is evaluated on {by_head:,} of {images['n_images']:,} images"
        st.info(f"{about}; none is left to evaluate a linear probe.", icon=":material/info:")
    if report.get("seconds") is not None:
        took, size = expected_duration(report["seconds"]), _size(report["bytes"])
        st.caption(full_sentence(_say("takes", parts=(took,), what=size)))
    start()
    _samples(report.get("samples") or [], with_split=not by_head)
    st.markdown("  \n".join(f"**{name}**: {plain(text)}" for name, text in _facts(report).items()))
    if notes := [note for note in notes if note not in for_fields]:
        with st.expander(f"Notes ({len(notes)})", icon=":material/sticky_note_2:"):
            st.markdown("\n".join(f"- {plain(note)}" for note in notes))
    if images["classes"]:
        with st.expander(_classes_title(images), icon=":material/category:"):
            classes = [(with_class_names(name), n) for name, n in images["classes"].items()]
            frame = pd.DataFrame(classes, columns=["class", "images"])
            st.dataframe(frame, hide_index=True, alt="Images of each class")


def _folders(images: Found) -> None:
    """How folders are read, the levels that this was seen by, and a button for the next likely reading."""
    st.info(plain(images["how_read"]), icon=":material/account_tree:")
    other = str(images.get("other_level") or "")
    titles = OPTIONS["class_level"].described["titles"]
    if other in titles:
        st.button(
            f"Take for classes: {titles[other]}",
            key="new_other_level",
            icon=":material/swap_vert:",
            on_click=session.set_widget,
            args=(LEVEL_FIELD, other),
        )
    if images.get("levels"):
        with st.expander(f"Levels of folders ({len(images['levels'])})", icon=":material/folder_open:"):
            rows = [
                (
                    image["level"],
                    image["role"],
                    image["n_names"],
                    image["n_images"],
                    ", ".join(image["names"]),
                )
                for image in images["levels"]
            ]
            frame = pd.DataFrame(rows, columns=["", "read as", "folders", "images", "names"])
            st.dataframe(frame, hide_index=True, alt="Levels of folders and what they are read as")


def _samples(samples: list[Found], *, with_split: bool) -> None:
    tiles = []
    for number, sample in enumerate(samples):
        if "thumbnail" in sample:
            name = sample["label"] or str(sample["image_id"]).rpartition("/")[2]
            split = "evaluation" if sample["split"] == "val" else sample["split"]
            lines = (name, split) if with_split else (name,)
            tiles.append(Tile(id=number, src=sample["thumbnail"], alt=sample["image_id"], lines=lines))
    if tiles:
        gallery(tiles, key="new_samples", label="samples of the images", columns=4)


def _by_own_classifier(images: Found) -> int:
    """How many images the encoder's own classifier is evaluated on, where nothing else can be; else 0.

    >>> _by_own_classifier({"n_known_to_classifier": 9, "splits": {"train": 9}})
    9
    """
    return 0 if images["splits"].get("val") else images.get("n_known_to_classifier", 0)


def _warnings(report: Found) -> list[str]:
    """What would spoil the study or surprise later, in one line each."""
    images, lines = report["images"], []
    if images["unreadable_in_sample"]:
        n = len(images["unreadable_in_sample"])
        lines.append(
            f"{n} of {images['sampled']} images tried cannot be read, for example "
            f"{images['unreadable_in_sample'][0]}. Such images are skipped and listed."
        )
    if unread := images.get("unread"):
        others = "Only train/ and val/ are read, or test/ where there is no val/."
        lines.append(f"Not read: {', '.join(unread)}. {others}")
    if why := nothing_to_evaluate(images):
        lines.append(why)
    if (images.get("smallest_class") or FEW) < FEW:
        n = counted(images["smallest_class"], "image")
        lines.append(f"The smallest class has {n}, so per-class numbers are unreliable.")
    most = report["bytes"] + report.get("passing_bytes", 0)
    if most > report["free_bytes"]:
        free, needed = _size(report["free_bytes"]), _size(most)
        lines.append(f"The disk has {free} free, and about {needed} are needed.")
    return lines


def nothing_to_evaluate(images: Found) -> str:
    """Why a study would know no errors, or too little of them; "" where it can be evaluated.

    >>> nothing_to_evaluate({"n_classes": 5, "splits": {"val": 400}})
    ''
    """
    n = max(images["splits"].get("val", 0), images.get("n_known_to_classifier", 0))
    if not images["n_classes"]:
        return _say("no_labels")
    if images["n_classes"] == 1:
        return _say("one_class")
    if not n:
        return _say("none_to_evaluate")
    # half of a 95 % interval at 50 %
    return _say("few_to_evaluate", n=n, value=98 / math.sqrt(n)) if n < FEW_EVALUATED else ""


def _facts(report: Found) -> dict[str, str]:
    encoder, checkpoint = report["encoder"], report.get("checkpoint") or {}
    transform, about = encoder.get("transform") or {}, record_of(EncoderFacts, encoder)
    seconds, captions, clip = report.get("seconds"), report.get("captions"), report.get("clip")
    size, words = transform.get("input_size"), readout_words(about)
    sides = size if isinstance(size, list) else [size, size]
    title = encoder_title(encoder["spec"])
    described = f"{title}; {encoder['n_features']:,} features at {layer_words(about)}"
    if words:
        described += f", {words}"
    if size:
        described += f", sees {sides[1]} × {sides[0]} pixels"
    bank = f"{captions['n_captions']:,}, for example “{captions['first'][0]}”" if captions else ""
    clip_name = clip["name"] if clip else ""
    if clip and not clip["here"]:
        clip_name += ", fetched at its first use"
    facts = {
        "Encoder": described,
        "Judged by": _judged_by(report["images"]),
        "Weights": weights_words(record_of(CheckpointFacts, checkpoint)),
        "Captions": bank,
        "Options": ", ".join(f"{option['title']} {option['value']}" for option in _typed(report)),
        "CLIP": clip_name,
        "Time": _time(seconds, report.get("steps", [])) if seconds is not None else "",
        "Disk": f"about {_size(report['bytes'])} in all, of {_size(report['free_bytes'])} free",
    }
    return {name: text for name, text in facts.items() if text}


def _judged_by(images: Found) -> str:
    """Whose answers are right or wrong in the study; "" where there is none.

    >>> _judged_by({"n_classes": 5, "splits": {"val": 4}, "n_known_to_classifier": 0}) == BY_PROBE
    True
    """
    n_known = images.get("n_known_to_classifier", 0)
    if n_known:
        return BY_BOTH if images["splits"].get("val") else BY_HEAD
    return BY_PROBE if images["n_classes"] > 1 and images["splits"].get("val") else ""


def _typed(report: Found) -> list[Found]:
    """The options of the form that were given; the others stand in the rest of the report."""
    shown = {option.flag for where in (FORM, OF_CHECKPOINT) for option in in_form(where)}
    return [one for one in report.get("options", []) if one["flag"] in shown]


def _time(seconds: float, steps: list[Found]) -> str:
    times = step_times(steps)
    return _say("in_all_with_steps" if times else "in_all", parts=(expected_duration(seconds),), what=times)


def _classes_title(images: Found) -> str:
    n_named = len(images["classes"])
    return _say(
        "first_classes" if images["n_classes"] > n_named else "classes", of=images["n_classes"], n=n_named
    )


def _size(n_bytes: float) -> str:
    """
    >>> _size(43_200_000), _size(12.3e9), _size(80_000)
    ('43 MB', '12.3 GB', '1 MB')
    """
    if n_bytes < 1e9:
        return f"{max(n_bytes / 1e6, 1):,.0f} MB"
    return f"{n_bytes / 1e9:,.1f} GB"
