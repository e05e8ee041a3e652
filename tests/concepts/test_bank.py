import hashlib
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.concepts import caption_bank as module
from core.concepts.caption_bank import embed_bank, open_bank
from core.errors import CaptionError, SettingsError

DOG, CAT, BOAT = "a brown dog on the grass", "a cat asleep", "two boats on the water"


class FakeClip:
    """Embeds each text as a unit vector drawn from its own hash, and counts how often it is asked."""

    name, width = "fake@1", 16

    def __init__(self, fingerprint="f" * 64):
        self.fingerprint, self.asked = fingerprint, []

    def embed_texts(self, texts):
        self.asked += list(texts)
        rows = [
            np.random.default_rng(list(hashlib.sha256(t.encode()).digest())).normal(size=16) for t in texts
        ]
        rows = np.array(rows).reshape(-1, 16)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def laion(folder, parts, *, clip=None, scale=1.0, width=16):
    """A folder as clip-retrieval writes it."""
    clip = clip or FakeClip()
    (folder / "text_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for number, texts in enumerate(parts):
        rows = np.zeros((len(texts), width), np.float16)
        rows[:, :16] = scale * clip.embed_texts(texts)
        np.save(folder / "text_emb" / f"text_emb_{number}.npy", rows)
        frame = pd.DataFrame({"url": [f"u{i}" for i in range(len(texts))], "caption": texts})
        frame.to_parquet(folder / "metadata" / f"metadata_{number}.parquet", row_group_size=2)
    return folder


def all_texts(bank):
    return bank.texts(np.arange(len(bank)))


@pytest.mark.parametrize("ending", [".txt", ".csv", ".tsv", ".parquet"])
def test_bank__reads_each_format_once_in_order(tmp_path, ending):
    path, lines = tmp_path / f"bank{ending}", [DOG, CAT, DOG, "", BOAT, f"  {CAT} "]
    frame = pd.DataFrame({"id": range(len(lines)), "caption": lines})
    if ending == ".txt":
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif ending == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    bank = open_bank(path)
    assert all_texts(bank) == [DOG, CAT, BOAT]
    assert bank.report == {"n_read": 6, "n_empty": 1, "n_duplicates": 2, "n_cut": 0}
    assert bank.texts([2, 0, 2]) == [BOAT, DOG, BOAT]


def test_bank__fingerprint_follows_the_captions_and_their_order(tmp_path):
    def bank(name, *lines):
        (tmp_path / name).write_text("\n".join(lines))
        return open_bank(tmp_path / name).fingerprint

    assert bank("a.txt", DOG, CAT) == bank("b.txt", DOG, CAT, DOG)
    assert len({bank("a.txt", DOG, CAT), bank("b.txt", CAT, DOG), bank("c.txt", DOG, BOAT)}) == 3


def test_bank__column_is_named_or_guessed(tmp_path):
    frame = pd.DataFrame({"TEXT": [DOG, CAT], "title_de": ["ein Hund", "eine Katze"], "n": [1, 2]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert all_texts(open_bank(tmp_path / "t.parquet")) == [DOG, CAT]
    frame.rename(columns={"TEXT": "words"}).to_csv(tmp_path / "t.csv", index=False)
    assert all_texts(open_bank(f"{tmp_path / 't.csv'}?column=words")) == [DOG, CAT]
    assert all_texts(open_bank(tmp_path / "t.csv", column="words")) == [DOG, CAT]
    with pytest.raises(
        CaptionError, match=r"no column 'word'.* Did you mean 'words'\? Columns: words, title_de, n"
    ):
        open_bank(tmp_path / "t.csv", column="word")
    with pytest.raises(CaptionError, match=r"which column.*\?text=NAME.*words, title_de"):
        open_bank(tmp_path / "t.csv")
    with pytest.raises(CaptionError, match="column 'n' .* holds int64"):
        open_bank(tmp_path / "t.parquet", column="n")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "no captions at"),
        ("empty.txt", b"", "holds no caption .0 lines read"),
        ("blank.txt", b"\n \n\0\n", "holds no caption .3 lines read, 3 empty"),
        ("one.txt", b"a brown dog\na brown dog\n", "a single caption .2 lines read, 0 empty, 1 repeated"),
        ("bank.json", b"{}", "holds no caption"),
        ("bank.yaml", b"{}", "is not a caption bank: give a .txt"),
        ("bad.parquet", b"PAR1 nothing", "cannot read captions from"),
        ("bad.csv", b"", "cannot read captions from"),
        (
            "comma.csv",
            b"image,caption\na,a cat, on grass\nb,a dog, on sand\n",
            "line 2 has more fields than the header",
        ),
        (
            "late.csv",
            b"image,caption\n" + b"a,a cat\n" * 30 + b"b,a dog, on sand\n",
            "line 32 has more .*a comma into double quotes",
        ),
        ("de.txt", b"eine kleine Katze\nder Hund auf der Wiese", "not English"),
    ],
)
def test_bank__bad_input_is_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CaptionError, match=message) as caught:
        open_bank(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_bank__a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "captions.txt").write_text(f"{DOG}\n{CAT}")
    with pytest.raises(CaptionError, match=r"'captions.txt'\?"):
        open_bank(tmp_path / "caption.txt")


@pytest.mark.parametrize("ending", [".txt", ".csv"])
def test_bank__long_lines_nul_bytes_bad_utf8_and_html(tmp_path, ending):
    lines = [
        b"dog " * 2_500_000,
        b"a\0cat\0asleep on grass",
        b"caf\xe9 with red chairs",
        b"<b>bold</b> &amp; dog",
    ]
    head = b"caption\n" if ending == ".csv" else b""
    (tmp_path / f"bank{ending}").write_bytes(head + b"\n".join(lines) + b"\n")
    bank = open_bank(tmp_path / f"bank{ending}")
    long, nul, accent, html = all_texts(bank)
    assert len(long) == 1000 and long.startswith("dog dog") and bank.report["n_cut"] == 1
    assert nul == "a cat asleep on grass"
    assert accent == "caf\N{LATIN SMALL LETTER E WITH ACUTE} with red chairs"
    assert [record.kind for record in bank.notes[0].parts] == ["windows"]
    assert html == "<b>bold</b> & dog"


@pytest.mark.slow
def test_glyphworld_bank__is_seeded_large_and_holds_what_is_never_true():
    from core.worlds.captions import absent_words, split_words

    bank, other, again = (open_bank(f"glyphworld?n=3000&seed={seed}") for seed in (0, 1, 0))
    assert bank is not again and bank.fingerprint == again.fingerprint != other.fingerprint
    assert len(open_bank("glyphworld")) > 20_000
    for kind in ("read", "unread"):
        share = np.mean([bool(set(split_words(text)) & set(absent_words(kind))) for text in all_texts(bank)])
        assert 0.05 < share < 0.2
    with pytest.raises(CaptionError, match=r"no option 'sed'.* Did you mean 'seed'"):
        open_bank("glyphworld?sed=1")
    with pytest.raises(CaptionError, match="n must"):
        open_bank("glyphworld?n=-1")


def test_glyphworld_bank__is_drawn_once_for_a_step(monkeypatch):
    """Its fingerprint is needed before the step runs, the captions when it does."""
    drawn, draw = [], module.glyph_captions
    monkeypatch.setattr(module, "glyph_captions", lambda **options: drawn.append(options) or draw(**options))
    first, second = open_bank("glyphworld?n=37"), open_bank("glyphworld?n=37")
    assert first.fingerprint == second.fingerprint and drawn == [{"n": 37, "seed": 0}]


def test_embed__once_per_bank_and_clip_in_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 4)
    texts = [f"{word} dog" for word in ("one", "two", "red", "old", "big", "tall", "thin", "wet", "sad")]
    (tmp_path / "bank.txt").write_text("\n".join(texts))
    bank, clip = open_bank(tmp_path / "bank.txt"), FakeClip()
    shards = embed_bank(bank, clip, tmp_path / "cache")
    assert [len(shard) for shard in shards] == [4, 4, 1] and len(clip.asked) == 9
    rows = np.concatenate([shard.read(0, len(shard)) for shard in shards])
    assert rows.dtype == np.float16
    assert_allclose(rows, clip.embed_texts(texts), atol=1e-3)
    again = FakeClip()
    embed_bank(bank, again, tmp_path / "cache")
    assert again.asked == []
    embed_bank(bank, other := FakeClip("0" * 64), tmp_path / "cache")
    assert len(other.asked) == 9


def test_embed__goes_on_after_an_interruption_and_replaces_torn_files(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 2)
    (tmp_path / "bank.txt").write_text("\n".join(["dog", "cat", "boat", "house", "tree"]))
    bank = open_bank(tmp_path / "bank.txt")
    shards = embed_bank(bank, FakeClip(), tmp_path / "cache")
    before = [shard.path.read_bytes() for shard in shards]
    shards[1].path.write_bytes(before[1][:-8])
    shards[2].path.unlink()
    clip = FakeClip()
    embed_bank(bank, clip, tmp_path / "cache")
    assert clip.asked == ["boat", "house", "tree"]
    assert [shard.path.read_bytes() for shard in shards] == before


def test_laion__captions_once_with_their_own_embeddings(tmp_path):
    parts = [[DOG, CAT, DOG, ""], [BOAT, CAT, "a red house by the sea", "an old tree in autumn"]]
    bank, clip = open_bank(laion(tmp_path / "laion", parts)), FakeClip()
    expected = [DOG, CAT, BOAT, "a red house by the sea", "an old tree in autumn"]
    assert len(bank) == 5 and all_texts(bank) == expected
    assert bank.texts([4, 0, 2, 0]) == [expected[4], DOG, BOAT, DOG]
    assert bank.report == {"n_read": 8, "n_empty": 1, "n_duplicates": 2, "n_cut": 0}
    shards = embed_bank(bank, clip, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    rows = np.concatenate([shard.read(0, len(shard)) for shard in shards])
    assert_allclose(rows, clip.embed_texts(expected), atol=1e-3)
    assert_array_equal(np.concatenate([shards[0].read(1, 2), shards[1].read(0, 1)]), rows[1:3])
    with pytest.raises(IndexError):
        bank.texts([5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 32}, "32 numbers per caption, those of fake@1 16"),
        ({"scale": 7.5}, r"not of unit length \(7.*normalise them"),
        ({"scale": -1.0}, "are not those of fake@1"),
    ],
)
def test_laion__embeddings_that_do_not_belong_to_the_clip(tmp_path, options, message):
    bank = open_bank(laion(tmp_path / "laion", [[DOG, CAT, BOAT]], **options))
    with pytest.raises(CaptionError, match=message):
        embed_bank(bank, FakeClip(), tmp_path / "cache")


def test_bank__a_folder_with_a_text_for_each_picture(tmp_path):
    for name, text in (
        ("1.txt", "a dog on grass\n"),
        ("2.txt", "a cat\n\na small cat\n"),
        ("b/3.txt", "a boat at sea"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "4.txt").symlink_to(tmp_path / "1.png")
    bank = open_bank(f"{tmp_path}?lines=sentences")
    assert bank.texts(range(len(bank))) == ["a dog on grass", "a cat", "a small cat", "a boat at sea"]
    assert "3 text files" in str(bank.notes[0])


def test_laion__folders_that_are_not_whole(tmp_path):
    with pytest.raises(CaptionError, match="text_emb/ and metadata/"):
        open_bank(tmp_path)
    folder = laion(tmp_path / "laion", [[DOG, CAT], [BOAT, "a tree"]])
    (folder / "metadata" / "metadata_1.parquet").unlink()
    with pytest.raises(CaptionError, match="number 1"):
        open_bank(folder)
    np.save(folder / "text_emb" / "text_emb_0.npy", np.zeros((3, 16), np.float16))
    (folder / "text_emb" / "text_emb_1.npy").unlink()
    with pytest.raises(CaptionError, match=r"shape \(3, 16\), but 'metadata_0.parquet' has 2 rows"):
        open_bank(folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "act", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"]
)
def test_bank__what_would_be_read_for_ever_is_refused(tmp_path, act):
    act(tmp_path / "captions.txt")
    with pytest.raises(CaptionError, match="regular"):
        open_bank(tmp_path / "captions.txt")


@pytest.mark.parametrize("spec", ["glyphworld?n=" + "9" * 5000, "a" * 5000 + ".txt", "a\0.txt"])
def test_bank__names_that_no_file_can_have(spec):
    with pytest.raises((CaptionError, SettingsError)):
        open_bank(spec)


def test_bank__text_that_is_not_utf8(tmp_path):
    content = pa.py_buffer(b"\xff\xfe\xfd\xfc"), pa.py_buffer(np.array([0, 2, 4], np.int32).tobytes())
    column = pa.Array.from_buffers(pa.string(), 2, [None, content[1], content[0]])
    pq.write_table(pa.table({"caption": column}), tmp_path / "captions.parquet")
    with pytest.raises(CaptionError, match="cannot read captions"):
        open_bank(tmp_path / "captions.parquet")


def test_laion__numbers_and_types_that_are_none(tmp_path):
    folder = laion(tmp_path / "laion", [["a dog on the grass", "a cat in the house"]])
    rows = folder / "text_emb" / "text_emb_0.npy"
    np.save(rows, np.array([["a"], ["b"]]))
    with pytest.raises(CaptionError, match="has <U1 of shape"):
        open_bank(folder)
    rows.rename(rows.with_name("text_emb_².npy"))
    with pytest.raises(CaptionError, match="needs metadata"):
        open_bank(folder)


def test_bank__by_address(server):
    (server.root / "my captions.csv").write_text("words,other\na red bird,1\na blue car on a street,2\n")
    server.delay, server.broken, server.cut = 0.01, 2, 2  # slow, failing and half-sent answers
    bank = open_bank(f"{server.url}/my%20captions.csv?column=words")
    assert list(bank.texts([0, 1])) == ["a red bird", "a blue car on a street"]
    with pytest.raises(CaptionError, match="none.txt'"):
        open_bank(f"{server.url}/none.txt")
