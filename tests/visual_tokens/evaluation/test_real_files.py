"""ARO and Winoground from small files of their layouts."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.errors import TokenError
from core.visual_tokens.evaluation.aro import aro_benchmarks, caption_words, textblob_tags
from core.visual_tokens.evaluation.winoground import winoground_benchmark


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
    assert order.dropped["shuffles equal to their caption"] > 0  # two words
    assert aro_benchmarks(aro)[2].items == order.items != aro_benchmarks(aro, seed=1)[2].items
    assert order.read("val2014/a.png").image.size == (20, 10)


def test_aro__words_and_tags():
    assert len(caption_words("word " * 50)) == 30
    assert textblob_tags(["a", "brown", "dog", "runs"]) == [False, True, True, False]


def test_aro__few_captions_are_counted(aro):
    (aro / "COCO" / "coco_karpathy_val.json").write_text(
        json.dumps([{"image": "val2014/a.png", "caption": ["a red cup on a table"]}])
    )
    assert aro_benchmarks(aro)[2].dropped["images with fewer than 5 captions (kept)"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [("{}", "list of entries"), ("[{}]", "no image_path"), ("nonsense", "JSON")],
)
def test_aro__bad_files_are_named(aro, content, said):
    (aro / "visual_genome_relation.json").write_text(content)
    with pytest.raises(TokenError, match=said):
        aro_benchmarks(aro)


def test_aro__an_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(TokenError, match="visual_genome_relation.json"):
        aro_benchmarks(tmp_path)


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
    assert list(test.dropped.values()) == [1] and "ex_1_img_0" in next(iter(test.dropped))


def test_winoground__parquet_with_bytes(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (9, 8, 7)).save(file, "PNG")
    content = {"bytes": file.getvalue(), "path": None}
    frame = pd.DataFrame([ROW | {"image_0": content, "image_1": content}])
    (tmp_path / "data").mkdir()
    frame.to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    test = winoground_benchmark(tmp_path)
    assert np.asarray(test.read(test.pairs[0].pictures[0]).image)[0, 0].tolist() == [9, 8, 7]


def test_winoground__bad_files_are_named(tmp_path):
    with pytest.raises(TokenError, match="examples.jsonl"):
        winoground_benchmark(tmp_path)
    (tmp_path / "examples.jsonl").write_text('{"id": 0}')
    with pytest.raises(TokenError, match="no image_0, image_1"):
        winoground_benchmark(tmp_path)
