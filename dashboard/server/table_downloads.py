"""Every table of a study as a file: the list on the Overview, and the route that sends a table in parts.

`/table/STUDY/NAME.csv` and `.parquet` are made while they are sent, so a table of any size costs neither
memory nor a rerun.
"""

from urllib.parse import quote, urlencode

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from core.charts.table_file import file_stem
from core.common.command_line import PROGRAM
from core.common.private_paths import without_folders
from core.errors import FORESEEN, user_message
from core.publish.meanings import table_meaning
from core.publish.streaming import KINDS, Listed, stream_table, tables_of
from core.store import Study
from dashboard.components.tooltips import plain
from dashboard.state import served_studies
from dashboard.state.served_studies import printable

MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def table_file(request: Request) -> Response:
    """A table as a download; 404 for anything that is none."""
    name, _, kind = request.path_params["file"].rpartition(".")
    try:
        study = served_studies.asked_for(request.path_params["study"], request.query_params)
        parts = stream_table(study, name, kind)
    except FORESEEN as error:
        message = user_message(error, again="ask again") or ""
        text = f"not found: {printable(without_folders(message), 1000)}\n"
        return Response(text, status_code=404, media_type="text/plain")
    shown = f"{name}_{study.answer.name}" if study.answer else name
    called = quote(f"{file_stem([study.name], shown)}.{kind}")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{called}",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(parts, media_type=MEDIA[kind], headers=headers)


def section(study: Study) -> None:
    """The list of tables with their rows and sizes, and links that download them."""
    with st.expander(
        "Download tables", icon=":material/download:", key="downloads", on_change="rerun"
    ) as opened:
        if not opened.open:
            return
        lines = ["| Table | What it holds | Rows | Size | |", "|---|---|--:|--:|---|"]
        lines += [_line(study, one) for one in tables_of(study)]
        st.markdown("\n".join(lines))
        st.caption(
            f"Representations and single heatmaps are arrays; `{PROGRAM} export STUDY representations "
            "-o FILE.npy` writes them."
        )


def _line(study: Study, download: Listed) -> str:
    links = " ".join(f"[{kind.upper()}]({address(study, download.name, kind)})" for kind in KINDS)
    about = table_meaning(download.name)
    return f"| {plain(download.name)} | {about} | {download.rows:,} | {_spoken(download.size)} | {links} |"


def address(study: Study, table: str, kind: str) -> str:
    """Return the address of a table's download, relative to the page."""
    query = urlencode(served_studies.answer_query(study))
    return f"table/{quote(served_studies.name_of(study))}/{quote(table)}.{kind}{'?' * bool(query)}{query}"


def _spoken(size: int | None) -> str:
    """
    >>> _spoken(43_200), _spoken(2_500_000), _spoken(None)
    ('43 kB', '2.5 MB', '')
    """
    if size is None:
        return ""
    return f"{max(size / 1e3, 1):,.0f} kB" if size < 1e6 else f"{size / 1e6:,.1f} MB"
