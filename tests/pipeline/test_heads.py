"""Several classifiers in one file: the one that fits the labels of a study answers, and all are named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from core.encoders.registry import load_encoder
from core.pipeline import heads
from tests.answers.test_head import studied
from tests.answers.test_orders import fitted
from tests.encoders.planted import narrow_resnet


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor], dict[str, Tensor]]:
    """Pictures of four classes, an encoder, and a classifier of them."""
    torch.manual_seed(0)
    folder, rng = tmp_path_factory.mktemp("task"), np.random.default_rng(0)
    network, pictures = narrow_resnet(), []
    for number in range(64):
        place = folder / "pictures" / "abcd"[number % 4]
        place.mkdir(parents=True, exist_ok=True)
        squares = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
        pictures.append(Image.fromarray(squares).resize((32, 32), Image.Resampling.NEAREST))
        pictures[-1].save(place / f"{number:02}.png")
    torch.save(network.state_dict(), folder / "net.pth")
    encoder = load_encoder(str(folder / "net.pth"), input_size=32, resize=32)
    raw = encoder.represent(torch.from_numpy(np.stack([encoder.transform.pixels(one) for one in pictures])))
    right = fitted(raw, torch.arange(64) % 4, 4)
    return (
        folder / "pictures",
        network.state_dict(),
        {key.removeprefix("fc."): one for key, one in right.items()},
    )


def study_of(task: Any, tmp_path: Path, heads: dict[str, dict[str, Tensor]], **stated: Any) -> Any:
    pictures, network, _ = task
    state = {f"backbone.{key}": one for key, one in network.items()}
    state |= {f"{name}.{key}": one for name, head in heads.items() for key, one in head.items()}
    torch.save({"state_dict": state, **stated}, tmp_path / "net.pth")
    return studied(tmp_path / "study", pictures, str(tmp_path / "net.pth"))


def other(n_classes: int) -> dict[str, Tensor]:
    """A trained classifier of another task."""
    torch.manual_seed(3)
    linear = nn.Linear(64, n_classes)
    nn.init.normal_(linear.weight)
    return dict(linear.state_dict())


@pytest.mark.parametrize("n_other", [4, 7])
def test_the_classifier_that_fits_the_labels_answers(n_other, task, tmp_path):
    study = study_of(task, tmp_path, {"head": other(n_other), "classifier": task[2]})
    facts, about = study.answers["head"].facts, study.summary("embed")["head"]
    assert facts["top1"] > 0.9 and about["source"] == "classifier"
    np.testing.assert_array_equal(study.vector("head_weights"), task[2]["weight"].numpy())
    assert sum("'head'" in note for note in facts["notes"]) == 1


def test_without_labels_that_decide_the_first_one_stays(task, tmp_path):
    study = study_of(task, tmp_path, {"head": task[2], "classifier": other(4)})
    about = study.summary("embed")["head"]
    assert study.answers["head"].facts["top1"] > 0.9 and about["source"] == "head"
    assert any("'classifier'" in note for note in about["notes"])


N_IMAGES = 60


class Rows:
    """Representations of images of two classes, in the place of those of a study."""

    def rows(self, at: np.ndarray) -> np.ndarray:
        return np.eye(2)[np.asarray(at) % 2]


def classifier(weights: torch.Tensor, source: str, others: tuple[Any, ...] = ()) -> Any:
    names = [["cat"], ["dog"]]
    about = {"names": names, "n_outputs": 2, "assumed": False, "others": others, "source": source}
    return SimpleNamespace(linear=(weights, torch.zeros(2)), **about)


def test_images_of_one_patient_do_not_decide_for_another_classifier(monkeypatch):
    monkeypatch.setattr(heads, "_representations", lambda out: Rows())
    right = classifier(torch.eye(2), "fc")
    documented = classifier(torch.eye(2).flip(0), "head", (right,))
    images = pd.DataFrame({"label": ["cat", "dog"] * (N_IMAGES // 2), "split": "train"})
    out: Any = None
    taken, _ = heads.likely_head(out, documented, images, None)
    assert taken is right
    taken, _ = heads.likely_head(out, documented, images, None, np.arange(N_IMAGES))
    assert taken is right
    taken, _ = heads.likely_head(out, documented, images, None, np.arange(N_IMAGES) // (N_IMAGES // 3))
    assert taken is documented
