"""The evaluation on a small Glyphworld, with a caption bank that knows only a few words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.evidence import concept_evaluation as evaluation_run
from benchmarks.evidence.concept_evaluation import FALCON, RANDOM, compute_evaluation
from core.concepts.tools import Tools
from core.config import ConceptsConfig
from core.errors import StudyError
from core.jobs.progress import Progress
from core.pipeline import run as pipeline
from core.storage.writer import write_study
from core.store import open_study
from core.worlds.glyphworld.word_truth import truth_of
from tests.concepts.test_step import USUAL, run
from tests.tables import rows_where

WORDS = ["grass", "water", "sand", "snow", "dog", "boat"]


class GroundClip:
    """Sees an image's mean colour only."""

    name, width, fingerprint = "ground", 3, "ground"

    def embed_images(self, images, *, pad=False):
        rows = np.array([np.asarray(image.convert("RGB"), np.float32).mean((0, 1)) for image in images])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_texts(self, texts):
        rows = np.array([[ord(c) % 17 + 1 for c in text[:3]] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class WordBank:
    name = fingerprint = "words"

    def __len__(self):
        return len(WORDS)

    def texts(self, indices):
        return [WORDS[int(index)] for index in indices]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Planted representations: feature j fires where background j is."""
    folder = tmp_path_factory.mktemp("world")
    options = {"images": "glyphworld?train=30&val=60&size=32", "encoder": "timm:resnet10t"}
    here = {"input_size": 32, "resize": 32, "device": "cpu", "workers": 0}
    pipeline.run_step("embed", folder / "study", options | here, Progress.silent())
    study = open_study(folder / "study")
    grounds = study.table("attributes")["background"]
    names = sorted(grounds.unique())
    raw = (grounds.to_numpy(object)[:, None] == np.array(names, object)) + 0.01
    with write_study(folder / "study") as writer, writer.step("concepts", {}) as step:
        words = [(str(names.index(word)), 1, word, "word", 0.5, True, "") for word in WORDS if word in names]
        words += [(group, 2, "submarine", "word", 0.4, True, "") for group, *_ in words[:1]]
        columns = ["group", "rank", "word", "kind", "score", "kept", "discarded_by"]
        step.table("concepts", pd.DataFrame(words, columns=columns))
    return folder / "study", names, raw


def evaluate(folder, raw):
    config = ConceptsConfig(k=1.5, min_images=2, captions="words", crop=False, naming="falcon")

    def tools(*_):
        clip = GroundClip()
        rows = clip.embed_texts(WORDS)

        def retrieve(crops):
            cosine = crops @ rows.T
            best = np.argsort(-cosine, axis=1, kind="stable")[:, :5]
            return best, np.take_along_axis(cosine, best, 1), np.zeros(len(crops))

        return Tools(clip, WordBank(), retrieve, None, config, retrieve)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_run, "open_tools", tools)
        h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        blocks = lambda self: iter([(0, h[self.rows])])  # noqa: E731
        patch.setattr("core.concepts.activating.ProbeImages.blocks", blocks)
        patch.setattr("core.concepts.activating.ProbeImages.n_features", h.shape[1])
        with write_study(folder) as writer, writer.step("evaluation", {}) as step:
            compute_evaluation(open_study(folder), step, config, progress=Progress.silent())
    return open_study(folder)


@pytest.mark.slow
def test_evaluation__of_planted_features(world):
    folder, names, raw = world
    study = evaluate(folder, raw)
    scores = study.table("concept_scores").set_index(["method", "share", "k"])
    assert scores.at[(FALCON, 0.5, 1), "precision"] == 1.0  # each feature has the word of its background
    assert scores.at[(FALCON, 0.5, 2), "precision"] < 1.0  # a submarine is nowhere
    assert scores.at[(RANDOM, 0.5, 6), "precision"] < 0.5
    words = study.table("method_words")
    ours = rows_where(words, (words["method"] == FALCON) & (words["rank"] == 1))
    assert (ours["true_share"] == 1.0).all()
    for group, word, share in ours[["group", "word", "other_share"]].itertuples(index=False):
        assert names[int(group)] == word
        rows = np.flatnonzero(study.is_val & (study.table("attributes")["background"] != word).to_numpy())
        held = [truth_of(study.source.plan(int(row))).holds(word) for row in rows]
        assert share == pytest.approx(np.mean(held))
    cues = study.table("planted_cues")
    assert len(cues) == 40 and set(cues["kind"]) == {"background", "companion"}
    found = rows_where(cues, (cues["kind"] == "background") & (cues["n_found"] > 0))
    assert set(found["cue"]) == {word for word in WORDS if word in set(ours["word"])}
    assert not cues.loc[cues["kind"] == "companion", "n_named"].any()


@pytest.mark.slow
def test_evaluation__needs_glyphworld_and_concepts(world, study_path):
    folder, _, raw = world
    other, _ = run(study_path(n_train=20, n_val=20), **USUAL)
    with write_study(other.path) as writer, writer.step("evaluation", {}) as step:
        compute_evaluation(other, step, ConceptsConfig(), progress=Progress.silent())
        assert "known for Glyphworld only" in step.summary["skipped"]
    with write_study(folder) as writer:
        writer.forget("concepts")
    with pytest.raises(StudyError, match="has no concepts. Run"):
        evaluate(folder, raw)
