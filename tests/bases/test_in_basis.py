"""A study in a basis: the same as an ordinary study of the dense codes, and untouched in its units."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image

from core.analysis.features_step import of_latents
from core.answers.answer import COLUMNS
from core.answers.requests import add_answer
from core.bases.basis import Basis, about_latent
from core.bases.kinds import FEWEST_LATENTS, VECTORS_A_LATENT
from core.bases.requests import add_basis, remove_basis
from core.cli import main
from core.config import BasisConfig
from core.errors import DamagedManifest, NoDiscriminativeFeatures, StudyError
from core.pipeline import run as pipeline
from core.pipeline.verify import verify
from core.store import Study, open_study
from core.study import layers
from core.study.manifest import read_manifest, write_manifest
from core.study.missing import OF_LATENTS
from core.study.progress import Progress
from core.study.writer import write_study
from tests import reference
from tests.command_line import contents
from tests.encoders.planted import stir
from tests.synthetic import make_study

OF_FEATURES = ("features", "row_stats", "classes")
ARRAYS = ("firing_features", "firing_count", "top_images", "top_values", "class_means", "raw_moments")


@pytest.fixture(scope="module")
def made(shared_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a dictionary, and all steps in it."""
    folder = Path(shutil.copytree(shared_study, tmp_path_factory.mktemp("in_basis") / "study"))
    config = BasisConfig(kind="topk", size=24, k=4, steps=60, seeds=1)
    add_basis(folder, "sae", config, Progress.silent(), device="cpu")
    before = contents(folder)
    sizes = ["--size=24", "--k=4", "--steps=60", "--seeds=1", "--device=cpu"]
    assert main(["basis", str(folder), "--kind=topk", "--name=sae", *sizes, "--resume"]) == 0
    after = {name: text for name, text in contents(folder).items() if not str(name).startswith("bases/")}
    assert after == before  # nothing of the units has changed
    return folder


def test_every_step_runs_in_a_basis(made):
    study = open_study(made).in_basis("sae")
    assert study.missing() == {} and study.basis is not None and study.basis.name == "sae"
    assert study.array("representations").shape == (study.n_images, 24)
    assert len(study.table("features")) == 24 and study.summary("embed")["encoder"]["n_features"] == 24
    assert not verify(study) and not verify(open_study(made))


@pytest.mark.slow
def test_few_images__the_usual_size_has_features_and_a_size_without_any_names_one_that_has(tmp_path):
    for n_train in (4, 12):
        folder = make_study(tmp_path / f"few{n_train}", n_train=n_train, n_val=4, n_classes=2)
        basis = add_basis(folder, "sae", BasisConfig(kind="topk", steps=20), Progress.silent(), device="cpu")
        assert basis.card["size"] >= FEWEST_LATENTS > n_train // VECTORS_A_LATENT - 1
        pipeline.run_step("features", layers.layer(folder, "sae"), {}, Progress.silent())
        assert open_study(folder).in_basis("sae").table("features")["discriminative"].any()
    add_basis(
        folder, "dense", BasisConfig(kind="topk", size=4, k=3, steps=20), Progress.silent(), device="cpu"
    )
    silent = NoDiscriminativeFeatures("no feature is discriminative")
    assert of_latents(silent, open_study(folder)) is silent  # of units there is no size
    told = of_latents(silent, open_study(folder).in_basis("dense"))
    command = shlex.split(str(told).rpartition(": ")[2])
    assert command[command.index("basis") + 1] == str(folder) and "\n" not in str(told)
    assert main([*command[command.index("basis") :], "--steps=20", "--device=cpu"]) == 0
    pipeline.run_step("features", layers.layer(folder, "dense"), {}, Progress.silent())


def test_what_is_not_of_features_shows_through(made):
    study, whole = open_study(made).in_basis("sae"), open_study(made)
    pd.testing.assert_frame_equal(study.images, whole.images)
    pd.testing.assert_frame_equal(study.table("probe"), whole.table("probe"))
    assert study.thumbnail(0) == whole.thumbnail(0)
    own = read_manifest(study.path)
    assert "features" in own["steps"] and not {"embed", "probe", "neighbours"} & own["steps"].keys()
    assert not [
        item
        for item, entry in own["items"].items()
        if layers.SHOWN_THROUGH in entry or layers.COMPUTED in entry
    ]


def test_weights_are_those_of_the_reconstruction(made):
    study, whole = open_study(made).in_basis("sae"), open_study(made)
    codes = study.array("representations")[:].astype(np.float64)
    decoder, offset = (whole.vector(f"basis_sae_{part}").astype(np.float64) for part in ("decoder", "offset"))
    logits = (codes @ decoder + offset) @ whole.vector("probe_weights").T + whole.vector("probe_bias")
    ours = codes @ study.vector("probe_weights").T + study.vector("probe_bias")
    np.testing.assert_allclose(ours, logits, atol=1e-4)


def test_an_answer_on_rows_of_length_1_has_no_weights_of_latents(made, tmp_path):
    """Its logits are no linear function of the codes: each row is divided by its own length."""
    folder = Path(shutil.copytree(made, tmp_path / "study"))
    whole = open_study(folder)
    facts = {"kind": "zero-shot", "linear": True, "on_unit_rows": True}
    with write_study(folder) as writer:
        inputs = ("images", "representations")
        with writer.step("answer-zero-shot", {"kind": "zero-shot"}, inputs) as out:
            out.table("answer_zero-shot", whole.table("probe", list(COLUMNS)))
            out.vector("answer_zero-shot_weights", whole.vector("probe_weights"))
            out.vector("answer_zero-shot_bias", whole.vector("probe_bias"))
            out.summary = {"answers": {"zero-shot": facts}}
    of_units, of_latents = (
        one.answering("zero-shot") for one in (open_study(folder), open_study(folder).in_basis("sae"))
    )
    assert of_units.has("probe_weights") and of_units.has("failures")
    assert not of_latents.has("probe_weights") and not of_latents.has("failures")
    assert OF_LATENTS in str(of_latents.why_missing("failures"))
    codes = open_study(folder).in_basis("sae").vector("representations")
    np.testing.assert_array_equal(of_latents.vector("representations"), codes)


def test_rows_in_any_order_are_those_of_the_codes(made):
    array = open_study(made).in_basis("sae").array("representations")
    whole = array[:]
    rows = np.random.default_rng(0).permutation(len(array))[:40]
    np.testing.assert_array_equal(array[rows], whole[rows])
    np.testing.assert_array_equal(array[[-1, 3]], whole[[-1, 3]])
    np.testing.assert_array_equal(np.concatenate([block for _, block in array.chunks()]), whole)


def test_features_are_those_of_an_ordinary_study_of_the_codes(made, tmp_path):
    study = open_study(made).in_basis("sae")
    np.save(tmp_path / "codes.npy", study.array("representations")[:])
    study.images[["image_id", "path", "split", "label"]].to_csv(tmp_path / "images.csv", index=False)
    options = {"images": str(tmp_path / "images.csv"), "representations": str(tmp_path / "codes.npy")}
    pipeline.run_step("embed", tmp_path / "twin", options, Progress.silent())
    epsilon = study.summary("features")["epsilon"]
    pipeline.run_step("features", tmp_path / "twin", {"epsilon": epsilon}, Progress.silent())
    twin = open_study(tmp_path / "twin")
    for name in OF_FEATURES:
        pd.testing.assert_frame_equal(study.table(name), twin.table(name))
    for name in ARRAYS:
        np.testing.assert_array_equal(study.vector(name), twin.vector(name))


def loop_codes(study: Study) -> np.ndarray:
    """(n_images, M) codes from the sparse arrays, entry by entry."""
    whole = study.in_basis("units")
    counts, features, values = (whole.vector(f"basis_sae_{part}") for part in ("count", "features", "values"))
    codes, at = np.zeros((study.n_images, 24)), 0
    for row, count in enumerate(counts):
        for entry in range(at, at + int(count)):
            codes[row, features[entry]] = values[entry]
        at += int(count)
    return codes


def test_quality_of_latents__matches_a_loop_over_the_codes(made):
    study = open_study(made).in_basis("sae")
    codes, is_train = loop_codes(study), ~study.is_val
    epsilon, _ = reference.auto_epsilon(codes[is_train], 50, 95)
    assert epsilon is not None
    h = reference.normalise_rows(codes)
    firing = reference.highly_activating(h, epsilon)
    discriminative = reference.discriminative_features(reference.activation_rate(firing[is_train]), 50, 95)
    table = study.table("quality")
    assert study.summary("features")["epsilon"] == epsilon and discriminative.any()
    np.testing.assert_array_equal(study.discriminative, discriminative)
    expected = reference.q_score(h, discriminative, epsilon)
    np.testing.assert_allclose(table["q_score"], expected, atol=1e-6)
    assert table["n_firing"].tolist() == firing.sum(1).tolist() and (expected > 0).any()


def test_failures_of_latents__match_a_loop_through_the_decoder(made):
    study, whole = open_study(made).in_basis("sae"), open_study(made)
    codes, classes = loop_codes(study), study.class_names
    weights, decoder = whole.vector("probe_weights"), whole.vector("basis_sae_decoder")
    probe, expected = whole.table("probe"), {}
    labels, predicted = whole.images["label"], probe["predicted"]
    wrong = [row for row in np.flatnonzero(whole.is_val) if labels[row] != predicted[row]]
    for row in wrong:
        for side, answer in (("predicted", predicted[row]), ("true", labels[row])):
            direction = weights[classes.index(str(answer))].astype(float)
            pushes = {}
            for latent, code in enumerate(codes[row]):
                push = code * sum(
                    d * w for d, w in zip(decoder[latent].astype(float), direction, strict=True)
                )
                if push > 0:
                    pushes[latent] = push
            for rank, latent in enumerate(sorted(pushes, key=lambda one: -pushes[one])[:5], 1):
                expected[whole.images["image_id"][row], side, rank] = latent, pushes[latent]
    table = study.table("failures").set_index(["image_id", "side", "rank"])
    assert wrong and set(table.index) == set(expected)
    for key, (latent, push) in expected.items():
        assert table.at[key, "feature"] == latent
        assert table.at[key, "contribution"] == pytest.approx(push, rel=1e-4)


def test_commands_take_a_basis_and_features_of_it(made, capsys):
    assert main(["inspect", str(made), "--basis", "sae", "--where", "correct=false", "--json"]) == 0
    in_basis = capsys.readouterr().out
    assert main(["inspect", str(layers.layer(made, "sae")), "--where", "correct=false", "--json"]) == 0
    assert capsys.readouterr().out == in_basis
    assert main(["slices", str(made), "--basis", "sae"]) == 0
    assert f"slices {made} --basis sae --worst 10" in capsys.readouterr().out.replace("'", "")
    assert main(["info", str(made), "--basis", "sea"]) == 2
    assert "'sea'" in (error := capsys.readouterr().err) and "sae" in error
    assert main(["probe", str(layers.layer(made, "sae"))]) == 2
    assert "--basis" in capsys.readouterr().err
    assert main(["heatmaps", str(made), "--image", "a", "--feature", "sae/3", "--basis", "pca"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_figure_of_two_studies_reads_both_in_the_basis(made, tmp_path, capsys):
    other, out = shutil.copytree(made, tmp_path / "other"), tmp_path / "scores.csv"
    words = ["figure", made, "compared_scores", "--with", other, "--basis", "sae", "-o", out]
    assert main(list(map(str, words))) == 0
    table = pd.read_csv(out, comment="#")
    first, second = (part.drop(columns="study") for _, part in table.groupby("study", sort=False))
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))
    words[words.index(other)] = layers.layer(other, "sae")
    assert main(list(map(str, words))) == 0
    words[words.index(layers.layer(other, "sae"))] = other
    remove_basis(other, "sae")
    assert main(list(map(str, words))) == 2 and "'sae'" in capsys.readouterr().err


def test_another_fit_makes_what_was_made_stale_and_removing_takes_all_with_it(made, tmp_path):
    folder = Path(shutil.copytree(made, tmp_path / "study"))
    config = BasisConfig(kind="topk", size=24, k=3, steps=60, seeds=1)
    add_basis(folder, "sae", config, Progress.silent(), device="cpu")
    study = open_study(folder).in_basis("sae")
    assert study.state("features") == "stale" and study.state("probe") == "done"
    said = str(study.missing()["features"])
    assert "--basis sae" in said and "bases/sae" not in said
    viewed = Study(layers.layer(folder, "sae"))
    remove_basis(folder, "sae")
    assert not layers.layer(folder, "sae").exists()
    with pytest.raises(StudyError, match="'sae'"):
        viewed.in_basis("sae")
    with pytest.raises(StudyError, match="'sae'"):
        open_study(viewed.path)
    assert not verify(open_study(folder))


def test_a_latent_says_what_it_is_and_whether_to_trust_it():
    basis = Basis("sae", "topk", "basis-sae", {})
    row = {"latent": 3, "l0": 0.03, "r2": 0.002, "dead": False}
    said = {
        stability: about_latent(basis, {**row, "stability": stability})
        for stability in (0.95, 0.75, 0.2, None, float("nan"))
    }
    assert ".95" in said[0.95] and ".95" not in said[0.75] and said[0.75] != said[0.95]
    assert said[None] == list(said.values())[-1] and len(set(said.values())) == 4
    assert "dead" in about_latent(basis, {**row, "dead": True, "stability": None})
    assert "a control" in about_latent(Basis("r", "random", "basis-r", {}), {**row, "stability": None})
    assert not any("a control" in text for text in said.values())


@pytest.mark.parametrize("mark", [layers.SHOWN_THROUGH, layers.COMPUTED])
def test_a_manifest_of_a_basis_cannot_point_elsewhere(made, tmp_path, mark):
    folder = Path(shutil.copytree(made, tmp_path / "study")) / "bases" / "sae"
    own = read_manifest(folder)
    own["items"]["features"][mark] = "weights"
    write_manifest(folder, own)
    with pytest.raises(DamagedManifest, match="another study"):
        open_study(folder)
    assert open_study(folder.parents[1]).has("features")


@pytest.mark.slow
def test_analyze__in_a_basis_adds_answers_to_the_study_and_refuses_what_does_nothing(made, tmp_path, run):
    folder = Path(shutil.copytree(made, tmp_path / "study"))
    for options in (["--images", "others"], ["--lr", "0.5"], ["--head-classes", "names.txt"]):
        said = run("analyze", folder, "--basis", "sae", *options).error
        assert options[0] in said and "--basis" in said
    assert "--basis" in run("analyze", folder, "--basis", "sae", "--dry-run").error
    assert run("analyze", folder, "--basis", "sae", "--epsilon", "1.5", "--answers", "knn").code == 0
    whole, latents = open_study(folder), open_study(folder).in_basis("sae")
    assert latents.settings("features")["epsilon"] == 1.5
    assert "answer-knn" not in read_manifest(latents.path)["steps"]
    expected = Path(shutil.copytree(made, tmp_path / "other"))
    add_answer(expected, "knn", None, {"device": "cpu"}, Progress.silent())
    for one in (whole, latents):
        of_knn = open_study(expected).answering("knn").table("probe")
        pd.testing.assert_frame_equal(one.answering("knn").table("probe"), of_knn)


@pytest.mark.slow
def test_every_step__of_a_study_whose_one_answer_is_its_own_head(tmp_path):
    """With one image a class there is nothing to fit a probe on."""
    rng = np.random.default_rng(0)
    for name in ("ant", "bee", "cat"):
        (tmp_path / "images" / name).mkdir(parents=True)
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name / "one.png")
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v3_small(num_classes=3)
    stir(model)
    for parameter in model.parameters():
        parameter.data.mul_(1.5).add_(0.02 * torch.randn_like(parameter))  # else it is as it was drawn
    torch.save(model.state_dict(), tmp_path / "net.pth")
    given = {
        "images": str(tmp_path / "images"),
        "encoder": f"torchvision:mobilenet_v3_small@{tmp_path / 'net.pth'}",
    }
    given |= {"input_size": 32, "resize": 32, "device": "cpu", "workers": 0, "epsilon": 0.5}
    pipeline.analyze(tmp_path / "study", given, Progress.silent())
    assert list(open_study(tmp_path / "study").answers) == ["head"]
    add_basis(tmp_path / "study", "few", BasisConfig(kind="random", size=6, k=2, seeds=1), Progress.silent())
    pipeline.resume(layers.layer(tmp_path / "study", "few"), {}, Progress.silent())
    assert open_study(tmp_path / "study").in_basis("few").missing() == {}


def test_publish__of_a_basis_without_features_says_what_to_run(made, tmp_path, run):
    folder = Path(shutil.copytree(made, tmp_path / "study"))
    assert run("basis", folder, "--kind", "random", "--size", "8", "--seeds", "1", "--name", "bare").code == 0
    said = run("publish", folder, "--basis", "bare", "-o", tmp_path / "site")
    assert said.code == 2 and "python -m core features" in said.error and "--basis bare" in said.error
    assert not (tmp_path / "site").exists()
