"""Accuracy estimated without labels, in the view Compare."""

import streamlit as st

from core.comparison.compare import Comparison
from dashboard.components import widgets
from dashboard.components.chart import download


def accuracy_estimates(comparison: Comparison) -> None:
    """Accuracy without labels, where a study holds estimates of it."""
    if not len(comparison.estimates.table):
        return
    st.header("Accuracy estimated without labels")
    st.markdown("\n".join(f"- {widgets.plain(line)}." for line in comparison.estimates.sentences()))
    with st.expander("All methods, with their errors where the truth is known", icon=":material/table:"):
        by_method = comparison.estimates.by_method()
        st.dataframe(
            by_method, hide_index=True, alt="Every estimate of accuracy with its errors in back tests"
        )
        st.caption(
            "Each estimate is of all images that it speaks of, whatever the filter. In brackets beside it: "
            "its prediction interval. In 95 % of the back tests the truth lay that near to the estimate. "
            "In brackets beside an error: how many points more (+) or fewer (−) than with the accuracy on "
            "evaluation images, as if nothing had changed; 95 % intervals, paired over images. By chance "
            "alone: the sampling noise of the accuracies that the estimates are compared with, on slices and "
            "on copies."
        )
        download(comparison.shared.studies, comparison.estimates.table, name="accuracy_estimates")
