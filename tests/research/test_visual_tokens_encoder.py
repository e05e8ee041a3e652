"""The encoder is a function of a set of tokens and of ranks, and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import SettingsError, ShapeError
from core.research.visual_tokens_encoder import Block, EncoderShape, TokenTensors, VisualTokenEncoder, attend
from core.research.visual_tokens_ranks import graph_batch, rank_matrices
from tests.research import reference
from tests.research.planted_graphs import random_graph

WIDTH = 16
SHAPE = EncoderShape(7, 10, WIDTH, width=WIDTH, layers=2, heads=2, context=20, out=6)
SAME = 1e-5  # of outputs about 1, in single precision


def make_encoder(**changes):
    torch.manual_seed(0)
    encoder = VisualTokenEncoder(replace(SHAPE, **changes)).eval()
    with torch.no_grad():
        encoder.types.normal_()
        encoder.steps.uniform_(-1, 1)
    return encoder


def tokens(rng, sizes=((3, 2), (5, 4), (0, 0), (1, 0)), length=12):
    graphs = [random_graph(rng, n, m) for n, m in sizes]
    most_n, most_m = max(n for n, _ in sizes), max(m for _, m in sizes)
    draw = lambda *shape: torch.from_numpy(rng.standard_normal(shape)).float()  # noqa: E731
    b = len(sizes)
    return TokenTensors(
        draw(b, 7),
        draw(b, most_n, 10),
        draw(b, most_m, WIDTH),
        draw(b, most_n, 4),
        torch.tensor([n for n, _ in sizes]),
        torch.tensor([m for _, m in sizes]),
        torch.from_numpy(rank_matrices(graph_batch(graphs), length)),
    )


def test_rank_weights__start_as_ranks_plus_one_and_ascend():
    encoder = VisualTokenEncoder(SHAPE)
    assert encoder.rank_weights.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (make_encoder().rank_weights.diff() > 0).all()


def test_attention__matches_loop(rng):
    encoder, given = make_encoder(), tokens(rng)
    x, kinds = encoder.embed(given)
    bias = encoder.bias(given.ranks, kinds)
    block = encoder.blocks[0]
    assert isinstance(block, Block)
    q, k, _ = block._heads(x)
    w = encoder.rank_weights.tolist()
    real = int(1 + given.n_nodes[1] + given.n_predicates[1])
    by_hand = [[w[int(given.ranks[1, a, b])] for b in range(real)] for a in range(real)]
    wanted = reference.attention(q[1, 0, :real].tolist(), k[1, 0, :real].tolist(), by_hand)
    found = block.attention(x, bias)[1, 0, :real]
    assert found[:, :real].detach().numpy() == pytest.approx(np.array(wanted), abs=1e-5)
    assert not found[:, real:].any()  # padding is not looked at


@pytest.mark.parametrize("heads", [1, 2])
def test_attend__equals_attention_written_out_with_gradients(heads):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    bias = torch.randn(3, heads, 5, 5, dtype=torch.float64)
    bias[1, :, :, 3:] = -torch.inf
    bias.requires_grad_()
    found = attend(q, k, v, bias)
    wanted = (q @ k.mT / 2 + bias).softmax(-1) @ v
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(found, attend(q, k, v, bias.detach()))  # as evaluated
    both = [torch.autograd.grad((out**2).sum(), (q, k, v, bias)) for out in (found, wanted)]
    torch.testing.assert_close(*both)


def test_encoder__a_constant_added_to_the_weights_changes_nothing(rng):
    encoder, given = make_encoder(), tokens(rng)
    before = encoder(given)
    shifted = encoder.rank_weights.detach() - 1  # with w_0 = 0 instead of 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VisualTokenEncoder, "rank_weights", shifted)
        after = encoder(given)
    assert torch.allclose(before, after, atol=SAME)


def test_encoder__ranks_matter_with_additive_attention_only(rng):
    given = tokens(rng)
    other = replace(given, ranks=torch.zeros_like(given.ranks))
    for additive, pool in ((True, "image"), (True, "mean"), (False, "image"), (False, "mean")):
        encoder = make_encoder(additive=additive, pool=pool)
        apart = (encoder(given) - encoder(other)).abs().max().item()
        assert (apart > 1e-3) is additive


@pytest.mark.parametrize("pool", ["image", "mean"])
def test_encoder__order_of_the_objects_does_not_matter(rng, pool):
    encoder, given = make_encoder(boxes=True, pool=pool), tokens(rng, sizes=((5, 3),), length=9)
    order = torch.from_numpy(rng.permutation(5))
    place = torch.cat([torch.tensor([0]), 1 + order, torch.tensor([6, 7, 8])])
    moved = replace(
        given,
        tangible=given.tangible[:, order],
        boxes=given.boxes[:, order],
        ranks=given.ranks[:, place][:, :, place],
    )
    assert torch.allclose(encoder(given), encoder(moved), atol=SAME)
    wrong = replace(given, tangible=given.tangible[:, order])  # without E and N
    assert (encoder(given) - encoder(wrong)).abs().max() > 1e-3


@pytest.mark.parametrize("pool", ["image", "mean"])
def test_encoder__padding_changes_nothing(rng, pool):
    encoder, given = make_encoder(pool=pool), tokens(rng)
    ranks = torch.zeros(4, 17, 17, dtype=torch.uint8)
    ranks[:, :12, :12] = given.ranks
    rows = torch.randn(4, 3, 10)
    padded = replace(
        given,
        tangible=torch.cat([given.tangible, rows], 1),
        boxes=torch.cat([given.boxes, rows[..., :4]], 1),
        predicates=torch.cat([given.predicates, torch.randn(4, 2, WIDTH)], 1),
        ranks=ranks,
    )
    assert torch.allclose(encoder(given), encoder(padded), atol=SAME)


def test_encoder__no_object_one_object_and_no_relation_are_finite(rng):
    given = tokens(rng, sizes=((0, 0), (1, 0), (4, 0)), length=5)
    out = make_encoder()(given)
    assert torch.isfinite(out).all()
    alone = make_encoder()(tokens(rng, sizes=((0, 0),), length=1))
    assert alone.shape == (1, 6) and torch.isfinite(alone).all()


def test_encoder__without_the_image_token_global_features_are_not_read(rng):
    given = tokens(rng)
    other = replace(given, image=given.image + 1)
    for reads in (True, False):
        encoder = make_encoder(image_token=reads)
        assert bool((encoder(given) - encoder(other)).abs().max() > 1e-4) is reads


def test_encoder__a_set_without_relations_places_or_image_is_all_it_knows(rng):
    """The control by proof: scenes that differ in who is left of whom have the same output."""
    given = tokens(rng, sizes=((3, 3),), length=7)
    swapped = replace(
        given, ranks=torch.randint(0, 8, given.ranks.shape, dtype=torch.uint8), boxes=-given.boxes
    )
    encoder = make_encoder(additive=False, image_token=False)
    assert torch.equal(encoder(given), encoder(swapped))


def test_encoder__mean_of_tokens_has_no_transformer(rng):
    encoder, given = make_encoder(attention=False), tokens(rng, sizes=((2, 1),), length=4)
    x, _ = encoder.embed(given)
    assert not len(encoder.blocks)
    assert torch.allclose(encoder(given), encoder.head(encoder.norm(x.mean(1))), atol=SAME)


def test_encoder__gradients_reach_every_part(rng):
    encoder = make_encoder(boxes=True).train()
    encoder(tokens(rng)).square().sum().backward()
    without = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_attention_of_image__is_a_distribution_over_real_tokens(rng):
    given = tokens(rng)
    rows = make_encoder().attention_of_image(given)
    assert rows.sum(1).numpy() == pytest.approx(np.ones(4), abs=1e-5)
    assert rows[2].tolist() == [1.0] + [0.0] * 11  # the image alone


def test_encoder__refuses_a_short_context_and_odd_settings(rng):
    with pytest.raises(ShapeError, match="10 tokens"):
        make_encoder(context=11)(tokens(rng))
    with pytest.raises(SettingsError, match="pool"):
        replace(SHAPE, pool="sum")
    with pytest.raises(SettingsError, match="multiple"):
        replace(SHAPE, heads=3)
