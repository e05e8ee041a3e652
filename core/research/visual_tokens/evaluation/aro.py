"""The ARO benchmark (Yuksekgonul et al. 2023), read from the files that its authors offer. No torch.

ROOT/visual_genome_relation.json, ROOT/visual_genome_attribution.json and ROOT/images/;
ROOT/COCO/coco_karpathy_{val,test}.json and ROOT/FLICKR/flickr30k_{val,test}.json (names in any case), with
images relative to their folder. Nothing is downloaded.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.common.inside import parse_json
from core.concepts.captions.words import tag
from core.errors import TokenError
from core.research.visual_tokens.captions import N_SHUFFLES, SHUFFLES_DROPPED, false_shuffles
from core.research.visual_tokens.evaluation.benchmark import Benchmark, ChoiceItem, missing_images, opened
from core.research.visual_tokens.plugs import KeyedPicture
from core.worlds.glyphworld.scenes import Dice

CHOICES = {"VG-Relation": "visual_genome_relation.json", "VG-Attribution": "visual_genome_attribution.json"}
ORDERS = {
    "COCO-Order": ("coco", ("coco_karpathy_val.json", "coco_karpathy_test.json")),
    "Flickr-Order": ("flickr", ("flickr30k_val.json", "flickr30k_test.json")),
}
MOST_WORDS = 30
CAPTIONS = 5  # of an image of COCO or Flickr30k
SHUFFLE_TAG = 0x61726F
SEEN_BY_RAM = (
    "the relation extractor of the paper is trained on images of Visual Genome: for it, these are not out of "
    "distribution"
)
ALL_RELATIONS = (
    "the mean over groups is over all relations; the authors' own leaves out those that they call symmetric"
)
NOTES = {"VG-Relation": (SEEN_BY_RAM, ALL_RELATIONS), "VG-Attribution": (SEEN_BY_RAM,)}
LEAST_GROUP = {"VG-Relation": 1, "VG-Attribution": 25}  # the authors' mean leaves out rarer pairs
KINDS = {"NN": "noun", "JJ": "adjective"}
Tagger = Callable[[list[str]], list[str]]  # words -> noun, adjective, or nothing


def aro_benchmarks(root: str | Path, *, tagger: Tagger | None = None, seed: int = 0) -> list[Benchmark]:
    """Open those of the four tests whose files are below `root`.

    Args:
        tagger: tells nouns and adjectives for the shuffles of Order; the authors use spaCy, we textblob.
        seed: of the shuffles.
    Raises:
        TokenError: none of the files is there, or one is not what it should be.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise TokenError(f"'{root}' is not a folder. Give the one that holds {CHOICES['VG-Relation']}")
    items = [
        _choices(name, folder, folder / file) for name, file in CHOICES.items() if (folder / file).is_file()
    ]
    for name, (part, files) in ORDERS.items():
        for file in files:
            path = next((p / file for p in _subfolders(folder, part) if (p / file).is_file()), None)
            if path is not None:
                items.append(_order(f"{name} ({path.stem})", path, tagger or textblob_tags, seed))
    if not items:
        named = ", ".join(
            [*CHOICES.values(), *(f"{part.upper()}/{files[0]}" for part, files in ORDERS.values())]
        )
        raise TokenError(f"'{root}' holds no file of ARO. Expected {named}")
    return items


def _subfolders(root: Path, name: str) -> list[Path]:
    """Folders of a data set: its own, in any case and with more in its name, or the root."""
    inner = [path for path in sorted(root.iterdir()) if path.is_dir() and path.name.lower().startswith(name)]
    return [*inner, root]


def _choices(name: str, root: Path, path: Path) -> Benchmark:
    items, boxes, missing = [], {}, []
    for number, row in enumerate(_rows(path)):
        named = _text(row, "image_path", path, number)
        image = root / "images" / named
        if not image.is_file():
            missing.append(named)
            continue
        box = tuple(_number(row, key, path, number) for key in ("bbox_x", "bbox_y", "bbox_w", "bbox_h"))
        key = f"{named}@{'+'.join(map(str, box))}"
        boxes[key] = (image, box)
        captions = tuple(_text(row, key, path, number) for key in ("true_caption", "false_caption"))
        items.append(ChoiceItem(key, captions, _group(row)))
    return Benchmark(
        name,
        items,
        lambda key: cropped(key, *boxes[key]),
        dropped=missing_images(missing, len({image for image, _ in boxes.values()}), path),
        notes=NOTES[name],
        least_group=LEAST_GROUP[name],
    )


def _group(row: dict[str, Any]) -> str:
    """Return the relation of an entry, or its two attributes."""
    attributes = row.get("attributes")
    return str(row.get("relation_name") or "+".join(map(str, attributes if attributes else ())))


def _order(name: str, path: Path, tagger: Tagger, seed: int) -> Benchmark:
    items, images, missing = [], {}, []
    short = few = 0
    for number, row in enumerate(_rows(path)):
        named = _text(row, "image", path, number)
        image, captions = path.parent / named, row.get("caption")
        if isinstance(captions, str):
            captions = [captions]
        if not isinstance(captions, list) or not captions or not all(isinstance(c, str) for c in captions):
            raise TokenError(f"'{path}': entry {number} has no list of captions")
        if not image.is_file():
            missing.append(named)
            continue
        images[named] = image
        few += len(captions) < CAPTIONS
        for position, caption in enumerate(captions):
            words = caption_words(caption)
            true = " ".join(words)
            tagged = list(zip(words, tagger(words), strict=True))
            moved = false_shuffles(true, tagged, Dice(seed, number, position, SHUFFLE_TAG))
            short += N_SHUFFLES - len(moved)
            items.append(ChoiceItem(named, (true, *moved)))
    dropped = missing_images(missing, len(images), path) | {SHUFFLES_DROPPED: short}
    dropped |= {f"images with fewer than {CAPTIONS} captions (kept)": few} if few else {}
    return Benchmark(name, items, lambda key: KeyedPicture(key, opened(images[key], images[key])), dropped)


def caption_words(caption: str) -> list[str]:
    """Lower case, without punctuation, at most 30 words, as the authors prepare captions.

    >>> caption_words("Two dogs, running (fast)!")
    ['two', 'dogs', 'running', 'fast']
    """
    text = re.sub(r"([.!\"()*#:;~])", " ", caption.lower())
    words = [word.strip(",?'-") for word in text.split()]
    return [word for word in words if word][:MOST_WORDS]


def textblob_tags(words: list[str]) -> list[str]:
    """Tell nouns and adjectives by textblob; where its tokens are not the words, word by word."""
    tokens = tag(" ".join(words))
    if [token.text for token in tokens] != words:
        tokens = [(tag(word) or tag("the"))[0] for word in words]
    return [KINDS.get(token.tag[:2], "") for token in tokens]


def cropped(key: str, image: Path, box: tuple[int, ...]) -> KeyedPicture:
    """Read an image cut to its box, before anything else: tokens are made of the part alone."""
    left, top, width, height = box
    whole = opened(image, image)
    right, bottom = min(left + width, whole.width), min(top + height, whole.height)
    if right <= max(left, 0) or bottom <= max(top, 0):
        raise TokenError(f"the box {box} lies outside of '{image}', {whole.width} x {whole.height} pixels")
    return KeyedPicture(key, whole.crop((max(left, 0), max(top, 0), right, bottom)))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        rows = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TokenError(f"'{path}' cannot be read as JSON ({type(error).__name__})") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise TokenError(f"'{path}' should be a list of entries")
    yield from rows


def _text(row: dict[str, Any], name: str, path: Path, number: int) -> str:
    if not isinstance(row.get(name), str):
        raise TokenError(f"'{path}': entry {number} has no {name}")
    return row[name]


def _number(row: dict[str, Any], name: str, path: Path, number: int) -> int:
    try:
        return int(row[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise TokenError(f"'{path}': entry {number} has no number {name}") from None
