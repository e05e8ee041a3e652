"""What a notebook shows: the numbers of the study, its stored pictures, and names as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import StudyError
from core.store import open_study
from tests.synthetic import make_study

HOSTILE = '"><img src=x onerror=alert(1)>'


def test_a_study_a_slice_and_a_feature_are_shown(shared_study: Path) -> None:
    study = open_study(shared_study)
    whole = study._repr_html_()
    assert f"{study.n_images} images" in whole and whole.count("<img") == 8
    right = study.table("probe", ["correct"])["correct"][study.is_val]
    assert f"{100 * right.mean():.1f} %" in whole
    wrong = study.where("correct=false")
    assert f"{wrong.n_chosen} images" in wrong._repr_html_() and "0.0 %" in wrong._repr_html_()
    feature = study.feature(3)._repr_html_()
    assert f"{study.table('features')['activation_rate'][3]:.3g} %" in feature and "<img" in feature
    assert "train" in feature and "slice" in wrong.feature(3)._repr_html_()
    with pytest.raises(StudyError, match="4800"):
        study.feature(4800)


def test_images_without_a_label_are_called_by_their_name(tmp_path: Path) -> None:
    study = open_study(make_study(tmp_path / "bare", labels=False, n_train=16, n_val=8))
    shown = study._repr_html_()
    assert 'title="val/000016" alt="val/000016"' in shown and "nan" not in shown


@pytest.mark.slow
def test_names_stay_text(tmp_path: Path) -> None:
    study = open_study(make_study(tmp_path / "odd", class_names=("ant", HOSTILE), n_classes=2))
    for shown in (study, study.where("split=val"), *(study.feature(number) for number in range(4))):
        assert "onerror=alert(1)>" not in shown._repr_html_()
