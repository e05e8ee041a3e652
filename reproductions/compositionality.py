"""Captions whose words are exchanged, told apart by models of visual tokens and by CLIPs; blind models first.

Kalibhat's dissertation, Tables 6.1 and 6.2, with the files that the authors of ARO (Yuksekgonul 2023) and
Winoground (Thrush 2022) offer. Nothing is downloaded and no run on them is stored; planted tests: `tokens`.

    python -m reproductions.compositionality tokens.safetensors,asset:glyphworld --root ARO --tokens TOKENS

ROOT holds visual_genome_relation.json, visual_genome_attribution.json and images/; COCO/coco_karpathy_*.json
and FLICKR/flickr30k_*.json with images relative to their folder; or examples.jsonl and images/ of Winoground.
Tokens are taken by a picture's path below ROOT, those of a part by PATH@left+top+width+height; others are
extracted.

A model that sees no image should be at chance: bigrams of other items' captions (or of --captions), and each
model's own text tower beside one constant image. Where one is not, the test is `leaky` and supports no claim.
"""

import argparse
import json
import math
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.common.dataframes import known_mean, safe_divide
from core.concepts.caption_words import tag
from core.concepts.clip import load_clip
from core.data.decode import decode
from core.data.glyphworld import GlyphworldSource
from core.errors import SettingsError, TokenError
from core.measures.intervals import mean_interval, wilson
from core.research.visual_tokens_composed_scenes import draw_statement, false_shuffles, scene_graph
from core.research.visual_tokens_config import TokenTrainConfig
from core.research.visual_tokens_extract import Extractor, describe_origin, extract_tokens
from core.research.visual_tokens_model import load_token_model
from core.research.visual_tokens_segmenters import KeyedPicture
from core.research.visual_tokens_store import TokenFolder, TokenWriter
from core.research.visual_tokens_tokens import pack_tokens
from core.research.visual_tokens_topic import ExtractConfig
from core.research.visual_tokens_train import train_tokens
from core.study.progress import Progress
from core.worlds.scenes import Draws
from reproductions import common

NAME = "compositionality"
CHOICES = {  # file, and the items that a group needs: the authors' mean leaves out rarer pairs of attributes
    "VG-Relation": ("visual_genome_relation.json", 1),
    "VG-Attribution": ("visual_genome_attribution.json", 25),
}
ORDERS = {"COCO-Order": "*/coco_karpathy_*.json", "Flickr-Order": "*/flickr30k_*.json"}
EXAMPLES = "examples.jsonl"  # of Winoground
PAIR_CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}  # of the caption, of the image, of both
MOST_WORDS = 30  # of a caption, as its authors prepare them
SHUFFLE_TAG = 0x61726F
KINDS = {"NN": "noun", "JJ": "adjective"}
BLOCK = 256  # pictures at a time
EDGE = ""  # before the first and after the last word


@dataclass(frozen=True)
class Item:
    """A picture and captions of which the first is true, or two pictures and their captions in one order."""

    pictures: tuple[str, ...]
    captions: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True)
class Benchmark:
    """One test: items of one kind, how a picture is read, and the items that a group needs to be counted."""

    name: str
    items: list[Item]
    read: Callable[[str], KeyedPicture]
    least_group: int = 1
    left_out: int = 0  # items without their images

    @property
    def of_pairs(self) -> bool:
        return len(self.items[0].pictures) == 2

    @property
    def keys(self) -> list[str]:
        """List the pictures of all items, each once."""
        return list(dict.fromkeys(key for item in self.items for key in item.pictures))

    @property
    def captions(self) -> list[str]:
        """List the captions of all items, each once."""
        return list(dict.fromkeys(caption for item in self.items for caption in item.captions))


def open_tests(root: Path) -> list[Benchmark]:
    """Open the tests whose files are below a folder. Raises TokenError without any."""
    tests = []
    for name, (file, least_group) in CHOICES.items():
        if (root / file).is_file():
            tests.append(choice_test(name, root, json_rows(root / file), least_group))
    for name, pattern in ORDERS.items():
        for path in sorted(root.glob(pattern)):
            tests.append(order_test(f"{name} ({path.stem})", root, path))
    if (root / EXAMPLES).is_file():
        tests.append(winoground_test(root))
    if not any(test.items for test in tests):
        raise TokenError(f"'{root}' holds no test with its images, such as {CHOICES['VG-Relation'][0]}")
    for test in tests:
        if test.left_out:
            entries = test.left_out + len(test.items)
            print(f"{test.name}: {test.left_out} of {entries} entries lack an image and are left out")
    return [test for test in tests if test.items]


def json_rows(path: Path) -> list[dict[str, Any]]:
    """Read a list of entries. Raises TokenError."""
    try:
        text = path.read_text(encoding="utf-8")
        lines = [line for line in text.split("\n") if line.strip()]
        rows = [json.loads(line) for line in lines] if path.name == EXAMPLES else json.loads(text)
    except (OSError, ValueError) as error:
        raise TokenError(f"'{path}' cannot be read as JSON ({type(error).__name__})") from error
    if not isinstance(rows, list):
        raise TokenError(f"'{path}' should be a list of entries")
    return rows


def choice_test(name: str, root: Path, rows: Iterable[dict[str, Any]], least_group: int) -> Benchmark:
    """Build VG-Relation or VG-Attribution: an image is cut to its box before anything else."""
    items, boxes, left_out = [], {}, 0
    for row in rows:
        path = f"images/{row['image_path']}"
        if not (root / path).is_file():
            left_out += 1
            continue
        box = tuple(int(row[f"bbox_{side}"]) for side in "xywh")
        key = f"{path}@{'+'.join(map(str, box))}"
        boxes[key] = (root / path, *box)
        group = row.get("relation_name") or "+".join(row.get("attributes", ()))
        items.append(Item((key,), (row["true_caption"], row["false_caption"]), group))
    return Benchmark(name, items, lambda key: cropped(key, *boxes[key]), least_group, left_out)


def cropped(key: str, path: Path, left: int, top: int, width: int, height: int) -> KeyedPicture:
    """Read the part of a picture that lies in a box."""
    whole = decode(path)
    right, bottom = min(left + width, whole.width), min(top + height, whole.height)
    return KeyedPicture(key, whole.crop((max(left, 0), max(top, 0), right, bottom)))


def order_test(
    name: str, root: Path, path: Path, *, tagger: Callable[[list[str]], list[str]] | None = None
) -> Benchmark:
    """Build COCO-Order or Flickr-Order: each caption with its four shuffles.

    Args:
        tagger: tells the kind of each word; the authors use spaCy, we textblob.
    """
    items: list[Item] = []
    left_out = 0
    folder = path.parent.relative_to(root)
    for number, row in enumerate(json_rows(path)):
        key = (folder / row["image"]).as_posix()
        listed = [row["caption"]] if isinstance(row["caption"], str) else row["caption"]
        if not (root / key).is_file():
            left_out += len(listed)
            continue
        for position, caption in enumerate(listed):
            words = caption_words(caption)
            tagged = list(zip(words, (tagger or textblob_tags)(words), strict=True))
            shuffled = false_shuffles(" ".join(words), tagged, Draws(0, number, position, SHUFFLE_TAG))
            items.append(Item((key,), (" ".join(words), *shuffled)))
    return Benchmark(name, items, lambda key: KeyedPicture(key, decode(root / key)), left_out=left_out)


def caption_words(caption: str) -> list[str]:
    """Lower case, without punctuation, at most 30 words, as the authors of ARO prepare captions."""
    text = re.sub(r"([.!\"()*#:;~])", " ", caption.lower())
    words = [word.strip(",?'-") for word in text.split()]
    return [word for word in words if word][:MOST_WORDS]


def textblob_tags(words: list[str]) -> list[str]:
    """Tell nouns and adjectives by textblob; where its tokens are not the words, word by word."""
    tokens = tag(" ".join(words))
    if [token.text for token in tokens] != words:
        tokens = [(tag(word) or tag("the"))[0] for word in words]
    return [KINDS.get(token.tag[:2], "") for token in tokens]


def winoground_test(root: Path) -> Benchmark:
    """Build Winoground; a pair without both of its images is left out."""
    items, paths, left_out = [], {}, 0
    for row in json_rows(root / EXAMPLES):
        found = []
        for name in (row["image_0"], row["image_1"]):
            named = [root / "images" / f"{name}{ending}" for ending in ("", ".png", ".jpg")]
            found += [path for path in named if path.is_file()][:1]
        if len(found) < 2:
            left_out += 1
            continue
        keys = tuple(path.relative_to(root).as_posix() for path in found)
        paths |= dict(zip(keys, found, strict=True))
        group = row.get("collapsed_tag") or row.get("tag") or ""
        items.append(Item(keys, (row["caption_0"], row["caption_1"]), group))
    return Benchmark(
        "Winoground", items, lambda key: KeyedPicture(key, decode(paths[key])), left_out=left_out
    )


# Of the scores that follow, a tie counts as its share, so that a constant model is at chance.


def cosines(texts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(…,) float64 products of unit rows (…, d); equal rows give equal cosines, so that ties are found."""
    return (np.asarray(texts, np.float64) * np.asarray(images, np.float64)).sum(-1)


def choice_scores(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Score items whose first caption is the true one: 1 / (captions with the highest score) if it is one.

    Args:
        scores: one array (k,) an item, of its captions; k may differ.
    Returns:
        (n,) float64 in [0, 1]; NaN where a score is NaN or only one caption is left.
    """
    right = []
    for one in scores:
        best = one == one.max()
        undefined = len(one) < 2 or np.isnan(one).any()
        right.append(float("nan") if undefined else float(best[0] / best.sum()))
    return np.array(right, np.float64)


def pair_scores(cosine: np.ndarray) -> dict[str, np.ndarray]:
    """Score Winoground's items (Thrush et al. 2022): caption c belongs to image c.

    text: s(c0, i0) > s(c1, i0) and s(c1, i1) > s(c0, i1); image: s(c0, i0) > s(c0, i1) and
    s(c1, i1) > s(c1, i0); group: both. Ties: the mean over all orders in which equal scores can be put.

    Args:
        cosine: (n, 2, 2) of caption and image.
    Returns:
        the names of PAIR_CHANCE, (n,) in [0, 1] each; NaN where a cosine is NaN.
    """
    orders = list(permutations(range(4)))
    total = np.zeros((3, len(cosine)))
    for order in orders:
        later = np.asarray(order).reshape(2, 2)  # decides between equal scores
        wins = partial(_wins, cosine, later)
        text = wins((0, 0), (1, 0)) & wins((1, 1), (0, 1))
        image = wins((0, 0), (0, 1)) & wins((1, 1), (1, 0))
        total += np.stack([text, image, text & image])
    undefined = np.isnan(cosine).any((1, 2))
    return dict(zip(PAIR_CHANCE, np.where(undefined, np.nan, total / len(orders)), strict=True))


def _wins(cosine: np.ndarray, later: np.ndarray, a: tuple[int, int], b: tuple[int, int]) -> np.ndarray:
    """(n,) whether the cosine at `a` is above that at `b`, or equal and put later."""
    one, other = cosine[:, a[0], a[1]], cosine[:, b[0], b[1]]
    return (one > other) | ((one == other) & bool(later[a] > later[b]))


def single_comparisons(cosine: np.ndarray) -> np.ndarray:
    """(2 n,) whether each image of a pair prefers its caption, a tie 1/2, NaN where a cosine is NaN.

    A model that does not see the image prefers one caption twice: its share is 1/2 whatever it knows.
    """
    right, wrong = cosine[:, [0, 1], [0, 1]], cosine[:, [1, 0], [0, 1]]
    preferred = 0.5 * (1 + np.sign(right - wrong))
    return np.where(np.isnan(right + wrong), np.nan, preferred).reshape(-1)


def clustered_wilson(right: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Wilson's interval of a mean in [0, 1] whose values come in clusters, such as questions about one image.

    n is replaced by the number of independent values that would vary as much as the mean p over the C
    clusters does, n' = p (1 - p) / var p with var p = C / (C - 1) sum_c (sum of right - p in c)^2 / n^2, at
    most n. Where var p or p (1 - p) is 0, by C. With one value a cluster it is Wilson's interval.

    Args:
        right: (n,) in [0, 1], no NaN. clusters: (n,) of any kind that can be compared.
    """
    n = len(right)
    codes = np.unique(clusters, return_inverse=True)[1]
    n_clusters = int(codes.max()) + 1 if n else 0
    effective = float(n)
    if n_clusters < n:
        p = float(right.mean())
        sums = np.bincount(codes, right - p)
        variance = safe_divide(n_clusters * np.square(sums).sum(), (n_clusters - 1) * n**2)
        varies = p * (1 - p) > 0 and variance > 0
        effective = min(n, float(p * (1 - p) / variance)) if varies else float(n_clusters)
    low, high = wilson(effective * right.mean() if n else 0, effective)
    return float(low), float(high)


class Judge:
    """A model of `train-tokens` (FILE.safetensors) or any CLIP; `tokens` holds those of some pictures."""

    def __init__(self, spec: str, tokens: TokenFolder | None = None) -> None:
        self.name = Path(spec).stem if spec.endswith(".safetensors") else spec
        self.model = load_token_model(spec) if spec.endswith(".safetensors") else None
        self.clip = self.model.clip if self.model is not None else load_clip(spec)
        self.stored: TokenFolder | None = None
        if self.model is not None and self.model.config.vision == "tokens" and tokens is not None:
            if tokens.manifest["extractor_fingerprint"] != self.model.origin.fingerprint:
                raise TokenError(f"'{tokens.path}' holds tokens of other settings than those of '{spec}'")
            self.stored = tokens

    def pictures(self, test: Benchmark, keys: Sequence[str]) -> np.ndarray:
        """(n, d) unit rows of pictures."""
        rows: dict[str, np.ndarray] = {}
        stored = [key for key in keys if self.stored is not None and key in self.stored.row_of]
        if self.model is not None and self.stored is not None and stored:
            packed = pack_tokens(self.stored.tokens(stored), self.stored.words, **self.model.packing)
            rows |= dict(zip(stored, self.model.embed_data(packed), strict=True))
        others = [key for key in keys if key not in rows]
        for start in range(0, len(others), BLOCK):
            block = others[start : start + BLOCK]
            rows |= dict(zip(block, self._embed([test.read(key) for key in block]), strict=True))
        return np.stack([rows[key] for key in keys])

    def _embed(self, pictures: list[KeyedPicture]) -> np.ndarray:
        if self.model is not None:
            return self.model.embed_pictures(pictures)
        return self.clip.embed_images([picture.image for picture in pictures], pad=True)

    def texts(self, captions: Sequence[str]) -> np.ndarray:
        """(n, d) unit rows of captions."""
        return self.model.embed_texts(captions) if self.model else self.clip.embed_texts(captions)


class Bigrams:
    """Probabilities of a word after another, with one added to each count.

    >>> model = Bigrams(["a red dog", "a red cat"])
    >>> model.score("a red dog") > model.score("red a dog")
    True
    """

    def __init__(self, captions: Iterable[str]) -> None:
        self.pairs = Counter(pair for caption in captions for pair in _bigrams(caption))
        self.words: Counter[str] = Counter()
        for (word, _), count in self.pairs.items():
            self.words[word] += count
        self.n_words = len({word for pair in self.pairs for word in pair}) + 1

    def score(self, caption: str) -> float:
        """Return the logarithm of the caption's probability: the sum over its bigrams."""
        shares = [(self.pairs[pair] + 1) / (self.words[pair[0]] + self.n_words) for pair in _bigrams(caption)]
        return math.fsum(map(math.log, shares))


def _bigrams(caption: str) -> Iterable[tuple[str, str]]:
    words = [EDGE, *caption.split(), EDGE]
    return zip(words[:-1], words[1:], strict=True)


def bigram_scores(test: Benchmark, captions: Iterable[str] | None = None) -> list[np.ndarray]:
    """Score the captions of each item, (k,), by a model of captions that has not seen this item's.

    Args:
        captions: what it learns from; None: the true captions of the other half of the pictures.
    """
    first_pictures = dict.fromkeys(item.pictures[0] for item in test.items)
    half_of = {key: number % 2 for number, key in enumerate(first_pictures)}
    if captions is None:
        n_true = 2 if test.of_pairs else 1
        true = [(half_of[item.pictures[0]], item.captions[:n_true]) for item in test.items]
        models = [Bigrams(text for half, texts in true if half != own for text in texts) for own in (0, 1)]
    else:
        models = [Bigrams(captions)] * 2
    model_of = [models[half_of[item.pictures[0]]] for item in test.items]
    return [
        np.array([model.score(text) for text in item.captions])
        for item, model in zip(test.items, model_of, strict=True)
    ]


def constant_image_scores(test: Benchmark, judge: Judge) -> list[np.ndarray]:
    """Score the captions of each item, (k,), by their cosine with the mean of some pictures."""
    constant = judge.pictures(test, test.keys[:BLOCK]).mean(0)
    score_of = dict(zip(test.captions, cosines(judge.texts(test.captions), constant), strict=True))
    return [np.array([score_of[text] for text in item.captions]) for item in test.items]


def blind_row(test: Benchmark, model: str, scores: list[np.ndarray]) -> dict[str, Any]:
    """Return the row of a model that scores captions alone; pairs are tried on single comparisons.

    Winoground's own scores are 0 for a model that prefers one caption, whatever it knows.
    """
    if test.of_pairs:
        right = single_comparisons(np.repeat(np.array(scores)[:, :, None], 2, axis=2))
        pairs = np.arange(len(right)) // 2
        return outcome(test, model, "single comparisons", right, 0.5, pairs, blind=True)
    return outcome(test, model, "accuracy", choice_scores(scores), mean_chance(test), blind=True)


def mean_chance(test: Benchmark) -> float:
    """Return what guessing reaches on a test of choices: shuffles that were dropped raise it."""
    return known_mean(1 / len(item.captions) for item in test.items if len(item.captions) > 1)


def outcome(
    test: Benchmark,
    model: str,
    measure: str,
    right: np.ndarray,
    chance: float,
    clusters: np.ndarray | None = None,
    *,
    blind: bool = False,
) -> dict[str, Any]:
    """Return a row: the mean of `right` with its 95 % interval; items of one picture are not independent."""
    clusters = np.array([item.pictures[0] for item in test.items]) if clusters is None else clusters
    defined = np.isfinite(right)
    low, high = clustered_wilson(right[defined], clusters[defined])
    row = {"test": test.name, "model": model, "blind": blind, "measure": measure}
    return row | {
        "value": known_mean(right),
        "low": low,
        "high": high,
        "chance": chance,
        "n": int(defined.sum()),
    }


def model_rows(test: Benchmark, judge: Judge) -> Iterator[dict[str, Any]]:
    """Yield the rows of a model: accuracy and its mean over groups, or the three scores of pairs."""
    images = dict(zip(test.keys, judge.pictures(test, test.keys), strict=True))
    texts = dict(zip(test.captions, judge.texts(test.captions), strict=True))
    if test.of_pairs:
        shown = np.array([[images[key] for key in item.pictures] for item in test.items])
        words = np.array([[texts[caption] for caption in item.captions] for item in test.items])
        scores = pair_scores(cosines(words[:, :, None], shown[:, None]))  # (n, caption, image)
        for name, right in scores.items():
            yield outcome(test, judge.name, name, right, PAIR_CHANCE[name])
        return
    likeness = [
        cosines(np.stack([texts[caption] for caption in item.captions]), images[item.pictures[0]])
        for item in test.items
    ]
    right = choice_scores(likeness)
    yield outcome(test, judge.name, "accuracy", right, mean_chance(test))
    yield from group_rows(test, judge.name, right)


def group_rows(test: Benchmark, model: str, right: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield the mean over groups, which is the number that ARO's authors give; none for a single group."""
    groups = np.array([item.group for item in test.items], object)
    guessing = np.array([1 / len(item.captions) for item in test.items])
    members = [(groups == group) & np.isfinite(right) for group in dict.fromkeys(groups)]
    members = [member for member in members if member.sum() >= test.least_group]
    means = np.array([known_mean(right[member]) for member in members])
    if len(means) > 1:
        value, low, high, n = mean_interval(means, within=(0.0, 1.0))
        chance = known_mean(known_mean(guessing[member]) for member in members)
        row = {"test": test.name, "model": model, "blind": False, "measure": "mean over groups"}
        yield row | {"value": value, "low": low, "high": high, "chance": chance, "n": n}


def is_leaky(row: dict[str, Any]) -> bool:
    """Return True for the row of a blind model whose interval leaves out chance."""
    return math.isfinite(row["value"]) and not row["low"] <= row["chance"] <= row["high"]


def result_rows(
    test: Benchmark, judges: Sequence[Judge], captions: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of a test, blind models first; all are `leaky` where one of these is not at chance."""
    rows = [blind_row(test, "bigrams", bigram_scores(test, captions))]
    for judge in judges:
        rows.append(blind_row(test, f"constant image ({judge.name})", constant_image_scores(test, judge)))
    leaky = any(map(is_leaky, rows))
    for judge in judges:
        rows += model_rows(test, judge)
    return [{**row, "leaky": leaky} for row in rows]


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw each model's results with their intervals, and chance."""
    labels = table["test"] + ", " + table["measure"] + np.where(table["leaky"], " (leaky)", "")
    figure = go.Figure()
    for model, rows in table.assign(label=labels).groupby("model", sort=False):
        above, below = 100 * (rows["high"] - rows["value"]), 100 * (rows["value"] - rows["low"])
        ends = {"symmetric": False, "array": above, "arrayminus": below}
        marks = {"name": str(model), "mode": "markers", "error_y": ends, "offsetgroup": str(model)}
        figure.add_scatter(x=rows["label"], y=100 * rows["value"], **marks)
    line = {"symbol": "line-ew-open", "size": 40, "color": "gray"}
    figure.add_scatter(x=labels, y=100 * table["chance"], mode="markers", marker=line, name="chance")
    return figure.update_layout(scattermode="group", yaxis_title="right (%)")


def write_smoke(root: Path) -> None:
    """Write scenes of Glyphworld as ARO and as Winoground, their planted tokens, and a model of tokens."""
    source = GlyphworldSource.from_spec("glyphworld?preset=compose&train=12&val=6")
    for folder in ("images", "COCO"):
        (root / folder).mkdir(parents=True)
    choices, orders, pairs = [], [], []
    for row in range(len(source)):
        statement = draw_statement(
            scene_graph(source.plan(row), source.world.size), Draws(0, row), place=False
        )
        name, other = f"{row}.png", f"{(row + 1) % len(source)}.png"
        for folder in ("images", "COCO"):
            source.read(row).save(root / folder / name)
        if statement is None:
            continue
        true, false = statement.text, statement.with_objects_exchanged().text
        box = {"bbox_x": 0, "bbox_y": 0, "bbox_w": 96, "bbox_h": 96}
        captions = {"true_caption": true, "false_caption": false}
        choices.append({"image_path": name, "relation_name": statement.relation, **captions, **box})
        orders.append({"image": name, "caption": [true]})
        pairs.append({"image_0": name, "image_1": other, "caption_0": true, "caption_1": false})
    for file, _ in CHOICES.values():
        (root / file).write_text(json.dumps(choices), encoding="utf-8")
    (root / "COCO" / "coco_karpathy_test.json").write_text(json.dumps(orders), encoding="utf-8")
    (root / EXAMPLES).write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    store_planted(root, source)
    planted = extract_tokens(source.spec, root / "planted", ExtractConfig(), progress=Progress.silent())
    sizes: dict[str, Any] = {"width": 16, "layers": 1, "heads": 2, "epochs": 1, "batch_size": 6}
    train_tokens(TokenTrainConfig(output=str(root / "smoke.safetensors"), tokens=str(planted.path), **sizes))


def store_planted(root: Path, source: GlyphworldSource) -> None:
    """Write a TOKENS folder of the pictures of all tests, whose names are the rows of the scenes."""
    extractor = Extractor(ExtractConfig())
    with TokenWriter(root / "tokens") as writer:
        for key in dict.fromkeys(key for test in open_tests(root) for key in test.keys):
            row = int(Path(key.partition("@")[0]).stem)
            picture = KeyedPicture(key, source.read(row), source.plan(row))
            writer.add(key, "val", extractor.source.tokens([picture])[0])
        writer.finish(extractor.words(writer.predicates), describe_origin(source, extractor))


def rows(args: argparse.Namespace, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of each test, as soon as it is done. Raises SettingsError without models or files."""
    with tempfile.TemporaryDirectory() as folder:
        root, models, tokens = args.root, args.models, args.tokens
        if smoke:
            root = Path(folder) / "files"
            write_smoke(root)
            models, tokens = str(root / "smoke.safetensors"), root / "tokens"
        if root is None or not models:
            raise SettingsError("which models, and where are the files? Give MODEL[,MODEL…] --root ROOT")
        stored = TokenFolder(tokens) if tokens else None
        captions = args.captions.read_text(encoding="utf-8").splitlines() if args.captions else None
        judges = [Judge(spec, stored) for spec in models.split(",")]
        for test in open_tests(root):
            yield from result_rows(test, judges, captions)


def main(argv: Sequence[str] | None = None) -> None:
    """Try models on the tests of a folder, and draw, as the options ask."""
    parser = common.options(__doc__)
    parser.add_argument("models", nargs="?", metavar="MODEL[,MODEL…]", help="of train-tokens, or CLIPs")
    parser.add_argument("--root", type=Path, metavar="ROOT", help="folder of the files of ARO or Winoground")
    parser.add_argument("--tokens", metavar="TOKENS", help="folder with tokens of these pictures")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="a caption a line, for the bigrams")
    args = parser.parse_args(argv)
    common.run_script(NAME, args, partial(rows, args), draw)


if __name__ == "__main__":
    main()
