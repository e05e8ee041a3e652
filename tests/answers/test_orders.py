"""The order of the outputs of a classifier without class names: as readers of class folders order them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.readers.reader_image_folder import find_images_and_targets

from core.answers.classes import (
    BY_INDEX,
    SORTED,
    exchanged_pairs,
    likely_order,
    match_classes,
    of_timm,
    possible_orders,
)
from core.encoders.registry import load_encoder
from tests.answers.test_head import studied
from tests.encoders.planted import narrow_resnet

NAMES = ("1", "2", "10", "b2", "B10", "a", "Ärger", "x 3.5", "x 3.10", "٣")


def test_of_timm__orders_folders_as_timm_does(tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "0.png")
    _, places = find_images_and_targets(str(tmp_path))
    assert sorted(sorted(NAMES), key=of_timm) == sorted(NAMES, key=lambda one: places[one])


@pytest.mark.parametrize(
    ("labels", "n_orders", "how"),
    [
        ([str(one) for one in range(12)], 2, BY_INDEX),  # folders 0 … 11 also stand as 0, 1, 10, 11, 2 …
        ([str(one) for one in range(1, 13)], 2, SORTED),
        (["a", "b", "c"], 1, SORTED),
        (["B", "a", "c"], 2, SORTED),
        (["B10", "B2", "a"], 4, SORTED),
    ],
)
def test_possible_orders__are_those_that_differ(labels, n_orders, how):
    labels = sorted(labels)
    match = match_classes([[]] * len(labels), labels)
    assert match is not None and match.how == how
    orders = possible_orders(match, labels)
    assert len(orders) == n_orders and orders[0] is match
    assert len({tuple(one.code.tolist()) for one in orders}) == n_orders
    named = match_classes([[one] for one in labels], labels)
    assert named is not None and (named.how == BY_INDEX or possible_orders(named, labels) == [named])


@pytest.mark.parametrize(("truth", "taken"), [(of_timm, 1), (str, 0)])
def test_likely_order__is_the_one_that_labels_favour_beyond_doubt(rng, truth, taken):
    labels = sorted(str(one) for one in range(1, 13))
    match = match_classes([[]] * 12, labels)
    assert match is not None
    outputs = sorted(range(12), key=lambda place: truth(labels[place]))
    true = rng.permutation(np.repeat(np.arange(12), 10))
    won = np.argsort(outputs)[true]
    is_val = np.arange(120) >= 90
    found, (record,) = likely_order(match, labels, won, true, is_val)
    assert (found.how == match.how) == (taken == 0)
    assert record.kind == ("by_labels" if taken else "documented")
    assert (record.n, record.of, len(record.names)) == (90, 90, 1)
    few, (record,) = likely_order(match, labels, won[:8], true[:8], is_val[:8])
    assert few is match and record.kind == "documented"
    unlabelled, (record,) = likely_order(match, labels, won, np.full(120, -1), is_val)
    assert unlabelled is match and record.kind == "untried"


def test_exchanged_pairs__need_nearly_all_images_both_ways():
    true = np.repeat([0, 1, 2, 3], 10)
    told = np.repeat([1, 0, 2, 2], 10)
    assert exchanged_pairs(true, told, 4) == [(0, 1)]
    told[:3] = 0  # seven of ten are not nearly all
    assert exchanged_pairs(true, told, 4) == []
    assert exchanged_pairs(np.array([0, 1]), np.array([1, 0]), 2) == []  # one image of each


@pytest.mark.parametrize("named", [True, False])
def test_a_classifier_trained_with_timms_reader_is_right_on_its_images(named, tmp_path):
    """`named`: LABEL_0, LABEL_1 … as transformers writes where nobody named the classes."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network, pictures = narrow_resnet(), {}
    for number in range(72):
        name = str(number % 12 + 1)
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True, exist_ok=True)
        squares = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
        pictures[number] = Image.fromarray(squares).resize((32, 32), Image.Resampling.NEAREST)
        pictures[number].save(folder / f"{number:02}.png")
    _, places = find_images_and_targets(str(tmp_path / "pictures"))
    torch.save(network.state_dict(), tmp_path / "net.pth")
    encoder = load_encoder(str(tmp_path / "net.pth"), input_size=32, resize=32)
    raw = encoder.represent(
        torch.from_numpy(np.stack([encoder.transform.pixels(one) for one in pictures.values()]))
    )
    targets = torch.tensor([places[str(number % 12 + 1)] for number in pictures])
    state: dict[str, Any] = network.state_dict() | fitted(raw, targets, 12)
    stated = {"classes": [f"LABEL_{one}" for one in range(12)]} if named else {}
    torch.save({"state_dict": state, **stated}, tmp_path / "net.pth")
    study = studied(tmp_path / "study", tmp_path / "pictures", str(tmp_path / "net.pth"))
    facts = study.answers["head"].facts
    head = study.answering("head")
    assert facts["top1"] > 0.9 and facts["matched"] != SORTED
    assert head.table("probe")["correct"].mean() == facts["top1"]
    weights = head.vector("probe_weights")
    np.testing.assert_array_equal(
        weights, state["fc.weight"].numpy()[[places[one] for one in study.class_names]]
    )


def fitted(raw: torch.Tensor, targets: torch.Tensor, n_classes: int) -> dict[str, torch.Tensor]:
    """A Linear that gives each representation its target, by ridge regression."""
    mean = raw.mean(0)
    one_hot = torch.nn.functional.one_hot(targets, n_classes).float()
    centred = (raw - mean).double()
    ridge = 1e-4 * centred.square().sum(1).mean() * torch.eye(raw.shape[1]).double()
    weight = torch.linalg.solve(centred.T @ centred + ridge, centred.T @ one_hot.double()).T.float()
    return {"fc.weight": weight, "fc.bias": -weight @ mean}
