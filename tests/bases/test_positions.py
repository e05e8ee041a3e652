"""Bases on positions: codes against loops, planted truth, resuming, the index, maps, and bad input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from core.analysis.gradcam import direction_maps, gradcam_maps
from core.analysis.heatmaps_on_demand import on_demand, study_encoder
from core.analysis.readouts import PositionReader
from core.bases import position_index
from core.bases.basis import codes_of
from core.bases.encoding import Sums, pooled_codes
from core.bases.position_index import at_position, place_of, similar_positions, strongest_positions
from core.bases.requests import add_basis, load_basis
from core.config import BasisConfig
from core.encoders.positions import position_maps
from core.errors import PeregrineError, SettingsError
from core.pipeline import run as pipeline
from core.pipeline.verify import verify
from core.publish.summary import info
from core.store import Study, open_study
from core.study.manifest import write_manifest
from core.study.progress import Progress
from core.study.writer import write_study
from tests.command_line import contents
from tests.planted_encoder import hues
from tests.synthetic import make_seen_study

pytestmark = pytest.mark.usefixtures("trusted")
SIZE, K = 40, 3


def add(folder: Path, **settings: object) -> Study:
    values = {"kind": "topk", "size": SIZE, "k": K, "steps": 60, "seeds": 1, "on": "positions", **settings}
    add_basis(folder, "p", BasisConfig(**values), Progress.silent(), device="cpu")  # type: ignore[arg-type]
    return open_study(folder)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of pictures of discs by an encoder whose features are hues."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        return make_seen_study(tmp_path_factory.mktemp("seen") / "study", n_train=32, n_val=12)


@pytest.fixture(scope="module")
def made(seen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(seen, tmp_path_factory.mktemp("made") / "study"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        add(folder)
    return folder


def dense_positions(study: Study) -> np.ndarray:
    """(n, P, M) the stored codes of positions."""
    basis = study.bases["p"]
    counts, latents, values = (
        study.vector(basis.item(f"position_{part}")) for part in ("count", "features", "values")
    )
    whole = np.zeros((len(counts), SIZE), np.float32)
    whole[np.repeat(np.arange(len(counts)), counts), latents] = values
    return whole.reshape(study.n_images, -1, SIZE)


def vectors_of(study: Study) -> np.ndarray:
    """(n, P, r) by the encoder, image by image."""
    encoder = hues()
    held = []
    for row in range(study.n_images):
        pixels = torch.from_numpy(encoder.transform.pixels(study.image(row)))[None]
        held.append(position_maps(encoder, pixels)[0].flatten(1).T.numpy())
    return np.stack(held)


def test_codes_of_positions_are_those_of_a_loop_and_images_have_their_maximum(made):
    study = open_study(made)
    basis, vectors = study.bases["p"], vectors_of(study)
    part = {
        name: study.vector(basis.item(name)) for name in ("encoder", "bias", "pre_bias", "decoder", "offset")
    }
    pre = (vectors - part["pre_bias"]) @ part["encoder"].T + part["bias"]
    loop = np.zeros_like(pre)
    for at in np.ndindex(pre.shape[:2]):
        for latent in np.argsort(-pre[at])[:K]:
            loop[at][latent] = max(pre[at][latent], 0)
    held = dense_positions(study)
    np.testing.assert_allclose(held, loop, atol=1e-4 * np.abs(vectors).max())
    np.testing.assert_array_equal(codes_of(study, basis).dense(SIZE), held.max(1))
    flat, codes = vectors.reshape(-1, vectors.shape[2]).astype(np.float64), held.reshape(-1, SIZE)
    errors = ((flat - codes @ part["decoder"] - part["offset"]) ** 2).sum()
    card = basis.card
    assert card["r2"] == pytest.approx(1 - errors / ((flat - flat.mean(0)) ** 2).sum(), abs=1e-4)
    assert card["l0"] == pytest.approx((codes != 0).sum(1).mean()) and card["n_vectors"] == len(flat)
    assert card["dead"] == pytest.approx((codes == 0).all(0).mean()) and card["grid"] == [8, 8]
    assert "positions" in basis.words and verify(made) == []


def test_the_mean_of_a_map_is_the_representation(made):
    study = open_study(made)
    np.testing.assert_allclose(vectors_of(study).mean(1), study.array("representations")[:], atol=1e-5)


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_pooled_codes_are_those_of_the_dense_codes(rng, pool):
    dense = np.where(rng.random((5, 7, 6)) < 0.4, rng.normal(size=(5, 7, 6)), 0).astype(np.float32)
    dense[2, :, 1] = -1 - rng.random(7)  # negative at every position
    dense[3] = 0
    active = dense.reshape(-1, 6).nonzero()
    counts = (dense != 0).sum(2)
    pooled = pooled_codes(counts, active[1], dense.reshape(-1, 6)[active], 6, pool)
    np.testing.assert_allclose(pooled, dense.max(1) if pool == "max" else dense.mean(1), atol=1e-6)


def test_planted_hues_are_latents_where_they_are(made):
    """The encoder's positions hold hues; the map of the latent of a hue is where the hue is."""
    study = open_study(made)
    vectors, codes = vectors_of(study), dense_positions(study)
    cosines = []
    for feature in np.flatnonzero((vectors > 0.1 * vectors.max()).mean((0, 1)) > 0.01):
        truth = vectors[:, :, feature].ravel()
        every = codes.reshape(-1, SIZE)
        lengths = np.linalg.norm(every, axis=0) * np.linalg.norm(truth)
        cosines.append((truth @ every / np.where(lengths > 0, lengths, np.inf)).max())
    shuffled = np.random.default_rng(0).permutation(codes.reshape(-1, SIZE))
    chance = (
        truth @ shuffled / np.linalg.norm(truth) / np.maximum(np.linalg.norm(shuffled, axis=0), 1e-9)
    ).max()
    assert len(cosines) > 5 and np.median(cosines) > 0.8 > chance


def test_an_interrupted_run_goes_on_to_the_same_bytes(seen, tmp_path, monkeypatch):
    monkeypatch.setattr("core.bases.encoding.IMAGES", 16)
    monkeypatch.setattr("core.bases.vectors.CHUNK_ENTRIES", 8 * 64 * 32)
    monkeypatch.setattr("core.bases.vectors.BATCH", 8)
    one, two = (Path(shutil.copytree(seen, tmp_path / name)) for name in ("one", "two"))
    add(one, steps=8)
    encode, read, calls = Sums.encode, PositionReader.read, []

    def stopped(sums, coder, raw, is_val):
        calls.append(len(raw))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(sums, coder, raw, is_val)

    def stopped_reading(reader, batches):
        for number, batch in enumerate(read(reader, batches)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    def stopped_index(totals):
        raise KeyboardInterrupt

    monkeypatch.setattr(PositionReader, "read", stopped_reading)
    with pytest.raises(KeyboardInterrupt):
        add(two, steps=8)
    monkeypatch.setattr(PositionReader, "read", read)
    monkeypatch.setattr(Sums, "encode", stopped)
    with pytest.raises(KeyboardInterrupt):
        add(two, steps=8)
    assert [*two.glob(".basis-*")] and verify(two) == []
    monkeypatch.setattr(Sums, "encode", lambda *given: (calls.append(0), encode(*given))[1])
    calls.clear()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(position_index, "_bands", stopped_index)
        add(two, steps=8)
    assert 0 < len(calls) < 6  # of six batches, those of the first chunk are kept
    calls.clear()
    add(two, steps=8)
    assert not calls  # only the index was missing
    assert contents(one) == contents(two) and not list(two.glob(".basis-*"))


def test_the_index_is_that_of_a_search_over_all_positions(made):
    study = open_study(made)
    basis, codes = study.bases["p"], dense_positions(study)
    flat = codes.reshape(-1, SIZE)
    counts = study.vector(basis.item("index_count"))
    places, values = (study.vector(basis.item(f"index_{part}")) for part in ("places", "values"))
    starts = np.concatenate([[0], np.cumsum(counts)])
    for latent in range(SIZE):
        here = slice(starts[latent], starts[latent + 1])
        at = np.flatnonzero(flat[:, latent])
        assert sorted(places[here]) == at.tolist() and (np.diff(values[here]) <= 0).all()
        np.testing.assert_array_equal(values[here], flat[places[here], latent])
    latent = int(counts.argmax())
    strongest = strongest_positions(study, basis, latent, 5)
    best = np.sort(codes[:, :, latent].max(1))[::-1][:5]
    np.testing.assert_array_equal(strongest["value"], best)
    assert not strongest["row"].duplicated().any()

    row, x, y = 3, 0.5, 0.5
    place = place_of(study, basis, row, x, y)
    assert place is not None
    code = codes[row, place]
    frame = at_position(study, basis, study.images["image_id"].iat[row], x, y)
    np.testing.assert_array_equal(np.sort(frame["latent"]), np.flatnonzero(code))
    np.testing.assert_array_equal(frame["value"], np.sort(code[code != 0])[::-1])
    cosines = codes @ code / np.maximum(np.linalg.norm(codes, axis=2) * np.linalg.norm(code), 1e-12)
    by_image = cosines.max(1)
    by_image[row] = -1
    similar = similar_positions(study, basis, row, x, y, 6)
    np.testing.assert_allclose(similar["cosine"], np.sort(by_image)[::-1][:6], atol=1e-5)
    at = similar[["row", "place"]].to_numpy()
    np.testing.assert_allclose(cosines[at[:, 0], at[:, 1]], similar["cosine"], atol=1e-5)
    assert row not in set(at[:, 0])


def test_the_index_in_bands_is_the_same(seen, made, tmp_path, monkeypatch):
    """With less memory the index has more chunks and the same entries."""
    monkeypatch.setattr(position_index, "MOST_ENTRIES", 500)
    study = add(Path(shutil.copytree(seen, tmp_path / "study")))
    for part in ("index_places", "index_values", "index_count", "position_norm"):
        name = study.bases["p"].item(part)
        np.testing.assert_array_equal(study.vector(name), open_study(made).vector(name))
    assert study.array("basis_p_index_places").n_chunks > 3


def test_a_point_outside_the_view_is_no_position(made):
    study = open_study(made)
    assert len(at_position(study, study.bases["p"], 0, 1.5, 0.5)) == 0
    assert len(similar_positions(study, study.bases["p"], 0, -0.5, 0.5)) == 0


def test_heatmaps_of_latents_are_the_stored_codes(made, tmp_path):
    folder = Path(shutil.copytree(made, tmp_path / "study"))
    for step in ("features", "heatmaps"):
        pipeline.run_step(step, folder / "bases" / "p", {}, Progress.silent())
    study = open_study(folder).in_basis("p")
    row = int(study.heatmap_reader.rows[0])
    pixels = torch.from_numpy(study.transform.pixels(study.image(row)))[None]
    encoder = study_encoder(study)
    latents = np.arange(SIZE)
    codes = dense_positions(open_study(folder))[row].T.reshape(SIZE, 8, 8)
    maps = gradcam_maps(encoder, pixels, latents)[0].numpy()
    np.testing.assert_allclose(maps, codes, atol=1e-4 * codes.max())
    np.testing.assert_allclose(
        maps.max((1, 2)), study.array("representations")[[row]][0], atol=1e-4 * codes.max()
    )
    np.testing.assert_allclose(
        encoder.represent(pixels).numpy(), study.array("representations")[[row]], atol=1e-4 * codes.max()
    )
    assert not study.has("probe_weights")  # the largest codes of positions are no reconstruction
    assert "--pool-codes mean" in str(study.why_missing("probe_weights"))
    failures = pipeline.run_step("failures", folder / "bases" / "p", {}, Progress.silent())
    assert "--pool-codes mean" in failures["skipped"]
    weights = np.zeros((1, SIZE), np.float32)
    weights[0, [3, 5]] = 1, 2
    summed = direction_maps(encoder, pixels, weights)[0, 0].numpy()
    np.testing.assert_allclose(summed, codes[3] + 2 * codes[5], atol=1e-3 * codes.max())
    held = study.heatmap_reader.features_of(row)
    assert len(held) > 1 and study.heatmap(row, [int(held[0])]).max() <= 1
    exact = on_demand(study, row, held[:2].tolist(), "sum", encoder=encoder)
    np.testing.assert_allclose(study.heatmap(row, held[:2].tolist(), "sum"), exact, atol=5e-3)
    assert study.table("heatmaps_missing").empty


def test_a_dictionary_of_patches_is_loaded_and_checked_on_positions(made, tmp_path):
    study = open_study(made)
    basis = study.bases["p"]
    part = {
        name: study.vector(basis.item(name)) for name in ("encoder", "bias", "decoder", "offset", "pre_bias")
    }
    bias = part["bias"] - part["encoder"] @ part["pre_bias"]
    weights = {"W_enc": part["encoder"].T, "b_enc": bias, "W_dec": part["decoder"], "b_dec": part["offset"]}
    source = tmp_path / "sae"
    source.mkdir()
    save_file(
        {name: np.ascontiguousarray(one) for name, one in weights.items()}, source / "sae_weights.safetensors"
    )
    settings = f'{{"architecture": "topk", "k": {K}, "apply_b_dec_to_input": false, "d_sae": {SIZE}}}'
    (source / "cfg.json").write_text(settings)
    folder = Path(shutil.copytree(made, tmp_path / "study"))
    config = BasisConfig(on="positions")
    loaded = load_basis(folder, source, "loaded", config, Progress.silent(), device="cpu")
    assert loaded.card["r2"] == pytest.approx(basis.card["r2"], abs=1e-3)
    assert loaded.card["on"] == "positions" and not list(folder.glob(".basis-*")) and verify(folder) == []


def narrow(study: Path, tmp_path: Path) -> None:
    weights = {"W_enc": np.ones((5, 8)), "b_enc": np.ones(8), "W_dec": np.ones((8, 5)), "b_dec": np.ones(5)}
    save_file(
        {name: one.astype(np.float32) for name, one in weights.items()}, tmp_path / "sae_weights.safetensors"
    )
    (tmp_path / "cfg.json").write_text('{"architecture": "topk", "k": 3, "apply_b_dec_to_input": false}')
    load_basis(study, tmp_path, "n", BasisConfig(on="positions"), Progress.silent(), device="cpu")


def too_many(study: Path, _: Path) -> None:
    add(study, k=SIZE + 1)


def too_few(study: Path, _: Path) -> None:
    add(study, kind="pca", size=33)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (too_few, "have 32 components"),
        (narrow, "have 5 features, those of this study 32"),
        (too_many, "only 40 latents"),
    ],
)
def test_what_does_not_fit_is_one_line_and_changes_nothing(made, tmp_path, ask, said):
    before = contents(made)
    with pytest.raises(PeregrineError, match=said) as caught:
        ask(made, tmp_path)
    assert "\n" not in str(caught.value) and contents(made) == before


def test_how_the_encoder_makes_its_vector_is_the_same_in_a_basis(made, tmp_path):
    folder = Path(shutil.copytree(made, tmp_path / "study"))
    with write_study(folder) as writer:  # as of an encoder whose last map is not pooled
        facts = writer.manifest["steps"]["embed"]["summary"]["encoder"]
        facts |= {"pools_globally": False, "pool": None, "tokens": None, "token_norm": None}
        write_manifest(folder, writer.manifest)
    study = open_study(folder).in_basis("p")
    assert info(open_study(folder))["readout"] is None and info(study)["readout"] is None
    assert study.heatmap_reader.sums_are_exact and not open_study(folder).heatmap_reader.sums_are_exact


def test_a_study_without_an_encoder_has_no_positions(shared_study, tmp_path):
    folder = Path(shutil.copytree(shared_study, tmp_path / "study"))
    with pytest.raises(SettingsError, match="ready representations"):
        add(folder)
    with pytest.raises(SettingsError, match="pooled"):
        add(folder, on="pooled", kind="random")
        strongest_positions(open_study(folder), open_study(folder).bases["p"], 0)
