"""The head of a remedy as a file: alone, in a network of torchvision and timm, and as a classifier."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from numpy.testing import assert_allclose, assert_array_equal
from safetensors import safe_open
from safetensors.torch import load_file

from core.cli import main
from core.common.step_facts import EmbedFacts
from core.encoders.head_file import head_bytes, names_in_metadata, read_head
from core.encoders.registry import load_encoder
from core.errors import CheckpointError, EncoderError, SettingsError, StudyError
from core.pipeline.run import run_step
from core.publish.remedy_head import remedy_head, remedy_head_bytes, write_remedy_head
from core.store import Study, open_study
from core.study.progress import Progress
from tests.synthetic import draw_picture

NAMES = ("ant", "bee", "cat")
SPECS = {"torchvision": "torchvision:resnet18?weights=none", "timm": "timm:resnet10t"}


def study_of(folder: Path, spec: str) -> Study:
    """36 pictures of three classes, a network with random weights, and the step `remedies`."""
    rng = np.random.default_rng(0)
    for number in range(36):
        split, name = "val" if number % 4 == 3 else "train", NAMES[number % 3]
        path = folder / "images" / split / name / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_picture(rng, number % 3).save(path)
    given = {"images": str(folder / "images"), "encoder": spec, "input_size": 32, "resize": 32}
    run_step("embed", folder / "study", {**given, "device": "cpu", "workers": 0}, Progress.silent())
    options = {"strengths": (0.1,), "features": (0, 1), "device": "cpu"}
    run_step("remedies", folder / "study", options, Progress.silent())
    return open_study(folder / "study")


@pytest.fixture(scope="module", params=[*SPECS])
def made(request, tmp_path_factory) -> tuple[str, Study]:
    return request.param, study_of(tmp_path_factory.mktemp(request.param), SPECS[request.param])


def pixels_of(study: Study) -> torch.Tensor:
    """All pictures as the library's network takes them: resized, cropped and normalised by hand."""
    transform = study.transform
    views = np.stack([transform.pixels(study.image(row)) for row in range(study.n_images)])
    x = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (transform.mean, transform.std))
    return (x - mean) / std


@pytest.mark.slow
def test_whole_network__the_library_loads_it_and_gives_the_logits(made, tmp_path):
    library, study = made
    out = tmp_path / "whole.safetensors"
    assert main(["remedies", str(study.path), "--head", "features_off", "--whole", "-o", str(out)]) == 0
    weights, bias, names = remedy_head(study, "features_off")
    if library == "timm":
        network = timm.create_model("resnet10t", num_classes=3, checkpoint_path=str(out)).eval()
    else:
        network = torchvision.models.resnet18(num_classes=3)
        network.load_state_dict(load_file(out))
        network.eval()
    with torch.inference_mode():
        logits = network(pixels_of(study)).numpy()
    expected = study.vector("representations") @ weights.T + bias
    assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    assert names == list(NAMES) and [one[0] for one in names_in_metadata(out)] == names
    encoder = load_encoder(str(out))  # by the sidecar beside it
    head = encoder.find_head()
    assert not isinstance(head, str) and head.names == [[name] for name in NAMES] and not head.assumed
    assert head.linear is not None
    assert_allclose(head.linear[0].numpy(), weights, atol=1e-6)
    assert encoder.transform == study.transform


@pytest.mark.slow
def test_head__is_the_classifier_of_the_next_study(made, tmp_path):
    _, study = made
    (tmp_path / "head.safetensors").write_bytes(remedy_head_bytes(study, "refit"))
    settings = study.settings("embed")
    options = {name: settings[name] for name in ("images", "encoder", "input_size", "resize")}
    options |= {"head": str(tmp_path / "head.safetensors"), "device": "cpu", "workers": 0}
    run_step("embed", tmp_path / "next", options, Progress.silent())
    run_step("answers", tmp_path / "next", {}, Progress.silent())
    after = open_study(tmp_path / "next", "head")
    weights, bias, names = remedy_head(study, "refit")
    logits = study.vector("representations").astype(float) @ weights.T + bias
    assert_array_equal(after.table("probe")["predicted"], np.array(names, object)[logits.argmax(1)])
    assert after.facts(EmbedFacts).head.n_outputs == 3
    assert after.facts(EmbedFacts).encoder.fingerprint == study.facts(EmbedFacts).encoder.fingerprint
    assert_array_equal(after.is_val, study.is_val)
    assert after.answer is not None
    assert after.answer.facts["n"] == study.is_val.sum()  # judged on images that the head has not seen


def test_whole_network__of_another_encoder_is_refused(tmp_path):
    study = study_of(tmp_path, "torchvision:mobilenet_v3_small?weights=none")
    out = tmp_path / "whole.safetensors"
    with pytest.raises(EncoderError, match="leave out --whole"):
        write_remedy_head(study, "features_off", out, whole=True)
    assert not out.exists()
    write_remedy_head(study, "features_off", out)
    assert read_head(out)[0].shape == (3, 576)


def test_file__holds_the_head_its_names_and_what_it_was_fitted_to(tmp_path, rng):
    weights, bias = rng.normal(size=(2, 5)), rng.normal(size=2)
    path = tmp_path / "head.safetensors"
    path.write_bytes(head_bytes(weights, bias, ["Äpfel, grün", "b"], fitted_to="27 train images"))
    read = read_head(path)
    assert_array_equal(read[0], weights.astype(np.float32))
    assert_array_equal(read[1], bias.astype(np.float32))
    assert read[2] == ["Äpfel, grün", "b"]
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["fitted_to"] == "27 train images"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a file of tensors",
        head_bytes(np.ones((2, 3)), np.ones(2), ["only one"]),
        head_bytes(np.ones((2, 3)), np.ones(3), ["a", "b"]),
        head_bytes(np.ones(3), np.ones(3), ["a", "b", "c"]),
    ],
)
def test_file__that_is_no_head_is_refused_in_a_line(tmp_path, content):
    path = tmp_path / "head.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read_head(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_names__of_metadata_that_says_something_else(tmp_path):
    from safetensors.numpy import save

    for number, told in enumerate(('{"a": 1}', "[1, 2]", "not json")):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(save({"weight": np.ones((2, 2), np.float32)}, metadata={"classes": told}))
        assert names_in_metadata(path) == []
    assert names_in_metadata(tmp_path / "absent.safetensors") == []


def test_command__says_what_is_missing(tmp_path, capsys):
    study = study_of(tmp_path, SPECS["timm"])
    with pytest.raises(SettingsError, match="no head of 'balance'"):
        remedy_head(study, "balance")
    assert main(["remedies", str(study.path), "--head", "refit"]) == 2
    assert main(["remedies", str(study.path), "--head", "refit", "-o", str(tmp_path / "a.pt")]) == 2
    capsys.readouterr()
    out = tmp_path / "a.safetensors"
    assert main(["remedies", str(study.path), "--head", "refit", "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_classes"] == 3
    with pytest.raises(CheckpointError, match="features"):
        run_step(
            "embed",
            tmp_path / "other",
            {"images": str(tmp_path / "images"), "encoder": SPECS["torchvision"], "input_size": 32}
            | {"head": str(_narrow(tmp_path)), "device": "cpu", "workers": 0},
            Progress.silent(),
        )
    bare = tmp_path / "bare"
    run_step("embed", bare, {"images": str(tmp_path / "images"), "encoder": SPECS["timm"], "input_size": 32,
                             "device": "cpu", "workers": 0}, Progress.silent())  # fmt: skip
    with pytest.raises(StudyError, match="Run: "):
        remedy_head(open_study(bare), "refit")


def _narrow(folder: Path) -> Path:
    path = folder / "narrow.safetensors"
    path.write_bytes(head_bytes(np.ones((3, 7)), np.ones(3), list(NAMES)))
    return path
