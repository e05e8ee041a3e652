"""That page behind the guard of the dashboard: what `streamlit run` starts."""

from pathlib import Path

import streamlit as st

from dashboard.server.guard import Guard
from dashboard.server.settings import read_rules

app = st.App(Path(__file__).with_name("writing_page.py"))
app = Guard(app, read_rules)
