"""A field of a form for an option of `analyze`: what it shows is what the option says of itself."""

import streamlit as st

from core.config.options import Option
from dashboard.components.path_picker import path_field

PREFIX = "new_"  # of the keys, which are also the names in the address


def option_field(option: Option) -> str:
    """Draw the field of an option; the text that is typed or chosen, "" where the option is left out."""
    key, about, described = f"{PREFIX}{option.name}", option.about, option.described
    if titles := described["titles"]:
        picked = st.selectbox(
            option.title,
            list(titles),
            format_func=lambda one: titles[one],
            key=key,
            bind="query-params",
            help=about,
        )
        return picked or ""
    if described["names"]:
        return path_field(option.title, key=key, endings=described["endings"], help=about)
    sample = described["example"]
    return st.text_input(option.title, key=key, bind="query-params", placeholder=sample, help=about) or ""
