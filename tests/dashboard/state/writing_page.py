"""A page with the read-only link and a button for each thing that a click can change, whoever looks at it."""

import os
import sys
from pathlib import Path

import streamlit as st

from core.store import open_study
from core.study import runner
from dashboard.state.visitor import guest_link
from tests.dashboard.state.writes import WRITES, attempt

# A command that does nothing, for as long as it takes.
runner.LAUNCH = (sys.executable, "-c", "import time; time.sleep(600)")
STUDY = Path(os.environ["PEREGRINE_STUDIES"]) / "demo"


def press(name: str) -> None:
    st.session_state["outcome"] = attempt(name, open_study(STUDY))


for one in WRITES:
    st.button(one, key=one, on_click=press, args=(one,))
st.code(guest_link({"study": "demo"}))
st.text(st.session_state.pop("outcome", "nothing was pressed"))
