"""Who asks: whether the browser of this session may only look, and which browser it is.

The guard judges each connection and writes what it found into its headers (`headers.py`), of which Streamlit
makes the user of the session. A session is taken up again by a connection of the same user alone.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit import config
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

from core.publish.server_token import GUEST_TOKEN, entrance
from core.study.write_access import ask_before_writing, guest_is_asking, name_browsers
from dashboard.state.presence import ACCESS, BROWSER, FULL


def tie_sessions_to_visitors() -> None:
    """Let Streamlit make the user of a session of our headers. Called when the server starts."""
    config.set_option("server.trustedUserHeaders", {name: name for name in (ACCESS, BROWSER)})
    name_browsers(browser)


def hold_guests_back() -> None:
    """Let everything that writes ask who wants it, from now on. Called where a server lets guests in."""
    ask_before_writing(is_guest)


def is_guest() -> bool:
    """Return True in a session that is not known to have full access.

    Threads of the server itself, such as the one that tidies up after a job, are no guest's.
    """
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and _user(context).get(ACCESS) != FULL


def browser() -> str:
    """Return the name of this session's browser, "" where it keeps none: only the same browser has it."""
    context = get_script_run_ctx(suppress_warning=True)
    return str(_user(context).get(BROWSER) or "") if context is not None else ""


def guest_link() -> str:
    """Return the link that lets guests in, by the address of this browser; "" for and without guests."""
    token, asked = os.environ.get(GUEST_TOKEN, "").strip(), urlsplit(st.context.url or "")
    if not token or not asked.netloc or guest_is_asking():
        return ""
    return entrance(f"{asked.scheme}://{asked.netloc}", token)


def _user(context: Any) -> dict[str, Any]:
    return dict(context.user_info or {})
