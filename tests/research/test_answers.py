from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import MaskError
from core.research.salient_imagenet_masks import read_classes, read_judgements
from tests.data.mask_files import ANSWER_COLUMNS, GOLDFISH, TENCH, answers, answers_csv

CLASSES = {0: TENCH, 1: GOLDFISH}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# wordnet_dict.py


@pytest.mark.parametrize(
    "text",
    [
        f"{{0: '{TENCH}', 1: '{GOLDFISH}'}}",
        f'# the classes\n{{0: "{TENCH}",\n 1: "{GOLDFISH}",\n}}\n',
        f"wordnet_dict = {{0: '{TENCH}', 1: '{GOLDFISH}'}}\n",
        f"\ufeff{{0: '{TENCH}', 1: '{GOLDFISH}'}}",
    ],
    ids=["bare", "over lines", "named", "byte order mark"],
)
def test_read_classes__a_dict_literal(tmp_path, text):
    assert read_classes(write(tmp_path / "wordnet_dict.py", text)) == CLASSES


@pytest.mark.parametrize(
    "text",
    [
        "__import__('pathlib').Path('MARK').touch()",
        "{0: __import__('pathlib').Path('MARK').touch() or 'n1'}",
        "{0: 'n1'}\n__import__('pathlib').Path('MARK').touch()",
        "import pathlib; pathlib.Path('MARK').touch()",
        "d = {0: 'n1', **open('MARK', 'w').close() or {}}",
        '{0: f\'{open("MARK", "w")}\'}',
        "def f(x=open('MARK', 'w')): pass",
        "{0: '../../secret'}",
        "{0: 'a/b'}",
        "{'0': 'n1'}",
        "{0: 1}",
        f"{{{10**12}: 'n1'}}",
        "['n1']",
        "",
        "{0: 'n1'",
        "\0",
        "(" * 5000,
        "{0: 'n1'}" + " " * 1_000_001,
    ],
)
def test_read_classes__nothing_else_and_nothing_is_run(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MaskError, match="executed") as raised:
        read_classes(write(tmp_path / "wordnet_dict.py", text))
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["wordnet_dict.py"]


def test_read_classes__bytes_that_are_no_text(tmp_path):
    (tmp_path / "wordnet_dict.py").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(MaskError, match="plain"):
        read_classes(tmp_path / "wordnet_dict.py")
    with pytest.raises(MaskError, match="such"):
        read_classes(tmp_path / "gone.py")


# discover_spurious_features.csv


@pytest.mark.parametrize("n_spurious", range(6))
def test_read_answers__spurious_from_three_of_five(tmp_path, n_spurious):
    path = write(tmp_path / "a.csv", answers_csv({(0, TENCH, 59, 4): answers(n_spurious)}))
    pairs, notes = read_judgements(path, CLASSES)
    pair = pairs[TENCH, 59]
    assert (pair.rank, pair.n_answers, pair.n_spurious) == (4, 5, n_spurious)
    assert pair.kind == ("spurious" if n_spurious >= 3 else "core")
    n_core = int(n_spurious < 3)
    assert notes == [f"workers rated 1 class-feature pair: {n_core} core, {1 - n_core} spurious"]


def test_read_answers__the_same_feature_is_judged_class_by_class(tmp_path):
    judged = {(0, TENCH, 59, 1): answers(5), (1, GOLDFISH, 59, 3): answers(0)}
    pairs, _ = read_judgements(write(tmp_path / "a.csv", answers_csv(judged)), CLASSES)
    assert {key: pair.kind for key, pair in pairs.items()} == {
        (TENCH, 59): "spurious",
        (GOLDFISH, 59): "core",
    }


def test_read_answers__reasons_without_repetitions(tmp_path):
    reasons = ["focus is on water", ' "Focus is  on WATER"', '"the fin, and\nthe tail"', "", "sand"]
    lines = [f"{n},{TENCH},0,59,1,background,4.0,{reason}" for n, reason in enumerate(reasons)]
    path = write(tmp_path / "a.csv", "\n".join([ANSWER_COLUMNS, *lines]))
    pairs, _ = read_judgements(path, CLASSES)
    assert pairs[TENCH, 59].n_answers == 5
    expected = ["focus is on water", '"Focus is on WATER"', "the fin, and the tail", "sand"]
    assert pairs[TENCH, 59].reasons == expected


def test_read_answers__case_of_reasons(tmp_path):
    lines = [
        f"{n},{TENCH},0,59,1,background,4.0,{reason}" for n, reason in enumerate(["Water", "water", "WATER "])
    ]
    pairs, _ = read_judgements(write(tmp_path / "a.csv", "\n".join([ANSWER_COLUMNS, *lines])), CLASSES)
    assert pairs[TENCH, 59].reasons == ["Water"]


def test_read_answers__columns_in_any_order_and_more(tmp_path):
    header = "Answer.reasons,Extra,Answer.main,Input.feature_rank,Input.class_index,Input.wordnet_id"
    text = f"{header},Input.feature_index\r\nthe sea,x, Background ,2,0.0,{TENCH},59.0\r\n"
    pairs, notes = read_judgements(write(tmp_path / "a.csv", "\ufeff" + text), CLASSES)
    assert pairs[TENCH, 59].n_spurious == 1 and pairs[TENCH, 59].reasons == ["the sea"]
    assert "1 pair with more or fewer than 5 answers" in notes


def test_read_answers__what_disagrees_with_the_classes(tmp_path):
    path = write(tmp_path / "a.csv", answers_csv({(0, GOLDFISH, 59, 1): answers(5)}))
    pairs, notes = read_judgements(path, CLASSES)
    assert list(pairs) == [(TENCH, 59)]
    assert any(f"class 0: {GOLDFISH} against {TENCH}" in note for note in notes)


def test_read_answers__unknown_and_empty_answers_count_as_core(tmp_path):
    answers = ["background", "separate_object", "", "sky", "sky"]
    path = write(tmp_path / "a.csv", answers_csv({(0, TENCH, 59, 1): answers}))
    pairs, notes = read_judgements(path, CLASSES)
    assert pairs[TENCH, 59].kind == "core"
    assert "3 answers of an unknown kind counted as core: '', 'sky'" in notes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no column 'Input.class_index'"),
        (ANSWER_COLUMNS.replace("Answer.main", "answer.main"), "Did you mean 'answer.main'?"),
        (f"{ANSWER_COLUMNS}\n1,{TENCH},zero,59,1,background,4.0,x", "line 2 .* Input.class_index is 'zero'"),
        (f"{ANSWER_COLUMNS}\n1,{TENCH},0,59.5,1,background,4.0,x", "Input.feature_index is '59.5'"),
        (f"{ANSWER_COLUMNS}\n1,{TENCH},0,inf,1,background,4.0,x", "Input.feature_index is 'inf'"),
        (f"{ANSWER_COLUMNS}\n1,{TENCH},0", "Input.feature_index is ''"),
    ],
)
def test_read_answers__not_such_a_file(tmp_path, text, told):
    with pytest.raises(MaskError, match=told) as raised:
        read_judgements(write(tmp_path / "a.csv", text), CLASSES)
    assert "\n" not in str(raised.value) and "a.csv" in str(raised.value)


def test_read_answers__bytes_that_are_not_utf8(tmp_path):
    text = answers_csv({(0, TENCH, 59, 1): answers(3)}).replace("seen", "s\u00e9en")
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    assert read_judgements(tmp_path / "a.csv", CLASSES)[0][TENCH, 59].kind == "spurious"


@pytest.mark.parametrize("number", ["1e300", "9999999999", "-1e12"])
def test_judgements__numbers_that_no_column_holds(tmp_path, number):
    row = f"{number},0,{TENCH},0,main_object,x\n"
    header = (
        "Input.feature_rank,Input.class_index,Input.wordnet_id,Input.feature_index,Answer.main,Answer.reasons"
    )
    path = write(tmp_path / "answers.csv", f"{header}\n{row}")
    with pytest.raises(MaskError, match=f"line 2 .*Input.feature_rank is '{number}', not a whole number"):
        read_judgements(path, CLASSES)


@pytest.mark.timeout(20)
def test_judgements__very_many_reasons_take_linear_time(tmp_path):
    header = (
        "Input.feature_rank,Input.class_index,Input.wordnet_id,Input.feature_index,Answer.main,Answer.reasons"
    )
    rows = "".join(
        f"1,0,{TENCH},0,main_object,Reason {n}\n1,0,{TENCH},0,x,reason {n}\n" for n in range(50_000)
    )
    pairs, _ = read_judgements(write(tmp_path / "answers.csv", f"{header}\n{rows}"), CLASSES)
    assert pairs[TENCH, 0].reasons == [f"Reason {n}" for n in range(50_000)]
