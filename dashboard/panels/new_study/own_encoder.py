"""What the file of an own encoder may not say: its architecture, how images are prepared, its classes."""

import re

import streamlit as st

from core.config.options import in_form
from core.config.settings import OF_CHECKPOINT
from dashboard.components import widgets
from dashboard.components.option_field import option_field
from dashboard.panels.new_study.request import CHECKPOINT

ARCHITECTURE = "Architecture (if the file does not tell)"
NAMED = "timm:resnet10t or torchvision:shufflenet_v2_x1_0"
UNNAMED = re.compile(r"architecture|name the model|It looks like|: Try ")  # in errors of the dry run
FIELDS = {option.flag: option.title for option in in_form(OF_CHECKPOINT)}
OPTION = re.compile(rf"({'|'.join(FIELDS)})\b(?: FILE)?")


@widgets.stable_container
def fields(encoder: str) -> tuple[str, dict[str, str]]:
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
    text = OPTION.sub(lambda option: FIELDS[option[1]], text)
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
