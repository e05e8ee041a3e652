"""The step `search`: which CLIP it takes, when it is left out, and what it replaces."""

from __future__ import annotations

import numpy as np
import pytest

from core.common.step_facts import SearchFacts
from core.concepts import clip as clips
from core.concepts import clip_and_captions, search, search_index
from core.concepts.clip import clip_is_here
from core.config import RunOptions, SearchConfig
from core.pipeline import run as pipeline
from core.pipeline.verify import verify
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import write_study
from tests.concepts.fakes import ColourClip


@pytest.fixture
def clip(monkeypatch):
    made = ColourClip()
    monkeypatch.setattr(clip_and_captions, "opened_clip", lambda spec, device: made)
    return made


def is_here(monkeypatch, answer: bool) -> None:
    """A CLIP of photographs that the step `search` finds; `concepts` would open its weights."""
    monkeypatch.setattr(search_index, "clip_here", lambda: search_index.DEFAULT_CLIP if answer else None)


@pytest.mark.slow
def test_step__is_run_by_analyze_where_the_default_clip_is_here(study_path, clip, monkeypatch):
    folder = study_path(n_train=20, n_val=12)
    is_here(monkeypatch, True)
    pipeline.resume(folder, {}, Progress.silent())
    study = open_study(folder)
    assert search.index_facts(study) == SearchFacts(clip="colours", clip_fingerprint="colours", n_images=32)
    whole = clip.embed_images([study.image(row) for row in range(study.n_images)])
    assert study.array(search.CLIP_IMAGES).dtype == np.float16
    np.testing.assert_allclose(study.vector(search.CLIP_IMAGES), whole, atol=1e-3)
    seen = clip.seen
    pipeline.resume(folder, {}, Progress.silent())
    assert clip.seen == seen and not verify(folder)


@pytest.mark.slow
def test_step__is_left_out_where_no_clip_is_named_or_here_and_made_once_there_is(
    study_path, clip, monkeypatch
):
    folder = study_path(n_train=20, n_val=12)
    is_here(monkeypatch, False)
    pipeline.resume(folder, {}, Progress.silent())
    study = open_study(folder)
    assert study.summary("search") == {
        "skipped": search_index.NO_CLIP,
        "default_clip": search_index.DEFAULT_CLIP,
    }
    assert not search.has_index(study)
    assert "left out: no CLIP is named" in str(study.why_missing(search.CLIP_IMAGES))
    is_here(monkeypatch, True)
    pipeline.resume(folder, {}, Progress.silent())
    assert open_study(folder).has(search.CLIP_IMAGES)


@pytest.mark.exhaustive("test_step__is_left_out… is skipped in the same way")
@pytest.mark.slow
def test_step__without_pictures(study_path, clip):
    folder = study_path(pictures=False)
    pipeline.resume(folder, {"clip": "colours"}, Progress.silent())
    assert open_study(folder).summary("search") == {"skipped": search_index.NO_PICTURES}


@pytest.mark.exhaustive("test_clip_fingerprint__of_what_was_chosen chooses, too")
@pytest.mark.slow
def test_chosen_clip__named_else_of_the_concepts_else_the_default(study_path, monkeypatch):
    folder = study_path(n_train=20, n_val=12)
    assert search_index.chosen_clip(open_study(folder), SearchConfig()) == search_index.DEFAULT_CLIP
    with write_study(folder) as writer, writer.step("concepts", {"clip": "ViT-L-14@openai"}):
        pass
    assert search_index.chosen_clip(open_study(folder), SearchConfig()) == "ViT-L-14@openai"
    assert (
        search_index.chosen_clip(open_study(folder), SearchConfig(clip="asset:glyphworld"))
        == "asset:glyphworld"
    )


@pytest.mark.slow
def test_clip_fingerprint__of_what_was_chosen(study_path, clip, monkeypatch):
    is_here(monkeypatch, False)
    study = open_study(study_path(n_train=20, n_val=12))
    assert search_index.clip_fingerprint(study, SearchConfig(), RunOptions(device="cpu")) == {}
    named = search_index.clip_fingerprint(study, SearchConfig(clip="any"), RunOptions(device="cpu"))
    assert named == {"clip": "colours"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "cached", "here"),
    [
        ("asset:glyphworld", False, True),
        ("ViT-B-32@openai", False, False),
        ("ViT-B-32@openai", True, True),
        ("ViT-B-32@laion2b_s34b_b79k", False, False),
        ("hf-hub:some/model", True, True),
        ("ViT-B-32@no/such/file.pt", True, False),
    ],
)
def test_clip_is_here(monkeypatch, spec, cached, here):
    monkeypatch.setattr(clips, "_is_cached", lambda repository, *files: cached)
    monkeypatch.setattr(clips, "_has_downloads", lambda: True)
    assert clip_is_here(spec) is here
