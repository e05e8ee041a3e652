"""The HTML that every page of the dashboard begins as: Streamlit's own, with what must work before it."""

from functools import cache
from pathlib import Path

from streamlit import file_util

EARLY = Path(__file__).with_name("early_keys.js")


@cache
def first_page() -> str:
    """Return the HTML: Streamlit's page with the script of the early keys in its head."""
    page = (Path(file_util.get_static_dir()) / "index.html").read_text(encoding="utf-8")
    script = EARLY.read_text(encoding="utf-8")
    return page.replace("</head>", f"<script>{script}</script>\n  </head>", 1)
