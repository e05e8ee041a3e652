"""What the file of an own encoder may not say: its architecture, how images are prepared, its classes."""

import re

import streamlit as st

from dashboard.components import widgets
from dashboard.components.path_picker import path_field
from dashboard.panels.new_study.request import CHECKPOINT

LABELS = {  # of the fields, by the option that each gives
    "resize": "Resize",
    "input_size": "Input size",
    "mean": "Mean",
    "std": "Standard deviation",
    "head_classes": "Class names of its outputs",
}
SAMPLES = {
    "resize": "32, in pixels",
    "input_size": "32, in pixels",
    "mean": "0.485,0.456,0.406",
    "std": "0.229,0.224,0.225",
}
ABOUT = {
    "resize": "The shorter side of an image before the crop. As in the encoder's training.",
    "input_size": "The side of the square that the encoder sees. As in the encoder's training.",
    "mean": "Of red, green and blue, for pixels from 0 to 1. As in the encoder's training.",
    "std": "Of red, green and blue, for pixels from 0 to 1. As in the encoder's training.",
    "head_classes": "In the order of its outputs: one a line, .json, or .csv with output,label.",
}
ARCHITECTURE = "Architecture (if the file does not tell)"
NAMED = "timm:resnet10t or torchvision:shufflenet_v2_x1_0"
UNNAMED = re.compile(r"architecture|name the model|It looks like|: Try ")  # in errors of the dry run
CLASS_FILES = (".txt", ".json", ".csv")
OPTION = re.compile(rf"--({'|'.join(LABELS).replace('_', '-')})\b(?: FILE)?")


@widgets.stable_container
def fields(encoder: str) -> dict[str, str]:
    """Each as it was typed, "" leaves it to the file; none for another encoder than a checkpoint."""
    if encoder != CHECKPOINT:
        return {}
    given = {
        "architecture": _text(
            ARCHITECTURE,
            "new_architecture",
            "resnet18, timm:NAME or torchvision:NAME",
            f"For example {NAMED}.",
        )
    }
    for pair in (("resize", "input_size"), ("mean", "std")):
        for column, name in zip(st.columns(2, gap="small"), pair, strict=True):
            with column:
                given[name] = _text(LABELS[name], f"new_{name}", SAMPLES[name], ABOUT[name])
    given["head_classes"] = path_field(
        LABELS["head_classes"], key="new_head_classes", endings=CLASS_FILES, help=ABOUT["head_classes"]
    )
    return given


def is_for_fields(note: str) -> bool:
    """Whether a note of the dry run asks for something that is given in these fields."""
    return OPTION.search(note) is not None


def in_fields(note: str) -> str:
    """A note of the dry run with the fields in place of the command's options.

    >>> in_fields("an encoder of their size needs --resize 32 --input-size 32")
    'An encoder of their size needs Resize 32 and Input size 32. This is set under Options.'
    """
    text = re.sub(r"(?<=\d) (?=--)", " and ", note)
    text = OPTION.sub(lambda option: LABELS[option[1].replace("-", "_")], text)
    return f"{text[:1].upper()}{text[1:]}. This is set under Options."


def where_named(error: str) -> str:
    """Where on the page an architecture is named that a dry run lacked; "" for other errors.

    >>> where_named("there are no weights in it")
    ''
    """
    if not UNNAMED.search(error):
        return ""
    return (
        f"Write the name under Options, {ARCHITECTURE}: timm:NAME or torchvision:NAME, for example {NAMED}."
    )


def _text(label: str, key: str, sample: str, help: str) -> str:
    return st.text_input(label, key=key, bind="query-params", placeholder=sample, help=help) or ""
