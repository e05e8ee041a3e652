"""One value on a scale from 0 to 1, with what it is compared with marked beside it."""

import html
from collections.abc import Sequence

import streamlit as st

NEAR = 0.17  # of the scale: labels that are nearer than this stand in two rows


def scale(value: float, marks: Sequence[tuple[str, float]], *, label: str) -> None:
    """Draw the scale.

    Args:
        value: in [0, 1]. marks: what it is compared with, each a name and a value in [0, 1].
        label: the whole in words, for a screen reader.
    """
    parts, right, row, rows = [], -1.0, 0, 0
    for name, at in sorted(marks, key=lambda mark: mark[1]):
        row = 1 - row if at - right < NEAR else 0
        right, rows = at, max(rows, row)
        left = f"left: {100 * at:.1f}%"
        text = html.escape(f"{name} {at:.2f}".replace(" 0.", " ."))
        parts.append(f"<u style='{left}'></u><span style='{left}; top: {1.5 + row}rem'>{text}</span>")
    dot = f"<b style='left: {100 * value:.1f}%'></b>"
    drawn = "<i></i>" + "".join(parts) + dot
    about = f"role=img style='height: {2.5 + rows}rem' aria-label='{html.escape(label)}'"
    st.html(f"<div class=scale {about}>{drawn}</div>")
