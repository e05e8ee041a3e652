"""Two bases of a study side by side, read once."""

import numpy as np
import pandas as pd

from core.bases.basis import UNITS
from core.bases.twins import twins
from core.export.bases_table import bases_table
from core.storage.layers import layer
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache.features import feature_reads
from dashboard.cache.reader import cached_read

TWIN = 0.9  # |cosine| from which two latents are the same direction


@cached_read(max_entries=8, spinner="Comparing the directions of both")
def twins_of(study: Study, name: str, other: str) -> pd.DataFrame:
    """The twin of each latent that has a direction, the most certain first.

    Args:
        study: read by the units of its encoder. name, other: two of its bases, or UNITS.
    Returns:
        columns latent, words, twin, words_of_twin, cosine.
    """
    rows, cosines = twins(_decoder(study, name), _decoder(study, other))
    mine, theirs = (feature_reads.names(in_basis(study, one)) for one in (name, other))
    frame = pd.DataFrame({"latent": np.arange(len(rows)), "twin": rows, "cosine": cosines})
    frame.insert(1, "words", [mine.get(latent, "") for latent in frame["latent"]])
    frame.insert(3, "words_of_twin", [theirs.get(twin, "") for twin in frame["twin"]])
    return frame.dropna(subset="cosine").sort_values("cosine", ascending=False, kind="stable")


@cached_read(max_entries=8, spinner="Asking the features of each basis what they know")
def bases_known(study: Study, names: tuple[str, ...]) -> pd.DataFrame:
    """See `core.export.bases_table`.

    Args:
        names: of the bases of the study, on which the table depends.
    Raises:
        StudyError: no concepts are known.
    """
    return bases_table(study, maps=False)


def in_basis(study: Study, name: str) -> Study:
    return study if name == UNITS else served_studies.open_current(layer(study.path, name))


def _decoder(study: Study, name: str) -> np.ndarray:
    if name == UNITS:
        return np.eye(study.array("representations").shape[1], dtype=np.float32)
    return study.vector(study.bases[name].item("decoder"))
