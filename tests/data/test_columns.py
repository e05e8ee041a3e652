"""Columns of tables as data sets are downloaded: what is taken, what is said, and what is asked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.common.records import Record
from core.data.images import ImageSource, open_images, reopen_images
from core.data.tables import TableSource
from core.errors import ImageSourceError
from tests.data.pictures import make_folder
from tests.data.test_folder import rows

NAMES = [f"{number}.png" for number in range(8)]


def record(source: ImageSource, kind: str) -> Record | None:
    return next((one for one in source.notes if isinstance(one, Record) and one.kind == kind), None)


def said(source: ImageSource, kind: str) -> Record:
    found = record(source, kind)
    assert found is not None, (kind, source.notes)
    return found


def table(folder: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


def labels(source: ImageSource) -> list[str | None]:
    return [row[2] for row in rows(source)]


def same_again(source: ImageSource) -> bool:
    again = reopen_images(source.describe())
    return rows(again) == rows(source) and again.fingerprint() == source.fingerprint()


def waterbirds(folder: Path) -> Path:
    names = [f"00{n % 3 + 1}.Bird/Bird_{n}.jpg" for n in range(6)]
    make_folder(folder, names)
    header = "img_id,img_filename,y,split,place,place_filename\n"
    lines = [
        f"{n + 1},{name},{n % 2},{n % 3},{n // 3},/b/forest/{n:08d}.jpg\n" for n, name in enumerate(names)
    ]
    return table(folder, header + "".join(lines), "metadata.csv")


def test_waterbirds__species_folders_are_no_classes_and_the_split_is_given(tmp_path):
    source = open_images(waterbirds(tmp_path))
    assert [row[1:] for row in rows(source)] == [
        ("train", "0"), ("val", "1"), ("train", "1"), ("val", "0"),
    ]  # fmt: skip
    assert source.split_given and source.extras is not None
    assert source.extras["y_x_place"].tolist() == ["0 x 0", "1 x 0", "1 x 1", "0 x 1"]
    assert said(source, "taken").names == ("path is 'img_filename'", "label is 'y'", "split is 'split'")
    assert record(source, "numbered_splits") and same_again(source)
    assert source.read(0).size == (6, 5)


def test_group_dro__an_attribute_beside_y(tmp_path):
    make_folder(tmp_path, NAMES)
    lines = [f"{n},{name},{n % 3},{n % 2},{n // 4}\n" for n, name in enumerate(NAMES)]
    source = open_images(
        table(tmp_path, "id,filename,split,y,a\n" + "".join(lines), "metadata_waterbirds.csv")
    )
    assert source.split_given and source.extras is not None and set(source.extras["y_x_place"]) == {
        "0 x 0", "1 x 0", "0 x 1", "1 x 1",
    }  # fmt: skip


def test_taxonomy__the_finest_rank_is_taken_and_said(tmp_path):
    make_folder(tmp_path, NAMES)
    species = [("Passer domesticus", "Aves"), ("Corvus corax", "Aves"), ("Vulpes vulpes", "Mammalia")]
    cells = [species[n % 3] for n in range(8)]
    lines = [
        f"{name},Animalia,{of},x,y,{one.split()[0]},{one}\n"
        for name, (one, of) in zip(NAMES, cells, strict=True)
    ]
    source = open_images(table(tmp_path, "file,kingdom,class,order,family,genus,species\n" + "".join(lines)))
    assert (
        set(labels(source)) == {one for one, _ in species}
        and "label is 'species'" in said(source, "taken").names
    )
    ranked = open_images(f"{tmp_path}/t.csv?label=class")
    assert set(labels(ranked)) == {"Aves", "Mammalia"} and same_again(ranked)


def test_taxonomy__one_epithet_of_two_genera_is_asked_about(tmp_path):
    lines = "a.png,Aves,Passer,domesticus\nb.png,Aves,Gallus,domesticus\nc.png,Aves,Corvus,corax\n"
    path = table(tmp_path, "path,class,genus,species\n" + lines)
    with pytest.raises(ImageSourceError, match="Passer.*Gallus"):
        open_images(path)
    assert labels(open_images(f"{path}?label=genus")) == ["Passer", "Gallus", "Corvus"]


def test_class_name_beside_its_number_is_the_label(tmp_path):
    lines = "a.png,0,cat\nb.png,1,dog\nc.png,0,cat\n"
    source = open_images(table(tmp_path, "path,class,class_name\n" + lines))
    assert labels(source) == ["cat", "dog", "cat"] and "label is 'class_name'" in said(source, "taken").names
    assert labels(open_images(f"{tmp_path}/t.csv?label=class")) == ["0", "1", "0"]


def test_two_columns_that_contradict_are_one_line_with_both_sides(tmp_path):
    lines = "".join(f"{n}.png,{n % 2},{'cat' if n % 2 or n == 8 else 'dog'}\n" for n in range(20))
    with pytest.raises(ImageSourceError, match="row 9 .*'cat'.*'dog'"):
        open_images(table(tmp_path, "path,class,class_name\n" + lines))
    splits = "a,train,test\nb,val,validation\nc,train,train\n"
    with pytest.raises(ImageSourceError, match="row 1 .*'train' by column split.*'test' by column subset"):
        open_images(table(tmp_path, "path,split,subset\n" + splits))
    chosen = open_images(f"{tmp_path}/t.csv?split=split")
    assert chosen.table["split"].tolist() == ["train", "val", "train"]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("subset", ("training", "validation")),
        ("partition", ("0", "2")),
        ("fold", ("train", "test")),
        ("is_valid", ("False", "True")),
        ("is_train", ("1", "0")),
        ("Usage", ("Training", "Test")),
        ("anything", ("train", "val")),
        ("Usage", ("Training", "PublicTest")),
        ("phase", ("TRN", "tst")),
        ("evaluation_status", ("train", "query")),
    ],
)
def test_splits__of_other_names_are_taken(tmp_path, column, cells):
    lines = "".join(f"{n}.png,{n % 2},{cells[n % 3 == 2]}\n" for n in range(6))
    source = open_images(table(tmp_path, f"path,label,{column}\n" + lines))
    assert source.split_given and source.table["split"].tolist() == ["train", "train", "val"] * 2
    assert f"split is '{column}'" in said(source, "taken").names and same_again(source)


@pytest.mark.parametrize("n_folds", [3, 5])
def test_splits__folds_are_named_and_not_guessed(tmp_path, n_folds):
    lines = "".join(f"{n}.png,{n % 2},{n % n_folds}\n" for n in range(20))
    source = open_images(table(tmp_path, "path,label,fold\n" + lines))
    assert not source.split_given and "fold" in said(source, "taken").why
    with pytest.raises(ImageSourceError, match="column fold"):
        open_images(f"{tmp_path}/t.csv?split=fold")
    table(tmp_path, "path,split\na,0\nb,1\n")
    with pytest.raises(ImageSourceError, match="either"):
        open_images(tmp_path / "t.csv")
    asked = open_images(f"{tmp_path}/t.csv?split=split")
    assert asked.table["split"].tolist() == ["train", "val"] and record(asked, "numbered_splits")
    assert same_again(asked)


def test_header__a_table_without_one(tmp_path):
    make_folder(tmp_path, NAMES)
    lines = "".join(f"{name},{'cat' if n % 2 else 'dog'}\n" for n, name in enumerate(NAMES))
    source = open_images(table(tmp_path, lines))
    assert len(source) == 8 and labels(source)[:2] == ["dog", "cat"]
    assert said(source, "no_header").names == ("1", "2") and same_again(source)
    forced = open_images(f"{tmp_path}/t.csv?header=yes")
    assert len(forced) == 7
    with pytest.raises(ImageSourceError, match="yes or no"):
        open_images(f"{tmp_path}/t.csv?header=maybe")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " "])
def test_separators(tmp_path, mark):
    make_folder(tmp_path, NAMES)
    lines = [["path", "label"], *([name, str(n % 2)] for n, name in enumerate(NAMES))]
    source = open_images(table(tmp_path, "\n".join(map(mark.join, lines))))
    assert labels(source) == list("01" * 4)
    named = {" ": "space", "\t": "tab"}.get(mark, mark)
    assert labels(open_images(f"{tmp_path}/t.csv?sep={named}")) == list("01" * 4)


def test_separator__of_all_lines_and_not_of_the_first(tmp_path):
    make_folder(tmp_path, NAMES)
    text = "path;label, in words\n" + "".join(f"{name};a\n" for name in NAMES)
    assert open_images(table(tmp_path, text)).table["path"].tolist() == NAMES


def test_excel__utf_16_with_tabs(tmp_path):
    make_folder(tmp_path, NAMES[:2])
    source = open_images(table(tmp_path, "path\tlabel\n0.png\tgrün\n1.png\trot\n", encoding="utf-16"))
    assert labels(source) == ["grün", "rot"] and same_again(source)


def test_two_encodings_are_one_line_with_both_sides(tmp_path):
    (tmp_path / "t.csv").write_bytes("path,label\na,grün\n".encode() + "b,gelbgrün\n".encode("latin-1"))
    with pytest.raises(ImageSourceError, match="line 3 is not UTF-8.*line 2") as caught:
        open_images(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)


def test_ham10000__ids_of_images_in_two_folders(tmp_path):
    make_folder(tmp_path, ["part_1/ISIC_1.jpg", "part_1/ISIC_2.jpg", "part_2/ISIC_3.jpg"])
    lines = "H1,ISIC_1,nv,histo\nH1,ISIC_2,nv,histo\nH2,ISIC_3,mel,x\n"
    source = open_images(table(tmp_path, "lesion_id,image_id,dx,dx_type\n" + lines, "HAM10000_metadata.csv"))
    assert rows(source)[2][::2] == ("ISIC_3", "mel") and source.table["path"].iat[2] == "part_2/ISIC_3.jpg"
    assert said(source, "found_below").n == 3 and source.read(2).size == (6, 5)
    assert same_again(source)


def test_chexpert__paths_that_begin_above_the_table(tmp_path):
    folder = tmp_path / "CheXpert-small"
    names = [f"train/patient{n}/study1/view1_frontal.jpg" for n in range(3)]
    make_folder(folder, names)
    lines = [f"CheXpert-small/{name},Male,1.0,{'' if n else '-1.0'}\n" for n, name in enumerate(names)]
    source = open_images(table(folder, "Path,Sex,Edema,Fracture\n" + "".join(lines), "train.csv"))
    assert source.table["path"].tolist() == names and labels(source) == [None] * 3
    assert "Edema" in said(source, "taken").why
    edema = open_images(f"{folder}/train.csv?label=Edema")
    assert labels(edema) == ["1"] * 3 and record(edema, "whole_numbers")


def test_found_below__an_image_of_another_folder_is_another_image(tmp_path):
    make_folder(tmp_path, ["x/test/0.png", "x/test/1.png"])
    source = open_images(table(tmp_path, "path,label\ntrain/0.png,a\ntrain/1.png,b\n"))
    assert record(source, "found_below") is None and source.table["path"].tolist()[0] == "train/0.png"


def test_one_hot__columns_of_which_one_is_1(tmp_path):
    make_folder(tmp_path, NAMES)
    lines = [
        f"{name},{int(n % 3 == 0)}.0,{int(n % 3 == 1)}.0,{int(n % 3 == 2)}.0\n"
        for n, name in enumerate(NAMES)
    ]
    source = open_images(table(tmp_path, "filename, Daisy, Rose, Tulip\n" + "".join(lines), "_classes.csv"))
    assert labels(source)[:4] == ["Daisy", "Rose", "Tulip", "Daisy"] and source.extras is None
    assert record(source, "taken") and same_again(source)
    both = [f"{name},1,{n % 2}\n" for n, name in enumerate(NAMES)]
    several = open_images(table(tmp_path, "filename,Daisy,Rose\n" + "".join(both), "_classes.csv"))
    assert labels(several) == [None] * 8 and "Daisy" in said(several, "taken").why


def test_labels__several_in_a_cell_are_counted(tmp_path):
    text = "Image Index,Finding Labels\na.png,Edema|Mass\nb.png,Mass\nc.png,No Finding\n"
    source = open_images(table(tmp_path, text))
    assert labels(source)[0] == "Edema|Mass" and said(source, "several_labels").n == 1
    text = 'path,label\na.png,"tench, Tinca tinca"\nb.png,"hen, biddy"\n'
    assert record(open_images(table(tmp_path, text)), "several_labels") is None


def test_labels__several_with_blanks_between_are_counted(tmp_path):
    text = "image,labels\na.png,scab\nb.png,scab rust\nc.png,rust\nd.png,rot scab\ne.png,rot\n"
    assert said(open_images(table(tmp_path, text)), "several_labels").n == 2
    words = "image,label\na.png,dog house\nb.png,fire dog\nc.png,dog\nd.png,cat\n"
    assert record(open_images(table(tmp_path, words)), "several_labels") is None


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["scab frog_eye", "rust frog_eye", "healthy", "scab complex"], " "),
        (["16 3", "7 1 2", "5 3", "1 16"], " "),
        (["banded stained", "lined stained", "banded lined"], " "),
        (["banded, lined", "blotchy, stained", "banded, stained"], ","),
        (["['copd', 'edema']", "['normal']", "['edema', 'mass']"], ","),
        (["a;b", "c;d"], ";"),
        (["chair", "car", "horse person", "person car"], " "),
        (["rust & scab", "rot & mould", "rust & rot"], "&"),
    ],
)
def test_labels__several_of_which_none_stands_alone(tmp_path, cells, mark):
    rows = "".join(f'{name},"{cell}"\n' for name, cell in zip(NAMES, cells * 3, strict=False))
    assert said(open_images(table(tmp_path, f"image,labels\n{rows}")), "several_labels").what == mark


@pytest.mark.parametrize(
    "cells",
    [
        ["golden retriever", "labrador retriever", "tibetan terrier", "yorkshire terrier"],
        ["tench, Tinca tinca", "crane", "crane, bird", "great white shark, white shark"],
        ["['normal']", "['copd']"],
    ],
)
def test_labels__of_several_words(tmp_path, cells):
    rows = "".join(f'{name},"{cell}"\n' for name, cell in zip(NAMES, cells * 4, strict=False))
    assert record(open_images(table(tmp_path, f"image,labels\n{rows}")), "several_labels") is None


@pytest.mark.parametrize("name", ["category_label", "tumorClass", "disease category"])
def test_labels__of_a_longer_name(tmp_path, name):
    source = open_images(table(tmp_path, f"path,{name},age\na.png,x,3\nb.png,y,4\nc.png,x,5\n"))
    assert labels(source) == ["x", "y", "x"] and f"label is '{name}'" in said(source, "taken").names


def test_labels__numbers_that_come_again_are_named_and_measures_are_none(tmp_path):
    rows_of = "".join(f"{n}.png,{n},{1000 + n % 3}\n" for n in range(9))
    source = open_images(table(tmp_path, "path,height,landmark_id\n" + rows_of))
    assert labels(source) == [None] * 9 and "?label=landmark_id" in said(source, "taken").why
    rows_of = "".join(f"{n}.png,{n * 1.37:.2f}\n" for n in range(1, 9))
    ages = open_images(table(tmp_path, "path,target\n" + rows_of))
    assert labels(ages) == [None] * 8 and "?label=target" in said(ages, "taken").why
    assert len(set(labels(open_images(f"{tmp_path}/t.csv?label=target")))) == 8


@pytest.mark.parametrize(
    "above", ["# written by a tool\n# 2024-01-02, 3 images\n", "sep=,\n", "# one, two, three, four\n"]
)
def test_lines_above_the_header(tmp_path, above):
    text = f"{above}path,label\na.png,x\nb.png,y\nc.png,x\n"
    assert labels(open_images(table(tmp_path, text))) == ["x", "y", "x"]


def test_header__may_begin_with_a_hash(tmp_path):
    source = open_images(f"{table(tmp_path, '#path,label' + chr(10) + 'a.png,x' + chr(10) + 'b.png,y')}")
    assert labels(source) == ["x", "y"]


def test_missing__the_folder_near_the_list_is_named(tmp_path):
    make_folder(tmp_path / "set" / "images", NAMES)
    text = "path,label\n" + "".join(f"{name},x\n" for name in NAMES)
    source = open_images(table(tmp_path / "set" / "meta", text))
    root = tmp_path / "set" / "images"
    assert [note for note in source.notes if f"t.csv?root={root}" in note]
    assert not record(open_images(f"{tmp_path}/set/meta/t.csv?root={root}"), "found_below")


def test_labels__a_class_written_twice_is_said(tmp_path):
    source = open_images(table(tmp_path, "path,label\na,Hot Dog\nb,hot_dog\nc,cat\n"))
    assert said(source, "same_class").n == 2 and len(set(labels(source))) == 3


def test_old_description__lists_by_names_alone(tmp_path):
    path = table(tmp_path, "path,class,class_name,subset\na.png,0,cat,train\nb.png,1,dog,test\n")
    old = reopen_images({"kind": "table", "path": str(path), "seed": 0})
    assert labels(old) == ["0", "1"] and not old.split_given
    assert old.describe() == {"kind": "table", "path": str(path), "seed": 0}
    assert isinstance(old, TableSource) and labels(open_images(path)) == ["cat", "dog"]


def test_options__a_column_that_is_not_there(tmp_path):
    path = table(tmp_path, "path,label\na.png,x\n")
    with pytest.raises(ImageSourceError, match="'labels'.*'label'"):
        open_images(f"{path}?label=labels")
    with pytest.raises(ImageSourceError, match="path"):
        open_images(table(tmp_path, "picture,kind\nx,y\n"))


def test_lines_of_json__are_a_table(tmp_path):
    make_folder(tmp_path, NAMES[:2])
    first = '{"file_name": "0.png", "label": 3, "key": 1152921504606846977}\n'
    text = first + '{"file_name": "1.png", "label": null}\n'
    source = open_images(table(tmp_path, text, "metadata.jsonl"))
    assert labels(source) == ["3", None] and source.extras is not None
    assert source.extras["key"].tolist()[0] == "1152921504606846977" and same_again(source)


def test_parquet__categories_are_labels(tmp_path):
    make_folder(tmp_path, NAMES)
    frame = pd.DataFrame({"image": NAMES, "class": pd.Categorical(["cat", "dog"] * 4)})
    frame.to_parquet(tmp_path / "t.parquet")
    assert labels(open_images(tmp_path / "t.parquet")) == ["cat", "dog"] * 4


def test_folder__its_own_table_is_named(tmp_path):
    waterbirds(tmp_path / "birds")
    record_of_table = said(open_images(tmp_path / "birds"), "folder_table")
    assert record_of_table.what == "metadata.csv" and "split" in record_of_table.names
    make_folder(tmp_path / "plain", ["cat/0.png", "dog/1.png"])
    table(tmp_path / "plain", "name,price\nx,1\n", "prices.csv")
    assert record(open_images(tmp_path / "plain"), "folder_table") is None
    make_folder(tmp_path / "set", ["train/0.png", "train/1.png", "test/2.png", "test/3.png"])
    lines = '{"file_name": "0.png", "text": "a cat"}\n{"file_name": "1.png", "text": "a dog"}\n'
    table(tmp_path / "set/train", lines, "metadata.jsonl")
    assert said(open_images(tmp_path / "set"), "captions").n == 2  # as datasets reads it
    table(tmp_path / "set/train", lines.replace("text", "weight"), "metadata.jsonl")
    assert said(open_images(tmp_path / "set"), "folder_table").names == ("weight",)


def test_columns__called_as_results_of_a_study_get_another_name(tmp_path):
    path = table(tmp_path, "path,label,confidence,q_score,age\na,x,0.5,1,3\nb,y,0.25,2,4\n")
    source = open_images(path)
    assert source.extras is not None and list(source.extras) == ["table_confidence", "table_q_score", "age"]
    assert said(source, "renamed").names == ("confidence", "q_score") and same_again(source)
    old = reopen_images({"kind": "table", "path": str(path), "seed": 0})
    assert old.extras is not None and "confidence" in old.extras


def test_parquet__the_index_of_pandas_is_a_column(tmp_path):
    pd.DataFrame({"path": ["a.png", "b.png"], "label": [1, 2]}).set_index("path").to_parquet(
        tmp_path / "t.parquet"
    )
    assert [row[::2] for row in rows(open_images(tmp_path / "t.parquet"))] == [("a.png", "1"), ("b.png", "2")]


@pytest.mark.parametrize(
    "text",
    [
        "label," + ",".join(f"pixel{n}" for n in range(64)) + "\n" + ",".join(["1"] * 65) + "\n",
        "emotion,pixels,Usage\n0," + " ".join(["70"] * 48) + ",Training\n",
    ],
)
def test_pixels_in_cells__are_named(tmp_path, text):
    with pytest.raises(ImageSourceError, match="pixels themselves"):
        open_images(table(tmp_path, text))


def test_labels__before_boxes_of_imagenet(tmp_path):
    """Kaggle's LOC_val_solution.csv."""
    ids = ("n01978930", "n02086240")
    cells = [f"{ids[n % 2]} 85 {n} 499 272 " + f"{ids[n % 2]} 1 2 3 4 " * (n % 3) for n in range(len(NAMES))]
    rows = "".join(f"{name},{cell}\n" for name, cell in zip(NAMES, cells, strict=True))
    source = open_images(table(tmp_path, f"ImageId,PredictionString\n{rows}"))
    assert labels(source) == [ids[n % 2] for n in range(len(NAMES))]
    assert said(source, "localised").what == "PredictionString" and same_again(source)
