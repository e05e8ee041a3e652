"""Small pictures of images on cards: as they are, or with the heatmap of a feature."""

from collections.abc import Sequence

import numpy as np

from core.heatmaps.overlay_image import OverlayStyle
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import overlay_urls
from dashboard.cache import heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.cards import Picture


def thumbnails(study: Study, rows: np.ndarray | Sequence[int]) -> tuple[Picture, ...]:
    """The images as they are."""
    numbers = [int(row) for row in rows]
    facts = reads.facts_of(study, numbers)
    urls = served_studies.picture_urls(study, numbers)
    return tuple(Picture(url, widgets.image_name(fact)) for url, fact in zip(urls, facts, strict=True))


def heat_pictures(study: Study, feature: int, n: int) -> tuple[Picture, ...]:
    """The images on which a feature is largest, with its heatmap where one is stored."""
    if not study.has("top_images"):
        return ()
    rows = reads.top_rows(study, feature)
    stored = rows[np.isin(rows, heatmap_reads.rows_with(study, feature))][:n]
    if not stored.size:
        return thumbnails(study, rows[:n])
    numbers = stored.tolist()
    urls = overlay_urls(study, numbers, [OverlayStyle(features=(feature,))] * len(numbers))
    facts = reads.facts_of(study, numbers)
    return tuple(
        Picture(url, f"{widgets.image_name(fact)}, heatmap of {study.feature_kind} {feature}")
        for url, fact in zip(urls, facts, strict=True)
    )
