"""What a reader of the curves of kept features should know. No torch."""

import numpy as np

from core.analysis.features.notes import stored_percentile
from core.common.step_facts import FeaturesFacts
from core.store import Study


def curves_notes(rate: np.ndarray, *, epsilon: float, low: float = 50.0) -> list[str]:
    """List what features that never fire do to the curves of kept features (docs/method.md 3.2).

    As long as P_10s(A) = 0, the band [10 s, 100 - s] holds every feature that never fires. Empty where even
    P_10(A) > 0.

    Args:
        rate: (n_features,) activation rates A_j in percent of the train images.
        low: the study's lower percentile.

    >>> curves_notes(np.array([0.0, 0.0, 2.0, 5.0]), epsilon=4, low=50)
    ['2 of 4 features never fire at epsilon 4.', 'Up to the 30th percentile, no rare feature is removed.']
    """
    rate = np.asarray(rate, np.float64)
    silent = [percent for percent in range(10, 100, 10) if len(rate) and np.percentile(rate, percent) == 0]
    if not silent:
        return []
    n_never = int((rate == 0).sum())
    notes = [
        f"{n_never:,} of {len(rate):,} features never fire at epsilon {epsilon:g}.",
        f"Up to the {silent[-1]}th percentile, no rare feature is removed.",
    ]
    if np.percentile(rate, low) == 0:
        notes.append(f"P_{low:g}(A) = 0: run features with --epsilon auto, then probe --curves.")
    return notes


def notes_on_curves(study: Study) -> list[str]:
    """Return the notes on a study's curves of kept features; for many studies there are none."""
    if not study.has("features"):
        return []
    rate = study.table("features", ["activation_rate"])["activation_rate"].to_numpy(np.float64)
    epsilon = study.facts(FeaturesFacts).epsilon
    if epsilon is None:
        return []
    return curves_notes(
        rate, epsilon=epsilon, low=stored_percentile(study.settings("features").get("low"), 50.0)
    )
