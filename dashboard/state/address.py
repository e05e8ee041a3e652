"""The query of the page's address: what the browser says of it, and what this session wrote into it since.

A run begins with the query that the browser had when it asked for the run. What the run before wrote may
still be on its way to the browser then, so that the query is one of the past. On a page, a part that this
session wrote is therefore what it wrote last, until the browser goes elsewhere: to another page, or through
its history.
"""

from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

from dashboard.state.served_studies import ANSWER, BASIS

STUDY = "study"  # the study of the page
WHERE = "where"  # the images that the views are about, as a slice's text form
OF_LINKS = (STUDY, WHERE, ANSWER, BASIS)  # parts that a link to another page takes along

_MEMORY = "_address"


@dataclass(frozen=True)
class Written:
    """The values of a part before and after this session wrote it; none where the query leaves it out."""

    before: list[str]
    after: list[str]


@dataclass
class _Memory:
    page: str = ""
    run: Any = None  # a weak reference to the context of the last run that was seen
    written: dict[str, Written] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)  # of the parts that were there on this page
    is_drawn: bool = True  # whether a page was drawn to its end since, whose links hold what was written


def query() -> Any:
    """The query of this run (`st.query_params`), with what this session wrote into it.

    Where a page was left before it was drawn, its links do not hold what was written: parts that links take
    along follow to the next page then.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return st.query_params
    memory = st.session_state.setdefault(_MEMORY, _Memory())
    is_new = memory.run is None or memory.run() is not context
    if is_elsewhere := context.page_script_hash != memory.page:
        follows = OF_LINKS if is_new and not memory.is_drawn and not context.is_history_navigation else ()
        memory.names = set()
        memory.written = {
            name: one
            for name, one in memory.written.items()
            if name in follows and st.query_params.get_all(name) == one.before
        }
    elif is_new and context.is_history_navigation:
        memory.written = {}
    memory.page, memory.run = context.page_script_hash, ref(context)
    memory.names.update(st.query_params)
    for name, one in list(memory.written.items()):
        if st.query_params.get_all(name) != one.after:
            try:
                _put(name, one.after)
            except StreamlitAPIException:  # a widget of the page is bound to it by now, and writes it
                del memory.written[name]
    if is_elsewhere and is_new:  # the browser may have heard of another query in between
        st.query_params.update()
    return st.query_params


def write(name: str, values: list[str]) -> None:
    """Write one part of the query; no values remove it."""
    before = query().get_all(name)
    if before == values:
        return
    _put(name, values)
    if (memory := st.session_state.get(_MEMORY)) is not None:
        memory.written[name] = Written(before, values)
        memory.is_drawn = False


def _put(name: str, values: list[str]) -> None:
    if not values:
        del st.query_params[name]
    else:
        st.query_params[name] = values[0] if len(values) == 1 else values


def forget() -> None:
    """Forget what this session wrote, as a page is gone to with a query of its own, maybe the same page."""
    if (memory := st.session_state.get(_MEMORY)) is not None:
        memory.written = {}


def drawn() -> set[str]:
    """Note that the page was drawn to its end; return the parts of its address that the browser's history has
    set, those that it took away included. Called by `session.leave_page` alone.
    """
    context, memory = get_script_run_ctx(suppress_warning=True), st.session_state.get(_MEMORY)
    if context is None or memory is None:
        return set()
    memory.is_drawn = True
    return memory.names if context.is_history_navigation else set()
