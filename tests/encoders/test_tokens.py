"""Token rules: against loops over the tokens, by network, in hash and summary; what an encoder lacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from core.config import TOKENS
from core.encoders.encoder import Encoder
from core.encoders.layers import as_map, capture
from core.encoders.registry import load_encoder
from core.encoders.tokens import TokenRule, norm_warning, token_norms, token_parts
from core.encoders.transform import Transform
from core.errors import EncoderError, SettingsError
from tests.encoders.planted import narrow_resnet, some_pixels
from tests.encoders.transformers import SHAPES, clip_transformer, torchvision_transformer, transformer

LOOPED = [(name, 5, rule) for name in ("dinov2", "dinov3") for rule in ("cls", "mean", "cls+mean")]
LOOPED += [("siglip2", 0, "mean")]  # it has no CLS token
ALL = [(tokens, norm) for tokens in TOKENS for norm in ("after", "before")]


def encoder_of(model: nn.Module, **options) -> Encoder:
    size = 56 if getattr(getattr(model, "patch_embed", None), "patch_size", (16,))[0] == 14 else 64
    return Encoder(model, Transform(resize=None, input_size=size), arch="test", **options)


def block_output(encoder: Encoder, layer: str, pixels: torch.Tensor) -> torch.Tensor:
    with capture(encoder.base.get_submodule(layer)) as captured, torch.no_grad():
        encoder.base(encoder.normalise(pixels))
    assert captured.output is not None
    return captured.output


def by_loops(tokens: torch.Tensor, norm: nn.Module | None, prefix: int, rule: str) -> np.ndarray:
    """(B, T, C) before the norm -> vectors; patch tokens are added one by one, registers skipped."""
    vectors = []
    for image in tokens:
        normed = [norm(token[None])[0] if norm is not None else token for token in image]
        total = torch.zeros_like(normed[0])
        for token in normed[prefix:]:
            total = total + token
        mean = total / (len(normed) - prefix)
        pieces = {"cls": [normed[0]], "mean": [mean], "cls+mean": [normed[0], mean]}[rule]
        vectors.append([float(value) for piece in pieces for value in piece])
    return np.array(vectors)


@pytest.mark.parametrize("norm", ["after", "before"])
@pytest.mark.parametrize(("name", "prefix", "rule"), LOOPED)
def test_rules__are_the_loops_over_tokens(name, prefix, rule, norm):
    encoder = encoder_of(transformer(name), tokens=rule, token_norm=norm)
    pixels = some_pixels(encoder.transform.sides[0], 2)
    tokens = block_output(encoder, "blocks.1", pixels)
    own_norm = encoder.base.get_submodule("norm") if norm == "after" else None
    with torch.no_grad():
        expected = by_loops(tokens, own_norm, prefix, rule)
    assert tokens.shape[1] == 16 + prefix
    assert_allclose(encoder.represent(pixels), expected, rtol=1e-4, atol=1e-5)
    assert encoder.token_rule == TokenRule(rule, norm)


def test_norm_after_the_pooling__is_applied_to_the_vectors():
    encoder = encoder_of(transformer("fc_norm"), tokens="cls+mean")
    pixels = some_pixels(64, 2)
    tokens = block_output(encoder, "blocks.1", pixels)
    fc_norm = encoder.base.get_submodule("fc_norm")
    with torch.no_grad():
        raw = torch.from_numpy(by_loops(tokens, None, 1, "cls+mean")).float()
        expected = torch.cat([fc_norm(raw[:, :32]), fc_norm(raw[:, 32:])], 1)
    assert_allclose(encoder.represent(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "own"),
    [
        (lambda: transformer("dinov2"), ("cls", "after")),
        (lambda: transformer("dinov3"), ("mean", "after")),  # as timm has it
        (lambda: transformer("dinov3", global_pool="token"), ("cls", "after")),
        (lambda: transformer("siglip2"), ("attnpool", "after")),
        (lambda: transformer("fc_norm"), ("mean", "after")),
        (torchvision_transformer, ("cls", "after")),
    ],
    ids=["dinov2", "dinov3", "dinov3 token", "siglip2", "fc_norm", "torchvision"],
)
def test_own_rule__is_found_by_its_numbers_and_changes_nothing(model, own):
    encoder = encoder_of(model())
    rule = encoder.token_rule
    assert rule is not None and rule == TokenRule(*own) and encoder.model is encoder.base
    named = encoder_of(model(), tokens=own[0], token_norm=own[1])
    assert named.fingerprint == encoder.fingerprint and named.model is named.base
    assert any(rule.words in line for line in encoder.assumptions)


def test_every_choice_has_its_own_fingerprint_and_numbers():
    model, pixels = transformer("dinov2"), some_pixels(56, 2)
    made = [encoder_of(model, tokens=t, token_norm=n) for t, n in ALL if t not in ("attnpool", "cls+dist")]
    assert len({encoder.fingerprint for encoder in made}) == 6
    assert len({encoder.represent(pixels).numpy().tobytes() for encoder in made}) == 6
    assert [encoder.n_features for encoder in made] == [32, 32, 32, 32, 64, 64]
    assert all(not encoder.pools_globally and encoder.pool is None for encoder in made)


def test_registers__are_in_no_map_and_no_mean():
    """A change of the registers' output, after the last block, changes neither."""
    encoder = encoder_of(transformer("dinov2"), tokens="mean")
    pixels = some_pixels(56, 2)
    raw, maps = encoder.represent_with_map(pixels)

    def disturb(_module, _inputs, output):
        output = output.clone()
        output[:, :5] += 100
        return output

    block = encoder.base.get_submodule("blocks.1")
    handles = [block.register_forward_hook(disturb)]
    handles.append(block.get_submodule("norm1").register_forward_hook(disturb))
    disturbed = as_map(
        block_output(encoder, "blocks.1.norm1", pixels), "blocks.1.norm1", encoder.base, "vit", (56, 56)
    )
    for handle in handles:
        handle.remove()
    assert maps.shape == (2, 32, 4, 4) and torch.equal(disturbed, maps)
    handle = block.register_forward_hook(disturb, prepend=True)
    assert_allclose(encoder.represent(pixels), raw, rtol=1e-5, atol=1e-6)
    handle.remove()


def test_open_clips_transformer():
    encoder, pixels = encoder_of(clip_transformer()), some_pixels(64, 2)
    assert encoder.token_rule is None and encoder.n_features == 24  # projected: none of the rules
    assert encoder.target_layer == "transformer.resblocks.1.ln_1"
    after = encoder_of(clip_transformer(), tokens="cls")
    projection = after.base.get_parameter("proj")
    with torch.no_grad():
        assert_allclose(after.represent(pixels) @ projection, encoder.represent(pixels), rtol=1e-4, atol=1e-5)
    tokens = block_output(after, "transformer", pixels)
    mean = encoder_of(clip_transformer(), tokens="mean", token_norm="before")
    assert_allclose(mean.represent(pixels), by_loops(tokens, None, 1, "mean"), rtol=1e-4, atol=1e-5)
    with pytest.raises(EncoderError, match="--tokens"):
        encoder_of(clip_transformer(), token_norm="before")


def test_open_clips_attention_pooling():
    encoder = encoder_of(clip_transformer(attentional_pool=True, attn_pooler_heads=2), tokens="attnpool")
    plain = encoder_of(clip_transformer(attentional_pool=True, attn_pooler_heads=2))
    pixels, projection = some_pixels(64, 2), plain.base.get_parameter("proj")
    with torch.no_grad():
        assert_allclose(encoder.represent(pixels) @ projection, plain.represent(pixels), rtol=1e-4, atol=1e-5)


def test_open_clips_wrapper_of_timm():
    class Tower(nn.Module):
        """What open_clip's TimmModel is: a network of timm, and a projection."""

        def __init__(self):
            super().__init__()
            self.trunk = transformer("siglip2")
            self.head = nn.Linear(32, 8)

        def forward(self, x):
            return self.head(self.trunk(x))

    torch.manual_seed(0)
    encoder, pixels = encoder_of(Tower(), tokens="attnpool"), some_pixels(64, 2)
    assert (encoder.family, encoder.target_layer) == ("vit", "trunk.blocks.1.norm1")
    trunk = encoder.base.get_submodule("trunk")
    with torch.no_grad():
        assert_allclose(encoder.represent(pixels), trunk(encoder.normalise(pixels)), rtol=1e-4, atol=1e-5)


def test_what_an_encoder_lacks__is_said_in_one_line():
    with pytest.raises(EncoderError, match="--tokens"):
        encoder_of(transformer("siglip2"), tokens="cls")
    with pytest.raises(EncoderError, match="--tokens.*cls.mean"):
        encoder_of(transformer("dinov2"), tokens="attnpool")
    with pytest.raises(EncoderError, match="attention"):
        encoder_of(transformer("siglip2"), token_norm="before")
    with pytest.raises(EncoderError, match="tokens.*--tokens.*cls.*--pool"):
        encoder_of(narrow_resnet(), tokens="cls")
    with pytest.raises(EncoderError, match="--layer.*blocks.0.*--tokens.*--token-norm.*give"):
        encoder_of(transformer("dinov2"), tokens="mean", layer="blocks.0")
    with pytest.raises(EncoderError, match="--pool"):
        encoder_of(transformer("dinov2"), tokens="mean", pool="max")
    with pytest.raises(SettingsError, match="'csl'.*Did.*'cls'"):
        encoder_of(transformer("dinov2"), tokens="csl")
    with pytest.raises(SettingsError, match="'none'"):
        encoder_of(transformer("dinov2"), token_norm="none")


@pytest.mark.parametrize("name", SHAPES)
def test_a_spec_and_its_settings(name):
    arch, options = SHAPES[name]
    given = "&".join(f"{key}={value}" for key, value in {**options, "embed_dim": 32, "depth": 2}.items())
    spec = f"timm:{arch}?{given}&num_heads=2"
    encoder = load_encoder(spec, tokens="mean", token_norm="before")
    assert encoder.token_rule == TokenRule("mean", "before")
    assert encoder.fingerprint != load_encoder(spec).fingerprint
    assert load_encoder(spec, token_norm="after").fingerprint == load_encoder(spec).fingerprint


def test_norms__of_every_rule_and_the_warning():
    model = transformer("dinov2")
    with torch.no_grad():
        model.get_parameter("norm.weight").mul_(50)  # the final norm makes vectors long
    encoder, pixels = encoder_of(model), some_pixels(56, 5)
    norms, parts = token_norms(encoder, pixels), token_parts(model)
    assert parts is not None and list(norms) == parts.rules and len(norms) == 6
    for rule, norm in norms.items():
        raw = encoder_of(model, tokens=rule.tokens, token_norm=rule.norm).represent(pixels)
        assert norm == pytest.approx(sorted(np.linalg.norm(raw, axis=1))[2], rel=1e-4)
    assert encoder.token_rule is not None
    warning = norm_warning(norms, encoder.token_rule)
    used, shortest = norms[encoder.token_rule], min(norms, key=norms.__getitem__)
    assert used / norms[shortest] > 5 and shortest.norm == "before"
    assert warning is not None
    assert f"{norms[shortest]:.3g} ({shortest.words}), {used / norms[shortest]:,.0f} times shorter" in warning
    assert "times" in str(norm_warning(norms, shortest))
    even = {rule: 1.0 + number for number, rule in enumerate(list(norms)[:4])}
    assert norm_warning(even, encoder.token_rule) is None and norm_warning(norms, None) is None
    assert token_norms(encoder_of(narrow_resnet()), some_pixels(64)) == {}


def own_token_encoder() -> Encoder:
    return encoder_of(transformer("dinov2"), tokens="mean", token_norm="before")


def test_a_factorys_own_rule_is_kept(monkeypatch):
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")
    spec = "python:tests.encoders.test_tokens:own_token_encoder"
    assert load_encoder(spec).token_rule == TokenRule("mean", "before")
    assert load_encoder(spec, tokens="cls", token_norm="after").token_rule == TokenRule("cls", "after")
