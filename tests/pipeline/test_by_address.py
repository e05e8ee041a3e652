"""Studies of images by address: over HTTP with faults, and out of a store that speaks S3."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from fsspec import config as fsspec_config
from numpy.testing import assert_array_equal

from core.store import open_study
from tests.command_line import QUICK, SMALL
from tests.data.pictures import class_folder, make_tar, picture
from tests.object_server import SECRET, upload

pytestmark = pytest.mark.slow


def test_embed__out_of_s3_is_as_from_the_disk(bucket, tmp_path, run):
    photos = class_folder(tmp_path / "pets", {"dog": 5, "cat #1%": 5})
    members = {f"{n}.{end}": data for n in range(6) for end, data in (("png", picture(n)), ("cls", "x"))}
    make_tar(tmp_path / "shards" / "train-0.tar", members)
    for folder in (photos, tmp_path / "shards"):
        upload(folder, f"{bucket}/{folder.name}")
    for name, local in (("shards", tmp_path / "shards"), ("pets", photos)):
        assert run("embed", tmp_path / "near", "--images", local, *SMALL, *QUICK[:4]).code == 0
        assert run("embed", tmp_path / "far", "--images", f"{bucket}/{name}", *SMALL, *QUICK[:4]).code == 0
        near, far = open_study(tmp_path / "near"), open_study(tmp_path / "far")
        assert list(near.images["image_id"]) == list(far.images["image_id"])
        assert_array_equal(near.array("representations"), far.array("representations"))
        assert_array_equal(far.image(0), near.image(0))
    rows = pa.table({"url": [f"{bucket}/pets/{name}" for name in ("dog/0.png", "dog/3.png", "dog/none.png")]})
    path, study = tmp_path / "rows.arrow", tmp_path / "listed"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)
    assert run("embed", study, "--images", path, *SMALL, *QUICK[:4]).code == 0
    listed, pets = open_study(study), list(near.images["image_id"])
    expected = [near.array("representations")[pets.index(name)] for name in ("dog/0.png", "dog/3.png")]
    assert_array_equal(listed.array("representations"), expected)
    assert list(listed.table("skipped")["reason"]) == ["file not found"]
    for folder in ("far", "cache", "state"):
        for file in (tmp_path / folder).rglob("*"):
            assert file.is_dir() or SECRET.encode() not in file.read_bytes(), file


def test_embed__out_of_gs_is_as_from_the_disk(tmp_path, run, monkeypatch):
    """Where `pip install gcsfs gcp-storage-emulator` was run: neither is among our own requirements."""
    monkeypatch.setenv(
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"
    )  # asks over gRPC, which no emulator knows
    gcsfs = pytest.importorskip("gcsfs")
    server = pytest.importorskip("gcp_storage_emulator.server").create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    try:
        host, port = server._api._httpd.server_address
        for name, value in (("STORAGE_EMULATOR_HOST", f"http://{host}:{port}"), ("PEREGRINE_URLS", "")):
            monkeypatch.setenv(name, value)
        for name in ("CACHE", "STATE"):
            monkeypatch.setenv(f"PEREGRINE_{name}", str(tmp_path / name))
        monkeypatch.setitem(fsspec_config.conf, "gs", {"token": "anon"})
        photos = class_folder(tmp_path / "pets", {"dog": 3, "cat #1%": 3})
        store = gcsfs.GCSFileSystem(token="anon", skip_instance_cache=True)
        store.mkdir("bucket")
        store.put(str(photos), "bucket/pets", recursive=True)
        for study, images in (("near", photos), ("far", "gs://bucket/pets")):
            assert run("embed", tmp_path / study, "--images", images, *SMALL, *QUICK[:4]).code == 0
    finally:
        server.stop()
    near, far = open_study(tmp_path / "near"), open_study(tmp_path / "far")
    assert list(near.images["image_id"]) == list(far.images["image_id"])
    assert_array_equal(near.array("representations"), far.array("representations"))


def test_embed__says_in_one_line_what_is_wrong_with_a_bucket(bucket, tmp_path, run, monkeypatch):
    from core.common import remote_objects

    assert "object" in run("embed", tmp_path / "s", "--images", "s3://nothing/x", *SMALL).error
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    remote_objects._opened.cache_clear()
    assert "needs credentials" in run("embed", tmp_path / "s", "--images", f"{bucket}/x", *SMALL).error


def test_embed__an_outage_stops_it_and_the_same_command_finishes_it(server, tmp_path, run):
    """No image counts as unreadable because its server was away."""
    class_folder(server.root / "pets", {"dog": 6, "cat": 6})
    words = ("embed", tmp_path / "study", "--images", f"{server.url}/pets", *SMALL, "--device", "cpu")
    server.only, server.broken = "dog/3.png", 1000
    for workers in ("0", "2"):
        assert "cannot read" in (error := run(*words, "--workers", workers).error)
        assert all(part in error for part in ("503", "(6")) and "worker" not in error
        server.requests.clear()
    server.broken, server.cut = 0, 3
    assert run(*words, "--workers", "2").code == 0
    study = open_study(tmp_path / "study")
    assert len(study.images) == 12 and study.table("skipped").empty
    assert study.image("dog/3.png").size == (6, 5)


def test_embed__a_password_in_an_address_is_refused_and_written_nowhere(tmp_path, run, monkeypatch):
    monkeypatch.setenv("PEREGRINE_STATE", str(tmp_path / "state"))
    for address in (f"https://me:{SECRET}@example.org/pets", f"https://example.org/x.tar?Signature={SECRET}"):
        said = run("embed", tmp_path / "study", "--images", address, *SMALL)
        assert re.search("credentials by the environment|no option 'Signature'", said.error)
        assert SECRET not in said.err + said.out
    assert not any(SECRET.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
