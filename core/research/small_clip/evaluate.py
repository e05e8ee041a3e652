"""Evaluate a CLIP on captioned images: zero-shot classification, and retrieval of each image's caption.

`python -m core.research.small_clip.evaluate asset:glyphworld` evaluates any CLIP on Glyphworld scenes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from core.concepts.clip.clip import Clip
from core.data.sources.glyphworld import GlyphworldSource
from core.errors import PeregrineError
from core.worlds.glyphworld.scenes import FAULTS

TEMPLATES = ("a photo of a {}", "a {}", "a picture of a {}", "a large {}", "a small {}", "a huge {}")


def zero_shot_accuracy(images: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose nearest class embedding is their own.

    Args:
        images: (n, d) unit rows. classes: (c, d) unit rows. labels: (n,) codes of classes.
    Returns:
        in [0, 1]; NaN without images.
    """
    if not len(images):
        return float("nan")
    return float(np.mean((images @ classes.T).argmax(1) == labels))


def recall_at(queries: np.ndarray, targets: np.ndarray, k: int, groups: Sequence[Any] | None = None) -> float:
    """R@k: share of queries whose own target is among the k nearest; row i of both belong together.

    Args:
        queries, targets: (n, d) unit rows.
        groups: (n,) equal entries count as own: a caption shared by two images is right for both.
    Returns:
        in [0, 1]; NaN without rows. Ties are broken against the query.
    """
    if not len(queries):
        return float("nan")
    names = np.asarray(groups) if groups is not None else np.arange(len(queries))
    same_group = names[:, None] == names[None, :]
    cosine = queries @ targets.T
    best_own = np.where(same_group, cosine, -np.inf).max(1)
    better = ((cosine >= best_own[:, None]) & ~same_group).sum(1)
    return float(np.mean(better < k))


def class_embeddings(clip: Clip, names: Sequence[str], templates: Sequence[str] = TEMPLATES) -> np.ndarray:
    """(c, d) unit rows: the mean over the templates of each class's embedding."""
    texts = [template.format(name) for name in names for template in templates]
    rows = clip.embed_texts(texts).reshape(len(names), len(templates), -1).mean(1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)


def evaluate_clip(
    clip: Clip,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    labels: Sequence[str],
    *,
    hard: np.ndarray | None = None,
) -> dict[str, Any]:
    """Zero-shot accuracy over the labels' names, and R@1 and R@5 in both directions among the captions.

    `hard`: (n,) bool; if given, the accuracy is also computed for these images and for the others.
    """
    names = sorted(set(labels))
    codes = np.array([names.index(label) for label in labels])
    images, texts = clip.embed_images(pictures, pad=True), clip.embed_texts(captions)
    report: dict[str, Any] = {"n": len(pictures), "n_classes": len(names), "n_captions": len(set(captions))}
    classes = class_embeddings(clip, names)
    report["zero_shot"] = zero_shot_accuracy(images, classes, codes)
    if hard is not None:
        report["zero_shot_easy"] = zero_shot_accuracy(images[~hard], classes, codes[~hard])
        report["zero_shot_hard"] = zero_shot_accuracy(images[hard], classes, codes[hard])
    for name, queries, targets in (("image_to_text", images, texts), ("text_to_image", texts, images)):
        for k in (1, 5):
            report[f"{name}_r{k}"] = recall_at(queries, targets, k, captions)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in report.items()}


def check_on_glyphworld(clip: Clip, source: GlyphworldSource, *, n: int = 1000) -> dict[str, Any]:
    """`evaluate_clip` on the first n held-out scenes; also separately for the easy and the hard ones."""
    rows = range(source.n_train, source.n_train + min(n, source.n_val))
    scenes = [source.scene(row) for row in rows]
    hard = np.array([scene.cause in FAULTS for scene in scenes], bool)
    return evaluate_clip(
        clip, [s.image for s in scenes], [s.caption for s in scenes], [s.label for s in scenes], hard=hard
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m core.research.small_clip.evaluate", description=__doc__)
    parser.add_argument("clip", metavar="CLIP", help="as for `concepts --clip`")
    parser.add_argument("--images", default="glyphworld", help="which Glyphworld (default: glyphworld)")
    parser.add_argument("--n", type=int, default=1000, help="held-out scenes (default 1000)")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(argv)
    from core.concepts.clip.clip import load_clip
    from core.data.sources.glyphworld import GlyphworldSource

    try:
        source = GlyphworldSource.from_spec(given.images)
        report = check_on_glyphworld(load_clip(given.clip, device=given.device), source, n=given.n)
    except PeregrineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
