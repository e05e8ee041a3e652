"""The images nearest to an opened image's embedding, moved as implicit feature modification moves it."""

import numpy as np
import streamlit as st

from core.errors import PeregrineError
from core.research.changed_inputs.analysis import near_moved as search
from core.store import Study
from dashboard.cache.reader import cached_read
from dashboard.components import widgets

SHOWN = 6
LARGEST, FIRST, STEP = 2.0, 0.2, 0.05
KINDS = {
    "positive": "This image, moved away from a view of it",
    "negative": "Another image, moved towards that view",
}


@cached_read(max_entries=256, spinner="Comparing with every image")
def nearest(study: Study, row: int, epsilon: float, kind: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The images nearest to a moved embedding; empty where the move leads nowhere."""
    try:
        return search.near_moved(study, row, k, epsilon=epsilon, kind=kind)
    except PeregrineError:
        return np.empty(0, np.int64), np.empty(0, np.float32)


def near_moved_embedding(study: Study, row: int) -> None:
    """The slider and the nearest images; nothing for a study without the moved embeddings."""
    if not search.has_moved(study):
        return
    st.header("Moved embedding", help=widgets.help_text("perturbed"))
    epsilon = st.slider("Size of the move (epsilon)", 0.0, LARGEST, FIRST, STEP, key="alike_epsilon")
    for kind, title in KINDS.items():
        rows, cosines = nearest(study, row, float(epsilon), kind, SHOWN)
        st.caption(title if len(rows) else f"{title}: the move ends at a point without direction.")
        if len(rows):
            moved = row if kind == "positive" else search.partner_of(row, study.n_images)
            widgets.nearest_gallery(
                study,
                rows,
                cosines,
                key=f"detail_moved_{kind}",
                label=f"images nearest to the moved embedding, {kind}",
                names={moved: "the moved image"},
            )
