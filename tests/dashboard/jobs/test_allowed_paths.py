"""What may be chosen from the browser, and what may not, however it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.study.commands import Analyze
from dashboard.jobs import allowed_paths
from dashboard.panels import new_study_request


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """open/ may be chosen from, closed/ may not; links lead both ways."""
    for folder in ("open/photos/cat", "open/.hidden", "closed/photos", "opened"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("open/model.pth", "open/notes.txt", "open/.secret.pth", "closed/model.pth"):
        (tmp_path / file).write_bytes(b"x")
    (tmp_path / "open" / "leads_out").symlink_to(tmp_path / "closed")
    (tmp_path / "open" / "leads_out.pth").symlink_to(tmp_path / "closed" / "model.pth")
    (tmp_path / "open" / "leads_in").symlink_to(tmp_path / "open" / "photos")
    (tmp_path / "open" / "loop").symlink_to(tmp_path / "open" / "loop")
    monkeypatch.setenv(
        allowed_paths.ROOTS, os.pathsep.join([str(tmp_path / "open"), str(tmp_path / "not there")])
    )
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "text", ["open/photos", " {place}/open/photos ", "open/./photos/", "open/cat/../photos"]
)
def test_allowed__below_a_root(place, text):
    assert allowed_paths.allowed(text.format(place=place), folder=True) == place / "open" / "photos"


def test_allowed__a_link_inside_is_followed(place):
    assert allowed_paths.allowed("open/leads_in") == place / "open" / "photos"


@pytest.mark.parametrize(
    "text",
    [
        "closed",
        "{place}/closed/photos",
        "open/../closed",
        "open/photos/../../closed/model.pth",
        "open/leads_out",
        "open/leads_out/photos",
        "open/leads_out.pth",
        "open/.hidden",
        "open/.secret.pth",
        "opened",
        "/etc/passwd",
        "/",
        "..",
        "~",
        "closed/no/such/thing",
        "file:///etc/passwd",
    ],
)
def test_allowed__nothing_else(place, text):
    with pytest.raises(SettingsError, match="not below a folder that may be chosen"):
        allowed_paths.allowed(text.format(place=place))


@pytest.mark.parametrize(
    ("text", "says"), [("", "no path"), ("a\0b", "no path"), ("open/nothing", "there is no")]
)
def test_allowed__says_what_is_wrong(place, text, says):
    with pytest.raises(SettingsError, match=says):
        allowed_paths.allowed(text)


@pytest.fixture
def named(monkeypatch) -> None:
    monkeypatch.setenv("PEREGRINE_URLS", "s3://bucket/photos https://host/lists")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" s3://bucket/photos/ ", "s3://bucket/photos"),
        ("s3://bucket/photos/train-{000..002}.tar", "s3://bucket/photos/train-{000..002}.tar"),
        ("https://host/lists/a%20b.csv", "https://host/lists/a b.csv"),
    ],
)
def test_allowed__an_address_that_the_owner_has_named(place, named, text, address):
    for folder in (True, False, None):
        assert allowed_paths.allowed_place(text, folder=folder) == address


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/photos2",
        "s3://bucket",
        "s3://bucket/photos/../secret",
        "http://169.254.169.254/latest/meta-data",
        "https://me:secret@host/lists/x.csv",
        "https://host/lists/x.csv?root=/etc",
        "gs://bucket/photos",
        "ftp://host/lists",
        "zip::s3://bucket/photos/x.zip",
    ],
)
def test_allowed__no_other_address(place, named, text):
    with pytest.raises(SettingsError, match="not below an address|cannot be read from|holds") as error:
        allowed_paths.allowed_place(text)
    assert "secret@" not in str(error.value)


def test_allowed__kind(place):
    with pytest.raises(SettingsError, match="is a file"):
        allowed_paths.allowed("open/model.pth", folder=True)
    with pytest.raises(SettingsError, match="is a folder"):
        allowed_paths.allowed("open/photos", folder=False)


def test_roots__default_is_the_projects_own_folders(tmp_path, monkeypatch):
    monkeypatch.delenv(allowed_paths.ROOTS, raising=False)
    monkeypatch.chdir(tmp_path)
    assert allowed_paths.roots() == []
    with pytest.raises(SettingsError, match="PEREGRINE_ROOTS"):
        allowed_paths.allowed(str(tmp_path))
    (tmp_path / "data").mkdir()
    assert allowed_paths.roots() == [tmp_path / "data"]


def test_listing__hidden_and_outside_are_left_out(place):
    folders, files = allowed_paths.listing(place / "open", (".pth",))
    assert [path.name for path in folders] == ["leads_in", "photos"]
    assert [path.name for path in files] == ["model.pth"]
    assert allowed_paths.listing(place / "closed", (".pth",)) == ([], [])
    assert allowed_paths.parent(place / "open") is None
    assert allowed_paths.parent(place / "open" / "photos") == place / "open"


@pytest.mark.parametrize("name", ["mine", "run 2", "été-1.5"])
def test_study_folder__good_names(place, name):
    assert allowed_paths.study_folder(name) == place / "studies" / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "/x", ".jobs", "a\\b", "x.", "a\0", "-x", "a" * 61]
)
def test_study_folder__bad_names(place, name):
    with pytest.raises(SettingsError, match="name begins with"):
        allowed_paths.study_folder(name)


def test_study_folder__never_into_something_else(place):
    (place / "studies" / "photos").mkdir(parents=True)
    (place / "studies" / "photos" / "me.jpg").write_bytes(b"x")
    (place / "studies" / "link").symlink_to(place / "closed")
    with pytest.raises(SettingsError, match="holds other files"):
        allowed_paths.study_folder("photos")
    with pytest.raises(SettingsError, match="study"):
        allowed_paths.study_folder("link")


def test_study_request__words_of_the_command(place):
    asked = new_study_request.StudyRequest(
        images_path="open/photos",
        encoder=new_study_request.CHECKPOINT,
        encoder_text="open/model.pth",
        architecture="resnet18",
    )
    assert not asked.missing
    study = place / "mine"
    assert asked.command(study) == Analyze.of(
        study,
        images=str(place / "open" / "photos"),
        encoder=f"resnet18@{place / 'open' / 'model.pth'}",
        epsilon="auto",
    )


def test_study_request__everything(place):
    (place / "open" / "captions.txt").write_text("a\nb\n")
    asked = new_study_request.StudyRequest(
        images=new_study_request.GLYPHWORLD,
        encoder=new_study_request.TIMM,
        encoder_text="resnet10t",
        masks=new_study_request.MASK_FOLDER,
        masks_path="open/photos",
        words=new_study_request.WORD_FILE,
        words_path="open/captions.txt",
        clip="ViT-B-32@openai",
        options={"epsilon": " 4.0", "pool": "max"},
    )
    assert asked.command(place / "mine", dry_run=True) == Analyze.of(
        place / "mine",
        images="glyphworld",
        encoder="timm:resnet10t?pretrained=true",
        pool="max",
        epsilon="4",
        masks=str(place / "open" / "photos"),
        captions=str(place / "open" / "captions.txt"),
        clip="ViT-B-32@openai",
        dry_run=True,
    )


def test_study_request__by_address(place, named):
    asked = new_study_request.StudyRequest(
        images_path="s3://bucket/photos/pets",
        encoder=new_study_request.CHECKPOINT,
        encoder_text="https://host/lists/model.pth",
        architecture="resnet18",
        masks=new_study_request.MASK_FOLDER,
        masks_path="s3://bucket/photos/masks",
        words=new_study_request.WORD_FILE,
        words_path="s3://bucket/photos/captions.txt",
    )
    assert asked.command(place / "mine") == Analyze.of(
        place / "mine",
        images="s3://bucket/photos/pets",
        encoder="resnet18@https://host/lists/model.pth",
        masks="s3://bucket/photos/masks",
        captions="s3://bucket/photos/captions.txt",
        epsilon="auto",
    )


def test_masks__keep_which_values_are_the_mask(place):
    options = new_study_request.mask_options(
        new_study_request.MASK_FOLDER, "open/photos?value=1+2&ignore=255"
    )
    assert options == {"masks": f"{place / 'open/photos'}?value=1+2&ignore=255"}


@pytest.mark.parametrize(
    "change",
    [
        {"images_path": "closed"},
        {"images_path": "s3://bucket/elsewhere"},
        {"images_path": "open/model.pth"},
        {"encoder_text": "closed/model.pth"},
        {"encoder_text": "open/photos"},
        {"encoder": new_study_request.TIMM, "encoder_text": "resnet18?checkpoint_path=/etc/passwd"},
        {"encoder": new_study_request.TIMM, "encoder_text": "hf-hub:some/thing"},
        {"encoder": new_study_request.TORCHVISION, "encoder_text": "resnet18@/etc/passwd"},
        {"encoder": new_study_request.ASSET, "encoder_text": "../../etc/passwd"},
        {"architecture": "python:os:system"},
        {"architecture": "resnet18@/etc/passwd"},
        {"options": {"pool": "max --trust=python:os:system"}},
        {"encoder": new_study_request.CHECKPOINT, "options": {"head_classes": "closed/names.txt"}},
        {"encoder": new_study_request.CHECKPOINT, "options": {"std": "0,1,1"}},
        {"options": {"epsilon": "four"}},
        {"masks": new_study_request.MASK_FOLDER, "masks_path": "closed"},
        {"masks": new_study_request.MASK_FOLDER, "masks_path": "closed?value=1/../../open/photos"},
        {"words": new_study_request.WORD_FILE, "words_path": "/etc/passwd"},
        {"words": new_study_request.GLYPH_WORDS, "clip": "ViT-B-32@/etc/passwd"},
        {"words": new_study_request.GLYPH_WORDS, "clip": "local-dir:/etc"},
        {"words": new_study_request.GLYPH_WORDS, "clip": "/etc/passwd.json"},
    ],
)
def test_study_request__refuses(place, change):
    usual = {"images_path": "open/photos", "encoder_text": "open/model.pth"}
    with pytest.raises(SettingsError):
        new_study_request.StudyRequest(**(usual | change)).command(place / "mine")


@pytest.mark.parametrize(
    ("asked", "complete"),
    [
        (new_study_request.StudyRequest(), False),
        (new_study_request.StudyRequest(images=new_study_request.GLYPHWORLD), False),
        (new_study_request.StudyRequest(images=new_study_request.GLYPHWORLD, encoder_text="x"), True),
        (
            new_study_request.StudyRequest(
                images_path="x", encoder_text="x", masks=new_study_request.MASK_FOLDER
            ),
            False,
        ),
        (
            new_study_request.StudyRequest(
                images_path="x", encoder_text="x", words=new_study_request.WORD_FILE
            ),
            False,
        ),
        (
            new_study_request.StudyRequest(
                images_path="x", encoder_text="x", words=new_study_request.GLYPH_WORDS
            ),
            True,
        ),
    ],
)
def test_study_request__is_complete(asked, complete):
    assert bool(asked.missing) != complete
