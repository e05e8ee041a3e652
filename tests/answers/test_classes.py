"""Outputs matched to labels, and files of class names, good and bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.answers.classes import match_classes, read_class_file
from core.answers.outcome import ClassColumns, from_logits, outcome_table
from core.common.captions import with_class_names
from core.data import class_list
from core.data.class_list import read_class_list
from core.errors import SettingsError
from tests.answers.sorted_images import Labelled

OUTPUTS = [
    ["n01440764", "tench, Tinca tinca"],
    ["n02012849", "crane"],
    ["n03126707", "crane"],
    ["n02099601", "golden retriever"],
]


@pytest.mark.parametrize(
    ("labels", "code", "how"),
    [
        (["n02099601", "n03126707"], [-1, -1, 1, 0], "by WordNet id"),
        (["Golden_Retriever", "Tinca tinca"], [1, -1, -1, 0], "by name"),
        (["0", "3"], [0, -1, -1, 1], "by index"),
    ],
)
def test_labels_are_matched_by_what_they_are(labels, code, how):
    match = match_classes(OUTPUTS, labels)
    assert match is not None and match.code.tolist() == code and match.how == how and not match.unmatched


def test_a_name_of_two_outputs_matches_none_and_is_said():
    match = match_classes(OUTPUTS, ["crane", "tench"])
    assert match is not None and match.code.tolist() == [1, -1, -1, -1] and match.unmatched == ("crane",)
    assert match.notes()[1].kind == "unmatched" and match.notes()[1].names == ("crane",)


CIFAR = [["airplane"], ["automobile"], ["frog"], ["horse"], ["truck"]]


def test_spaces_and_case_are_no_difference_and_other_spellings_are_asked_about():
    labels = ["Automobile", "HORSE", "air plane", "frog (animal)", "trucks"]
    match = match_classes(CIFAR, labels)
    assert match is not None and match.code.tolist() == [2, 0, -1, 1, -1]
    counts, note = match.notes("; so")
    assert (counts.kind, counts.n, counts.of, counts.value) == ("matched", 3, 5, 5)
    assert (note.kind, note.names, note.why) == ("unmatched", ("frog (animal)", "trucks"), "; so")
    assert note.what == "frog (animal) (output frog?), trucks (output truck?)"
    both = match_classes([["airplane"], ["air plane"]], ["air-plane", "airplanes"])
    assert both is not None and both.code.tolist() == [-1, 0]
    twice = match_classes([["airplane"], ["truck"]], ["AirPlane s", "air planes", "truck"])
    assert twice is not None and twice.code.tolist() == [-1, 2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.csv", "output,label\nairplane,air plane\nFrog,frog (animal)\n4,trucks\n"),
        ("names.json", '{"airplane": "airplane", "frog": "frog (animal)", "4": "trucks"}'),
    ],
)
def test_a_file_may_name_outputs_as_the_checkpoint_does(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    labels = ["air plane", "frog (animal)", "trucks"]
    match = read_class_file(tmp_path / name, 5, labels, CIFAR)
    assert match.code.tolist() == [0, -1, 1, -1, 2] and not match.unmatched
    assert len(read_class_list(tmp_path / name).classes) == 3  # before the names are known
    with pytest.raises(SettingsError, match="'airplane'"):
        read_class_file(tmp_path / name, 5, labels)
    (tmp_path / name).write_text(text.replace("airplane", "airplan", 1))
    with pytest.raises(SettingsError, match="'airplan' is no number.*Did you mean 'airplane'"):
        read_class_file(tmp_path / name, 5, labels, CIFAR)


def test_outputs_without_names_are_in_the_order_of_the_labels_where_there_are_as_many():
    match = match_classes([[], []], ["cat", "dog"])
    assert match is not None and match.code.tolist() == [0, 1] and "order" in match.how
    from_one = match_classes([[], [], []], ["1", "2", "3"])
    assert from_one is not None and from_one.code.tolist() == [0, 1, 2] and not from_one.unmatched
    from_zero = match_classes([[], [], []], ["0", "1", "2"])
    assert from_zero is not None and from_zero.code.tolist() == [0, 1, 2] and from_zero.how == "by index"
    assert match_classes([[], [], []], ["cat", "dog"]) is None
    assert match_classes(OUTPUTS, ["cat", "dog"]) is None


def test_a_table_gives_many_outputs_one_label_and_their_logits_are_combined(tmp_path):
    (tmp_path / "map.csv").write_text("output,label\n0,cat\n1,dog\n2,dog\n")
    match = read_class_file(tmp_path / "map.csv", 4, ["cat", "dog", "elk"])
    assert match.code.tolist() == [0, 1, 1, -1] and match.unmatched == ("elk",) and not match.one_to_one
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    columns = ClassColumns.of(match, ["cat", "dog", "elk"])
    expected = torch.stack([logits[:, 0], logits[:, 1:3].logsumexp(1), logits[:, 3]], 1)
    torch.testing.assert_close(columns.combined(logits), expected)
    assert columns.names == ("cat", "dog", "output 3")
    only = ClassColumns.of(match, ["cat", "dog", "elk"], restrict=True)
    torch.testing.assert_close(only.combined(logits), expected[:, :2])
    found = from_logits(lambda start, stop: logits[start:stop], 6, columns, step=4)
    shares = expected.double().softmax(1).sort(1, descending=True)
    np.testing.assert_array_equal(found.best, shares.indices.numpy())
    np.testing.assert_allclose(found.values["confidence"], shares.values[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.values["margin"], shares.values[:, 0] - shares.values[:, 1], atol=1e-6)
    np.testing.assert_allclose(found.values["energy"], expected.double().logsumexp(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("names.txt", "cat\n", "names 1 classes; the head has 2 outputs"),
        ("names.txt", "ant\nbee\n", "none of the names"),
        ("names.json", '{"5": "cat"}', "names output 5"),
        ("names.json", "[1, 2]", "expected a list of names"),
        ("names.json", "[" * 100_000, "holds no class names"),
        ("names.csv", "a,b\n1,cat\n", "expected the columns output and label"),
        ("names.csv", "output,label\nx,cat\n", "'x' is no number of an output"),
        ("names.csv", "label,output\ncat\n", "'' is no number of an output"),
        ("names.csv", "output,label\n0,cat\n0,dog\n", "holds no class names: it names output 0 twice"),
        ("names.json", '{"0": "cat", "0": "dog"}', "it names output 0 twice"),
        ("names.json", '{"cat": 1, "dog": 1}', "it names output 1 twice"),
        ("names.json", '{"0": []}', "output 0 has no name"),
        ("names.json", '["cat"]', "names 1 classes; the head has 2 outputs"),
        ("names.json", "{}", "it is empty"),
    ],
)
def test_a_bad_file_of_names_is_one_clear_line(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=problem):
        read_class_file(tmp_path / name, 2, ["cat", "dog"])


def test_files_that_are_no_names_are_refused_by_their_size_and_encoding(tmp_path: Path, monkeypatch):
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe\x00cat")
    with pytest.raises(SettingsError, match="UTF-8"):
        read_class_file(tmp_path / "names.txt", 2, ["cat"])
    monkeypatch.setattr(class_list, "MOST_BYTES", 3)
    with pytest.raises(SettingsError, match="has 6 bytes"):
        read_class_file(tmp_path / "names.txt", 2, ["cat"])
    with pytest.raises(SettingsError, match="No such file"):
        read_class_file(tmp_path / "none.txt", 2, ["cat"])


def test_outputs_of_one_name_stay_apart(tmp_path):
    (tmp_path / "names.txt").write_text("cat\ncrane\ncrane\ncrane (output 2)\ndog\n")
    match = read_class_file(tmp_path / "names.txt", 5, ["cat", "dog"])
    assert match.names[1:3] == ["crane (output 1)", "crane (output 2) (output 2)"]
    logits = torch.eye(5)
    answer = from_logits(lambda start, stop: logits[start:stop], 5, ClassColumns.of(match, ["cat", "dog"]))
    study: Any = Labelled(["cat", "dog", "cat", "dog", "dog"], ["cat", "dog"])
    table = outcome_table(study, answer)
    assert table["predicted"].tolist() == match.names and table["correct"].tolist() == [1, 0, 0, 0, 1]


FOLDERS = ["n01440764", "n02012849", "n02099601", "n03126707"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "tench\ncrane\ncrane\nGolden_retriever\nmaillot\n"),
        ("names.txt", "tench, Tinca tinca\ncrane\ncrane\ngolden retriever\nmaillot, tank suit\n"),
        ("names.json", '{"Tinca tinca": 0, "crane": 1, "golden retriever": 3, "crane ": 2, "x": 4}'),
        ("names.csv", "output,label\n0,tench\n1,crane\n3,golden retriever\n"),
    ],
)
def test_names_of_wordnet_are_matched_to_folders_that_are_ids(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    match = read_class_file(tmp_path / name, 5, FOLDERS)
    assert match.code.tolist() == [0, -1, -1, 2, -1] and match.how == "by WordNet name"
    assert match.unmatched == ("n02012849", "n03126707")
    assert "crane (n02012849), crane (n03126707)" in match.notes()[-1]
    assert with_class_names(match.notes()[-1]) == match.notes()[-1]  # no name is said twice


def test_a_more_exact_name_counts_and_a_name_of_two_outputs_does_not():
    labels = ["n02963159", "n02113186", "n03494278", "n03710637"]  # cardigan, Cardigan, harmonica, maillot
    match = match_classes([["Cardigan"], ["cardigan"], ["harp"], ["maillot"], ["maillot"]], labels)
    assert match is not None and match.code.tolist() == [1, 0, -1, -1, -1]  # a harp is an id of its own
    assert dict(match.shared) == {"maillot": ["n03710637"]}
    assert match_classes([["harmonica"], ["x"]], labels).code.tolist() == [2, -1]  # pyright: ignore


def test_the_file_of_keras_is_matched_by_its_ids(tmp_path):
    (tmp_path / "index.json").write_text('{"0": ["n01440764", "tench"], "1": ["n03126707", "crane"]}')
    match = read_class_file(tmp_path / "index.json", 2, FOLDERS)
    assert match.code.tolist() == [0, 3] and not match.shared
    assert read_class_file(tmp_path / "index.json", 2, ["Tench"]).code.tolist() == [0, -1]


def test_all_names_of_imagenet_find_their_folders(tmp_path):
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    ids = info.label_names()
    (tmp_path / "names.txt").write_text("\n".join(info.label_descriptions()))
    match = read_class_file(tmp_path / "names.txt", 1000, sorted(ids))
    held = np.flatnonzero(match.code >= 0)
    assert [sorted(ids)[code] for code in match.code[held]] == [ids[output] for output in held]
    assert match.n_matched == 998 and list(match.shared) == ["crane"]


def test_outputs_by_stated_numbers_are_counted_from_one(tmp_path):
    (tmp_path / "classes.txt").write_text("3 c\n1 a\n2 b\n")
    assert read_class_file(tmp_path / "classes.txt", 3, ["a", "b", "c"]).code.tolist() == [0, 1, 2]
    assert read_class_file(tmp_path / "classes.txt", 4, ["a", "b", "c"]).code.tolist() == [-1, 0, 1, 2]


def test_labels_that_are_numbers_from_one_are_not_one_output_off():
    match = match_classes([["ape"], ["bee"], ["cat"]], ["1", "2", "3"])
    assert match is not None and match.code.tolist() == [0, 1, 2]
