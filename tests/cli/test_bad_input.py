"""Bad input through the command line: one line that says what, where and what to do, and nothing lost."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.encoders.registry import load_encoder
from tests.command_line import QUICK, SMALL, analyzed, contents, info_of, photos
from tests.data.pictures import deep_png, encoded, picture

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


# Folders


def test_folder__missing_names_what_is_near(run, tmp_path):
    photos(tmp_path / "photos", {"a": 2})
    error = run("analyze", tmp_path / "study", "--images", tmp_path / "photso", *SMALL).error
    assert "photso" in error and "photos" in error.replace("photso", "")
    assert not (tmp_path / "study").exists()


def test_folder__empty(run, tmp_path):
    (tmp_path / "photos").mkdir()
    error = run("analyze", tmp_path / "study", "--images", tmp_path / "photos", *SMALL).error
    assert str(tmp_path / "photos") in error and "no images" in error


def test_folder__an_empty_class_is_ignored_with_a_note(run, tmp_path):
    study = analyzed(run, tmp_path / "study", photos(tmp_path / "photos", {"a": 5, "b": 5, "void": 0}))
    assert study.class_names == ["a", "b"]
    assert any("void" in note for note in info_of(run, study.path)["notes"])
    assert "void" in run("info", study.path).out


@pytest.mark.parametrize(
    ("counts", "reason"),
    [({"only": 8}, "class"), ({"a": 1, "b": 1, "c": 1}, "image")],
    ids=["one class only", "one image a class"],
)
def test_folder__labels_that_teach_nothing(run, tmp_path, counts, reason):
    study = analyzed(run, tmp_path / "study", photos(tmp_path / "photos", counts))
    told = info_of(run, study.path)
    assert told["n_images"] == sum(counts.values()) and told["q_auroc"] is None
    assert reason in " ".join([*told["notes"], *told["skipped_steps"].values()])
    assert "top-1" not in run("info", study.path).out
    assert study.table("quality")["q_score"].notna().all()


def test_folder__of_someone_elses_files_is_not_made_a_study(run, tmp_path):
    images = photos(tmp_path / "photos", {"thumbnails": 2, "b": 2})
    before = contents(images)
    for words in (["analyze", "--dry-run"], ["analyze"], ["embed"]):
        command, *more = words
        error = run(command, images, "--images", images, *SMALL, *more).error
        assert "new folder" in error
    assert contents(images) == before and not (images / "progress.json").exists()


# Images


def odd_images() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = rgb.convert("RGBA").quantize(16)
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    return {
        "gray.png": encoded(rgb.convert("L")),
        "cmyk.jpg": encoded(rgb.convert("CMYK"), "JPEG"),
        "deep.png": deep_png(rng.integers(0, 65536, (8, 8, 1))),
        "palette.png": encoded(palette, transparency=bytes([0, 128, 255])),
        "turned.jpg": encoded(rgb, "JPEG", exif=turned),
        "moving.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "dot.png": encoded(Image.new("RGB", (1, 1), "green")),
        "wide.png": encoded(Image.new("1", (20_000, 40))),
    }


def test_images__of_every_kind_in_one_folder(run, tmp_path):
    images = photos(tmp_path / "photos", {"plain": 6})
    (images / "odd").mkdir()
    for name, content in odd_images().items():
        (images / "odd" / name).write_bytes(content)
    study = analyzed(run, tmp_path / "study", images)
    assert info_of(run, study.path)["n_skipped"] == 0 and len(study.images) == 6 + len(odd_images())
    assert study.image("odd/turned.jpg").size == (20, 30)
    assert study.image("odd/moving.gif").getpixel((4, 4)) == (255, 0, 0)
    assert study.thumbnail_image(study.row_of("odd/wide.png")).width == 128
    assert np.isfinite(study.vector("representations")).all()


BROKEN = {
    "truncated.png": picture(1, size=(40, 40))[:300],
    "empty.png": b"",
    "text.jpg": b"<!doctype html><title>404</title>",
    "noise.jpg": bytes(range(256)),
}


def test_images__unreadable_ones_are_skipped_counted_and_listed(run, tmp_path):
    images = photos(tmp_path / "photos", {"a": 6, "b": 6})
    for name, content in BROKEN.items():
        (images / "a" / name).write_bytes(content)
    study = analyzed(run, tmp_path / "study", images)
    told = info_of(run, study.path)
    assert (told["n_images"], told["n_skipped"]) == (12, 4)
    assert "4 skipped" in run("info", study.path).out
    out = tmp_path / "skipped.csv"
    assert run("export", study.path, "skipped", "-o", out).code == 0
    header, *lines = out.read_text().splitlines()
    assert header == "path,reason"
    assert sorted(Path(line.partition(",")[0]).name for line in lines) == sorted(BROKEN)
    assert all(line.partition(",")[2] for line in lines)
    assert len(study.vector("representations")) == len(study.table("quality")) == 12
    assert "--strict" in run("analyze", study.path, "--images", images, *SMALL, *QUICK, "--strict").error
    assert contents(study.path) == contents(analyzed(run, study.path, images).path)


def test_images__strict_stops_at_the_first_and_the_rest_can_go_on(run, tmp_path):
    images = photos(tmp_path / "photos", {"a": 3, "b": 3})
    (images / "b" / "0.png").write_bytes(b"")
    words = ("analyze", tmp_path / "study", "--images", images, *SMALL, *QUICK)
    error = run(*words, "--strict").error
    assert "b/0.png" in error and "--strict" in error
    assert run(*words).code == 0 and info_of(run, tmp_path / "study")["n_skipped"] == 1


def test_images__none_readable(run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    error = run("analyze", tmp_path / "study", "--images", tmp_path / "photos", *SMALL, *QUICK).error
    assert "1 images" in error and "a.png" in error


def test_names__beyond_ascii(run, tmp_path):
    images = photos(tmp_path / "Fotos vom März", {"Bär": 4, "狐": 4})
    (images / "Bär" / "0.png").rename(images / "Bär" / "schön & gut 🦊.png")
    study = analyzed(run, tmp_path / "Studie Ä", images)
    assert study.class_names == ["Bär", "狐"]
    out = tmp_path / "Güte.csv"
    said = run("export", study.path, "images", "-o", out, "--slice", "label=Bär")
    assert said.code == 0 and "Bär/schön & gut 🦊.png" in out.read_text(encoding="utf-8")
    assert "Studie Ä" in run("info", study.path).out
    assert study.image("Bär/schön & gut 🦊.png").size == (12, 10)


# Encoders


class Harmful:
    def __reduce__(self):
        return (os.mkdir, (os.environ["HARM"],))


def write_checkpoint(path: Path, kind: str) -> str:
    """Write a file that is no usable checkpoint, and return the SPEC that names it."""
    if kind == "another architecture":
        torch.save(load_encoder("timm:resnet10t").base.state_dict(), path)
        return f"torchvision:squeezenet1_1@{path}"
    elif kind == "web page":
        path.write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 94000000\n")
    elif kind == "code":
        torch.save({"state_dict": Harmful()}, path)
    elif kind == "code in a plain pickle":
        path.write_bytes(pickle.dumps({"state_dict": Harmful()}))
    return f"resnet18@{path}"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("another architecture", ["squeezenet1_1", "conv1.0.weight"]),
        ("web page", ["web page", "download"]),
        ("pointer", ["git-lfs", "git lfs pull"]),
        ("code", ["refused", "mkdir"]),
        ("code in a plain pickle", ["refused"]),
        ("nothing there", ["no checkpoint at"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_checkpoint__that_cannot_be_used(run, tmp_path, monkeypatch, kind, words):
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    spec = write_checkpoint(tmp_path / "model.ckpt", kind)
    images = photos(tmp_path / "photos", {"a": 3, "b": 3})
    error = run("analyze", tmp_path / "study", "--images", images, "--encoder", spec).error
    assert "model.ckpt" in error
    assert all(word.lower() in error.lower() for word in words), error
    assert not (tmp_path / "harm").exists() and not (tmp_path / "study").exists()


FACTORY = """
import torch

class Dark(torch.nn.Module):
    '''Gives NaN for a black image.'''
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, stride=8)
    def forward(self, x):
        raw = self.conv(x).relu().mean((2, 3))
        black = (x.std((1, 2, 3)) < 0.5) & (x.amax((1, 2, 3)) < 0)
        return torch.where(black[:, None], torch.nan, raw)

def make():
    torch.manual_seed(0)
    return Dark()
"""


def test_encoder__that_yields_nan_names_the_image(run, tmp_path, monkeypatch):
    (tmp_path / "my_dark_encoder.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    images = photos(tmp_path / "photos", {"a": 3, "b": 3})
    (images / "b" / "night.png").write_bytes(encoded(Image.new("RGB", (32, 32), "black")))
    encoder = ("--encoder", "python:my_dark_encoder:make", "--input-size", "32", "--resize", "32")
    words = ("analyze", tmp_path / "study", "--images", images, *encoder, *QUICK)
    error = run(*words).error
    assert "b/night.png" in error and "NaN" in error
    (images / "b" / "night.png").unlink()
    assert run(*words).code == 0


def test_encoder__module_with_a_mistake(run, tmp_path, monkeypatch):
    (tmp_path / "my_wrong_encoder.py").write_text("def make(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    images = photos(tmp_path / "photos", {"a": 3})
    words = ("analyze", tmp_path / "study", "--images", images, "--encoder", "python:my_wrong_encoder:make")
    assert "SyntaxError" in run(*words).error


def test_representations__with_nan_or_too_large_for_their_storage(run, tmp_path, given):
    raw = np.load(tmp_path / "raw.npy").astype(np.float64)
    raw[7, 3] = 1e300
    np.save(tmp_path / "raw.npy", raw)
    assert "image '7'" in run("analyze", tmp_path / "study", *given).error
    raw[7, 3] = 1e5
    np.save(tmp_path / "raw.npy", raw)
    assert "image '7'" in run("analyze", tmp_path / "study", *given, "--dtype", "float16").error
    assert run("analyze", tmp_path / "study", *given).code == 0


def test_images_must_be_named__and_an_encoder_or_representations_not_both(run, tmp_path):
    study, images = tmp_path / "study", photos(tmp_path / "photos", {"a": 2})
    assert "--images DIR" in run("analyze", study, *SMALL).error
    both = ("--images", images, *SMALL, "--representations", "raw.npy")
    assert "not both" in run("analyze", study, *both).error
    assert not study.exists()
