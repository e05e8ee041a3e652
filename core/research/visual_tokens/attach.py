"""Show visual tokens in a study: graphs, attention and swaps of its images, for its pages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core.data.sources.glyphworld import GlyphworldSource
from core.data.sources.images import reopen_images
from core.data.sources.source import ImageSource
from core.errors import TokenError
from core.research.visual_tokens.beside_study import ATTENTION, SWAPS, keep_tables
from core.research.visual_tokens.encoder import VisualTokenEncoder
from core.research.visual_tokens.graph import SceneGraph
from core.research.visual_tokens.store import TokenFolder
from core.research.visual_tokens.tokens import pack_tokens
from core.research.visual_tokens.training.model import TokenModel, load_token_model
from core.store import open_study

BLOCK = 512
SWAP_COLUMNS = ["image_id", "test", "model", "caption", "other", "right", "margin"]


def attach_to_study(
    study: str | Path,
    items: pd.DataFrame,
    source: ImageSource | None,
    models: Sequence[str] = (),
    tokens: TokenFolder | None = None,
) -> int:
    """Write what STUDY/visual_tokens shows, and return the number of its images with graphs or swaps.

    Args:
        items: of `compositionality`. source: of its pictures, None for those of other benchmarks' files.
        models: the first one that reads tokens gives the attention.
        tokens: graphs, and the tokens that this model reads.
    Raises:
        TokenError: tokens or pictures are of other images than the study's; ids alone do not tell.
    """
    opened = open_study(study)
    study_ids = set(opened.images["image_id"].astype(str))
    tables, weights, shown = {}, None, set()
    if source is not None and same_images(source, opened.source):
        swaps = items.rename(columns={"picture": "image_id"})
        tables[SWAPS] = _of_images(swaps, study_ids).loc[:, SWAP_COLUMNS]
        shown |= set(tables[SWAPS]["image_id"])
    if tokens is not None and same_images(reopen_images(tokens.manifest["images"]), opened.source):
        shared_ids = [image_id for image_id in tokens.images["image_id"] if image_id in study_ids]
        shown |= set(shared_ids)
        tables["objects"] = _of_images(tokens.objects, study_ids)
        tables["relations"] = _of_images(tokens.relations, study_ids)
        model = _first_of_tokens(models)
        if model is not None and shared_ids:
            tables[ATTENTION] = attention_table(model, tokens, shared_ids)
            weights = {"weights": _vision(model).rank_weights.tolist(), "model": model.config.output}
    if not shown:
        raise TokenError(
            f"neither the tokens nor the pictures that were tried are of the images of '{study}'. "
            "Give --tokens of its images"
        )
    keep_tables(opened.path, tables, weights)
    return len(shown)


def same_images(one: ImageSource, other: ImageSource) -> bool:
    """Return True where equal ids are equal images: one world and seed, or one listing."""
    if isinstance(one, GlyphworldSource) and isinstance(other, GlyphworldSource):
        return (one.seed, one.world) == (other.seed, other.world)
    return one.fingerprint() == other.fingerprint()


def _first_of_tokens(models: Sequence[str]) -> TokenModel | None:
    """Load the first model with attention over tokens."""
    for spec in models:
        if spec.endswith(".safetensors"):
            model = load_token_model(spec)
            if isinstance(model.vision, VisualTokenEncoder) and len(model.vision.blocks):
                return model
    return None


def _vision(model: TokenModel) -> VisualTokenEncoder:
    assert isinstance(model.vision, VisualTokenEncoder), "see _first_of_tokens"
    return model.vision


def _of_images(frame: pd.DataFrame, study_ids: set[str]) -> pd.DataFrame:
    return frame.loc[frame["image_id"].isin(list(study_ids))].reset_index(drop=True)


def attention_table(model: TokenModel, tokens: TokenFolder, ids: Sequence[str]) -> pd.DataFrame:
    """Tabulate how much the image's token looks at each token: image_id, token, kind, name, weight."""
    parts = []
    for start in range(0, len(ids), BLOCK):
        some = ids[start : start + BLOCK]
        images = tokens.tokens(some)
        packed = pack_tokens(images, tokens.words, **model.packing)
        rows = _vision(model).attention_of_image(packed.batch(np.arange(len(some)))).numpy()
        for image_id, image, row in zip(some, images, rows, strict=True):
            graph, _ = image.graph.cut(model.config.context)
            names = ["image", *(node.phrase for node in graph.nodes), *relation_names(graph)]
            kinds = ["image", *["object"] * len(graph.nodes), *["relation"] * len(graph.triples)]
            parts.append(
                pd.DataFrame(
                    {"image_id": image_id, "token": range(len(names)), "kind": kinds, "name": names}
                ).assign(weight=row[: len(names)].astype(np.float64))
            )
    return pd.concat(parts, ignore_index=True)


def relation_names(graph: SceneGraph) -> list[str]:
    """Name each relation by its predicate and the nouns of its ends, as several have the same predicate.

    >>> from core.research.visual_tokens.graph import Node, Triple
    >>> nodes = (Node("small red dog"), Node("object 2"))
    >>> relation_names(SceneGraph(nodes, np.zeros((2, 4)), np.ones(2), (Triple(0, 1, "left of"),)))
    ['dog left of object 2']
    """
    phrases = [node.phrase for node in graph.nodes]
    nouns = [phrase if phrase[-1:].isdigit() else phrase.rpartition(" ")[2] for phrase in phrases]
    return [f"{nouns[t.subject]} {t.predicate} {nouns[t.object]}" for t in graph.triples]
