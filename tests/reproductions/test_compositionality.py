"""Scores of tests of composition against loops, what blind models reach, and the published files."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from core.data.glyphworld import GlyphworldSource
from core.errors import TokenError
from core.measures.intervals import wilson
from reproductions.compositionality import (
    Benchmark,
    Bigrams,
    Item,
    bigram_scores,
    blind_row,
    caption_words,
    choice_scores,
    clustered_wilson,
    is_leaky,
    open_tests,
    pair_scores,
    result_rows,
    single_comparisons,
    textblob_tags,
)
from reproductions.tokens import TESTS, planted_tests, training_captions
from tests.research import reference

SOURCE = GlyphworldSource.from_spec("glyphworld?preset=compose&train=150&val=60")
NOTHING: dict = {}  # pictures which nobody asks for


def clustered_by_loop(right, clusters):
    """The definition, cluster by cluster, in plain Python."""
    n, names = len(right), sorted(set(clusters))
    p = sum(right) / n
    sums = [sum(x - p for x, c in zip(right, clusters, strict=True) if c == name) for name in names]
    variance = len(names) / (len(names) - 1) * sum(one**2 for one in sums) / n**2
    effective = min(n, p * (1 - p) / variance)
    return wilson(effective * p, effective)


def test_clustered_wilson__matches_a_loop(rng):
    for _ in range(20):
        clusters = rng.integers(0, 30, 120)
        right = ((rng.random(30) + rng.random(120)[:, None])[np.arange(120), clusters] > 1).astype(float)
        right[::7] = 0.5  # a tie
        expected = clustered_by_loop(right.tolist(), clusters.tolist())
        assert_allclose(clustered_wilson(right, clusters), expected, rtol=1e-12)


def test_clustered_wilson__one_value_a_cluster_is_wilson_and_copies_add_nothing(rng):
    right = (rng.random(50) > 0.3).astype(float)
    alone = wilson(right.sum(), 50)
    assert_allclose(clustered_wilson(right, np.arange(50)), alone, rtol=0, atol=0)
    low, high = clustered_wilson(np.repeat(right, 4), np.repeat(np.arange(50), 4))
    assert_allclose((low, high), wilson(49 * right.mean(), 49), rtol=1e-12)  # C - 1, as a variance
    assert clustered_wilson(np.ones(6), np.repeat([1, 2, 3], 2)) == wilson(3, 3)
    assert np.isnan(clustered_wilson(np.array([]), np.array([]))).all()


def test_choices__match_a_loop_and_ties_share(rng):
    scores = [rng.integers(0, 3, rng.integers(2, 6)).astype(float) for _ in range(200)]
    assert choice_scores(scores).tolist() == [reference.choice(one.tolist()) for one in scores]
    assert choice_scores([np.zeros(5), np.zeros(2)]).tolist() == [0.2, 0.5]
    assert choice_scores([np.array([3.0, 1, 2]), np.array([1.0, 3, 2])]).tolist() == [1, 0]
    assert np.isnan(choice_scores([np.array([1.0]), np.array([1.0, np.nan])])).all()


def test_pairs__match_a_loop_and_a_constant_is_at_chance(rng):
    cosine = rng.random((100, 2, 2))
    found = np.array(list(pair_scores(cosine).values())).T
    assert found.tolist() == [list(reference.pairs(one.tolist())) for one in cosine]
    constant = [one[0] for one in pair_scores(np.zeros((1, 2, 2))).values()]
    assert constant == pytest.approx([1 / 4, 1 / 4, 1 / 6])
    assert [one[0] for one in pair_scores(np.eye(2)[None]).values()] == [1, 1, 1]
    assert np.isnan(pair_scores(np.full((1, 2, 2), np.nan))["text"]).all()


def test_single_comparisons__a_blind_model_is_right_half_of_the_time(rng):
    captions = rng.random((50, 2))
    assert single_comparisons(np.repeat(captions[:, :, None], 2, axis=2)).mean() == 0.5
    assert single_comparisons(np.eye(2)[None]).tolist() == [1, 1]
    assert single_comparisons(np.ones((1, 2, 2))).tolist() == [0.5, 0.5]
    np.testing.assert_equal(single_comparisons(np.array([[[np.nan, 0], [1, 0]]])), [np.nan, 0.5])


class ByNumber:
    """Judges a caption by a number for it, whatever the picture."""

    name = "numbers"
    numbers = {"a": 1.0, "b": 0.0, "c": 2.0, "d": 3.0}

    def pictures(self, test, keys):
        return np.ones((len(keys), 1))

    def texts(self, captions):
        return np.array([[self.numbers[caption]] for caption in captions])


class Same(ByNumber):
    """A judge to which all captions are one."""

    def texts(self, captions):
        return np.ones((len(captions), 1))


def of_model(test, judge):
    rows = result_rows(test, [judge])
    assert [row["blind"] for row in rows[:2]] == [True, True]
    return {row["measure"]: row for row in rows if not row["blind"]}


def test_rows__the_mean_over_groups_has_their_chance_and_leaves_out_rare_ones():
    items = [Item(("p",), ("a", "b"), "two"), Item(("p",), ("b",), "alone")]
    items += [Item(("p",), ("a", "b", "c", "d"), "four")] * 3
    rows = of_model(Benchmark("test", items, NOTHING.__getitem__), ByNumber())
    by_item, by_group = rows["accuracy"], rows["mean over groups"]
    assert (by_item["value"], by_item["chance"], by_item["n"]) == (1 / 4, (1 / 2 + 3 / 4) / 4, 4)
    assert (by_group["value"], by_group["chance"], by_group["n"]) == (1 / 2, (1 / 2 + 1 / 4) / 2, 2)
    assert set(of_model(Benchmark("test", items, NOTHING.__getitem__, 2), ByNumber())) == {"accuracy"}


def test_rows__a_judge_that_tells_nothing_apart_is_at_chance():
    items = [Item((f"p{n}",), tuple(f"{n} {k}" for k in range(2 + n % 4))) for n in range(40)]
    found = of_model(Benchmark("test", items, NOTHING.__getitem__), Same())["accuracy"]
    assert found["value"] == pytest.approx(found["chance"], abs=1e-12)
    pairs = [Item((f"{n}a", f"{n}b"), (f"{n} c", f"{n} d")) for n in range(7)]
    rows = of_model(Benchmark("test", pairs, NOTHING.__getitem__), Same())
    assert [row["value"] for row in rows.values()] == pytest.approx([1 / 4, 1 / 4, 1 / 6])


def test_bigrams__count_by_hand():
    model = Bigrams(["a b", "a c"])
    n = len({"", "a", "b", "c"}) + 1
    by_hand = np.log([3 / (2 + n), 2 / (2 + n), 2 / (1 + n)]).sum()
    assert model.score("a b") == pytest.approx(by_hand)


def test_bigrams__learn_from_the_captions_of_other_pictures_only():
    items = [Item(("one",), ("a b", "b a")), Item(("two",), ("b a", "a b")), Item(("one",), ("c d", "d c"))]
    scores = bigram_scores(Benchmark("test", items, NOTHING.__getitem__))
    assert scores[0][0] < scores[0][1] and scores[1][0] < scores[1][1]  # each was told the other's order
    assert scores[2][0] == scores[2][1]


@cache
def planted():
    return {test.name: test for test in planted_tests(SOURCE, 40)}


def test_planted__captions_have_the_same_words_and_only_pictures_tell_a_pair_apart():
    assert tuple(planted()) == TESTS
    for test in planted().values():
        assert len(test.items) == 40
        for item in test.items:
            assert len({tuple(sorted(Counter(text.split()).items())) for text in item.captions}) == 1
            assert item.captions[0] not in item.captions[1:]
    pairs = planted()["winoground"]
    for item in pairs.items[:6]:
        one, other = (pairs.read(key) for key in item.pictures)
        assert one.key in item.pictures and other.key.endswith(("~places", "~hues"))
        assert np.abs(np.asarray(one.image, int) - np.asarray(other.image, int)).max() > 30
    row = SOURCE.table["image_id"].tolist().index(pairs.items[0].pictures[0])
    picture = pairs.read(pairs.items[0].pictures[0]).image
    assert picture.tobytes() == SOURCE.read(row).tobytes() and SOURCE.table["split"].iat[row] == "val"


def test_blind__finds_a_leak_and_only_a_leak():
    captions = training_captions(SOURCE)
    rows = {
        name: blind_row(test, "bigrams", bigram_scores(test, captions)) for name, test in planted().items()
    }
    assert {name for name, row in rows.items() if is_leaky(row)} == {"order"}  # grammar alone tells a shuffle
    assert rows["winoground"]["value"] == 0.5


def picture(path, left=(200, 0, 0), right=(0, 0, 200)):
    image = Image.new("RGB", (20, 10), left)
    image.paste(right, (10, 0, 20, 10))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def files(tmp_path):
    """One entry of each file as published, and one whose image is not there."""
    picture(tmp_path / "images" / "1.png")
    box = {"bbox_x": 10, "bbox_y": 2, "bbox_w": 30, "bbox_h": 5}
    relation = {"image_id": 1, "image_path": "1.png", "relation_name": "left of", **box}
    relation |= {"true_caption": "the dog is left of the cat", "false_caption": "the cat is left of the dog"}
    attribution = {"image_path": "1.png", "attributes": ["red", "tall"], **box}
    attribution |= {"true_caption": "the red dog and the tall cat", "false_caption": "the tall dog"}
    gone = relation | {"image_path": "2.png"}
    (tmp_path / "visual_genome_relation.json").write_text(json.dumps([relation, gone]))
    (tmp_path / "visual_genome_attribution.json").write_text(json.dumps([attribution]))
    picture(tmp_path / "COCO" / "val2014" / "a.png")
    captions = ["A man, riding a brown horse!", "A horse"]
    listed = [{"image": f"val2014/{name}.png", "caption": captions} for name in "ab"]
    (tmp_path / "COCO" / "coco_karpathy_val.json").write_text(json.dumps(listed))
    pair = {"id": 0, "image_0": "ex_0_img_0", "image_1": "ex_0_img_1", "collapsed_tag": "Object"}
    pair |= {"caption_0": "a dog\u2028on a cat", "caption_1": "a cat on a dog"}
    lines = [pair, pair | {"id": 1, "image_0": "ex_1_img_0"}]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (tmp_path / "examples.jsonl").write_text(text, encoding="utf-8")
    for side in (0, 1):
        picture(tmp_path / "images" / f"ex_0_img_{side}.png", left=(side, 0, 0))
    return tmp_path


def test_files__are_read_as_published(files):
    relation, attribution, order, winoground = open_tests(files)
    [item] = relation.items
    assert item.captions == ("the dog is left of the cat", "the cat is left of the dog")
    assert (item.group, attribution.items[0].group) == ("left of", "red+tall")
    assert (relation.least_group, attribution.least_group) == (1, 25)
    part = relation.read(item.pictures[0]).image
    assert part.size == (10, 5) and (np.asarray(part) == [0, 0, 200]).all()  # clipped at the right edge
    assert {item.pictures for item in order.items} == {("COCO/val2014/a.png",)}
    long, short = order.items
    assert long.captions[0] == "a man riding a brown horse" and len(set(long.captions)) == len(long.captions)
    assert all(sorted(text.split()) == sorted(long.captions[0].split()) for text in long.captions)
    assert len(short.captions) <= 2  # two words have one other order
    [pair] = winoground.items
    assert pair.captions == ("a dog\u2028on a cat", "a cat on a dog") and pair.group == "Object"
    assert np.asarray(winoground.read(pair.pictures[1]).image)[0, 0].tolist() == [1, 0, 0]
    assert [test.left_out for test in (relation, attribution, order, winoground)] == [1, 0, 2, 1]


@pytest.mark.parametrize("content", ["nonsense", "{}", '{"image_path": "1.png"}'])
def test_files__that_are_no_lists_are_refused(files, content):
    (files / "visual_genome_relation.json").write_text(content)
    with pytest.raises(TokenError, match=r"visual_genome_relation\.json"):
        open_tests(files)


def test_files__an_empty_folder_is_refused(tmp_path):
    with pytest.raises(TokenError, match=r"visual_genome_relation\.json"):
        open_tests(tmp_path)


def test_words__and_their_kinds():
    assert caption_words("Two dogs, running (fast)!") == ["two", "dogs", "running", "fast"]
    assert len(caption_words("word " * 50)) == 30
    assert textblob_tags(["a", "brown", "dog", "runs"]) == ["", "adjective", "noun", ""]
