"""What files of dictionaries say of their vectors, and when a study reads others."""

from __future__ import annotations

from typing import Any

import pytest

from core.bases.origin import contradictions, origin_of, stated_layer
from core.common.entries import Taken
from core.common.step_facts import EncoderFacts

B16 = "timm:vit_base_patch16_clip_224.openai"
LAST = EncoderFacts(spec=B16, layer="blocks.11.norm1", tokens="cls", token_norm="before")
AT_9 = EncoderFacts(spec=B16, layer="blocks.9", tokens=None)


def kinds(settings: dict[str, Any], encoder: EncoderFacts, on: str = "pooled") -> list[str]:
    asked = {"layer": encoder.layer} if encoder is AT_9 else {}
    notes = contradictions(origin_of(Taken(settings)), encoder, asked, on)
    return [note.kind for note in notes]  # pyright: ignore


@pytest.mark.parametrize(
    ("settings", "block"),
    [
        ({"metadata": {"hook_name": "blocks.9.hook_resid_post"}}, 9),
        ({"hook_point": "blocks.9.hook_resid_pre", "hook_point_layer": 9}, 8),
        ({"trainer": {"layer": 9, "submodule_name": "resid_post_layer_9"}}, 9),
        ({"trainer": {"layer": 9}}, 9),
        ({"hook_name": "vision_model.encoder.layers.9"}, 9),
        ({"layer": -2}, None),
        ({"layer": "layer4.1"}, None),
        ({"k": 4}, None),
    ],
)
def test_the_block_whose_output_is_meant(settings: dict[str, Any], block: int | None):
    assert origin_of(Taken(settings)).block == block


def test_one_block_off_is_a_note_and_the_same_block_is_none():
    post = {"hook_name": "blocks.9.hook_resid_post", "model_name": "openai/clip-vit-base-patch16"}
    assert kinds(post, AT_9) == [] and kinds(post, LAST) == ["other_layer"]
    assert kinds({"hook_name": "blocks.9.hook_resid_pre"}, AT_9) == ["other_layer"]
    assert kinds({"hook_name": "blocks.9.hook_mlp_out"}, AT_9) == ["other_layer"]
    assert kinds({"hook_name": "blocks.11.hook_resid_post"}, LAST) == []


@pytest.mark.parametrize(
    ("model", "other"),
    [
        ("openai/clip-vit-base-patch32", True),
        ("openai/clip-vit-large-patch16", True),
        ("facebook/dinov2-base", True),
        ("gpt2-small", True),
        ("clip-vitb16", False),
        ("ViT-B-16", False),
        ("mine", False),
    ],
)
def test_another_network_is_a_note(model: str, other: bool):
    assert kinds({"model_name": model}, LAST) == (["other_model"] if other else [])


def test_cls_tokens_are_not_patch_tokens():
    assert kinds({"cls_token_only": True}, LAST) == []
    assert kinds({"cls_token_only": True}, LAST, "positions") == ["other_tokens"]


def test_after_the_final_norm_is_not_the_output_of_the_last_block():
    after = EncoderFacts(spec=B16, layer="blocks.11.norm1", tokens="cls", token_norm="after")
    assert kinds({"hook_name": "blocks.11.hook_resid_post"}, after) == ["other_layer"]
    assert stated_layer(after, {}) == "ln_final.hook_normalized"
    assert kinds({"hook_name": stated_layer(after, {})}, after) == []


def test_what_is_written_for_others_is_what_is_read():
    assert stated_layer(LAST, {}) == "blocks.11.hook_resid_post"
    assert stated_layer(AT_9, {"layer": "blocks.9"}) == "blocks.9"
    assert kinds({"hook_name": stated_layer(LAST, {})}, LAST) == []
