"""How often a classifier is right where its confidence says so."""

import numpy as np
import pytest

from core.measures.confidence import LEAST, calibration_error, confidence_sentence, usual_band
from core.store import open_study
from tests.sentences import as_record


def outcomes(n: int, n_right: int) -> np.ndarray:
    return np.arange(n) < n_right


def test_calibration_error__is_the_loop_over_bins(rng):
    confidence = rng.random(500) ** 0.5
    right = rng.random(500) < confidence**2
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert calibration_error(right, confidence) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(calibration_error(right[:0], confidence[:0]))


def test_usual_band__is_about_eighty_percent_or_the_nearest_with_enough_answers():
    confidence = np.concatenate([np.full(40, 0.84), np.full(60, 0.42), np.full(90, 0.99)])
    right = np.concatenate([outcomes(40, 20), outcomes(60, 15), outcomes(90, 90)])
    band = usual_band(right, confidence)
    assert band is not None and (band.n, band.n_right, band.kind) == (40, 20, "too_sure")
    assert band.confidence == pytest.approx(0.84) and band.low < 0.5 < band.high < 0.84
    others = confidence != 0.84
    nearest = usual_band(right[others], confidence[others])
    assert nearest is not None and (nearest.n, nearest.kind) == (90, "fits")  # 0.99 and 1.00


@pytest.mark.parametrize(
    ("n_right", "kind"), [(62, "too_sure"), (81, "fits"), (100, "not_sure_enough")], ids=str
)
def test_kind__by_where_the_confidence_lies(n_right, kind):
    band = usual_band(outcomes(100, n_right), np.full(100, 0.8))
    assert band is not None and band.kind == kind


def test_usual_band__none_of_few():
    assert usual_band(outcomes(LEAST - 1, 5), np.full(LEAST - 1, 0.8)) is None
    assert usual_band(outcomes(0, 0), np.empty(0)) is None
    assert usual_band(outcomes(LEAST, 5), np.full(LEAST, 0.8)) is not None


def test_usual_band__groups_widen_the_interval():
    right, groups = np.repeat([True, False], 50), np.repeat(np.arange(10), 10)
    alone, grouped = (usual_band(right, np.full(100, 0.5), one) for one in (None, groups))
    assert alone is not None and grouped is not None
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_confidence_sentence__of_the_images_of_a_mask(study_path):
    study = open_study(study_path(n_train=40, n_val=120, pictures=False))
    confidence = study.column("probe", "confidence").to_numpy(float)
    correct = study.column("probe", "correct").to_numpy(bool)
    band = usual_band(correct[study.is_val], confidence[study.is_val])
    sentence = as_record(confidence_sentence(study, study.is_val))
    assert band is not None and sentence
    assert (sentence.kind, sentence.n, sentence.value) == (band.kind, band.n, band.n_right / band.n)
    few = np.flatnonzero(study.is_val)[: LEAST - 1]
    assert confidence_sentence(study, np.isin(np.arange(study.n_images), few)) == ""
    assert confidence_sentence(study, study.is_val & correct) == ""  # of a filter that names the outcome
