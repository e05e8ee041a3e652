"""What a file of a dictionary says of the vectors that it was trained on, and what is assumed. No torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.common.entries import Taken
from core.common.records import Templates
from core.common.step_facts import EncoderFacts

# What is assumed of a dictionary where neither its file nor the user says it: a note a kind.
#
# A new one is a line of `notes.toml` and a call of `noted` where it is found.


noted = Templates.beside(__file__)


# What a file of a dictionary says of the vectors that it was trained on, compared with a study's. No torch.
#
# `blocks.N.hook_resid_post` is the output of block N, which transformers call hidden_states[N + 1].


INSIDE = ("metadata", "trainer", "cfg", "config", "sae", "buffer", "data")
SAYS_MODEL = (
    *("model_name", "lm_name", "backbone", "hf_model", "base_model", "model", "encoder", "encoder_name"),
    *("vit_ckpt", "model_id"),
)
SAYS_LAYER = (
    *("hook_name", "hook_point", "hookpoint", "hf_hook_name", "submodule_name", "layer_name", "submodule"),
    *("layer", "hook_layer", "hook_point_layer", "layer_idx", "layer_index", "block"),
)
BLOCK = re.compile(
    r"(?:^|[._])(?:blocks?|layers?|resblocks|h|encoder_layer|resid_\w+_layer)[._](\d+)(?:[._](.*))?$"
)
BEFORE, AFTER = ("hook_resid_pre",), ("hook_resid_post", "", "output", "resid_post")
FINAL_NORM = "ln_final.hook_normalized"  # the tokens after it
TOKENS = {"cls": "CLS tokens", "patches": "patch tokens"}
# Words of a network's name that exclude each other; the first of a row that stands in a name counts.
FAMILIES = (
    *(
        "siglip2",
        "siglip",
        "dinov3",
        "dinov2",
        "dino",
        "metaclip",
        "clip",
        "mae",
        "beit",
        "deit",
        "swin",
        "ijepa",
    ),
    *(
        "convnext",
        "efficientnet",
        "resnet",
        "gpt2",
        "gpt",
        "pythia",
        "gemma",
        "llama",
        "mistral",
        "qwen",
        "phi",
    ),
)
SIZES = ("tiny", "small", "base", "large", "huge", "giant")
LETTERS = {"ti": "tiny", "s": "small", "b": "base", "l": "large", "h": "huge", "g": "giant"}


@dataclass(frozen=True)
class VectorOrigin:
    """What a file says of its vectors.

    Attributes:
        model, layer: as the file writes them; "" where it says nothing. block: whose output they are, from 0;
            None where that is not known. part: what they are within the block; "" for its output.
        tokens: a name in TOKENS, or "".
    """

    model: str = ""
    layer: str = ""
    block: int | None = None
    part: str = ""
    tokens: str = ""

    @property
    def words(self) -> str:
        """
        >>> VectorOrigin("clip", "blocks.9.hook_resid_post", 9).words
        'layer blocks.9.hook_resid_post (the output of block 9, hidden_states[10]) of clip'
        """
        where = ""
        if self.block is not None and not self.part:
            where = f" (the output of block {self.block}, hidden_states[{self.block + 1}])"
        layer = f"layer {self.layer}{where}" if self.layer else ""
        return " of ".join(one for one in (layer, self.model) if one)

    @property
    def facts(self) -> dict[str, Any]:
        """What a card keeps."""
        parts = {"model": self.model, "layer": self.layer, "block": self.block, "tokens": self.tokens}
        return {name: part for name, part in parts.items() if part not in ("", None)}


def origin_of(settings: Taken) -> VectorOrigin:
    """What the settings of a dictionary's file say of the network and layer that it was fitted to."""
    parts = [settings, *(settings.inner(name) for name in INSIDE)]
    model = _first(parts, SAYS_MODEL, str)
    layer = _first(parts, SAYS_LAYER, str | int)
    block, part = _block_of(layer)
    only_cls = any(one.get("cls_token_only") for one in parts)
    return VectorOrigin(
        str(model or ""), "" if layer is None else str(layer), block, part, "cls" if only_cls else ""
    )


def _first(parts: list[Taken], keys: tuple[str, ...], kind: Any) -> Any:
    """The first value of a kind under these keys; a text rather than a number."""
    matched = [part.get(key) for key in keys for part in parts]
    return next(
        (one for one in matched if isinstance(one, kind) and not isinstance(one, bool) and one != ""), None
    )


def _block_of(layer: str | int | None) -> tuple[int | None, str]:
    """The block whose output is named, and what within it is named instead.

    >>> _block_of("blocks.9.hook_resid_pre"), _block_of("blocks.3.hook_mlp_out"), _block_of(-2)
    ((8, ''), (3, 'hook_mlp_out'), (None, ''))
    """
    if isinstance(layer, int):
        return (layer, "") if layer >= 0 else (None, "")
    matched = BLOCK.search(str(layer or ""))
    if matched is None:
        return None, ""
    block, part = int(matched[1]), matched[2] or ""
    if part in BEFORE:
        return (block - 1, "") if block else (None, "")
    return block, "" if part in AFTER else part


def contradictions(
    origin: VectorOrigin, encoder: EncoderFacts, asked: Mapping[str, Any], on: str
) -> list[str]:
    """Return notes on what a dictionary's file says otherwise than a study reads its encoder.

    Args:
        asked: the settings of `embed`. on: vectors of the basis, "pooled" or "positions".
    """
    notes: list[str] = []
    spec = encoder.spec or encoder.name
    if origin.model and spec and _names_other(origin.model, spec):
        notes.append(noted("other_model", what=origin.model, why=spec))
    block, part = _block_of(encoder.layer)
    if not asked.get("layer"):
        part = ""  # the layer of heatmaps is the first norm of the last block, whose output is read
    normed = _is_normed(encoder, asked)
    is_other = (origin.block, origin.part) != (block, part) or (normed and "hook_resid_post" in origin.layer)
    if None not in (origin.block, block) and is_other:
        reads = f"the output of block {block}" if not part else f"'{encoder.layer}'"
        reads += " after the final norm" if normed else ""
        notes.append(noted("other_layer", what=origin.words.partition(" of " + origin.model)[0], why=reads))
    if origin.tokens == "cls" and (on == "positions" or encoder.tokens not in (None, "cls")):
        read = "patch tokens" if on == "positions" else str(encoder.tokens)
        notes.append(noted("other_tokens", what=TOKENS["cls"], why=read))
    return notes


def stated_layer(encoder: EncoderFacts, asked: Mapping[str, Any]) -> str:
    """The encoder's layer that a study's vectors are of, as files of dictionaries name it; "" without one.

    Args:
        asked: the settings of `embed`.
    """
    layer = encoder.layer or ""
    matched = BLOCK.search(layer)
    if matched is None or asked.get("layer"):
        return layer
    if _is_normed(encoder, asked):
        return FINAL_NORM
    return f"blocks.{matched[1]}.hook_resid_post"


def _is_normed(encoder: EncoderFacts, asked: Mapping[str, Any]) -> bool:
    """Whether a study reads tokens after the final norm."""
    return encoder.token_norm == "after" and not asked.get("layer")


def _names_other(name: str, other: str) -> bool:
    """Whether two names are of networks that differ in family, size or patch.

    >>> _names_other("openai/clip-vit-base-patch32", "timm:vit_base_patch16_clip_224.openai")
    True
    >>> _names_other("openai/clip-vit-base-patch16", "open_clip:ViT-B-16?pretrained=openai")
    False
    """
    mine, theirs = _features(name), _features(other)
    return any(a and b and a != b for a, b in zip(mine, theirs, strict=True))


def _features(name: str) -> tuple[str, str, str]:
    """Family, size and patch that a name says; "" for what it does not say."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower())
    words = text.split("-")
    family = next((one for one in FAMILIES if any(word.startswith(one) for word in words)), "")
    size = next((one for one in SIZES if one in words), "")
    letter = re.search(r"vit-?(ti|s|b|l|h|g)-?(\d\d?)(?:-|$)", text)
    patch = re.search(r"patch-?(\d+)", text)
    size = size or (LETTERS[letter[1]] if letter else "")
    return family, size, patch[1] if patch else letter[2] if letter else ""
