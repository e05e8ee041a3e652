"""What a training on tokens reads: tokens or pixels of each split, and captions drawn for each epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.data.images import reopen_images
from core.errors import CaptionError, SettingsError, TokenError
from core.research.visual_tokens_composed_scenes import GROUND, draw_statement
from core.research.visual_tokens_config import TokenTrainConfig
from core.research.visual_tokens_graph import Node, SceneGraph
from core.research.visual_tokens_model import PixelData, TokenModel, VisionData
from core.research.visual_tokens_store import TokenFolder
from core.research.visual_tokens_tokens import pack_tokens
from core.training.pixels import load_pixels
from core.worlds.backgrounds import KINDS
from core.worlds.captions import SIZES
from core.worlds.painting import HUES
from core.worlds.scenes import Draws

VAL_TAG = 0x76616C  # keeps captions of the val images apart from those of an epoch
Captions = Callable[[int, Draws], str]


@dataclass(frozen=True)
class SplitData:
    """Images of one split with ids, and a function that draws a caption of an image."""

    ids: list[str]
    images: VisionData
    captions: Captions

    def __len__(self) -> int:
        return len(self.ids)


def open_splits(config: TokenTrainConfig, model: TokenModel, folder: TokenFolder) -> dict[str, SplitData]:
    """Open the train and val images of a training on visual tokens (research).

    Raises:
        CaptionError: an image has no caption. SettingsError: a split without images.
    """
    selected = {}
    captions = open_captions(config.captions, folder)
    for split in ("train", "val"):
        ids = folder.images.loc[folder.images["split"] == split, "image_id"].tolist()
        usable = [image_id for image_id in ids if captions.has(image_id)]
        if not usable:
            raise SettingsError(f"'{folder.path}' has no {split} image with a caption")
        images = _open_vision(config, model, folder, split, usable)
        selected[split] = SplitData(usable, images, lambda row, dice, of=usable: captions.draw(of[row], dice))
    return selected


def _open_vision(
    config: TokenTrainConfig, model: TokenModel, folder: TokenFolder, split: str, ids: list[str]
) -> VisionData:
    """Open what the image tower of visual tokens (research) reads of these images."""
    if config.vision == "tokens":
        return pack_tokens(folder.tokens(ids), folder.words, **model.packing)
    source = reopen_images(folder.manifest["images"])
    preprocess: dict[str, Any] = model.clip.configuration.get("preprocess_cfg", {})
    settings = (
        {"mean": tuple(preprocess["mean"]), "std": tuple(preprocess["std"])}
        if config.vision == "clip"
        else {}
    )
    size = preprocess["size"] if config.vision == "clip" else config.image_size
    size = size if isinstance(size, int) else size[0]
    pictures = load_pixels(source, size, cache=config.cache, workers=1)[split].images
    listed = source.table.loc[source.table["split"] == split, "image_id"]
    places = {image_id: row for row, image_id in enumerate(listed)}
    if len(places) != len(pictures):
        raise TokenError(f"some images of '{folder.path}' can no longer be read. Extract the tokens again")
    rows = np.array([places[image_id] for image_id in ids])
    return PixelData(
        pictures if np.array_equal(rows, np.arange(len(pictures))) else pictures[rows], **settings
    )


class GraphCaptions:
    """Sentences of the caption grammar, true of an image by its graph."""

    def __init__(self, folder: TokenFolder) -> None:
        self.graphs = {image_id: described(folder.graph(image_id)) for image_id in folder.images["image_id"]}

    def has(self, image_id: str) -> bool:
        graph = self.graphs.get(image_id)
        return graph is not None and draw_statement(graph, Draws(0)) is not None

    def draw(self, image_id: str, dice: Draws) -> str:
        statement = draw_statement(self.graphs[image_id], dice)
        if statement is None:
            raise CaptionError(f"the graph of '{image_id}' places no pair of objects")
        return statement.text


class ListedCaptions:
    """Captions of a table with the columns image_id and caption; one of an image's is drawn."""

    def __init__(self, path: Path) -> None:
        try:
            table = pd.read_csv(path, dtype=str, usecols=["image_id", "caption"]).dropna()
            self.texts: dict[str, list[str]] = table.groupby("image_id")["caption"].apply(list).to_dict()
        except (OSError, ValueError, KeyError) as error:
            kind = type(error).__name__
            raise CaptionError(
                f"no captions in '{path}' ({kind}): give a .csv with image_id and caption"
            ) from None

    def has(self, image_id: str) -> bool:
        return image_id in self.texts

    def draw(self, image_id: str, dice: Draws) -> str:
        return dice.pick(self.texts[image_id])


def open_captions(name: str, folder: TokenFolder) -> GraphCaptions | ListedCaptions:
    """Open captions for visual tokens (research): of the graphs of a TOKENS folder, or of a .csv file.

    Raises:
        CaptionError: graphs of other images, graphs that the grammar cannot describe, or no such file.
    """
    if name.endswith(".csv"):
        return ListedCaptions(Path(name))
    described_by = folder if not name else TokenFolder(name)
    if described_by.manifest["images_fingerprint"] != folder.manifest["images_fingerprint"]:
        raise CaptionError(
            f"captions = '{name}' describes other images than '{folder.path}' holds tokens of, even where "
            "their ids are the same. Extract both from the same images"
        )
    captions = GraphCaptions(described_by)
    if not any(node.role for graph in captions.graphs.values() for node in graph.nodes):
        raise CaptionError(
            f"the objects of '{name or folder.path}' are not Glyphworld's: the grammar cannot describe them. "
            "Give captions = a .csv file with image_id and caption, or a folder of planted tokens"
        )
    return captions


def described(graph: SceneGraph) -> SceneGraph:
    """Read size, colour and noun of planted objects back from their names ("small red dog") (research)."""
    return replace(graph, nodes=tuple(_described(node) for node in graph.nodes))


def _described(node: Node) -> Node:
    *before, last = node.name.split()
    if last in KINDS and before:
        return Node(last, " ".join(before), "", GROUND)
    size = before.pop(0) if before and before[0] in SIZES else ""
    if not before or before[0] not in HUES:
        return node
    return Node(" ".join([*before[1:], last]), before[0], size, "object")
