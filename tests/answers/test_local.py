"""Heads whose classes have no weights: their logits, and what features add near each image.

The twin is a loop over the images with the untouched network: logits by `logsumexp`, gradients by autograd.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from core.analysis.predictor import predictor_of, predictor_of_images, without_features
from core.answers.class_logits import (
    LOCAL,
    ONLY_WRONG,
    can_switch_off,
    class_logits,
    lead_gradients,
    output_logits,
    own_classifier,
)
from core.answers.head import SEVERAL, UNCHECKED
from core.bases.requests import add_basis
from core.concepts.blame import ProbeWithMeans
from core.config import BasisConfig
from core.measures.confusions import confusions
from core.pictures.confused import OTHER, behind_confusion, without_feature
from core.pictures.decomposition import describe
from core.pictures.look import decide
from core.pictures.of_image import look_at
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress
from tests.answers.test_head import studied, trained
from tests.encoders.planted import narrow_resnet
from tests.manifests import edited_manifest

LABELS = ("ant", "bee", "cat")
OUTPUTS = ("bee", "ant", None, "ant", "cat", "bee", "ant")  # what the seven outputs of the networks mean


class Case(NamedTuple):
    study: Study
    raw: list[Tensor]  # representation of each image
    classify: Callable[[Tensor], Tensor]


def write_images(folder: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(n):
        place = folder / LABELS[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        squares = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(squares).resize((40, 40)).save(place / f"{number}.png")


@pytest.fixture(
    scope="module", params=["many outputs to a label", pytest.param("a hidden layer", marks=pytest.mark.slow)]
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A study read by its head, and the two halves of its network."""
    folder = tmp_path_factory.mktemp("local")
    write_images(folder / "images", 30)
    rows = [f"{output},{label or ''}" for output, label in enumerate(OUTPUTS)]
    (folder / "classes.csv").write_text("\n".join(["output,label", *rows]))
    torch.manual_seed(3)
    if request.param != "a hidden layer":
        network, last = narrow_resnet().eval(), nn.Linear(64, len(OUTPUTS))
        nn.init.normal_(last.weight, std=0.4)
        state = {**network.state_dict(), **{f"fc.{key}": one for key, one in last.state_dict().items()}}
        torch.save(state, folder / "net.pth")
        spec, represent, classify = str(folder / "net.pth"), network, last
    else:
        whole = trained(torchvision.models.get_model("mobilenet_v3_small", num_classes=len(OUTPUTS)))
        torch.save(whole.state_dict(), folder / "net.pth")
        spec = f"torchvision:mobilenet_v3_small@{folder / 'net.pth'}"
        body, classify = whole.get_submodule("features"), whole.get_submodule("classifier")
        represent = lambda x: body(x).mean((2, 3))  # noqa: E731
    classes = str(folder / "classes.csv")
    study = studied(folder / "study", folder / "images", spec, head_classes=classes).answering("head")
    raw = [represent(pixels(study, row)[None])[0].detach() for row in range(study.n_images)]
    return Case(study, raw, classify)


def pixels(study: Study, row: int) -> Tensor:
    transform = study.transform
    values = torch.from_numpy(transform.pixels(study.image(row))).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (transform.mean, transform.std))
    return (values - mean) / std


def logit(case: Case, r: Tensor, label: str, means: Sequence[str | None] = OUTPUTS) -> Tensor:
    outputs = case.classify(r[None])[0]
    return torch.logsumexp(torch.stack([outputs[at] for at, name in enumerate(means) if name == label]), 0)


def gradient(case: Case, row: int, answer: str, rival: str) -> tuple[Tensor, Tensor]:
    r = case.raw[row].clone().requires_grad_()
    lead = logit(case, r, answer) - logit(case, r, rival)
    return r.detach(), torch.autograd.grad(lead, r)[0]


def misclassified(case: Case) -> list[tuple[int, str, str]]:
    """Row, truth and prediction of the images that are taken for another label."""
    table, labels = case.study.table("probe"), case.study.images["label"]
    pairs = zip(labels, table["predicted"], strict=True)
    return [(row, true, told) for row, (true, told) in enumerate(pairs) if told in LABELS and told != true]


def logits_of(case: Case) -> np.ndarray:
    with torch.no_grad():
        return np.array([[float(logit(case, r, label)) for label in LABELS] for r in case.raw])


def test_class_logits__are_those_of_the_network(case):
    found = class_logits(case.study, np.arange(case.study.n_images))
    np.testing.assert_allclose(found, logits_of(case), rtol=1e-3, atol=1e-3)


def test_class_logits__in_a_basis_are_those_of_the_images(case, tmp_path):
    folder = shutil.copytree(case.study.path, tmp_path / "study")
    config = BasisConfig(kind="pca", size=3, k=2, seeds=1)
    add_basis(folder, "few", config, Progress.silent(), device="cpu")
    whole = open_study(folder).answering("head")
    study = whole.in_basis("few").answering("head")
    assert study.below is not None
    classifier = own_classifier(study)
    assert classifier is not None
    rebuilt = classifier.logits(study.array("representations").rows(np.arange(9)))
    assert not np.allclose(rebuilt, output_logits(study, np.arange(9)))
    ours, theirs = (class_logits(one, np.arange(9)) for one in (study, whole))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_failures__name_what_adds_to_the_lead_near_each_image(case):
    table, wrong = case.study.table("failures"), misclassified(case)
    assert len(wrong) >= 3 and not case.study.has("probe_weights")
    ids = case.study.images["image_id"].to_numpy(object)
    assert set(table["image_id"]) == {ids[row] for row, _, _ in wrong}
    for row, true, told in wrong:
        r, g = gradient(case, row, told, true)
        codes = (np.array([LABELS.index(name)]) for name in (told, true))
        found = lead_gradients(case.study, np.array([row]), *codes)[0]
        np.testing.assert_allclose(found, g, rtol=1e-3, atol=1e-3 * float(g.abs().max()))
        for side, sign in (("predicted", 1.0), ("true", -1.0)):
            part = table[(table["image_id"] == ids[row]) & (table["side"] == side)]
            best = torch.sort(sign * r * g, descending=True).values[: len(part)]
            np.testing.assert_allclose(part["contribution"], best, rtol=5e-3)
    assert case.study.summary("failures")["local"] == LOCAL and "local" in LOCAL
    notes = " ".join(case.study.answers["head"].facts["notes"])
    bare = case.study.has("head_weights")  # of a width that no library has
    assert (UNCHECKED.partition("{")[0] in notes) == bare
    assert ("not one to one" in notes) == bare


@pytest.mark.parametrize("correct", [False, True])
def test_features_of_an_image__push_its_lead(case, correct):
    row, true, told = misclassified(case)[0]
    if correct:
        logits, labels = logits_of(case), case.study.images["label"].tolist()
        row = next(row for row, one in enumerate(logits) if LABELS[one.argmax()] == labels[row])
        told, true = (LABELS[code] for code in np.argsort(-logits[row])[:2])
    r, g = gradient(case, row, told, true)
    made = look_at(case.study, predictor_of_images(case.study), row)
    table = made.features
    assert (made.answer, made.rival) == (told, true)
    order = table["feature"].to_numpy()
    np.testing.assert_allclose(table["push"], (r * g).numpy()[order], rtol=5e-3, atol=1e-4)
    lead = (logit(case, r, told) - logit(case, r, true)).detach()
    np.testing.assert_allclose(made.lead, float(lead), rtol=1e-3)


def test_an_image_that_is_taken_for_no_label__is_pushed_towards_what_it_is_taken_for(case, tmp_path):
    """Outputs that mean no label can be predicted; the page of the image says so, not the best label."""
    with torch.no_grad():
        outputs = torch.stack([case.classify(r[None])[0] for r in case.raw])
    lone = int(outputs.argmax(1).mode().values)  # the output that wins most
    means = [None if at == lone else name for at, name in enumerate(OUTPUTS)]
    (tmp_path / "classes.csv").write_text(
        "\n".join(["output,label", *(f"{at},{one or ''}" for at, one in enumerate(means))])
    )
    folder = shutil.copytree(case.study.path, tmp_path / "study")
    with edited_manifest(folder) as manifest:  # as of a network that ends in a sigmoid
        manifest["steps"]["embed"]["summary"]["head"]["independent"] = True
    run_step("answers", folder, {"head_classes": str(tmp_path / "classes.csv")}, Progress.silent())
    study = open_study(folder).answering("head")
    assert SEVERAL in study.answers["head"].facts["notes"] and study.summary("probe")["top5"] is None
    table, labels, n_seen = study.table("probe"), study.images["label"], 0
    for row, told in enumerate(table["predicted"]):
        if told in LABELS:
            continue
        look, r = look_at(study, predictor_of_images(study), row), case.raw[row].clone().requires_grad_()
        assert (look.answer, look.rival) == (told, labels[row])
        lead = case.classify(r[None])[0][lone] - logit(case, r, str(labels[row]), means)
        (g,) = torch.autograd.grad(lead, r)
        assert look.lead == pytest.approx(lead.item(), rel=1e-3, abs=1e-4)
        order = look.features["feature"].to_numpy()
        np.testing.assert_allclose(
            look.features["push"], (r * g).detach().numpy()[order], rtol=5e-3, atol=1e-4
        )
        answer = describe(study, case.raw[row].numpy(), true=str(labels[row]))["answer"]
        (of_output,) = torch.autograd.grad(case.classify(r[None])[0][lone], r)
        best = torch.sort(r * of_output, descending=True).values[: len(answer["features"])]
        np.testing.assert_allclose(answer["contributions"], best.detach(), rtol=5e-3)
        shares = torch.softmax(case.classify(r[None])[0], 0)
        assert answer["confidence"] == pytest.approx(float(shares[lone].detach()), rel=5e-3)
        n_seen += 1
        told_for = f"output {lone}"
        assert told == told_for
        mine = study.table("failures").query("image_id == @study.images['image_id'][@row]")
        for side, sign in (("predicted", 1.0), ("true", -1.0)):
            part = mine[mine["side"] == side]
            best = torch.sort(sign * (r * g).detach(), descending=True).values[: len(part)]
            np.testing.assert_allclose(part["contribution"], best, rtol=5e-3)
    pairs = study.table("failure_pairs").query("side == 'predicted' and rank == 1")
    counted = confusions(study, study.is_val).rename(columns={"n": "n_images"})
    keys = ["true", "predicted", "n_images"]
    assert n_seen and set(pairs[keys].itertuples(index=False)) == set(counted[keys].itertuples(index=False))
    wrong = table["predicted"].to_numpy(object) != labels.to_numpy(object)
    assert counted["n_images"].sum() == wrong.sum()
    probe, named = ProbeWithMeans.of_every_output(study)
    rows = np.flatnonzero(table["predicted"] == told_for)[:1]
    truth = str(labels[rows[0]])
    behind = behind_confusion(study, probe, rows, truth, told_for)
    feature = int(behind["feature"].iloc[0])
    without = without_feature(study, probe, rows, feature, truth, told_for)
    changed = case.raw[int(rows[0])].clone()
    changed[feature] = float(probe.means[feature])
    answer = best_of_all(case, changed, means)
    assert without.answers == [answer if answer in named else OTHER]
    run_step("failures", folder, {"interventions": True, "split": "all"}, Progress.silent())
    study = open_study(folder).answering("head")
    rates = study.table("interventions").query("order == 'contribution' and removed == 1")
    flips = [flips_without_the_first(case, r, means, probe.means) for r in case.raw]
    for kind, here in (("misclassified", wrong), ("correct", ~wrong)):
        row = rates.set_index("images").loc[kind]
        assert row["n"] == here.sum()
        assert not here.any() or row["flip_rate"] == pytest.approx(np.array(flips)[here].mean())
    assert f"of {wrong.sum()} " in study.summary("failures")["interventions"]


def names_of_all(means: Sequence[str | None]) -> list[str]:
    return [name or f"output {at}" for at, name in enumerate(means)]


def best_of_all(case: Case, values: Tensor, means: Sequence[str | None]) -> str:
    """The answer of all outputs."""
    names = names_of_all(means)
    return max(names, key=lambda name: logit(case, values, name, names).item())


def flips_without_the_first(case: Case, r: Tensor, means: Sequence[str | None], usual: np.ndarray) -> bool:
    """Whether an answer changes, of all outputs, once the feature that adds most to it is at its mean."""
    read, answer = r.clone().requires_grad_(), best_of_all(case, r, means)
    (g,) = torch.autograd.grad(logit(case, read, answer, names_of_all(means)), read)
    first = int((r * g).argmax())
    changed = r.clone()
    changed[first] = float(usual[first])
    return best_of_all(case, changed, means) != answer


def test_decompose_and_blame(case):
    """Behind one class stands the gradient of its own logit; features are taken out exactly."""
    row, true, told = misclassified(case)[0]
    described, r = describe(case.study, case.raw[row].numpy(), true=true), case.raw[row]
    assert described["answer"]["predicted"] == told and described["notes"][-1] == LOCAL
    for side, label in (("answer", told), ("truth", true)):
        read = r.clone().requires_grad_()
        g = torch.autograd.grad(logit(case, read, label), read)[0]
        best = torch.sort(r * g, descending=True).values[: len(described[side]["features"])]
        np.testing.assert_allclose(described[side]["contributions"], best, rtol=5e-3)
    probe = ProbeWithMeans.of(case.study)
    feature = described["answer"]["features"][0]
    without = without_feature(case.study, probe, np.array([row]), feature, true, told)
    changed = r.clone()
    changed[feature] = float(probe.means[feature])
    with torch.no_grad():
        best = int(torch.stack([logit(case, changed, one) for one in LABELS]).argmax())
        assert without.answers[0] == LABELS[best]


def test_a_picture_is_answered_by_the_classes_that_the_file_states(case):
    row, true, told = misclassified(case)[0]
    asked, r = predictor_of(case.study), case.raw[row]
    assert asked is not None and set(LABELS) < set(asked.names)
    with torch.no_grad():
        outputs = case.classify(r[None])[0].numpy()
    seen: Any = SimpleNamespace(raw=r.numpy(), fires=np.zeros(len(r)), logits=outputs)
    look = decide(asked, seen, true=true)
    assert (look.answer, look.rival) == (told, true)
    lead = (logit(case, r, told) - logit(case, r, true)).detach()
    np.testing.assert_allclose(look.lead, float(lead), rtol=1e-3)
    _, g = gradient(case, row, told, true)
    order = look.features["feature"].to_numpy()
    np.testing.assert_allclose(look.features["push"], (r * g).numpy()[order], rtol=5e-3, atol=1e-4)
    assert look.note == LOCAL
    off = order[:3]
    changed = r.clone()
    changed[off.tolist()] = torch.tensor(asked.means).float()[off.tolist()]
    with torch.no_grad():
        outputs = torch.softmax(case.classify(changed[None])[0], 0)
    shares = {name: sum(outputs[at] for at, one in enumerate(OUTPUTS) if one == name) for name in LABELS}
    after = decide(asked, seen, off=off.tolist()).classes.set_index("name")["after"]
    for name in set(shares) & set(after.index):
        assert after[name] == pytest.approx(float(shares[name]), rel=5e-3)


def test_in_a_basis__latents_add_to_the_answer_for_the_image_whatever_they_leave_out_of_it(case):
    add_basis(
        case.study.path, "sae", BasisConfig(kind="topk", size=24, k=6, steps=40, seeds=1), Progress.silent()
    )
    study = open_study(case.study.path).in_basis("sae").answering("head")
    z = torch.from_numpy(study.array("representations")[:])
    decoder, offset = (
        torch.from_numpy(open_study(case.study.path).vector(f"basis_sae_{part}").copy())
        for part in ("decoder", "offset")
    )
    for row, true, told in misclassified(case):
        codes = z[row].clone().requires_grad_()
        rebuilt = codes @ decoder + offset + (case.raw[row] - (z[row] @ decoder + offset))
        lead = logit(case, rebuilt, told) - logit(case, rebuilt, true)
        g = torch.autograd.grad(lead, codes)[0]
        sides = (np.array([LABELS.index(name)]) for name in (told, true))
        found = lead_gradients(study, np.array([row]), *sides)[0]
        np.testing.assert_allclose(found, g, rtol=1e-3, atol=1e-3 * float(g.abs().max()))
        look = look_at(study, predictor_of_images(study), row)
        assert (look.answer, look.lead) == (told, pytest.approx(float(lead.detach()), rel=1e-3))
        said = describe(study, z[row].numpy(), units=case.raw[row].numpy())["answer"]
        assert said["predicted"] == told
    assert len(study.table("failures")) and study.summary("failures")["local"] == LOCAL
    off = int(z[row].argmax())
    left_out = case.raw[row] - (z[row] @ decoder + offset)
    asked, made = without_features(study, np.array([row]), [off])
    assert asked.names[made.before[0]] == told
    z[row, off] = float(asked.means[off])
    with torch.no_grad():
        outputs = torch.softmax(case.classify((z[row] @ decoder + offset + left_out)[None])[0], 0)
    shares = [float(sum(outputs[at] for at, one in enumerate(OUTPUTS) if one == name)) for name in LABELS]
    shares.append(float(outputs[OUTPUTS.index(None)]))
    assert made.after[0] == int(np.argmax(shares))


def test_a_slice_without_some_features__is_answered_by_the_classifier_again(case):
    rows, off = np.arange(case.study.n_images), [3, 40]
    asked, made = without_features(case.study, rows, off)
    for row, code in zip(rows, made.after, strict=True):
        changed = case.raw[row].clone()
        changed[off] = torch.tensor(asked.means).float()[off]
        with torch.no_grad():
            outputs = torch.softmax(case.classify(changed[None])[0], 0)
        shares = [sum(outputs[at] for at, one in enumerate(OUTPUTS) if one == name) for name in LABELS]
        shares.append(next(outputs[at] for at, one in enumerate(OUTPUTS) if one is None))
        assert code == int(torch.stack([torch.as_tensor(one) for one in shares]).argmax()), row


def test_a_classifier_of_a_map__adds_what_each_feature_does_at_all_positions(tmp_path):
    """The twin scales the map of each feature in the untouched network, and asks autograd."""
    write_images(tmp_path / "images", 18)
    network = trained(torchvision.models.get_model("squeezenet1_1", num_classes=len(LABELS)))
    torch.save(network.state_dict(), tmp_path / "net.pth")
    spec = f"torchvision:squeezenet1_1@{tmp_path / 'net.pth'}"
    study = studied(tmp_path / "study", tmp_path / "images", spec, input_size=96, resize=96).answering("head")
    table, labels = study.table("probe"), study.images["label"]
    wrong = [
        row for row, (true, told) in enumerate(zip(labels, table["predicted"], strict=True)) if true != told
    ]
    assert wrong and not can_switch_off(study) and study.summary("failures")["local"] == LOCAL
    for row in wrong:
        with torch.no_grad():
            values = network.get_submodule("features")(pixels(study, row)[None])
        scale = torch.ones(values.shape[1], requires_grad=True)
        logits = network.get_submodule("classifier")(values * scale[:, None, None]).flatten()
        told, true = (LABELS.index(one) for one in (table["predicted"][row], labels[row]))
        added = torch.autograd.grad(logits[told] - logits[true], scale)[0]
        found = look_at(study, predictor_of_images(study), row).features
        order = found["feature"].to_numpy()
        np.testing.assert_allclose(
            found["push"], added.numpy()[order], rtol=1e-2, atol=1e-3 * float(added.abs().max())
        )
    right = next((row for row in range(study.n_images) if row not in wrong), None)
    if right is not None:
        look = look_at(study, predictor_of_images(study), right)
        assert look.note == ONLY_WRONG and look.features["push"].isna().all()
