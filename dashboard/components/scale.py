"""One value on a scale from 0 to 1, with what it is compared with marked beside it."""

import html
from collections.abc import Sequence

import streamlit as st

STYLE = (
    "<style>.scale {position: relative; height: 2.5rem; margin: .3rem .5rem 0;"
    " font-variant-numeric: tabular-nums}"
    " .scale i {position: absolute; top: .6rem; left: 0; right: 0; height: 7px; border-radius: 4px;"
    " background: rgba(128,140,155,.25)}"
    " .scale u {position: absolute; top: .35rem; width: 2px; height: 1rem; background: currentColor}"
    " .scale b {position: absolute; top: .32rem; width: 16px; height: 16px; margin-left: -8px;"
    " box-sizing: border-box; border-radius: 50%; background: #0072B2; border: 2px solid #fff}"
    " .scale span {position: absolute; top: 1.5rem; transform: translateX(-50%); white-space: nowrap;"
    " font-size: .82rem; line-height: 1.2; opacity: .8}</style>"
)
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
    st.html(f"{STYLE}<div class=scale {about}>{drawn}</div>")
