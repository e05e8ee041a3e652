"""What a study's page shows of visual tokens: graphs and attention of its images. No torch.

It lies in STUDY/visual_tokens, outside the manifest, and may be deleted; `train-tokens --study` writes it
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from core.common.arrow_tables import as_frame
from core.common.inside import read_bounded, replacing
from core.common.parquet_footer import check_study_table
from core.data.glyphworld import GlyphworldSource
from core.data.source import ImageSource
from core.errors import StudyError
from core.research.visual_tokens_composed_scenes import scene_graph
from core.research.visual_tokens_graph import Node, SceneGraph, Triple
from core.store import Study
from core.study.inside import inside
from core.study.seals import Damaged, read_json, sealed_json

FOLDER = "visual_tokens"
GRAPHS = ("objects", "relations")
ATTENTION, WEIGHTS = "attention", "weights.json"
CORNERS = ["left", "top", "right", "bottom"]


@dataclass(frozen=True)
class ShownTokens:
    """What is known of one image, each part None or empty where there is none.

    Attributes:
        extracted: the graph of a segmenter. planted: Glyphworld's own.
        attention: columns token, kind, name, weight: how much the image's token looks at each token in the
            last layer.
    """

    extracted: SceneGraph | None
    planted: SceneGraph | None
    attention: pd.DataFrame

    @property
    def anything(self) -> bool:
        graphs = self.extracted is not None or self.planted is not None
        return graphs or len(self.attention) > 0


def shown_tokens(study: Study, row: int) -> ShownTokens:
    """Read what is known of the visual tokens (research) of one image of a study."""
    image_id = str(study.images["image_id"].iat[row])
    tables = {name: _of_image(study.path, name, image_id) for name in (*GRAPHS, ATTENTION)}
    graph = graph_from_rows(tables["objects"], tables["relations"]) if len(tables["objects"]) else None
    return ShownTokens(graph, planted_graph(study.source, image_id), tables[ATTENTION])


def planted_graph(source: ImageSource, image_id: str) -> SceneGraph | None:
    """Return the graph of a scene of Glyphworld; None for any other image (research)."""
    if not isinstance(source, GlyphworldSource):
        return None
    rows = {str(name): row for row, name in enumerate(source.table["image_id"])}
    row = rows.get(image_id)
    return None if row is None else scene_graph(source.plan(row), source.world.size)


def graph_from_rows(objects: pd.DataFrame, relations: pd.DataFrame) -> SceneGraph:
    """Build the graph of an image from its rows of `objects` and `relations` (research)."""
    ordered = objects.sort_values("object")
    columns = [relations[name].tolist() for name in ("subject", "object", "predicate", "score")]
    nodes = tuple(Node(name) for name in ordered["name"])
    boxes = ordered[CORNERS].to_numpy(np.float64)
    scores = ordered["score"].to_numpy(np.float64)
    return SceneGraph(nodes, boxes, scores, tuple(Triple(*values) for values in zip(*columns, strict=True)))


def _of_image(study: Path, name: str, image_id: str) -> pd.DataFrame:
    """Read the rows of an image; an empty table without a file."""
    path = inside(study, f"{FOLDER}/{name}.parquet")
    if not path.is_file():
        return pd.DataFrame()
    try:
        check_study_table(path)
        rows = [("image_id", "==", image_id)]
        table = pq.read_table(path, filters=rows, page_checksum_verification=True)
        return as_frame(table).reset_index(drop=True)
    except Exception as error:
        raise StudyError(
            f"'{path}' cannot be read ({type(error).__name__}). Delete it, and run train-tokens --study again"
        ) from error


def rank_weights(study: Path) -> list[float] | None:
    """Return the learned weight of each rank of visual tokens (research), w_0 … w_7; None where none are."""
    path = inside(study, f"{FOLDER}/{WEIGHTS}")
    try:
        return [float(value) for value in read_json(read_bounded(path), ("weights", "model"))["weights"]]
    except (OSError, ValueError, KeyError, TypeError, Damaged):
        return None


def keep_tables(study: Path, tables: Mapping[str, pd.DataFrame], weights: Mapping[str, Any] | None) -> None:
    """Replace what a study shows of visual tokens; tables that are not given stay."""
    folder = inside(study, FOLDER)
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        with replacing(folder / f"{name}.parquet", durable=False) as temporary:
            table.to_parquet(temporary, index=False, write_page_checksum=True)
    if weights is not None:
        (folder / WEIGHTS).write_bytes(sealed_json(weights))
