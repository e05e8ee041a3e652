"""Maps of latents beside masks: sparse against dense average precision, and a table against loops."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from core.bases.position_index import codes_at
from core.bases.requests import add_basis
from core.cli import main
from core.concepts import concept_maps as module
from core.concepts.concept_features import average_precision
from core.concepts.concept_maps import MaskedPositions, average_precision_of_entries, concept_maps
from core.config import BasisConfig
from core.data.mask_source import KINDS
from core.measures.intervals import mean_intervals
from core.pipeline.run import analyze
from core.store import Study, open_study
from core.study.progress import Progress
from tests.synthetic import make_seen_study

SIZE = 12


@pytest.mark.parametrize("sign", [1, -1, None])
def test_sparse_values__are_ranked_as_dense_ones(sign: int | None) -> None:
    random = np.random.default_rng(0)
    dense = np.round(random.gamma(1.0, size=(60, 7)), 1) * (random.random((60, 7)) < 0.3)
    dense *= sign or random.choice([-1, 1], dense.shape)
    dense[:, 5], dense[:, 6] = 0, random.choice([1.0, 2.0], 60)  # active nowhere, and everywhere
    has = random.random((4, 60)) < 0.3
    rows, features = np.nonzero(dense)
    mixed = random.permutation(len(rows))
    entries = rows[mixed], features[mixed], dense[rows, features][mixed]
    np.testing.assert_allclose(
        average_precision_of_entries(entries, has, 7), average_precision(dense, has), rtol=1e-12
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of discs on squares whose masks are known, with two bases of its positions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        made = make_seen_study(tmp_path_factory.mktemp("maps") / "study", n_train=32, n_val=24)
        for name, kind in (("learned", "pca"), ("control", "random")):
            config = BasisConfig(kind=kind, size=SIZE, k=3, seeds=2, on="positions")
            add_basis(made, name, config, Progress.silent(), device="cpu")
    return made


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST", 3)


def dense_codes(study: Study, row: int) -> np.ndarray:
    """(P, SIZE) the codes of an image's positions."""
    assert study.basis is not None
    rows, columns = study.basis.card["grid"]
    codes = np.zeros((rows * columns, SIZE))
    counts, latents, values = codes_at(study.in_basis("units"), study.basis, row)
    codes[np.repeat(np.arange(rows * columns), counts), latents] = values
    return codes


def marked(study: Study, row: int, kind: str) -> np.ndarray:
    """Which positions lie at least half on a mask of an image, pixel by pixel."""
    assert study.basis is not None
    rows, columns = study.basis.card["grid"]
    try:
        mask = study.in_basis("units").mask(row, kind)
    except module.UnreadableImage:
        return np.zeros(rows * columns, bool)
    high, wide = mask.shape[0] // rows, mask.shape[1] // columns
    assert (high * rows, wide * columns) == mask.shape
    cells = [
        mask[y * high : (y + 1) * high, x * wide : (x + 1) * wide]
        for y in range(rows)
        for x in range(columns)
    ]
    return np.array([round(cell.mean(dtype=float), 6) >= 0.5 for cell in cells])


def test_table__matches_loops(folder: Path) -> None:
    study = open_study(folder).in_basis("learned")
    assert study.basis is not None
    masked = MaskedPositions(open_study(folder), tuple(study.basis.card["grid"]))
    table = concept_maps(study, masked).set_index("concept")
    assert {name.partition("=")[0] for name in table.index} == {"core", "spurious"}
    high, wide = study.basis.card["grid"]
    assert high == wide
    codes = [dense_codes(study, row) for row in range(study.n_images)]
    cells = {kind: [marked(study, row, kind) for row in range(study.n_images)] for kind in KINDS}
    for name, row in table.to_dict("index").items():
        kind, _, label = str(name).partition("=")
        of_class = study.images["label"] == label
        truth = [on & here for on, here in zip(cells[kind], of_class, strict=True)]
        sides = [np.flatnonzero(study.is_val == side) for side in (False, True)]
        learnt, judged = (np.concatenate([codes[at] for at in side]) for side in sides)
        known, has = (np.concatenate([truth[at] for at in side]) for side in sides)
        for sign, feature, ap in ((1, "feature", "ap"), (-1, "inverted_feature", "inverted_ap")):
            scores = [average_precision_score(known, sign * values) for values in learnt.T]
            assert scores[row[feature]] == pytest.approx(max(scores), abs=1e-12)
            expected = average_precision_score(has, sign * judged[:, row[feature]])
            assert row[ap] == pytest.approx(expected, abs=1e-12)
        assert row["n"] == has.sum() and row["base_rate"] == pytest.approx(has.mean())
        blob = [
            1 - np.hypot(y - (high - 1) / 2, x - (wide - 1) / 2) for y in range(high) for x in range(wide)
        ]
        centre = average_precision_score(has, np.round(np.tile(blob, len(sides[1])), 9))
        assert row["centre_ap"] == pytest.approx(centre, abs=1e-12)
        strongest = {}  # by image: its strongest position
        for at in sides[1]:
            values = codes[at][:, row["feature"]]
            if values.max() > 0:
                strongest[at] = (values.max(), truth[at][int(values.argmax())])
        best = sorted(strongest.values(), key=lambda one: -one[0])[:16]
        assert (
            len(strongest) <= 16 or best[15][0] > sorted(strongest.values(), key=lambda one: -one[0])[16][0]
        )
        purity = np.mean([one for _, one in best]) if best else np.nan
        assert row["purity"] == pytest.approx(purity, nan_ok=True)


def test_positions__are_of_images_with_a_label_and_a_mask(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image without a label may be of any class, and one without masks may show its class anywhere."""
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")
    source = folder.with_name("study.input")
    table = open_study(folder).images.loc[:, ["image_id", "split", "label"]].astype(object)
    table = table.rename(columns={"image_id": "path"})
    table.loc[::5, "label"] = ""
    table.to_csv(tmp_path / "images.csv", index=False)
    shutil.copytree(source / "masks", tmp_path / "masks")
    for name, kind in itertools.product(table["path"][1::7], KINDS):
        (tmp_path / "masks" / kind / name).unlink(missing_ok=True)
    images = {
        "images": f"{tmp_path / 'images.csv'}?root={source / 'images'}",
        "masks": str(tmp_path / "masks"),
    }
    options = {**images, "encoder": "python:tests.planted_encoder:hues", "device": "cpu", "workers": 0}
    analyze(tmp_path / "study", options | {"epsilon": "auto", "bootstrap": 20}, Progress.silent())
    study = open_study(tmp_path / "study")
    masked = MaskedPositions(study, (4, 4))
    has_mask = table["path"].map(lambda one: (tmp_path / "masks" / "core" / one).exists())
    known = (table["label"] != "") & has_mask
    assert 0 < known.sum() < len(known) - len(known) // 5
    for rows, is_side in zip(masked.images, (~study.is_val, study.is_val), strict=True):
        assert rows.tolist() == np.flatnonzero(known.to_numpy() & is_side).tolist()
    assert masked.names and masked.has[1].shape[1] == 16 * len(masked.images[1])


def test_export__has_maps_of_bases_on_positions_and_the_interval_of_stability(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.concepts.concept_features.FEWEST", 3)
    assert main(["export", str(folder), "bases", "-o", str(tmp_path / "bases.csv")]) == 0
    table = pd.read_csv(tmp_path / "bases.csv").set_index("basis")
    read = {name: open_study(folder).in_basis(name) for name in ("learned", "control")}
    assert (basis := read["learned"].basis) is not None
    grid = tuple(basis.card["grid"])
    maps = {name: concept_maps(one, MaskedPositions(open_study(folder), grid)) for name, one in read.items()}
    apart = (maps["learned"]["ap"] - maps["control"]["ap"]).to_numpy()[:, None]
    for end, value in zip(("", "_low", "_high"), mean_intervals(apart, within=(-1, 1)), strict=False):
        assert table.at["learned", f"ap_of_maps_minus_random{end}"] == pytest.approx(value[0])
    assert table.at["learned", "ap_of_maps"] == pytest.approx(maps["learned"]["ap"].mean())
    assert table.at["control", "centre_ap_of_maps"] == pytest.approx(maps["learned"]["centre_ap"].mean())
    apart = (maps["learned"]["ap"] - maps["learned"]["centre_ap"]).to_numpy()[:, None]
    for end, value in zip(("", "_low", "_high"), mean_intervals(apart, within=(-1, 1)), strict=False):
        assert table.at["learned", f"ap_minus_centre_of_maps{end}"] == pytest.approx(value[0])
    assert np.isnan(table.at["units", "ap_of_maps"]) and np.isnan(table.at["units", "stability_low"])
    latents = open_study(folder).table("basis_learned")
    stability = latents.loc[~latents["dead"], "stability"].to_numpy()[:, None]
    _, low, high, _ = mean_intervals(stability, within=(0, 1))
    ends = table.loc["learned", ["stability_low", "stability_high"]].tolist()
    assert ends == pytest.approx([low[0], high[0]])
    assert low[0] <= table.at["learned", "stability"] <= high[0]
