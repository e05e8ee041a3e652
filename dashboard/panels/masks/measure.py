"""Which definition of the overlap the charts below the scale use."""

from core.charts.overlap_rows import VARIANTS
from dashboard.components.choose_one import select_one


def choose_variant() -> str:
    """Draw the choice; return a key of VARIANTS."""
    titles = {title: name for name, title in VARIANTS.items()}
    return titles[select_one("Measured by", titles, key="overlap_variant", width=290)]
