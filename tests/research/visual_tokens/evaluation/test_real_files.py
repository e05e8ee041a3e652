"""ARO and Winoground from small files of their layouts."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.errors import TokenError
from core.research.visual_tokens.captions import SHUFFLES_DROPPED
from core.research.visual_tokens.evaluation.aro import aro_benchmarks, caption_words, textblob_tags
from core.research.visual_tokens.evaluation.winoground import winoground_benchmark


def picture(path, left=(200, 0, 0), right=(0, 0, 200)):
    image = Image.new("RGB", (20, 10), left)
    image.paste(right, (10, 0, 20, 10))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def aro(tmp_path):
    picture(tmp_path / "images" / "1.png")
    box = {"bbox_x": 10, "bbox_y": 2, "bbox_w": 30, "bbox_h": 5}
    relation = {"image_id": 1, "image_path": "1.png", "relation_name": "left of", **box}
    relation |= {"true_caption": "the dog is left of the cat", "false_caption": "the cat is left of the dog"}
    attribution = {"image_path": "1.png", "attributes": ["red", "tall"], **box}
    attribution |= {
        "true_caption": "the red dog and the tall cat",
        "false_caption": "the tall dog and the red cat",
    }
    gone, again = relation | {"image_path": "2.png"}, relation | {"relation_name": "right of"}
    (tmp_path / "visual_genome_relation.json").write_text(json.dumps([relation, gone, again]))
    (tmp_path / "visual_genome_attribution.json").write_text(json.dumps([attribution]))
    picture(tmp_path / "COCO" / "val2014" / "a.png")
    captions = ["A man, riding a brown horse!", "A horse", "one two three", "four five", "six seven"]
    listed = [
        {"image": "val2014/a.png", "caption": captions},
        {"image": "val2014/b.png", "caption": captions},
    ]
    (tmp_path / "COCO" / "coco_karpathy_val.json").write_text(json.dumps(listed))
    return tmp_path


def test_aro__choices_are_cropped_to_their_box_first(aro):
    relation, attribution, order = aro_benchmarks(aro)
    item, again = relation.choices
    assert again.picture == item.picture
    assert item.captions == ("the dog is left of the cat", "the cat is left of the dog")
    assert item.group == "left of" and attribution.choices[0].group == "red+tall"
    part = relation.read(item.picture).image
    assert part.size == (10, 5) and (np.asarray(part) == [0, 0, 200]).all()  # clipped at the right edge
    [(said, n)] = relation.dropped.items()
    assert n == 1 and "50%" in said and "2.png" in said
    assert "out of distribution" in relation.notes[0]
    assert order.name == "COCO-Order (coco_karpathy_val)"


def test_aro__order_has_seeded_shuffles_of_plain_words(aro):
    order = aro_benchmarks(aro)[2]
    first = order.choices[0]
    assert first.captions[0] == "a man riding a brown horse"
    assert all(sorted(text.split()) == sorted(first.captions[0].split()) for text in first.captions)
    assert 2 < len(first.captions) <= 5 and first.captions[0] not in first.captions[1:]
    assert order.dropped[SHUFFLES_DROPPED] > 0  # two words
    assert aro_benchmarks(aro)[2].items == order.items != aro_benchmarks(aro, seed=1)[2].items
    assert order.read("val2014/a.png").image.size == (20, 10)


def test_aro__words_and_tags():
    assert len(caption_words("word " * 50)) == 30
    assert textblob_tags(["a", "brown", "dog", "runs"]) == ["", "adjective", "noun", ""]


def test_aro__no_shuffle_of_a_caption_stands_twice(aro):
    order = aro_benchmarks(aro)[2]
    assert all(len(set(item.captions)) == len(item.captions) for item in order.choices)
    assert max(len(item.captions) for item in order.choices if len(item.captions[0].split()) == 2) == 2


def test_aro__nouns_change_places_with_nouns_and_adjectives_with_adjectives(aro):
    kinds = {"red": "adjective", "small": "adjective", "cup": "noun", "table": "noun", "room": "noun"}
    text = "a red cup on a small table in a room"
    listed = [{"image": "val2014/a.png", "caption": [text] * 5}]
    (aro / "COCO" / "coco_karpathy_val.json").write_text(json.dumps(listed))
    tagger = lambda words: [kinds.get(word, "") for word in words]  # noqa: E731
    order = aro_benchmarks(aro, tagger=tagger)[2]
    pattern = [kinds.get(word, word) for word in text.split()]
    kept = [
        [kinds.get(word, word) for word in caption.split()] == pattern
        for item in order.choices
        for caption in item.captions[1:]
    ]
    assert sum(kept) >= 4  # the first shuffle of each of the five, unless it is the caption itself


def test_aro__rare_pairs_of_attributes_are_left_out_of_the_mean_as_by_its_authors(aro):
    relation, attribution, _ = aro_benchmarks(aro)
    assert (relation.least_group, attribution.least_group) == (1, 25)
    assert any("symmetric" in note for note in relation.notes)


def test_aro__images_of_one_name_in_two_folders_are_two(aro):
    path = aro / "visual_genome_relation.json"
    entry = json.loads(path.read_text())[0]
    picture(aro / "images" / "VG_100K" / "1.png", right=(0, 200, 0))
    path.write_text(json.dumps([entry, entry | {"image_path": "VG_100K/1.png"}]))
    test = aro_benchmarks(aro)[0]
    colours = [np.asarray(test.read(item.picture).image)[0, 0].tolist() for item in test.choices]
    assert colours == [[0, 0, 200], [0, 200, 0]]


def test_aro__few_captions_are_counted(aro):
    (aro / "COCO" / "coco_karpathy_val.json").write_text(
        json.dumps([{"image": "val2014/a.png", "caption": ["a red cup on a table"]}])
    )
    assert aro_benchmarks(aro)[2].dropped["images with fewer than 5 captions (kept)"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "list of entries"),
        ("[]", "list of entries"),
        ("[{}]", "no image_path"),
        ("nonsense", "JSON"),
        ('[{"image_path": "1.png", "bbox_x": Infinity}]', "entry 0 has no number bbox_x"),
        ('[{"image_path": "7.png"}, {"image_path": "8.png"}]', "names 2 images and none is there.*7.png"),
    ],
)
def test_aro__bad_files_are_named(aro, content, said):
    (aro / "visual_genome_relation.json").write_text(content)
    with pytest.raises(TokenError, match=said):
        aro_benchmarks(aro)


def test_aro__an_empty_folder_says_what_is_expected(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TokenError, match="visual_genome_relation.json"):
            aro_benchmarks(folder)


def test_aro__captions_are_texts(aro):
    listed = [{"image": "val2014/a.png", "caption": ["a cup", None]}]
    (aro / "COCO" / "coco_karpathy_val.json").write_text(json.dumps(listed))
    with pytest.raises(TokenError, match="entry 0 has no list of captions"):
        aro_benchmarks(aro)


ROW = {
    "id": 0,
    "image_0": "ex_0_img_0",
    "image_1": "ex_0_img_1",
    "caption_0": "a dog on a cat",
    "caption_1": "a cat on a dog",
    "tag": "Noun",
    "secondary_tag": "",
    "num_main_preds": 1,
    "collapsed_tag": "Object",
}


@pytest.mark.parametrize("inner", ["", "data"])
def test_winoground__lines_and_pictures(tmp_path, inner):
    root = tmp_path / inner
    for side in (0, 1):
        picture(root / "images" / f"ex_0_img_{side}.png", left=(side, 0, 0))
    gone = ROW | {"id": 1, "image_0": "ex_1_img_0"}
    (root / "examples.jsonl").write_text(json.dumps(ROW) + "\n" + json.dumps(gone) + "\n")
    test = winoground_benchmark(tmp_path)
    [item] = test.pairs
    assert item.captions == ("a dog on a cat", "a cat on a dog") and item.group == "Object"
    assert np.asarray(test.read(item.pictures[1]).image)[0, 0].tolist() == [1, 0, 0]
    (images, n_images), (pairs, n_pairs) = test.dropped.items()
    assert (n_images, n_pairs) == (1, 1) and "33%: ex_1_img_0)" in images and "pairs" in pairs


def test_winoground__parquet_with_bytes(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (9, 8, 7)).save(file, "PNG")
    content = {"bytes": file.getvalue(), "path": None}
    frame = pd.DataFrame([ROW | {"image_0": content, "image_1": content}])
    (tmp_path / "data").mkdir()
    frame.to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    test = winoground_benchmark(tmp_path)
    assert np.asarray(test.read(test.pairs[0].pictures[0]).image)[0, 0].tolist() == [9, 8, 7]
    broken = frame.assign(id=5, image_0=[content | {"bytes": b"no picture"}])
    broken.to_parquet(tmp_path / "data" / "copy.parquet")
    with pytest.raises(TokenError, match="the picture '5/0' cannot be read"):
        winoground_benchmark(tmp_path).read("5/0")
    frame.to_parquet(tmp_path / "data" / "copy.parquet")
    with pytest.raises(TokenError, match="the pair with id 0 twice"):
        winoground_benchmark(tmp_path)
    frame.assign(id=1, image_1=None).to_parquet(tmp_path / "data" / "copy.parquet")
    with pytest.raises(TokenError, match="copy.parquet': entry 0 holds no image bytes"):
        winoground_benchmark(tmp_path)


def test_winoground__bad_files_are_named(tmp_path):
    with pytest.raises(TokenError, match="examples.jsonl"):
        winoground_benchmark(tmp_path)
    (tmp_path / "examples.jsonl").write_text('{"id": 0}')
    with pytest.raises(TokenError, match="line 1 has no image_0, image_1"):
        winoground_benchmark(tmp_path)
    (tmp_path / "examples.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(TokenError, match="cannot be read as text"):
        winoground_benchmark(tmp_path)
    (tmp_path / "examples.jsonl").write_text("\n")
    with pytest.raises(TokenError, match="holds no pair"):
        winoground_benchmark(tmp_path)
    (tmp_path / "examples.jsonl").write_text(json.dumps(ROW | {"caption_0": None}))
    with pytest.raises(TokenError, match="names 2 images and none is there, such as 'ex_0_img_0'"):
        winoground_benchmark(tmp_path)
    for side in (0, 1):
        picture(tmp_path / "images" / f"ex_0_img_{side}.png")
    with pytest.raises(TokenError, match="line 1 has no text in caption_0"):
        winoground_benchmark(tmp_path)
    (tmp_path / "examples.jsonl").write_text(2 * (json.dumps(ROW) + "\n"))
    with pytest.raises(TokenError, match="the pair with id 0 twice"):
        winoground_benchmark(tmp_path)


def test_winoground__a_caption_may_hold_a_break_of_another_kind(tmp_path):
    for side in (0, 1):
        picture(tmp_path / "images" / f"ex_0_img_{side}.png")
    text = json.dumps(ROW | {"caption_0": "a dog\u2028on a cat"}, ensure_ascii=False)
    (tmp_path / "examples.jsonl").write_text(text, encoding="utf-8")
    assert winoground_benchmark(tmp_path).pairs[0].captions[0] == "a dog\u2028on a cat"
