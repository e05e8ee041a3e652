"""What a study will be, shown beside the form as long as nothing is chosen: an example, and the way to it."""

import streamlit as st

from core.slices.inspection.populations import with_split
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.components.stable_container import stable_container
from dashboard.components.tooltips import plain
from dashboard.panels import findings

WAY = (
    "1. **Choose images and an encoder.** They are looked at, and nothing is written: number of images and "
    "classes, samples, time and disk space. No encoder at hand? Choose *Shipped with Peregrine*.\n"
    "2. **Start.** It keeps running if you close this page.\n"
    "3. **Open the study.** Which features fire and where they look, what is misclassified and why."
)


@stable_container
def time_outlook(study: Study | None) -> None:
    """Draw features of `study`, if there is one, as an example, and say how a study is made."""
    if study is not None and study.has("heatmap_maps"):
        name = plain(served_studies.name_of(study))
        findings.feature_findings(
            study, with_split(study, Slice()), title=f"What comes of it: two of the features of {name}", n=2
        )
    st.markdown(WAY)
