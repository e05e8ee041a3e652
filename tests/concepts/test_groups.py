from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.common.group_names import group_features, group_name
from core.concepts import groups as module
from core.concepts.groups import Group, cosine_from_sum, find_groups, is_interpretable, pack_pairs
from core.errors import ShapeError
from core.publish.export_files import export_table
from core.publish.streaming import stream_table
from core.store import Study
from core.study.writer import write_study
from tests.concepts import reference_concepts as reference


def pack(highly: np.ndarray) -> np.ndarray:
    return np.packbits(highly, axis=1)


def found_in(highly: np.ndarray) -> dict[tuple[int, ...], list[int]]:
    return {group.features: group.rows.tolist() for group in find_groups(pack(highly), highly.shape[1])}


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (30, 3), (200, 8), (100, 65), (50, 300)], ids=str)
def test_find_groups__match_loop(rng, shape, rate):
    highly = rng.random(shape) < rate
    assert found_in(highly) == reference.groups(highly)


def test_find_groups__by_hand():
    highly = np.zeros((6, 70), bool)
    highly[[0, 3, 5], 12] = True
    highly[[3, 5], 69] = True
    groups = find_groups(pack(highly), 70)
    assert [(group.name, group.rows.tolist()) for group in groups] == [("12+69", [3, 5]), ("12", [0])]
    assert groups.sizes.tolist() == [2, 1]
    assert groups.n_members.tolist() == [2, 1]
    assert [group.name for group in groups.larger_than(1)] == ["12+69"]
    assert group_features("12+69") == (12, 69)


@pytest.mark.parametrize("written", [group_name((2, 3)), "2_3"], ids=["now", "in version 0.3"])
def test_a_group_is_no_number_to_other_software(written, tmp_path):
    with write_study(tmp_path / "study") as writer, writer.step("concepts", {}) as step:
        step.table("groups", pd.DataFrame({"group": [written, "23"], "n_images": 7}))
    study = Study(tmp_path / "study")
    names = study.table("groups")["group"]
    name = str(names.iat[0])
    values: Any = pd.to_numeric(names, errors="coerce")
    assert group_features(name) == (2, 3) and values.isna().tolist()[0]
    with pytest.raises(ValueError):
        float(name)
    export_table(study, "groups", tmp_path / "groups.json")
    export_table(study, "groups", tmp_path / "groups.csv")
    assert pd.read_json(tmp_path / "groups.json")["group"].nunique() == 2
    assert pd.read_csv(tmp_path / "groups.csv")["group"].tolist() == names.tolist()
    assert b"".join(stream_table(study, "groups", "csv")) == (tmp_path / "groups.csv").read_bytes()


def test_find_groups__of_images_without_features():
    assert len(find_groups(pack(np.zeros((5, 9), bool)), 9)) == 0
    assert len(find_groups(pack(np.zeros((0, 9), bool)), 9)) == 0


def test_find_groups__are_exact_even_where_hashes_collide(monkeypatch):
    class Equal:
        def integers(self, *_args, **_options):
            return np.ones(2, np.uint64)  # so that the hash does not see which word is which

    highly = np.zeros((4, 128), bool)
    highly[[0, 2], 5] = True  # the first word
    highly[[1, 3], 64 + 5] = True  # the same bits in the second
    monkeypatch.setattr(module.np.random, "default_rng", lambda _seed: Equal())
    assert found_in(highly) == {(5,): [0, 2], (69,): [1, 3]}


def test_find_groups__of_shuffled_images_are_the_same(rng):
    highly = rng.random((90, 5)) < 0.4
    order = rng.permutation(90)
    before, after = found_in(highly), found_in(highly[order])
    assert {g: sorted(order[rows].tolist()) for g, rows in after.items()} == before


def test_find_groups__refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"bits of 9 features are \(n, 2\)"):
        find_groups(np.zeros((4, 1), np.uint8), 9)


def test_pack_pairs__packs_bits(rng):
    highly = rng.random((40, 21)) < 0.2
    images, features = np.nonzero(highly)
    assert_array_equal(pack_pairs(images, features, 40, 21), pack(highly))


@pytest.mark.parametrize("n", [0, 1, 2, 9])
@pytest.mark.parametrize("diagonal", [False, True])
def test_cosine_from_sum__matches_loop(rng, n, diagonal):
    embeddings = rng.normal(size=(n, 5))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    mean_cosine = cosine_from_sum(embeddings.sum(0), n, diagonal=diagonal)
    assert_allclose(mean_cosine, reference.mean_pairwise_cosine(embeddings, diagonal), rtol=1e-9, atol=1e-12)


def test_cosine_from_sum__by_hand():
    embeddings = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert cosine_from_sum(embeddings.sum(0), 3, diagonal=True) == pytest.approx(5 / 9)
    assert cosine_from_sum(embeddings.sum(0), 3) == pytest.approx(1 / 3)


def test_is_interpretable__needs_more_than_ten_alike_images():
    assert is_interpretable(11, 0.81)
    assert not is_interpretable(10, 0.99)
    assert not is_interpretable(11, 0.8)
    assert not is_interpretable(11, float("nan"))


def test_group__names():
    assert Group((3,), np.arange(2)).name == "3"
