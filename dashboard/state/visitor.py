"""Who asks: whether the browser of this session may only look, and which browser it is.

The guard judges each connection and writes what it found into its headers (`headers.py`), of which Streamlit
makes the user of the session. A session is taken up again by a connection of the same user alone.
"""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit import config
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

from core.publish.server_token import HOSTS, TOKEN, entrance, is_loopback, shared_origin
from core.study.write_access import ask_before_writing, guest_is_asking, name_browsers
from dashboard.state.presence import ACCESS, BROWSER, FULL


def tie_sessions_to_visitors() -> None:
    """Let Streamlit make the user of a session of our headers. Called when the server starts."""
    config.set_option("server.trustedUserHeaders", {name: name for name in (ACCESS, BROWSER)})
    name_browsers(browser)


_guest_token = ""  # of this server; in a notebook or a test there is none


def hold_guests_back(guest_token: str) -> None:
    """Let everything that writes ask who wants it, from now on. Called when the server starts."""
    global _guest_token
    _guest_token = guest_token
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


def guest_link(page: Mapping[str, str]) -> str:
    """Return the link that lets guests in; "" for guests themselves, and without a server.

    It begins as the address of this browser, or as others reach this server where that is another one.

    Args:
        page: parts of the address that it leads to.
    """
    asked = urlsplit(st.context.url or "")
    if not _guest_token or not asked.netloc or guest_is_asking():
        return ""
    address, port = config.get_option("server.address"), config.get_option("server.port")
    seen, shared = f"{asked.scheme}://{asked.netloc}", shared_origin(address, port, os.environ.get(HOSTS, ""))
    is_shared = is_loopback(asked.hostname) and not is_loopback(urlsplit(shared).hostname)
    return entrance(shared if is_shared else seen, _guest_token, page)


def reaches_others(link: str) -> bool:
    """Return True where a link leads people at other machines to this server, and lets them only look.

    Without a token the server is for this machine alone: who leaves the link out may do everything.
    """
    return bool(os.environ.get(TOKEN, "").strip()) and not is_loopback(urlsplit(link).hostname)


def _user(context: Any) -> dict[str, Any]:
    return dict(context.user_info or {})
