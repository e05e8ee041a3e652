"""Files of captions as their tools write them: which texts are read, and the kinds of what is said of it."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.common import inside
from core.concepts.caption_bank import Bank, bank_address, open_bank
from core.concepts.caption_text import line_form, quotes_enclose
from core.errors import CaptionError

SOME = ["a brown dog, on the grass", "two cats asleep in a box", "a man's boat on the water", "a red house"]
IMAGES = ["1000268201_693b08cb0e.jpg", "1000268202_693b08cb0f.jpg", "b/3.png", "b/4.png"]
WORDS = ["dog", "stop sign", "teddy bear", "kimono"]


def texts(bank: Bank) -> list[str]:
    return bank.texts(np.arange(len(bank)))


def kinds(bank: Bank) -> set[str]:
    return {part.kind for note in bank.notes for part in note.parts}


def joined(separator: str, *columns: list[str], header: str = "") -> str:
    rows = [separator.join(row) for row in zip(*columns, strict=True)]
    return "\n".join([*([header] if header else []), *rows]) + "\n"


NUMBERED = [f"{image}#{number}" for number, image in enumerate(IMAGES)]
COUNTS = ["1023", "77", "5", "4"]
LISTS = [SOME[:2], SOME[2:]]
COCO = {
    "images": [{"id": number, "file_name": image} for number, image in enumerate(IMAGES)],
    "annotations": [{"image_id": at, "id": at, "caption": text} for at, text in enumerate(SOME)],
}
KARPATHY = {"dataset": "coco", "images": [{"sentences": [{"raw": text} for text in some]} for some in LISTS]}
FORMS: dict[str, tuple[str, list[str], set[str]]] = {
    "Flickr8k.token.txt": (joined("\t", NUMBERED, SOME), SOME, {"separator"}),
    "captions.txt": (joined(",", IMAGES, SOME, header="image,caption"), SOME, {"left_out", "separator"}),
    "results.csv": (
        joined("| ", IMAGES, COUNTS, SOME, header="image_name| comment_number| comment"),
        SOME,
        {"left_out", "separator"},
    ),
    "open_clip.csv": (joined("\t", IMAGES, SOME, header="filepath\ttitle"), SOME, {"left_out", "separator"}),
    "no_header.csv": (joined(",", IMAGES, [f'"{text}"' for text in SOME]), SOME, {"no_header"}),
    "numbers.tsv": (joined("\t", COUNTS, SOME), SOME, {"no_header"}),
    "files.txt": (joined(" ", IMAGES, SOME), SOME, {"separator"}),
    "letters.tsv": (
        joined("\t", COUNTS, [f'"{text}' for text in SOME], header="id\tcaption"),
        [f'"{text}' for text in SOME],
        {"left_out", "letters"},
    ),
    "lists.csv": (
        joined(",", IMAGES[:2], [f'"{np.array(some)}"' for some in LISTS], header="image,captions").replace(
            '"a man\'s boat on the water"', '""a man\'s boat on the water""'
        ),
        SOME,
        {"left_out", "lists"},
    ),
    "counts.txt": (joined("\t", WORDS, COUNTS), WORDS, {"separator", "concepts"}),
    "counts_behind_blanks.txt": (joined(" ", WORDS, COUNTS), WORDS, {"separator", "concepts"}),
    "20k.txt": (joined("", WORDS), WORDS, {"concepts"}),
    "captions_val2017.json": (json.dumps(COCO), SOME, {"left_out"}),
    "dataset_coco.json": (json.dumps(KARPATHY), SOME, set()),
    "of_images.json": (json.dumps(dict(zip(IMAGES, LISTS, strict=False))), SOME, set()),
    "list.json": (json.dumps(SOME), SOME, set()),
    "metadata.jsonl": (
        "".join(
            json.dumps({"file_name": image, "text": text}) + "\n"
            for image, text in zip(IMAGES, SOME, strict=True)
        ),
        SOME,
        {"left_out"},
    ),
    "winoground.jsonl": (
        json.dumps({"caption_0": SOME[0], "caption_1": SOME[1], "id": 1}),
        SOME[:2],
        {"left_out"},
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms__are_told_by_their_first_lines(tmp_path: Path, name: str) -> None:
    content, expected, said = FORMS[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    bank = open_bank(tmp_path / name)
    assert texts(bank) == expected
    assert kinds(bank) == said and len(bank.notes) <= 1


def test_forms__lines_alone_need_no_word(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("\n".join(SOME))
    bank = open_bank(tmp_path / "plain.txt")
    assert texts(bank) == SOME and bank.notes == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("ending", [".txt", ".csv"])
def test_encodings(tmp_path: Path, encoding: str, ending: str) -> None:
    some = [*SOME, "a man in a café"]
    lines = ["caption"] * (ending == ".csv") + [f'"{text}"' if ending == ".csv" else text for text in some]
    (tmp_path / f"c{ending}").write_bytes("\r\n".join(lines).encode(encoding))
    assert texts(open_bank(tmp_path / f"c{ending}")) == some


def test_encodings__two_in_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_bytes("a café\na dog\n".encode() + "a crêpe\n".encode("cp1252"))
    with pytest.raises(CaptionError, match="line 1 is UTF-8, line 3 is not"):
        open_bank(tmp_path / "two.txt")


def test_packed__is_read_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.json.gz"
    path.write_bytes(gzip.compress(json.dumps(COCO).encode()))
    assert texts(open_bank(path)) == SOME
    monkeypatch.setattr(inside, "MOST_UNPACKED", 1_000_000)
    (tmp_path / "bomb.txt.gz").write_bytes(gzip.compress(b"a dog on the grass\n" * 1_000_000))
    with pytest.raises(CaptionError, match="unpacks to more than 1 MB"):
        open_bank(tmp_path / "bomb.txt.gz")


def test_parquet__lists_and_categories(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": IMAGES[:2], "captions": LISTS}), tmp_path / "lists.parquet")
    bank = open_bank(tmp_path / "lists.parquet")
    assert texts(bank) == SOME and kinds(bank) == {"left_out", "lists"}
    pd.DataFrame({"caption": pd.Categorical(SOME)}).to_parquet(tmp_path / "categories.parquet")
    assert texts(open_bank(tmp_path / "categories.parquet")) == SOME


def test_rows__without_the_column_are_counted(tmp_path: Path) -> None:
    """One row of Flickr30k's list lacks a bar."""
    rows = [
        "image_name| comment_number| comment",
        "1.jpg| 0| a dog runs",
        "1.jpg| 4   a cat",
        "2.jpg| 0| two men",
    ]
    (tmp_path / "r.csv").write_text("\n".join(rows))
    bank = open_bank(tmp_path / "r.csv")
    assert texts(bank) == ["a dog runs", "two men"]
    assert [part.n for part in bank.notes[0].parts if part.kind == "short"] == [1]


def test_address__says_what_the_lines_leave_open(tmp_path: Path) -> None:
    path = tmp_path / "two.tsv"
    path.write_text(joined("\t", SOME, [f"{text} again" for text in SOME]))
    with pytest.raises(CaptionError, match=r"\?text=NAME with one of"):
        open_bank(f"{path}?header=no")
    assert texts(open_bank(f"{path}?header=no&text=1")) == SOME
    assert texts(open_bank(f"{path}?sep=none&header=no"))[0] == f"{SOME[0]} {SOME[0]} again"
    assert open_bank(f"{path}?header=no&text=1&lines=concepts").of_concepts


@pytest.mark.parametrize("query", ["sepp=tab", "header=maybe", "sep=ab", "lines=both"])
def test_address__that_makes_no_sense(query: str) -> None:
    with pytest.raises(CaptionError):
        bank_address(f"a.csv?{query}")


@pytest.mark.parametrize(
    ("content", "name"),
    [('{"annotations": [{"id": 1}, {"id": 2}]}', "a.json"), ("[1, 2]", "b.json"), ('{"a": 1}\n{', "c.jsonl")],
)
def test_json__without_captions_is_one_line(tmp_path: Path, content: str, name: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CaptionError) as caught:
        open_bank(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_text__is_repaired_as_the_tokenizer_does(tmp_path: Path) -> None:
    from open_clip.tokenizer import basic_clean

    some = [
        "bread &amp;amp; butter on a plate",
        "a cafÃ© in the “old” town",
        "<b>two</b> &lt;cats&gt; asleep",
    ]
    (tmp_path / "c.txt").write_text("\n".join(some), encoding="utf-8")
    assert texts(open_bank(tmp_path / "c.txt")) == [basic_clean(text) for text in some]


def test_quotes__over_several_lines_and_as_letters() -> None:
    assert quotes_enclose(["id,caption\n", '1,"a dog\n', 'on the ""grass"""\n', "2,a cat\n"], ",")
    assert not quotes_enclose(["1\ta sign\n", '2\t"a dog\n', '3\t"a cat" asleep\n'], "\t")
    assert not quotes_enclose(['1,"a dog\n'], ",")


def test_line_form__captions_with_commas_stay_whole() -> None:
    form = line_form([f"a dog, {word}, on grass" for word in ("red", "big", "old")])
    assert (form.separator, form.header) == ("", False)


@pytest.mark.parametrize(
    "text", ["赤いバスが店の前に止まっている", "一辆红色的公共汽车停在商店前面", "รถบัสสีแดงจอดอยู่หน้าร้าน"]
)
def test_sentences__of_scripts_without_spaces_are_no_words(tmp_path, text):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps([f"{text}{number}" for number in range(8)]), encoding="utf-8")
    with pytest.raises(CaptionError, match="not English"):
        open_bank(path)
    path.write_text(json.dumps(["猫", "犬", "バス"]), encoding="utf-8")
    assert open_bank(path).of_concepts
