"""The command `search` with a CLIP that sees only colours: what it must find can be computed."""

from __future__ import annotations

import errno
import json

import numpy as np
import pandas as pd
import pytest

from core.answers.requests import add_answer
from core.bases.requests import add_basis
from core.charts.table_file import provenance
from core.cli import main
from core.concepts import clip_and_captions, search, search_index
from core.concepts.photograph_clips import FETCH_CLIP
from core.concepts.search import GENERIC
from core.config import BasisConfig
from core.errors import SettingsError, StudyError
from core.measures.slice import Slice
from core.pipeline import run
from core.pipeline.run import run_step
from core.store import open_study
from core.study import seals
from core.study.layers import layer
from core.study.progress import Progress
from tests.concepts.fakes import ColourClip
from tests.concepts.nearest import by_text


@pytest.fixture
def clip(monkeypatch):
    made = ColourClip()
    monkeypatch.setattr(clip_and_captions, "opened_clip", lambda spec, device: made)
    monkeypatch.setattr(clip_and_captions, "clip_is_here", lambda spec: True)
    return made


def found_by_loop(study, clip, text):
    query = clip.embed_texts([text])[0]
    cosines = [float(clip.embed_images([study.image(row)])[0] @ query) for row in range(study.n_images)]
    return sorted(range(study.n_images), key=lambda row: -cosines[row]), cosines


@pytest.mark.slow
def test_search__finds_what_a_loop_finds_and_embeds_once(study_path, clip):
    folder = study_path(n_train=20, n_val=12)
    report = run.run_search(folder, "red disc", {"top": 5}, Progress.silent())
    study = open_study(folder)
    assert clip.seen == 32 and report["n_missing"] == 0
    order, cosines = found_by_loop(study, clip, "red disc")
    ids = study.images["image_id"]
    np.testing.assert_allclose(
        [hit["cosine"] for hit in report["found"]], np.sort(cosines)[::-1][:5], atol=2e-3
    )
    assert report["found"][0]["image_id"] in [ids[row] for row in order[:3]]
    seen = clip.seen
    run.run_search(folder, "blue disc", {}, Progress.silent())
    assert clip.seen == seen  # the images are embedded already
    for text in ("blue disc", *GENERIC):
        assert by_text(open_study(folder), text, 1) is not None, text


@pytest.mark.slow
def test_search__answers_where_the_disk_is_full(study_path, clip, monkeypatch):
    folder = study_path(n_train=20, n_val=12)
    run.run_search(folder, None, {}, Progress.silent())

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(seals, "write_array", full)
    report = run.run_search(folder, "red disc", {"top": 5}, Progress.silent())
    order, _ = found_by_loop(open_study(folder), clip, "red disc")
    assert report["found"][0]["image_id"] in [open_study(folder).images["image_id"][row] for row in order[:3]]


@pytest.mark.slow
def test_search__another_clip_embeds_anew_and_forgets_the_old_texts(study_path, clip, monkeypatch):
    folder = study_path(n_train=20, n_val=12)
    run.run_search(folder, "red disc", {}, Progress.silent())
    monkeypatch.setattr(clip_and_captions, "opened_clip", lambda spec, device: ColourClip("other"))
    run.run_search(folder, None, {}, Progress.silent())
    study = open_study(folder)
    assert search.index_facts(study).clip_fingerprint == "other"
    assert by_text(study, "red disc", 3) is None


@pytest.mark.slow
def test_search__a_missing_picture_is_counted_and_never_found(study_path, clip):
    folder = study_path(n_train=20, n_val=12)
    (folder.with_name(folder.name + ".input") / "000003.png").unlink()
    report = run.run_search(folder, "red disc", {"top": 100}, Progress.silent())
    assert report["n_missing"] == 1 and len(report["found"]) == 31


@pytest.mark.slow
def test_search__goes_on_where_it_stopped(study_path, clip, monkeypatch):
    monkeypatch.setattr(search_index, "CHUNK_ROWS", 16)
    monkeypatch.setattr(search_index, "BATCH_IMAGES", 8)
    folder, see = study_path(n_train=20, n_val=12), clip.embed_images

    def tire(images):
        if clip.seen >= 24:
            raise KeyboardInterrupt
        return see(images)

    monkeypatch.setattr(clip, "embed_images", tire)
    with pytest.raises(KeyboardInterrupt):
        run.run_search(folder, None, {}, Progress.silent())
    assert not open_study(folder).has(search.CLIP_IMAGES)
    monkeypatch.setattr(clip, "embed_images", see)
    run.run_search(folder, None, {}, Progress.silent())
    assert clip.seen == 24 + 16  # the first chunk of 16 was kept, the half of the second was not


@pytest.mark.slow
def test_search__only_among_a_slice(study_path, clip):
    folder = study_path(n_train=20, n_val=12)
    report = run.run_search(folder, "red disc", {"slice": "split=val", "top": 100}, Progress.silent())
    assert len(report["found"]) == 12
    assert all(hit["image_id"].startswith("val/") for hit in report["found"])


def test_search__without_a_clip_here_names_the_command_that_gets_one(study_path, monkeypatch):
    monkeypatch.setattr(clip_and_captions, "clip_is_here", lambda spec: False)
    with pytest.raises(StudyError, match=FETCH_CLIP):
        run.run_search(study_path(n_train=20, n_val=12), "red disc", {}, Progress.silent())


def test_search__an_answer_or_a_basis_without_a_slice_is_refused(shared_study):
    asked = ((shared_study, {"answer": "probe"}, "--answer"), (layer(shared_study, "sae"), {}, "--basis"))
    for folder, options, option in asked:
        with pytest.raises(SettingsError, match=f"{option} says how --slice is read"):
            run.run_search(folder, "dog", options, Progress.silent())


@pytest.mark.slow
def test_search__reads_a_slice_in_the_basis_and_by_the_answer_that_are_named(study_path, clip, tmp_path, run):
    folder = study_path(n_train=20, n_val=12)
    config = BasisConfig(kind="pca", size=8, k=3)
    add_basis(folder, "parts", config, Progress.silent(), device="cpu")
    run_step("features", layer(folder, "parts"), {}, Progress.silent())
    study = open_study(folder)
    always = pd.DataFrame({"image_id": study.images["image_id"], "predicted": study.class_names[0]})
    always.to_csv(tmp_path / "always.csv", index=False)
    add_answer(folder, str(tmp_path / "always.csv"), None, {"device": "cpu"}, Progress.silent())
    study = open_study(folder)
    of_latents = study.in_basis("parts").vector("firing_features")
    feature = int(np.bincount(of_latents).argmax())
    readings = {
        (f"fires={feature}",): study,
        (f"fires={feature}", "--basis", "parts"): study.in_basis("parts"),
        ("correct=true",): study.answering(),
        ("correct=true", "--answer", "always"): study.answering("always"),
    }
    found = []
    for (where, *options), reading in readings.items():
        inside = Slice.parse(where).mask(reading)
        printed = run("search", folder, "red disc", "--slice", where, "--top", "99", "--json", *options).out
        told = json.loads(printed)
        found.append({one["image_id"] for one in told["found"]})
        assert told.items() >= provenance(reading, Slice.parse(where)).items()
        assert found[-1] == set(study.images["image_id"][inside]), where
    assert found[0] != found[1] and found[2] != found[3]
    assert not (layer(folder, "parts") / "clip_images").exists()


@pytest.mark.slow
def test_search__refuses_what_it_cannot_do(study_path, clip):
    with pytest.raises(SettingsError, match="words"):
        run.run_search(study_path("a"), "?!", {}, Progress.silent())
    with pytest.raises(StudyError, match="pictures"):
        run.run_search(study_path("b", pictures=False), "red", {}, Progress.silent())


@pytest.mark.slow
def test_search__command(study_path, clip, capsys):
    folder = study_path(n_train=20, n_val=12)
    assert main(["search", str(folder), "red disc", "--top", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["found"]) == 3 and report["clip"] == "colours"
    assert main(["search", str(folder)]) == 0
    assert "32 images embedded with colours" in capsys.readouterr().out
