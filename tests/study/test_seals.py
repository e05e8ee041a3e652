"""Files that carry a checksum of themselves."""

import json

import numpy as np
import pytest

from core.study import seals

VALUE = {"format": 1, "items": {"käse": [1.5, None, "x" * 40]}, "steps": {}}


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_json__gives_back_what_was_written_and_other_readers_can_read_it():
    text = seals.sealed_json(VALUE)
    assert seals.read_json(text, VALUE) == VALUE and seals.checksum_fits(text)
    assert {key: held for key, held in json.loads(text).items() if key != "checksum"} == VALUE


def test_json__every_single_bit_is_noticed():
    text = seals.sealed_json(VALUE)
    for bit in range(8 * len(text)):
        with pytest.raises(seals.Damaged):
            seals.read_json(flipped(text, bit), VALUE)


@pytest.mark.parametrize("indent", [None, 1, 2])
def test_json__written_by_hand_is_accepted(indent):
    assert seals.read_json(json.dumps(VALUE, indent=indent).encode(), VALUE) == VALUE


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "\x00", "{" * 100_000, json.dumps(VALUE | {"other": 1})]
)
def test_json__what_is_no_such_text(text):
    with pytest.raises(seals.Damaged):
        seals.read_json(text.encode(), VALUE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_arrays__every_bit_is_noticed_and_numpy_reads_the_file(tmp_path, kind):
    path, values = tmp_path / f"a.{kind}", np.arange(3, dtype=np.float32)
    if kind == "npz":
        seals.write_arrays(path, {"values": values, "words": np.array(["a", "ß"])})
        with np.load(path, allow_pickle=False) as held:
            assert held["values"].tolist() == [0, 1, 2] and held["words"].tolist() == ["a", "ß"]
    else:
        seals.write_array(path, values)
        assert np.load(path, allow_pickle=False).tolist() == [0, 1, 2]
    seals.check_arrays(path)
    assert list(tmp_path.iterdir()) == [path]
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        path.write_bytes(flipped(whole, bit))
        with pytest.raises(seals.Damaged):
            seals.check_arrays(path)


def test_arrays__without_a_checksum_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", values=np.arange(3))
    np.save(tmp_path / "a.npy", np.arange(3))
    (tmp_path / "empty").write_bytes(b"")
    for path in tmp_path.iterdir():
        with pytest.raises(seals.Damaged):
            seals.check_arrays(path)
    assert seals.read_arrays(tmp_path / "a.npz", ["values"]) is None
    seals.write_arrays(tmp_path / "new.npz", {"values": np.arange(3)})
    path = tmp_path / "new.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(seals.Damaged):
        seals.check_arrays(path)


def test_read_arrays__unpacks_no_bomb(tmp_path):
    """A .npz of a stranger: a few kilobytes that would become 80 MB."""
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(10_000_000))
    assert (tmp_path / "bomb.npz").stat().st_size < 200_000
    assert seals.read_arrays(tmp_path / "bomb.npz", ["a"]) is None
    seals.write_arrays(tmp_path / "sound.npz", {"a": np.arange(5)})
    held = seals.read_arrays(tmp_path / "sound.npz", ["a"])
    assert held is not None and held["a"].tolist() == [0, 1, 2, 3, 4]
