"""A study shows tokens of its own images only, whatever their ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.charts.chart import folder_charts
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT
from core.data.glyphworld import GlyphworldSource
from core.errors import TokenError
from core.research.visual_tokens_attach import attach_to_study, same_images
from core.research.visual_tokens_beside_study import rank_weights, shown_tokens
from core.research.visual_tokens_config import TokenTrainConfig
from core.research.visual_tokens_extract import extract_tokens
from core.research.visual_tokens_topic import ExtractConfig
from core.research.visual_tokens_train import train_tokens
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import write_study
from tests.concepts.tiny_clip import tiny_asset

SPEC = "glyphworld?preset=compose&train=10&val=6"
SOURCE = GlyphworldSource.from_spec(SPEC)


def written_study(path, source):
    with write_study(path) as writer, writer.step("embed", {"images": source.spec, "encoder": "x"}) as step:
        step.table("images", source.table)
        step.vector("representations", np.ones((len(source), 3), np.float32))
        step.summary = {"n_images": len(source), "source": source.describe(), "encoder": {}}
    return open_study(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    clip = str(tiny_asset(folder / "tiny"))
    tokens = extract_tokens(SPEC, folder / "tokens", ExtractConfig(clip=clip), progress=Progress.silent())
    sizes: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2, "epochs": 1, "batch_size": 5}
    model = TokenTrainConfig(
        output=str(folder / "m.safetensors"), tokens=str(tokens.path), text=clip, **sizes
    )
    return tokens, str(train_tokens(model))


@pytest.mark.slow
def test_attach__graphs_and_attention_of_the_study(made, tmp_path):
    tokens, model = made
    study = written_study(tmp_path / "study", SOURCE)
    assert attach_to_study(study.path, tokens) == 16 and rank_weights(study.path) is None
    assert attach_to_study(study.path, tokens, model) == 16
    found = shown_tokens(study, 12)
    assert found.extracted is not None and found.planted is not None
    assert found.extracted.triples == found.planted.triples
    assert found.attention["weight"].sum() == pytest.approx(1, abs=1e-5)
    n_tokens = 1 + len(found.planted.nodes) + len(found.planted.triples)
    assert len(found.attention) == n_tokens
    assert len(rank_weights(study.path) or []) == 8
    for name, paths in {"scene_graph": (study.path, tokens.path), "token_attention": (study.path,)}.items():
        for path in paths:
            assert folder_charts()[name].draw(path, FigureOptions(), LIGHT).to_dict()["layout"]["height"]


def test_attach__the_same_ids_of_another_world_are_other_images(made, tmp_path):
    tokens, model = made
    other = GlyphworldSource(train=10, val=6)
    assert set(other.table["image_id"]) == set(SOURCE.table["image_id"])
    assert not same_images(other, SOURCE)
    assert same_images(SOURCE, GlyphworldSource.from_spec(SPEC.replace("train=10", "train=4")))
    study = written_study(tmp_path / "study", other)
    with pytest.raises(TokenError):
        attach_to_study(study.path, tokens, model)
    assert not (study.path / "visual_tokens").exists()
