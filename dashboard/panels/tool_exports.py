"""What a study knows of its images, for another tool: a .zip at a click, or a command for many images."""

from functools import partial

import streamlit as st

from core.common.command_line import command_line
from core.export.table_file import file_stem
from core.export.tools.tool_exports import TOOLS, tool_archive
from core.store import Study

MOST_IMAGES = 2000  # of which a browser is handed a file
KEY = "take_along"


def section(study: Study) -> None:
    """A folded list of the tools, each with what it is given and a button."""
    with st.expander(
        "Take it to another tool", icon=":material/output:", key=KEY, on_change="rerun"
    ) as opened:
        if not opened.open:
            return
        st.caption(
            "Predictions, confidence, Q, causes, doubtful labels, duplicates, slices, heatmaps, masks and "
            "representations, joined by path. Every field begins with `peregrine_`; yours stay as they are."
        )
        for tool in TOOLS:
            _line(study, tool)


def _line(study: Study, tool: str) -> None:
    form = TOOLS[tool]
    text, button = st.columns([4, 1], vertical_alignment="center")
    text.markdown(f"**{form.title}** {form.about}")
    if study.n_images > MOST_IMAGES:
        st.code(_command(study, tool), language="bash", wrap_lines=True)
        return
    button.download_button(
        "Download",
        data=partial(tool_archive, study, tool),
        file_name=f"{file_stem([study.name], tool)}.zip",
        mime="application/zip",
        key=f"{KEY}_{tool}",
        icon=":material/download:",
        help=form.about,
        on_click="ignore",
        width="stretch",
    )


def _command(study: Study, tool: str) -> str:
    named = {"answer": study.answer.name} if study.answer else {}
    return command_line("export", study.path, tool, **named, output="FOLDER")
