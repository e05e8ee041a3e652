"""What a kill, or a redo with wrong inputs, leaves of a study: its results, or the settings to make them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.analysis import representations
from core.cli import main
from core.errors import StudyError
from core.pipeline import run as pipeline
from core.store import open_study
from core.study import writer
from core.study.manifest import UNFINISHED, read_manifest
from tests.command_line import QUICK, SMALL, contents, photos
from tests.manifests import edited_manifest


class Killed(BaseException):
    """Nobody handles it, so that it leaves on disk what a kill does."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a command that is killed before it writes a table of this name."""

    def killed(table: str, *words: object) -> None:
        def replacing(path: Path, **options: bool):
            if path.name == f"{table}.parquet":
                raise Killed
            return real(path, **options)

        real = writer.replacing
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(writer, "replacing", replacing)
            main([str(word) for word in words])

    return killed


def test_killed_redo__resume_takes_its_settings_and_the_study_is_as_if_nothing_had_been(
    run, analysed, tmp_path, killed
):
    expected = shutil.copytree(analysed, tmp_path / "expected")
    assert run("features", expected, "--epsilon", "1.25").code == 0
    assert run("resume", expected).code == 0
    study = shutil.copytree(analysed, tmp_path / "study")
    killed("classes", "features", study, "--epsilon", "1.25", "--redo")
    assert open_study(study).settings("features") == open_study(analysed).settings("features")
    assert read_manifest(study)[UNFINISHED]["features"]["epsilon"] == 1.25
    assert run("resume", study).code == 0
    assert contents(study) == contents(expected)


def test_killed_analysis__resume_takes_the_settings_of_steps_that_had_not_begun(
    run, analysis, analysed, tmp_path, killed
):
    study = tmp_path / "study"
    killed("features", "analyze", study, *analysis)
    assert run("resume", study).code == 0
    assert contents(study) == contents(analysed)


def test_killed_analysis__resume_adds_the_answers_that_it_was_asked_for(run, analysis, tmp_path, killed):
    study, request = tmp_path / "study", ("--answers", "knn")
    killed("features", "analyze", tmp_path / "early", *analysis, *request)
    killed("answer_knn", "analyze", study, *analysis, *request)
    for folder in (tmp_path / "early", study):
        assert "knn" not in open_study(folder).answers
        assert run("resume", folder).code == 0
        assert "knn" in open_study(folder).answers and UNFINISHED not in read_manifest(folder)


def test_killed_analysis_of_a_basis__resume_adds_the_answers_that_it_was_asked_for(
    run, analysed, tmp_path, killed
):
    study = shutil.copytree(analysed, tmp_path / "study")
    assert run("basis", study, "--kind=pca", "--size=32", "--k=32", "--name=p", "--device=cpu").code == 0
    killed("features", "analyze", study, "--basis=p", "--answers=knn", "--device=cpu")
    assert "knn" not in open_study(study).answers
    assert run("resume", study, "--basis=p").code == 0
    assert "knn" in open_study(study).answers and UNFINISHED not in read_manifest(study)


def test_killed_before_anything_is_written__older_results_stay(analysed, tmp_path, killed, monkeypatch):
    study = shutil.copytree(analysed, tmp_path / "study")

    def compute(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("core.analysis.features_step.compute_features", compute)
        main(["features", str(study), "--epsilon", "1.25"])
    assert contents(study) == contents(analysed)


def test_refused_request__is_not_tried_again_by_resume(run, analysed, tmp_path):
    study = shutil.copytree(analysed, tmp_path / "study")
    assert run("domains", study, "--column", "nowhere").error
    assert contents(study) == contents(analysed)
    assert run("resume", study).code == 0


def test_embed__redone_with_wrong_images_leaves_the_study(run, tmp_path, monkeypatch):
    monkeypatch.setattr(representations, "CHUNK_ROWS", 4)  # two chunks
    images = photos(tmp_path / "photos", {"cat": 4, "dog": 4})
    study, words = tmp_path / "study", (*SMALL, *QUICK[:4])
    assert run("embed", study, "--images", images, *words).code == 0
    before, broken, none = contents(study), tmp_path / "broken", tmp_path / "none"
    shutil.copytree(images, none)
    shutil.copytree(images, broken)
    for number, path in enumerate(sorted(broken.rglob("*.png"))):
        path.write_bytes(b"no picture" if number else path.read_bytes())
    for path in none.rglob("*.png"):
        path.write_bytes(b"no picture")
    wrong = [("nowhere",), (none,), (broken, "--strict")]
    for folder, *more in wrong:
        assert run("embed", study, "--images", folder, *more, "--redo").error
        assert contents(study) == before, folder
    (images / "cat" / "0.png").unlink()
    assert run("embed", study, "--redo").code == 0 and open_study(study).n_images == 7


def test_embed__killed_while_it_is_redone__resume_knows_the_images(run, analysed, tmp_path, killed):
    study = shutil.copytree(analysed, tmp_path / "study")
    killed("images", "embed", study, "--redo")
    assert open_study(study).array("representations")[:].tobytes()
    assert run("resume", study).code == 0
    assert contents(study) == contents(analysed)


def test_manifest__with_strange_unfinished_settings_is_refused(run, analysed, tmp_path):
    study = shutil.copytree(analysed, tmp_path / "study")
    for strange in ([], {"features": 3}):
        with edited_manifest(study) as manifest:
            manifest[UNFINISHED] = strange
        assert "unfinished" in run("info", study).error
        with pytest.raises(StudyError, match="unfinished"):
            pipeline.check_needs("probe", study)
        shutil.copyfile(analysed / "manifest.json", study / "manifest.json")
