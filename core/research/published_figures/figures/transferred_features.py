"""Top images of features on one image set and on another (Kalibhat 2024, A.2)."""

from collections.abc import Sequence

import pandas as pd

from core.charts.chart import Chart
from core.charts.feature_heatmaps import FEATURE_HEATMAPS, FeatureRows
from core.charts.heat_panels import StudyHeats, facts_of
from core.charts.options import FigureOptions
from core.charts.picked_images import strongest_rows, top_images_of
from core.common.step_facts import EmbedFacts
from core.comparison.images import study_names
from core.errors import StudyError
from core.store import Study


def _table(studies: Sequence[Study], options: FigureOptions) -> FeatureRows:
    """Read features chosen on one image set, and their top images in another."""
    here, there = studies
    _check_same_encoder(here, there)
    first, second = StudyHeats(here, options), StudyHeats(there, options)
    n = options.images or 4
    rows, beside, frames = [], [], []
    for feature, title, images in top_images_of(here, first, options, n):
        rows.append((title, [first.with_stored(image, feature) for image in images]))
        images_there = second.shown(strongest_rows(there, feature, n))
        beside.append([second.with_stored(image, feature) for image in images_there])
        for part, study in ((images, here), (images_there, there)):
            frames.append(facts_of(part).assign(feature=feature, study=study.name))
    note = (
        f"Features chosen on {here.name}; the images of each set on which they are largest, with the heatmap "
        "where one is stored."
    )
    first_name, second_name = study_names(studies)
    return FeatureRows(pd.concat(frames, ignore_index=True), rows, note, beside, (first_name, second_name))


def _check_same_encoder(here: Study, there: Study) -> None:
    first, second = (study.facts(EmbedFacts).encoder for study in (here, there))
    if (first.fingerprint, first.layer) != (second.fingerprint, second.layer):
        raise StudyError(
            f"'{here.path}' and '{there.path}' were made with different encoders, so their features have "
            "nothing in common; make the second with the first one's --encoder, --layer and --pool"
        )


TRANSFERRED_FEATURES = Chart(
    name="transferred_features",
    title="features chosen here, on another image set (--with)",
    source="Kalibhat 2024, A.2",
    needs=("features",),
    table=_table,
    draw=FEATURE_HEATMAPS.draw,
    studies=(2, 2),
    column="double",
)
