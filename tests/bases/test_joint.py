"""A dictionary of two encoders: planted factors, read-outs against a loop, images by name, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from core.bases.joint import STRENGTHS, told_by
from core.bases.requests import add_basis
from core.bases.twins import FEWEST
from core.cli import main
from core.comparison import shared_dictionary as shared_module
from core.comparison.shared_dictionary import (
    about_other,
    bases_shared_with,
    latent_words,
    read_out_note,
    shared_dictionary,
    shared_finding,
)
from core.config import BasisConfig
from core.errors import PeregrineError, SettingsError
from core.jobs.progress import Progress
from core.pipeline.run import analyze
from core.slices.slice import Slice
from core.store import Study, open_study

N, TRAIN, FACTORS = 600, 400, 12
LATENTS = 16  # with as many as factors one fit in four leaves a factor out
SEEN = {"first": np.arange(8), "other": np.arange(4, 12)}  # which factors an encoder sees
LABELS = np.array(["bee", "ant", "cat", "dog"])


def study_of(folder: Path, raw: np.ndarray, order: np.ndarray | None = None, unlabelled: int = N) -> Path:
    """A study of images of which those from `unlabelled` on have no label."""
    order = np.arange(len(raw)) if order is None else order
    table = pd.DataFrame({"image_id": [f"{i:04d}.png" for i in range(len(raw))]})
    table["split"] = np.where(np.arange(len(raw)) < TRAIN, "train", "val")
    table["label"] = np.where(np.arange(len(raw)) < unlabelled, LABELS[np.arange(len(raw)) % 4], "")
    folder.mkdir(parents=True)
    table.iloc[order].to_csv(folder / "images.csv", index=False)
    np.save(folder / "raw.npy", raw[order].astype(np.float32))
    images = {"images": str(folder / "images.csv"), "representations": str(folder / "raw.npy")}
    quick = {"epsilon": "auto", "bootstrap": 20, "workers": 0, "method": "pca"}
    analyze(folder / "study", images | quick, Progress.silent())
    return folder / "study"


@pytest.fixture(scope="module")
def factors() -> np.ndarray:
    random = np.random.default_rng(0)
    values = (random.random((N, FACTORS)) < 0.15) * random.uniform(0.5, 1.5, (N, FACTORS))
    return np.where(values >= np.sort(values, 1)[:, [-2]], values, 0)  # two of an image at most


@pytest.fixture(scope="module")
def views(factors: np.ndarray) -> dict[str, np.ndarray]:
    """(r, FACTORS) the directions of the factors in both encoders, 0 where it sees none;."""
    random, found = np.random.default_rng(1), {}
    for name, width, size in (("first", 24, 1.0), ("other", 40, 50.0)):
        basis = np.linalg.qr(random.normal(size=(width, FACTORS)))[0] * size
        found[name] = basis * np.isin(np.arange(FACTORS), SEEN[name])
    return found


@pytest.fixture(scope="module")
def pair(factors, views, tmp_path_factory) -> tuple[Path, Path]:
    """Two studies of the same images, the second in another order; the first has the dictionary of both."""
    folder = tmp_path_factory.mktemp("joint")
    random = np.random.default_rng(2)
    first = study_of(folder / "first", factors @ views["first"].T)
    raw = factors @ views["other"].T
    other = study_of(folder / "other", raw, random.permutation(N))
    config = BasisConfig(kind="topk", size=LATENTS, k=2, steps=800, seeds=1)
    add_basis(first, "both", config, Progress.silent(), device="cpu", other=other)
    return first, other


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def codes(first: Path) -> np.ndarray:
    return open_study(first).in_basis("both").array("representations")[:]


def test_planted_factors__are_latents_and_each_is_known_to_who_sees_it(pair, views) -> None:
    study = open_study(pair[0])
    table = study.table("basis_both")
    directions = np.concatenate([views["first"], views["other"] / 50])
    halves = [study.vector("basis_both_decoder"), study.vector("basis_both_other_decoder") / 50]
    latents = np.concatenate(halves, 1)
    cosines = latents @ directions / np.linalg.norm(latents, axis=1)[:, None]
    cosines /= np.linalg.norm(directions, axis=0)
    best = cosines.argmax(0)
    assert len(set(best)) == FACTORS and cosines.max(0).min() > 0.85
    for factor, latent in enumerate(best):
        sees = [factor in SEEN[name] for name in ("first", "other")]
        told = table.loc[latent, ["told_by_first", "told_by_other"]].to_numpy(float)
        assert all(one > 0.9 if seen else one < 0.8 for one, seen in zip(told, sees, strict=True)), told
        assert table.at[latent, "share"] == pytest.approx(sees[0] / sum(sees), abs=0.12)


def test_codes__are_one_code_that_reconstructs_both_in_the_order_of_the_first(pair, factors, views) -> None:
    study, values = open_study(pair[0]), codes(pair[0]).astype(float)
    r2 = study.bases["both"].card["with"]["r2"]
    val = study.is_val
    for name, part, found in zip(("first", "other"), ("", "other_"), r2, strict=True):
        raw = factors @ views[name].T
        made = values @ study.vector(f"basis_both_{part}decoder") + study.vector(f"basis_both_{part}offset")
        left, spread = (raw - made)[val], (raw - raw[val].mean(0))[val]
        assert found == pytest.approx(1 - np.square(left).sum() / np.square(spread).sum(), abs=1e-4)
        assert found > 0.8


def test_one_code_for_the_same_encoder_twice__has_no_side(pair, factors, views, tmp_path) -> None:
    same = study_of(tmp_path / "same", 3 * factors @ views["first"].T)
    twice = study_of(tmp_path / "twice", factors @ views["first"].T)
    config = BasisConfig(kind="topk", size=FACTORS, k=2, steps=200, seeds=1)
    add_basis(twice, "both", config, Progress.silent(), device="cpu", other=same)
    table = open_study(twice).table("basis_both")
    alive = table.loc[~table["dead"]]
    np.testing.assert_allclose(alive["told_by_first"], alive["told_by_other"], atol=1e-3)
    data = shared_dictionary(open_study(twice), open_study(same))
    assert not set(data.frame["known_to"]) & {"first", "other"}
    few = replace(
        data, basis=replace(data.basis, card={"with": {**data.about, "width": 300, "n_fitted": 400}})
    )
    assert "fitted on 400 images with up to 300 features" in read_out_note(few)
    assert data.shared.judged.any() and not read_out_note(data)


def test_read_out__is_the_same_for_a_few_latents_at_a_time(monkeypatch) -> None:
    random = np.random.default_rng(3)
    x, judged = random.normal(size=(2, 80, 6))
    active, truth = (one @ random.normal(size=(6, 7)) > 0 for one in (x, judged))
    whole, widths, real = told_by(x, active, judged, truth), [], RidgeCV.fit
    monkeypatch.setattr("core.bases.joint.AT_ONCE", 3)
    monkeypatch.setattr(RidgeCV, "fit", lambda self, a, b: (widths.append(b.shape[1]), real(self, a, b))[1])
    np.testing.assert_allclose(told_by(x, active, judged, truth), whole, atol=1e-9)
    assert widths == [3, 3, 1]


def test_read_out__is_the_ridge_that_leaves_one_out_best_and_its_auroc() -> None:
    random = np.random.default_rng(3)
    x, judged = random.normal(size=(60, 5)) * 4 + 1, random.normal(size=(50, 5)) * 4 + 1
    weights = random.normal(size=(5, 3))
    active, truth = (one @ weights + random.normal(size=(len(one), 3)) * 6 > 2 for one in (x, judged))
    active[:, 2] = False
    active[: FEWEST - 1, 2] = True  # too few
    found = told_by(x.astype(np.float32), active, judged.astype(np.float32), truth)
    assert np.isnan(found[2])
    scale = np.sqrt(x.var(0).mean())
    a, b = (x - x.mean(0)) / scale, (judged - x.mean(0)) / scale
    for latent in range(2):
        target, errors = active[:, latent].astype(float), {}
        for strength in STRENGTHS:
            left_out = 0.0
            for i in range(len(a)):
                others = np.arange(len(a)) != i
                guess = Ridge(strength).fit(a[others], target[others]).predict(a[[i]])[0]
                left_out += (guess - target[i]) ** 2
            errors[strength] = left_out
        model = Ridge(min(errors, key=lambda one: errors[one])).fit(a, target)
        scores = model.predict(b)
        above = scores[truth[:, latent]][:, None] - scores[~truth[:, latent]]
        assert found[latent] == pytest.approx(((above > 0) + (above == 0) / 2).mean(), abs=1e-6)


def test_columns__match_loops_over_what_is_stored(pair) -> None:
    """`share`, `told_by_*` and who knows a latent, from representations, codes and directions alone."""
    first, other = map(open_study, pair)
    active, val = codes(pair[0]) != 0, first.is_val
    place = {name: row for row, name in enumerate(other.images["image_id"])}
    rows = [place[name] for name in first.images["image_id"]]
    sides = (first.array("representations")[:], other.array("representations")[:][rows])
    names = ("basis_both_decoder", "basis_both_other_decoder")
    told, energies = [], []
    for raw, name in zip(sides, names, strict=True):
        raw, train = raw.astype(float), raw[~val].astype(float)
        centred = train - train.mean(0)
        scale = 1 / np.sqrt(np.mean([row @ row for row in centred]))
        energies.append([scale**2 * (row @ row) for row in first.vector(name).astype(float)])
        spread = np.sqrt(np.mean(centred**2))
        told.append([_read_out(centred / spread, active[~val, latent], (raw[val] - train.mean(0)) / spread,
                               active[val, latent]) for latent in range(LATENTS)])  # fmt: skip
    table = first.table("basis_both")
    expected = [a / (a + b) for a, b in zip(*energies, strict=True)]
    np.testing.assert_allclose(table["share"], expected, atol=1e-5)
    for side, areas in zip(("first", "other"), told, strict=True):
        np.testing.assert_allclose(table[f"told_by_{side}"], areas, atol=1e-4)
    known = shared_dictionary(first, other).frame.set_index("latent")["known_to"]
    for latent, (one, two) in enumerate(zip(*told, strict=True)):
        if np.isnan(one):  # it is active on too few images
            assert known[latent] == ""
            continue
        knows = [
            "both" if one >= 0.9 and two >= 0.9 else "",
            "first" if one >= 0.9 and two < 0.8 else "",
            "other" if two >= 0.9 and one < 0.8 else "",
        ]
        assert known[latent] == ("".join(knows) or "between")
    assert set(known) >= {"both", "first", "other"}


def _read_out(x: np.ndarray, active: np.ndarray, judged: np.ndarray, truth: np.ndarray) -> float:
    """AUROC of the ridge whose squared error without each image, by its leverage, is least."""
    if min(active.sum(), truth.sum(), (~active).sum(), (~truth).sum()) < FEWEST:
        return float("nan")
    target, n = active - active.mean(), len(active)
    scores_of = {}
    for strength in 10.0 ** np.arange(-1, 6):
        hat = x @ np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T)
        error = np.mean(((target - hat @ target) / (1 - np.diag(hat) - 1 / n)) ** 2)
        weights = np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ target)
        scores_of[error] = judged @ weights
    scores = scores_of[min(scores_of)]
    pairs = [(one > two) + (one == two) / 2 for one in scores[truth] for two in scores[~truth]]
    return float(np.mean(pairs))


def test_compared__counts_answers_on_the_images_of_each_latent(pair, monkeypatch) -> None:
    first, other = map(open_study, pair)
    data = shared_dictionary(first, other, among=Slice.parse("label=bee,ant"))
    values = codes(pair[0])
    right = [
        dict(zip(one.images["image_id"], one.table("probe")["correct"].astype(float), strict=True))
        for one in (first, other)
    ]
    ids = first.images["image_id"]
    inside = first.is_val & first.images["label"].isin(["bee", "ant"]).to_numpy()
    assert set(data.frame["latent"]) == set(range(LATENTS))
    for row in data.frame.to_dict("records"):
        images = ids[inside & (values[:, row["latent"]] > 0)]
        assert row["n"] == len(images)
        for name, facts in zip(("first", "other"), right, strict=True):
            assert row[f"accuracy_{name}"] == pytest.approx(mean([facts[one] for one in images]), nan_ok=True)
        assert row["only_first_right"] == sum(right[0][one] > right[1][one] for one in images)
        assert row["only_other_right"] == sum(right[0][one] < right[1][one] for one in images)
    monkeypatch.setattr(shared_module, "UNLIKE", 0.0)
    again = shared_dictionary(first, other, among=Slice.parse("label=bee,ant"))
    labels = first.images["label"].to_numpy(object)
    for row in again.frame.to_dict("records"):
        active = values[:, row["latent"]] != 0
        alike = {one: (active & (labels == one)).sum() / (active | (labels == one)).sum() for one in LABELS}
        assert row["likeness"] == pytest.approx(max(alike.values()))
        assert alike[row["concept"].removeprefix("label=")] == max(alike.values())
        assert latent_words(row).startswith(f"like {row['concept'].replace('=', ' ')} (")
    latent = int(data.frame["latent"].iat[0])
    rows = data.strongest(latent, 3)
    inside_rows = np.flatnonzero(inside)
    assert rows == inside_rows[np.argsort(-values[inside_rows, latent], kind="stable")[:3]].tolist()
    assert data.verdicts(rows) == [tuple(facts[ids[row]] for facts in right) for row in rows]
    unknown = replace(data, frame=data.frame.assign(known_to=""))
    assert shared_finding(unknown) == "No latent of both is active on enough images to tell who knows it"
    one, two = data.names
    assert shared_finding(data) == (
        f"Of 12 shared latents, both encoders know 4; {one} lacks 4 that {two} knows, {two} lacks 4 that "
        f"{one} knows"
    )


def test_compared__images_without_a_label_lack_no_class(factors, views, tmp_path, monkeypatch) -> None:
    first, other = (
        study_of(tmp_path / name, factors @ views[name].T, unlabelled=500) for name in ("first", "other")
    )
    config = BasisConfig(kind="topk", size=LATENTS, k=2, steps=30, seeds=1)
    add_basis(first, "both", config, Progress.silent(), device="cpu", other=other)
    monkeypatch.setattr(shared_module, "UNLIKE", 0.0)
    data = shared_dictionary(open_study(first), open_study(other))
    labels, active = open_study(first).images["label"], codes(first) != 0
    has_label = labels.notna().to_numpy()
    assert has_label.sum() == 500 and active[~has_label].any()
    for row in data.frame.to_dict("records"):
        mine = active[has_label, row["latent"]]
        pairs = [(mine, (labels[has_label] == one).to_numpy()) for one in LABELS]
        assert row["likeness"] == pytest.approx(max((a & b).sum() / (a | b).sum() for a, b in pairs))


def test_command__prints_what_either_lacks_and_writes_it(pair, tmp_path, capsys) -> None:
    out = tmp_path / "shared.csv"
    assert main(["compare", *map(str, pair), "--shared", "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "both encoders know 4" in text and "both/" in text
    assert "read-outs were fitted on" not in text  # 400 images, at most 40 features
    assert len(pd.read_csv(out)) == LATENTS
    words = ["figure", pair[0], "shared_latents", "--with", pair[1], "--basis", "both", "-o", out]
    assert (
        main(list(map(str, words))) == 2
    )  # both are read: the second one, which has no such basis, by units
    assert f"features {pair[0]} --basis both" in capsys.readouterr().err
    for arguments, reason in (
        (["--shared", "none"], "'none' is not shared"),
        (["--shared", "--checkpoints"], "--shared is of two studies"),
    ):
        assert main(["compare", *map(str, pair), *arguments]) != 0
        assert reason in capsys.readouterr().err
    assert main(["compare", str(pair[1]), str(pair[0]), "--shared"]) != 0  # it is a basis of the first
    assert "name that study first" in capsys.readouterr().err


def test_a_second_encoder_that_changed__is_no_longer_the_one_that_was_shared(pair, factors, tmp_path) -> None:
    changed = study_of(tmp_path / "changed", factors)
    first = open_study(pair[0])
    assert bases_shared_with(first, open_study(pair[1])) == ["both"]
    assert bases_shared_with(first, open_study(changed)) == []


@pytest.mark.parametrize(
    "about", ["x", [1], {}, {"mark": "m"}, {"mark": "m", "width": 3, "n_fitted": "4", "r2": [1.0, None]}]
)
def test_a_card_that_says_something_else__shares_nothing(pair, about) -> None:
    basis = open_study(pair[0]).bases["both"]
    assert about_other(basis) == basis.card["with"]
    assert about_other(replace(basis, card={**basis.card, "with": about})) is None


def add(study: Study, other: Path, **settings: object) -> None:
    config = BasisConfig(kind="pca", size=4, k=2, **settings)  # type: ignore[arg-type]
    add_basis(study.path, "odd", config, Progress.silent(), device="cpu", other=other)


def test_the_studies_the_other_way_round__one_line_says_to_swap_them(pair) -> None:
    first, other = map(open_study, pair)
    with pytest.raises(
        SettingsError, match=r"'both' is a basis of .*name that study first: .* compare"
    ) as caught:
        shared_dictionary(other, first)
    assert str(caught.value).endswith(f"compare {pair[0]} {pair[1]} --shared both")


def test_refusals__are_one_line_and_leave_the_study_as_it_is(pair, factors, tmp_path) -> None:
    study, few = open_study(pair[0]), study_of(tmp_path / "few", factors[:500])
    for other, settings, reason in (
        (study.path, {}, "is the study itself"),
        (few, {}, r"lacks 100 images of .*first: '0500.png'"),
        (pair[1], {"on": "positions"}, "--with is of whole images"),
    ):
        with pytest.raises(SettingsError, match=reason) as caught:
            add(study, other, **settings)
        assert "\n" not in str(caught.value)
    assert list(open_study(pair[0]).bases) == ["both"]
    with pytest.raises(PeregrineError):
        shared_dictionary(study, open_study(few))
