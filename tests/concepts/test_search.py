"""Exact search against a loop, captions by words, and texts that CLIP has embedded."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.concepts import search
from core.errors import ShapeError, StudyError
from core.store import open_study
from core.study.chunked_array import ChunkedArray, write_chunk
from core.study.writer import write_study
from tests.concepts.nearest import by_text
from tests.small import write_small_study
from tests.synthetic import make_study


def stored(folder, rows, height):
    parts = [rows[start : start + height] for start in range(0, len(rows), height)]
    (folder / "vectors").mkdir()
    for number, part in enumerate(parts):
        write_chunk(folder / "vectors", number, part)
    return ChunkedArray(folder / "vectors", [len(part) for part in parts], rows.dtype.str, rows.shape[1:])


def loop(rows, query, k, among):
    scored = []
    for at, row in enumerate(rows.astype(float).tolist()):
        length = math.sqrt(sum(value * value for value in row))
        if among[at] and length:
            dot = sum(a * b for a, b in zip(row, query.tolist(), strict=True))
            scored.append((-dot / length / math.sqrt(sum(value * value for value in query.tolist())), at))
    return [(at, -cosine) for cosine, at in sorted(scored)[:k]]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("k", [1, 7, 500])
@pytest.mark.parametrize("share", [1.0, 0.3, 0.0])
def test_most_alike__matches_a_loop(rng, tmp_path, monkeypatch, dtype, k, share):
    monkeypatch.setattr(search, "BLOCK", 6 * 11)  # blocks that do not divide the chunks
    rows = rng.normal(size=(97, 6)).astype(dtype)
    rows[5] = 0
    among, query = rng.random(97) < share, rng.normal(size=6)
    best_rows, cosines = search.most_alike(stored(tmp_path, rows, 25), query, k, among=among)
    expected = loop(rows, query, k, among)
    assert best_rows.tolist() == [at for at, _ in expected]
    np.testing.assert_allclose(cosines, [cosine for _, cosine in expected], atol=1e-6)


def test_most_alike__length_of_the_query_does_not_matter_and_equals_keep_their_order(tmp_path):
    vectors = stored(tmp_path, np.array([[0, 1], [1, 0], [2, 0], [-1, 0]], np.float32), 2)
    rows, cosines = search.most_alike(vectors, np.array([5.0, 0]), 4)
    assert rows.tolist() == [1, 2, 0, 3] and cosines.tolist() == [1, 1, 0, -1]


@pytest.mark.parametrize("query", [np.zeros(2), np.ones(3)], ids=str)
def test_most_alike__refuses_a_query_that_cannot_be_compared(tmp_path, query):
    with pytest.raises(ShapeError, match="2 numbers"):
        search.most_alike(stored(tmp_path, np.ones((3, 2), np.float32), 3), query, 1)


def test_like_image__agrees_with_the_stored_neighbours(shared_study):
    study = open_study(shared_study)
    val = np.flatnonzero(study.is_val)
    near, similarity = study.vector("neighbours"), study.vector("neighbour_similarity")
    for at in (0, 7):
        rows, cosines = search.like_image(study, int(val[at]), 10, among=~study.is_val)
        np.testing.assert_allclose(cosines, similarity[at], atol=1e-5)
        assert set(rows[:9].tolist()) == set(near[at][:9].tolist())
        assert val[at] not in search.like_image(study, int(val[at]), 200)[0]


@pytest.fixture
def captioned(tmp_path):
    """Eight images; three of them have captions, and CLIP has embedded all but one."""
    folder = tmp_path / "study"
    study = write_small_study(folder)
    ids = study.images["image_id"].tolist()
    captions = [
        (3, "a red ball", 0.5),
        (3, "Red-brick wall", 0.2),
        (1, "a red ball", 0.7),
        (6, "doorbell", 0.9),
    ]
    vectors = np.eye(8, 3, dtype=np.float16)
    vectors[3:6] = [[1, 1, 0], [0, 1, 1], [1, 0, 1]]
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            frame = pd.DataFrame(captions, columns=["row", "caption", "cosine"])
            step.table("captions", frame.assign(image_id=[ids[row] for row in frame["row"]]))
        with writer.step("search", {"clip": "tiny"}) as step:
            step.vector(search.CLIP_IMAGES, vectors)
            step.summary = {"clip": "tiny", "clip_fingerprint": "abc", "n_missing": 2}
    return open_study(folder)


def test_said_of__words_begin_with_what_was_asked_for(captioned):
    rows, cosines = search.said_of(captioned, " RED ball ")
    assert rows.tolist() == [1, 3]
    np.testing.assert_allclose(cosines, [0.7, 0.5])
    assert search.said_of(captioned, "brick")[0].tolist() == [3]
    assert not len(search.said_of(captioned, "bell")[0])  # no part of "doorbell"
    assert search.said_of(captioned, "red", among=np.arange(8) == 3)[0].tolist() == [3]
    assert not len(search.said_of(captioned, "?!")[0])


def test_said_of__a_study_without_captions(shared_study):
    assert not len(search.said_of(open_study(shared_study), "ball")[0])


def test_captioned__words_of_what_came_with_an_image(tmp_path):
    study = write_small_study(tmp_path / "study")
    assert not search.has_captions(study) and not len(search.captioned(study, "ball"))
    frame = pd.DataFrame({"image_id": study.images["image_id"][::-1]})
    texts = [None, "two red balls", "a Red-brick wall", "", None, "doorbell", "a red ball", None]
    with write_study(study.path) as writer, writer.step("captions of mine", {}) as step:
        step.table("attributes", frame.assign(caption=pd.Series(texts, dtype="string").to_numpy()))
    study = open_study(study.path)
    assert search.has_captions(study) and search.captioned(study, " RED ball ").tolist() == [1, 6]
    assert search.captioned(study, "red", among=np.arange(8) == 5).tolist() == [5]
    assert search.captioned(study, "the balls").tolist() == [6] == search.captioned(study, "two the").tolist()
    assert not len(search.captioned(study, "bell")) and not len(search.captioned(study, "?!"))
    names = study.images["image_id"].astype(str).tolist()
    assert search.own_caption(study, names[6]) == "two red balls"
    assert search.own_caption(study, names[7]) is None


def test_of_classes__words_begin_with_what_was_asked_for(shared_study):
    study = open_study(shared_study)
    labels = study.images["label"].tolist()
    for text in ("be", "BEE", "be cat", "ee", "", "zebra"):
        expected = [row for row, name in enumerate(labels) if text and name.startswith(text.lower())]
        assert search.of_classes(study, text).tolist() == expected, text
    assert "bee" in study.class_names
    bees = search.of_classes(study, "bee", among=study.is_val)
    assert len(bees) and study.is_val[bees].all()


def test_of_classes__a_wordnet_id_is_found_by_its_names(tmp_path):
    study = open_study(make_study(tmp_path / "study", n_classes=2, class_names=("n02093754", "n01440764")))
    terriers = study.images["label"].eq("n02093754").to_numpy().nonzero()[0].tolist()
    for text in ("border terrier", "Terr", "n02093754"):
        assert search.of_classes(study, text).tolist() == terriers, text
    assert not len(search.of_classes(study, "tench terrier"))


@pytest.mark.parametrize(
    ("text", "named"), [("dog", ["pug"]), ("hot dog", ["hotdog"]), ("do", ["hotdog", "pug"]), ("og", [])]
)
def test_of_classes__a_whole_word_before_one_inside_another(tmp_path, text, named):
    ids = {"n02110958": "pug", "n07697537": "hotdog"}
    study = open_study(make_study(tmp_path / "study", n_classes=2, class_names=tuple(ids)))
    labels = study.images["label"].iloc[search.of_classes(study, text)]
    assert sorted({ids[label] for label in labels}) == named


def test_by_text__only_after_the_text_was_embedded(captioned):
    assert by_text(captioned, "a  cat", 3) is None
    search.keep_text(captioned, "a cat", np.array([2.0, 0, 0]))
    nearest = by_text(captioned, "a cat ", 3)
    assert nearest is not None
    rows, cosines = nearest
    assert rows.tolist() == [0, 3, 5]
    np.testing.assert_allclose(cosines, [1, 0.5**0.5, 0.5**0.5], rtol=1e-3)
    more = by_text(captioned, "a cat", 8)
    assert more is not None and 7 not in more[0]  # its picture is gone
    assert by_text(captioned, "a dog", 3) is None


def test_by_text__a_damaged_vector_is_as_if_it_were_not_there(captioned):
    path = search.keep_text(captioned, "a cat", np.ones(3))
    path.write_bytes(path.read_bytes()[:40])
    assert by_text(captioned, "a cat", 3) is None and not path.exists()


def test_clip_space__needs_the_images_embedded(shared_study):
    study = open_study(shared_study)
    assert by_text(study, "a cat", 3) is None
    with pytest.raises(StudyError, match="python -m core search"):
        search.keep_text(study, "a cat", np.ones(3))
    with pytest.raises(StudyError):
        search.like_image(study, 0, 3, space=search.CLIP_IMAGES)


def test_like_image__an_image_without_a_vector(captioned):
    assert search.like_image(captioned, 3, 2, space=search.CLIP_IMAGES)[0].tolist() == [0, 1]
    with pytest.raises(StudyError, match="no vector"):
        search.like_image(captioned, 7, 2, space=search.CLIP_IMAGES)
