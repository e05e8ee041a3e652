"""Shards of a stranger: no header makes reading endless, takes gigabytes or ends it with an exception."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from core.data.shards import LONGEST_HEADER, ShardSource, index_tar

BODY = b"x" * 300
WHOLE = BODY.ljust(512, b"\0")


def header(size: int, kind: bytes = tarfile.REGTYPE, name: str = "z.jpg") -> bytes:
    """A member's header; sizes that octal digits cannot hold are written in base 256, as GNU tar does."""
    content = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    sign = b"\xff" if size < 0 else b"\x80"
    content[124:136] = sign + (size % 2**88).to_bytes(11, "big")
    content[148:156] = b" " * 8
    content[156:157] = kind
    content[148:156] = b"%06o\0 " % sum(content)
    return bytes(content)


def records(text: bytes) -> bytes:
    padded = text.ljust(-(-len(text) // 512) * 512, b"\0")
    return header(len(text), tarfile.XHDTYPE) + padded


SOUND = header(300, name="a.jpg") + WHOLE
LAST = header(300, name="last.jpg") + WHOLE
ATTACKS = {
    "the same member again and again": SOUND + header(-512) + WHOLE,
    "an earlier member again": SOUND + header(-len(SOUND) - 512) + WHOLE,
    "pax records with the same": SOUND + records(b"13 size=-512\n") + header(300) + WHOLE,
    "digits that a pattern tries in all ways": SOUND + records(b"1" * 10**6) + header(300) + WHOLE,
    "pax records of 8 GB": SOUND + header(2**33, tarfile.XHDTYPE),
    "a name of 8 GB": SOUND + header(2**33, tarfile.GNUTYPE_LONGNAME),
    "headers of headers": SOUND + records(b"13 path=a.jpg\n") * 3000 + header(300) + WHOLE,
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.timeout(20)
def test_index__ends_with_the_members_before(tmp_path: Path, attack: str) -> None:
    (tmp_path / "s.tar").write_bytes(ATTACKS[attack] + bytes(1024))
    index = index_tar(str(tmp_path / "s.tar"))
    assert index.members[0].name == "a.jpg" and len(index.members) <= 2
    assert all(0 <= one.size <= 300 for one in index.members)
    assert index.damage


def test_index__long_names_and_records_as_tar_writes_them(tmp_path: Path) -> None:
    names = ["d/" * 60 + "ü.jpg", "x" * (LONGEST_HEADER // 4) + ".jpg"]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "s.tar", "w", format=form) as tar:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(BODY)
                tar.addfile(info, io.BytesIO(BODY))
        index = index_tar(str(tmp_path / "s.tar"))
        assert [one.name for one in index.members] == names and not index.damage


def test_name__that_is_not_utf8_is_shown_by_its_bytes(tmp_path: Path) -> None:
    """Before: one such name ended the whole analysis with an error of the table."""
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name in ("\udcff.png", "sound.png"):
            info = tarfile.TarInfo(name)
            info.size = len(BODY)
            tar.addfile(info, io.BytesIO(BODY))
    source = ShardSource([str(tmp_path / "s.tar")])
    assert sorted(source.table["image_id"]) == [r"s/\xff", "s/sound"]


def test_labels__lone_surrogates_are_replaced(tmp_path: Path) -> None:
    text = b'{"label": "\\ud800"}'
    label = header(len(text), name="a.json") + text.ljust(512, b"\0")
    (tmp_path / "s.tar").write_bytes(SOUND + label + LAST + bytes(1024))
    source = ShardSource([str(tmp_path / "s.tar")])
    assert source.table["label"].tolist()[0] == "?"
    assert source.fingerprint()
