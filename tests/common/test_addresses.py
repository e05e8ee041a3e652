from __future__ import annotations

from pathlib import Path

import pytest

from core.cli import main
from core.common import addresses
from core.common.addresses import (
    check_granted,
    grant,
    is_granted,
    is_url,
    listed_place,
    located,
    study_folder,
)
from core.errors import AddressRefused
from core.publish.served import studies_folder
from core.store import open_study

SECRET = "Wb7secret"


@pytest.fixture(autouse=True)
def nobody_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PEREGRINE_URLS", "")
    monkeypatch.setenv("PEREGRINE_STATE", str(tmp_path / "state"))


@pytest.mark.parametrize(
    "text",
    [
        "simplecache::s3://bucket/x",
        "zip://a.png::https://example.org/x.zip",
        "ssh://host/x",
        "sftp://host/x",
        "dask://x",
        "memory://x",
        "github://org:repo@/x",
        "file://elsewhere/x",
        "https:///x",
        f"https://me:{SECRET}@example.org/x",
        f"https://example.org/x?X-Amz-Signature={SECRET}",
        f"s3://{SECRET}@bucket/x",
        f"https://example.org/x#{SECRET}",
        "https://example.org/photos/../private",
        "https://example.org/photos/%2e%2e/private",
        "s3://bucket/a/../b",
    ],
)
def test_located__refused_without_repeating_what_is_secret(text):
    with pytest.raises(AddressRefused) as error:
        located(text)
    assert SECRET not in str(error.value) and len(str(error.value).splitlines()) == 1


def test_located__local_places_stay_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located("photos") == str(tmp_path / "photos")
    assert located(f"file://{tmp_path}/a%20b") == f"{tmp_path}/a b"
    assert not is_url("torchvision:CIFAR10?root=data") and is_url("S3://bucket")


def test_grant__reaches_what_lies_below_and_nothing_beside():
    grant(
        ["s3://bucket/photos", "https://example.org/lists/images.csv", "s3://shards/x-{000..010}.tar", 3, "p"]
    )
    for url in ("s3://bucket/photos", "s3://bucket/photos/a/1.jpg", "https://example.org/lists/1.jpg"):
        check_granted(url)
    assert is_granted("s3://shards/x-004.tar")
    for url in (
        "s3://bucket/photos2/1.jpg",
        "s3://bucket/other",
        "s3://bucket/photos/../other",
        "https://example.org/images.csv",
        "http://example.org/lists/1.jpg",
        "https://example.org.evil/lists/1.jpg",
        "http://169.254.169.254/latest/meta-data",
    ):
        with pytest.raises(AddressRefused, match="named by a file, not by you|holds '..'"):
            check_granted(url)


def test_grant__is_remembered_for_the_dashboard_and_holds_no_query(monkeypatch, tmp_path):
    grant(["https://example.org/lists/images.csv?root=https://example.org/photos", "resnet50@s3://b/w/x.pt"])
    monkeypatch.setenv("PEREGRINE_URLS", "")  # another process, later
    assert is_granted("https://example.org/lists/images.csv")
    assert (tmp_path / "state" / addresses.REMEMBERED).read_text() == (
        '["https://example.org/lists", "https://example.org/photos", "s3://b/w"]'
    )


def test_listed_place__relative_and_by_address():
    assert listed_place("https://example.org/lists", "a b%.jpg") == "https://example.org/lists/a b%.jpg"
    assert listed_place("https://example.org/lists", "/etc/passwd") == "https://example.org/lists/etc/passwd"
    assert listed_place("/lists", "https://example.org/a%20b.jpg") == "https://example.org/a b.jpg"
    assert listed_place("/lists", "ssh://host/x") == "ssh://host/x"


def test_study_folder__a_folder_and_no_address(monkeypatch, capsys):
    assert study_folder("studies/demo") == Path("studies/demo")
    assert study_folder("file:///data/a%20b") == Path("/data/a b")
    refused = (["info", "s3://bucket/study"], ["compare", "a", "https://host/b"], ["dashboard"])
    monkeypatch.setenv("PEREGRINE_STUDIES", "s3://bucket/studies")
    for words in refused:
        try:
            code = main(words)
        except SystemExit as stopped:
            code = stopped.code
        said = capsys.readouterr().err
        assert code == 2 and said.count("\n") == 1 and "rclone mount" in said
    for read in (lambda: open_study("s3://bucket/study"), studies_folder):
        with pytest.raises(AddressRefused):
            read()
