"""The study store: manifest, staleness, one writer, the torch-free reader."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from core.errors import StudyBusy, StudyError
from core.info import verify
from core.manifest import FORMAT
from core.store import open_study
from core.writer import write_study

IMAGES = pd.DataFrame(
    {
        "image_id": ["a", "b", "ü"],
        "path": ["a.png", "b.png", "ü.png"],
        "split": ["train", "val", "val"],
        "label": ["x", "y", None],
    }
)


def make(folder, values=(1.0, 2.0, 3.0)):
    with write_study(folder) as writer:
        with writer.step("embed", {"images": "DIR"}, outside={"images": "abc"}) as step:
            step.table("images", IMAGES)
            array = step.array("representations")
            array.put(0, np.array(values, np.float32)[:2, None])
            array.put(1, np.array(values, np.float32)[2:, None])
            step.finish_array("representations", 2)
            step.summary = {"n_images": 3}
        with writer.step("features", {"epsilon": 4.0}, inputs=("representations", "neighbours")) as step:
            step.table("features", pd.DataFrame({"feature": [0], "mean": [2.0]}))
        with writer.step("quality", {}, inputs=("features",)) as step:
            step.vector("scores", np.arange(3))
    return folder


def test_reader__gives_back_what_was_written(tmp_path):
    study = open_study(make(tmp_path / "s"))
    pd.testing.assert_frame_equal(study.images, IMAGES, check_dtype=False)
    np.testing.assert_array_equal(study.vector("representations"), [[1.0], [2.0], [3.0]])
    assert study.class_names == ["x", "y"] and study.is_val.tolist() == [False, True, True]
    assert study.row_of("ü") == 2 and study.n_images == 3 and study.labelled
    assert study.summary("embed") == {"n_images": 3} and study.settings("features") == {"epsilon": 4.0}
    assert set(study.missing()) == {
        "neighbours",
        "probe",
        "map",
        "heatmaps",
        "overlap",
        "concepts",
        "failures",
    }
    assert "python -m core probe" in study.missing()["probe"]
    assert study.table("features", ["mean"]).columns.tolist() == ["mean"]


def test_reader__imports_no_torch(tmp_path):
    code = "import sys, core.store; core.store.open_study(sys.argv[1]).images; print('torch' in sys.modules)"
    run = [sys.executable, "-c", code, str(make(tmp_path / "s"))]
    assert subprocess.check_output(run, text=True).strip() == "False"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.table("feature"), "no table 'feature' in .* Did you mean 'features'"),
        (lambda s: s.table("features", ["maen"]), "no column 'maen' .* Did you mean 'mean'"),
        (lambda s: s.array("features"), "is a table, not an array"),
        (lambda s: s.row_of("zzz"), "no image 'zzz'"),
        (lambda s: s.thumbnail(0), "no array 'thumbnail_sizes'"),
    ],
)
def test_reader__errors(tmp_path, ask, message):
    with pytest.raises(StudyError, match=message):
        ask(open_study(make(tmp_path / "s")))


def test_staleness__follows_the_chain_and_stale_items_are_not_served(tmp_path):
    make(tmp_path / "s")
    with (
        write_study(tmp_path / "s") as writer,
        writer.step("embed", {"images": "OTHER"}, outside={"images": "abc"}) as step,
    ):
        step.table("images", IMAGES)
        step.vector("representations", np.zeros((3, 1)))
    study = open_study(tmp_path / "s")
    assert [study.state(step) for step in ("embed", "features", "quality")] == ["done", "stale", "stale"]
    assert not study.has("features") and not study.has("scores")
    with pytest.raises(StudyError, match="'features' .* is stale.* Run: python -m core features"):
        study.table("features")


def test_is_current__depends_on_settings_inputs_and_the_outside(tmp_path):
    make(tmp_path / "s")
    with write_study(tmp_path / "s") as writer:
        assert writer.is_current("embed", {"images": "DIR"}, (), {"images": "abc"})
        assert not writer.is_current("embed", {"images": "DIR"}, (), {"images": "abd"})
        assert not writer.is_current("embed", {"images": "dir"}, (), {"images": "abc"})
        assert writer.is_current("features", {"epsilon": 4.0}, ("representations", "neighbours"))
        with writer.step("neighbours", {}) as step:  # absent before: now there is something to read
            step.vector("neighbours", np.arange(3))
        assert not writer.is_current("features", {"epsilon": 4.0}, ("representations", "neighbours"))


def test_redoing_a_step__removes_what_it_makes_no_more(tmp_path):
    make(tmp_path / "s")
    with write_study(tmp_path / "s") as writer, writer.step("quality", {}, inputs=("features",)) as step:
        step.vector("other", np.arange(2))
    assert not (tmp_path / "s" / "scores").exists()
    assert not open_study(tmp_path / "s").has("scores")


def test_a_failing_step__leaves_the_others_and_its_finished_chunks(tmp_path):
    make(tmp_path / "s")
    with (
        pytest.raises(RuntimeError, match="power"),
        write_study(tmp_path / "s") as writer,
        writer.step("probe", {}, inputs=("representations",)) as step,
    ):
        step.array("logits").put(0, np.zeros(2))
        raise RuntimeError("power cut")
    assert open_study(tmp_path / "s").state("quality") == "done"
    with write_study(tmp_path / "s") as writer, writer.step("probe", {}, inputs=("representations",)) as step:
        assert step.array("logits").has(0)
        step.finish_array("logits", 1)


def test_the_second_writer__is_told_so(tmp_path):
    with (
        write_study(tmp_path / "s"),
        pytest.raises(StudyBusy, match="being written by another process"),
        write_study(tmp_path / "s"),
    ):
        pass


def test_the_same_steps__give_the_same_bytes(tmp_path):
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    names = sorted(str(p.relative_to(one)) for p in one.rglob("*") if p.is_file())
    assert names == sorted(str(p.relative_to(two)) for p in two.rglob("*") if p.is_file())
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_verify__names_a_flipped_byte_a_deleted_chunk_and_a_changed_table(tmp_path):
    folder = make(tmp_path / "s")
    assert verify(folder) == []
    chunk = folder / "representations" / "00001.npy"
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(content)
    (folder / "scores" / "00000.npy").unlink()
    pd.DataFrame({"feature": [1]}).to_parquet(folder / "features.parquet")
    problems = {problem.file: str(problem) for problem in verify(folder)}
    assert set(problems) == {"representations/00001.npy", "scores/00000.npy", "features.parquet"}
    assert "checksum differs" in problems["representations/00001.npy"]
    assert "is gone" in problems["scores/00000.npy"] and "core quality" in problems["scores/00000.npy"]


def damage_of(folder):
    study = open_study(folder)
    study.set_damage_aside()
    return study.damage


def test_damage__what_cannot_be_read_and_nothing_else(tmp_path):
    folder = make(tmp_path / "s")
    assert damage_of(folder) == {}
    chunk = folder / "representations" / "00001.npy"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    (folder / "scores" / "00000.npy").unlink()
    table = folder / "features.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    assert damage_of(folder) == {
        "representations": "representations/00001.npy is cut short",
        "scores": "scores/00000.npy is gone",
        "features": "features.parquet cannot be read",
    }
    pd.DataFrame({"feature": [1, 2]}).to_parquet(table)
    assert damage_of(folder)["features"] == "features.parquet has 2 rows instead of 1"
    table.unlink()
    assert damage_of(folder)["features"] == "features.parquet is gone"


def test_damage_set_aside__serves_the_rest_and_names_the_command(tmp_path):
    folder = make(tmp_path / "s")
    (folder / "features.parquet").write_bytes(b"nothing")
    study = open_study(folder)
    key = study.key
    study.set_damage_aside()
    assert not study.has("features") and study.has("scores") and study.has("images")
    assert study.key != key  # what was cached of the whole study is not served
    command = f"Run: python -m core features {folder} --redo"
    assert study.missing()["features"] == f"damaged: features.parquet cannot be read. {command}"
    assert "quality" not in study.missing()
    with pytest.raises(StudyError, match="is damaged: features.parquet cannot be read.*--redo"):
        study.table("features")


def test_table__no_flipped_bit_is_taken_for_a_number(tmp_path, rng):
    folder, n = tmp_path / "s", 400
    frame = pd.DataFrame({"q_score": rng.random(n), "word": rng.choice(["sky", "sea"], n), "n": np.arange(n)})
    with write_study(folder) as writer, writer.step("quality", {}) as step:
        step.table("quality", frame)
    path = folder / "quality.parquet"
    whole = path.read_bytes()
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # of the data; what follows describes it
    places, found = np.linspace(4, end - 1, 300).astype(int), 0
    for place in places:
        content = bytearray(whole)
        content[place] ^= 1 << int(place % 8)
        path.write_bytes(content)
        study = open_study(folder)
        study.set_damage_aside()
        assert study.has("quality")  # its size and its end tell nothing
        try:
            pd.testing.assert_frame_equal(study.table("quality"), frame)
        except StudyError as error:
            found += 1
            assert not study.has("quality") and str(error).endswith(f"core quality {folder} --redo")
            assert "damaged: quality.parquet cannot be read: " in study.missing()["quality"]
    assert found > 0.9 * len(places)  # the others hit what says nothing of the numbers


def test_opening__what_is_no_study(tmp_path):
    with pytest.raises(StudyError, match="no study at .* python -m core analyze"):
        open_study(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="is no study yet"):
        open_study(tmp_path / "empty")
    folder = make(tmp_path / "s")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": FORMAT + 1}))
    with pytest.raises(StudyError, match=f"study format {FORMAT + 1}, this version reads up to {FORMAT}"):
        open_study(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(StudyError, match="is damaged"):
        open_study(folder)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match="is a file; a study is a folder"), write_study(tmp_path / "file"):
        pass
