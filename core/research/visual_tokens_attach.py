"""Show visual tokens in a study: graphs and attention of its images, for its pages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core.data.glyphworld import GlyphworldSource
from core.data.images import reopen_images
from core.data.source import ImageSource
from core.errors import TokenError
from core.research.visual_tokens_beside_study import ATTENTION, keep_tables
from core.research.visual_tokens_encoder import VisualTokenEncoder
from core.research.visual_tokens_graph import SceneGraph
from core.research.visual_tokens_model import TokenModel, load_token_model
from core.research.visual_tokens_store import TokenFolder
from core.research.visual_tokens_tokens import pack_tokens
from core.store import Study

BLOCK = 512


def attach_to_study(study: str | Path, tokens: TokenFolder, model: str | None = None) -> int:
    """Write what STUDY/visual_tokens shows, and return the number of its images with graphs (research).

    Args:
        model: FILE.safetensors of `train-tokens`; with attention over these tokens, it is shown, too.
    Raises:
        TokenError: the tokens are of other images than the study's; ids alone do not tell.
    """
    opened = Study(study)
    if not same_images(reopen_images(tokens.manifest["images"]), opened.source):
        raise TokenError(f"'{tokens.path}' holds tokens of other images than those of '{study}'")
    study_ids = set(opened.images["image_id"].astype(str))
    shared_ids = [image_id for image_id in tokens.images["image_id"] if image_id in study_ids]
    tables = {
        "objects": _of_images(tokens.objects, study_ids),
        "relations": _of_images(tokens.relations, study_ids),
    }
    weights = None
    trained = load_token_model(model) if model is not None else None
    if trained is not None and isinstance(trained.vision, VisualTokenEncoder) and len(trained.vision.blocks):
        tables[ATTENTION] = _attention_table(trained, trained.vision, tokens, shared_ids)
        weights = {"weights": trained.vision.rank_weights.tolist(), "model": trained.config.output}
    keep_tables(opened.path, tables, weights)
    return len(shared_ids)


def same_images(one: ImageSource, other: ImageSource) -> bool:
    """Return True where equal ids of a study and of visual tokens (research) are equal images."""
    if isinstance(one, GlyphworldSource) and isinstance(other, GlyphworldSource):
        return (one.seed, one.world) == (other.seed, other.world)
    return one.fingerprint() == other.fingerprint()


def _of_images(frame: pd.DataFrame, study_ids: set[str]) -> pd.DataFrame:
    return frame.loc[frame["image_id"].isin(list(study_ids))].reset_index(drop=True)


def _attention_table(
    model: TokenModel, encoder: VisualTokenEncoder, tokens: TokenFolder, ids: Sequence[str]
) -> pd.DataFrame:
    """Tabulate how much the image's token looks at each token: image_id, token, kind, name, weight."""
    parts = []
    for start in range(0, len(ids), BLOCK):
        some = ids[start : start + BLOCK]
        images = tokens.tokens(some)
        packed = pack_tokens(images, tokens.words, **model.packing)
        rows = encoder.attention_of_image(packed.batch(np.arange(len(some)))).numpy()
        for image_id, image, row in zip(some, images, rows, strict=True):
            graph, _ = image.graph.cut(model.config.context)
            names = ["image", *(node.phrase for node in graph.nodes), *_relation_names(graph)]
            kinds = ["image", *["object"] * len(graph.nodes), *["relation"] * len(graph.triples)]
            table = pd.DataFrame(
                {"image_id": image_id, "token": range(len(names)), "kind": kinds, "name": names}
            )
            parts.append(table.assign(weight=row[: len(names)].astype(np.float64)))
    return pd.concat(parts, ignore_index=True)


def _relation_names(graph: SceneGraph) -> list[str]:
    """Name each relation of visual tokens (research) by its predicate and the nouns of its ends.

    >>> from core.research.visual_tokens_graph import Node, Triple
    >>> nodes = (Node("small red dog"), Node("object 2"))
    >>> _relation_names(SceneGraph(nodes, np.zeros((2, 4)), np.ones(2), (Triple(0, 1, "left of"),)))
    ['dog left of object 2']
    """
    phrases = [node.phrase for node in graph.nodes]
    nouns = [phrase if phrase[-1:].isdigit() else phrase.rpartition(" ")[2] for phrase in phrases]
    return [f"{nouns[t.subject]} {t.predicate} {nouns[t.object]}" for t in graph.triples]
