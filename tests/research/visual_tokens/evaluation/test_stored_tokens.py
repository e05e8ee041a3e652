"""Tokens of other pictures with the same ids are refused."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.errors import TokenError
from core.jobs.progress import Progress
from core.research.visual_tokens.evaluation.benchmark import Benchmark, ChoiceItem
from core.research.visual_tokens.evaluation.run import compositionality
from core.research.visual_tokens.evaluation.stored_tokens import (
    N_COMPARED,
    check_pictures_of,
    same_pixels,
    some_of,
)
from core.research.visual_tokens.evaluation.winoground import winoground_benchmark
from core.research.visual_tokens.graph import SceneGraph
from core.research.visual_tokens.store import TokenFolder, TokenWriter
from core.research.visual_tokens.tokens import ImageTokens

KEYS = [f"{pair}/{side}" for pair in range(6) for side in (0, 1)]
GLYPHWORLD = {"kind": "glyphworld", "spec": "glyphworld?train=6&val=0", "pixels_version": 2}


def pixels(key):
    return Image.fromarray(np.random.default_rng(KEYS.index(key)).integers(0, 256, (6, 8, 3), np.uint8))


def as_bytes(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def winoground(tmp_path):
    """Six pairs whose pictures are "0/0", "0/1" … "5/1"."""
    columns = {f"image_{side}": [as_bytes(pixels(f"{i}/{side}")) for i in range(6)] for side in (0, 1)}
    texts = {"caption_0": "a dog on a cat", "caption_1": "a cat on a dog", "tag": "Noun"}
    (tmp_path / "winoground").mkdir()
    pd.DataFrame({"id": range(6), **columns, **texts}).to_parquet(tmp_path / "winoground" / "test.parquet")
    return tmp_path / "winoground"


@pytest.fixture
def table(tmp_path):
    """A table of files of the same pictures and ids, as a user would extract tokens from."""
    rows = []
    for key in KEYS:
        path = tmp_path / "files" / f"{key.replace('/', '-')}.png"
        path.parent.mkdir(exist_ok=True)
        pixels(key).save(path)
        rows.append({"image_id": key, "path": str(path)})
    pd.DataFrame(rows).to_csv(tmp_path / "files.csv", index=False)
    return {"kind": "table", "path": str(tmp_path / "files.csv"), "seed": 0}


def tokens_of(path, images, keys=KEYS):
    """A TOKENS folder whose manifest names a source of images."""
    graph = SceneGraph((), np.zeros((0, 4)), np.zeros(0), ())
    with TokenWriter(path) as writer:
        for key in keys:
            writer.add(key, "val", ImageTokens(np.ones(2), np.zeros((0, 3)), graph, (8, 6)))
        writer.finish({}, {"images": images, "images_fingerprint": "of these", "fingerprint": "of tokens"})
    return TokenFolder(path)


def refused(folder, tests):
    with pytest.raises(TokenError) as caught:
        check_pictures_of(folder, tests)
    said = str(caught.value)
    assert "\n" not in said and str(folder.path) in said and "or leave out --tokens" in said
    return said


def test_check_pictures__of_the_same_files_pass(tmp_path, winoground, table):
    test, seen = winoground_benchmark(winoground), []
    watched = replace(test, read=lambda key: seen.append(key) or test.read(key))
    check_pictures_of(tokens_of(tmp_path / "tokens", table), [watched])
    assert seen == some_of(KEYS) and len(seen) == N_COMPARED


def test_check_pictures__one_other_pixel_is_refused(tmp_path, winoground, table):
    changed = pixels("0/0")
    changed.putpixel((7, 5), (1, 2, 3))
    changed.save(tmp_path / "files" / "0-0.png")
    said = refused(tokens_of(tmp_path / "tokens", table), [winoground_benchmark(winoground)])
    assert "tokens of another picture '0/0' than Winoground shows" in said


def test_check_pictures__drawn_ones_are_refused(tmp_path, winoground):
    """Scenes 0 and 1 of seed 0 have the ids of the pictures of Winoground's pair 0."""
    tests = [winoground_benchmark(winoground)]
    pair = {"kind": "pair", "train": {"kind": "folder"}, "val": GLYPHWORLD, "prefixed": False}
    for name, images in (("drawn", GLYPHWORLD), ("partly", pair)):
        said = refused(tokens_of(tmp_path / name, images, ["0/0", "0/1", "0/5"]), tests)
        assert "that are drawn (glyphworld), but those of Winoground are files, such as '0/0'" in said


def test_check_pictures__a_source_that_is_gone_is_refused(tmp_path, winoground, table):
    folder, tests = tokens_of(tmp_path / "tokens", table), [winoground_benchmark(winoground)]
    (tmp_path / "files" / "0-0.png").unlink()
    assert "the picture '0/0' of its tokens can no longer be read" in refused(folder, tests)
    (tmp_path / "files.csv").unlink()
    assert "can no longer be read" in refused(folder, tests)
    newer = tokens_of(tmp_path / "newer", {"kind": "holograms"})
    assert "unknown kind of image source 'holograms'" in refused(newer, tests)


def test_check_pictures__every_test_is_looked_at(tmp_path, winoground, table):
    """The second test shows other pictures under ids of its own, of which the folder has two."""
    first = winoground_benchmark(winoground)
    second = Benchmark(
        "other",
        [ChoiceItem("1/1", ("a", "b")), ChoiceItem("elsewhere", ("a", "b"))],
        lambda key: replace(first.read("0/0"), key=key),
    )
    folder = tokens_of(tmp_path / "tokens", table)
    assert "'1/1' than other shows" in refused(folder, [first, second])
    shutil.rmtree(tmp_path / "files")
    unshared = [Benchmark("other", second.items[1:], second.read)]
    check_pictures_of(folder, unshared)  # reads nothing


def test_some_of__are_spread_over_all():
    assert some_of([]) == [] and some_of(["a"]) == ["a"] and some_of(["a", "b", "c"]) == ["a", "b", "c"]
    many = some_of([str(n) for n in range(100)])
    assert len(many) == N_COMPARED and many[0] == "0" and many[-1] == "99"


def test_same_pixels__in_rgb():
    grey = Image.new("L", (2, 2), 7)
    assert same_pixels(grey, Image.new("RGB", (2, 2), (7, 7, 7)))
    assert not same_pixels(grey, Image.new("L", (2, 3), 7)) and not same_pixels(
        grey, Image.new("L", (2, 2), 8)
    )


def test_compositionality__refuses_before_any_model_is_opened(tmp_path, winoground):
    folder = tokens_of(tmp_path / "tokens", GLYPHWORLD, ["0/0"])
    with pytest.raises(TokenError, match="are drawn"):
        compositionality(
            ["nothing.safetensors"],
            "winoground",
            root=str(winoground),
            tokens=str(folder.path),
            progress=Progress.silent(),
        )
