"""The answer to a picture: its classes as bars, and what they were before the picture was changed."""

import html

import streamlit as st

from core.pictures.look import Look
from dashboard.components import widgets

UNCHANGED = "Switch a feature off below, or draw on the picture, and watch the answer."


def answer(before: Look, after: Look, *, changed: str) -> None:
    """Draw the answer and its classes.

    Args:
        before: to the whole picture with all features, of at least the classes of `after`. after: to the
            picture as it is now. changed: what was done to it, in words; empty for nothing.
    """
    if not len(after.classes):
        st.caption("This study has no classifier, so there is no answer: these are the features that fire.")
        return
    first = after.classes.iloc[0]
    spoken, sure = widgets.plain(first["spoken"]), widgets.percent(first["after"], digits=0)
    was = before.classes.iloc[0]
    if changed and was["name"] == first["name"]:
        title = f"Still **{spoken}**, {sure}"
    elif changed:
        title = f"Now **{spoken}**, {sure}; before **{widgets.plain(was['spoken'])}**"
    else:
        title = f"It says **{spoken}**, {sure}"
    st.markdown(f"## {title}")
    caption = f"{changed[:1].upper()}{changed[1:]}. The marks are the whole picture with all features."
    st.caption(caption if changed else UNCHANGED)
    shares = dict(zip(before.classes["name"], before.classes["after"], strict=True))
    lines = [
        _line(str(row["spoken"]), row["after"], shares[row["name"]] if changed else None, at == 0)
        for at, row in enumerate(after.classes.to_dict("records"))
    ]
    st.html(f'<div class="class-bars">{"".join(lines)}</div>')


def _line(name: str, share: float, was: float | None, first: bool) -> str:
    mark = "" if was is None else f'<span class="was" style="left:{100 * was:.2f}%"></span>'
    kind = "name first" if first else "name"
    text = html.escape(name)
    return (
        f'<span class="{kind}" title="{text}">{text}</span><span class="track"><span class="now" '
        f'style="width:{100 * share:.2f}%"></span>{mark}</span><span class="share">{100 * share:.1f} %</span>'
    )
