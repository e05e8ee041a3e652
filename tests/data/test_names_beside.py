"""Files of names beside lists whose labels are numbers or WordNet ids."""

from __future__ import annotations

import pytest

from core.data.names_beside import named_labels


def named(tmp_path, labels, list_name="train.txt", **files):
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text)
    found, notes = named_labels(labels, str(tmp_path / list_name), [str(tmp_path)])
    return found, [note.kind for note in notes]


def test_stated_numbers_count(tmp_path):
    cub = "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n"
    birds = ["002.Laysan_Albatross", "001.Black_footed_Albatross"]
    assert named(tmp_path, ["2", "1"], classes__txt=cub) == (birds, ["named"])
    assert named(tmp_path, ["1"]) == (birds[1:], ["named"])  # a val list without the last class


def test_one_decision_for_all_lists_of_a_folder(tmp_path):
    files = {"classes__txt": "ape\nbee\ncat\n", "train__txt": "a.png 1\nb.png 3\n", "val__txt": "c.png 2\n"}
    assert named(tmp_path, ["1", "3"], **files) == (["ape", "cat"], ["named"])
    assert named(tmp_path, ["2"], "val.txt") == (["bee"], ["named"])
    (tmp_path / "train.txt").write_text("a.png 0\nb.png 1\n")
    assert named(tmp_path, ["2"], "val.txt") == (["cat"], ["named"])
    (tmp_path / "train.txt").unlink()
    assert named(tmp_path, ["2"], "val.txt") == (["2"], ["undecided"])


def test_of_several_files_the_one_that_fits(tmp_path):
    files = {"classes__txt": "person\nbicycle\n", "names__txt": "ape\nbee\ncat\n"}
    assert named(tmp_path, ["0", "2"], **files) == (["ape", "cat"], ["named_not_by"])
    longer = {"classes__txt": "\n".join("abcdef")}
    assert named(tmp_path, ["0", "1", "2"], **longer) == (["ape", "bee", "cat"], ["named_not_by"])
    assert named(tmp_path, ["0", "2"]) == (["0", "2"], ["several"])
    assert named(tmp_path, ["0", "9"]) == (["0", "9"], ["no_name"])


@pytest.mark.parametrize("truth", ["ILSVRC2012_validation_ground_truth.txt", "val.txt"])
def test_numbers_of_the_devkit_only_by_a_list_that_states_them(tmp_path, truth):
    words = "n01440764 tench, Tinca tinca\nn01443537 goldfish\nn02119789 kit fox\n"
    assert named(tmp_path, ["3", "1"], truth, synset_words__txt=words) == (["3", "1"], ["devkit"])
    stated = "n02119789 1 kit_fox\nn01443537 2 goldfish\nn01440764 3 tench\n"
    assert named(tmp_path, ["3", "1"], truth, map_clsloc__txt=stated)[0] == ["tench", "kit_fox"]
    (tmp_path / "map_clsloc.txt").unlink()
    caffe = named(tmp_path, ["0", "2"], "val.txt")
    assert caffe == (["tench, Tinca tinca", "kit fox"], ["named"])


def test_two_classes_of_one_name_are_two(tmp_path):
    words = "n02012849 crane\nn03126707 crane\nn01440764 tench\n"
    by_id = named(tmp_path, ["n03126707", "n01440764"], synset_words__txt=words)
    assert by_id == (["n03126707", "n01440764"], ["named", "by_id"])
    assert named(tmp_path, ["0", "1"], classes__txt="crane\ncrane\n", synset_words__txt="") == (
        ["crane (0)", "crane (1)"],
        ["named_not_by", "id_behind"],
    )


def test_labels_that_are_words_stay(tmp_path):
    assert named(tmp_path, ["dog", None], classes__txt="cat\ndog\n") == (["dog", None], [])
