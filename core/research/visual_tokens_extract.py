"""Extract the visual tokens of images into a TOKENS folder: the command `extract-tokens`."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.concepts.clip import Clip, load_clip
from core.data.glyphworld import GlyphworldSource
from core.data.images import open_images
from core.data.source import ImageSource
from core.errors import SettingsError, TokenError, UnreadableImage
from core.research.visual_tokens_segmenters import KeyedPicture, TokenSource, open_token_source
from core.research.visual_tokens_store import TokenFolder, TokenWriter, is_token_folder
from core.research.visual_tokens_topic import ExtractConfig
from core.study.progress import Progress

BLOCK = 64  # pictures at a time


class Extractor:
    """Makes tokens of pictures as a configuration says; a model and its folder of tokens share it."""

    def __init__(self, config: ExtractConfig, *, device: str = "cpu") -> None:
        self.config = config
        self.clip: Clip = load_clip(config.clip, device=device)
        self.source: TokenSource = open_token_source(
            config.segmenter,
            config.relations,
            self.clip,
            min_score=config.min_score,
            min_relation=config.min_relation,
        )

    @property
    def fingerprint(self) -> str:
        """Return a checksum of what decides the tokens of a picture, the picture aside."""
        settings = asdict(self.config) | {"clip": self.clip.fingerprint}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def words(self, predicates: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the embedding of each predicate: CLIP's, of the word as a text."""
        return dict(zip(predicates, self.clip.embed_texts(list(predicates)), strict=True))


def extract_tokens(
    images: str,
    output: str | Path,
    config: ExtractConfig,
    *,
    progress: Progress,
    val: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    fresh: bool = False,
) -> TokenFolder:
    """Write the tokens of all readable images, and return the folder (research).

    A folder that holds the same tokens already is returned as it is.

    Raises:
        TokenError: the folder holds other tokens, or something else. Other errors as in `open_images`,
            `load_clip` and `open_token_source`.
    """
    source = open_images(images, val=val, seed=seed)
    extractor = Extractor(config, device=device)
    about = describe_origin(source, extractor)
    done = _same_folder(Path(output), about, fresh=fresh)
    if done is not None:
        progress.note(f"{output}: already done")
        return done
    skipped: list[str] = []
    with TokenWriter(output) as writer, progress.stage("tokens", total=len(source), unit="images") as bar:
        for block, splits in _picture_blocks(source, skipped):
            for picture, split, tokens in zip(block, splits, extractor.source.tokens(block), strict=True):
                writer.add(picture.key, split, tokens)
            bar.update(len(block))
        counts = asdict(extractor.source.counts) | {"skipped": len(skipped)}
        writer.finish(extractor.words(writer.predicates), about | {"counts": counts})
    return TokenFolder(output)


def describe_origin(source: ImageSource, extractor: Extractor) -> dict[str, Any]:
    """Return what the manifest says of the origin of tokens (research)."""
    images = source.fingerprint()
    whole = hashlib.sha256(f"{images} {extractor.fingerprint}".encode()).hexdigest()
    return {
        "images": source.describe(),
        "images_fingerprint": images,
        "settings": asdict(extractor.config),
        "extractor_fingerprint": extractor.fingerprint,
        "fingerprint": whole,
    }


def _same_folder(path: Path, about: Mapping[str, Any], *, fresh: bool) -> TokenFolder | None:
    """Return the folder if it holds these tokens; refuse to replace anything else without `fresh`."""
    if not path.exists():
        return None
    if not is_token_folder(path):
        raise SettingsError(f"'{path}' exists and is no TOKENS folder. Choose another -o")
    if fresh:
        return None
    folder = TokenFolder(path)
    if folder.fingerprint != about["fingerprint"]:
        raise TokenError(f"'{path}' holds other tokens. Choose another -o, or pass --fresh")
    return folder


def _picture_blocks(
    source: ImageSource, skipped: list[str], rows: Sequence[int] | None = None
) -> Iterator[tuple[list[KeyedPicture], list[str]]]:
    """Yield pictures for visual tokens (research) with splits; ids of unreadable ones go to `skipped`."""
    table = source.table
    selected_rows = range(len(table)) if rows is None else rows
    for start in range(0, len(selected_rows), BLOCK):
        block: list[KeyedPicture] = []
        splits: list[str] = []
        for row in selected_rows[start : start + BLOCK]:
            key = str(table["image_id"].iat[row])
            try:
                image = source.read(row)
            except UnreadableImage:
                skipped.append(key)
                continue
            plan = source.plan(row) if isinstance(source, GlyphworldSource) else None
            block.append(KeyedPicture(key, image, plan))
            splits.append(str(table["split"].iat[row]))
        if block:
            yield block, splits
