"""The study store: manifest, staleness, one writer, the torch-free reader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

from core.common.inside import bytes_below
from core.errors import DamagedManifest, StudyBusy, StudyError
from core.publish.streaming import stream_table
from core.publish.summary import verify
from core.store import open_study
from core.study import seals
from core.study.manifest import FORMAT
from core.study.writer import write_study
from tests import small
from tests.manifests import edited_manifest

# root may read everything; without these two rights it is an ordinary user
UNPRIVILEGED = (
    ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    if hasattr(os, "geteuid") and os.geteuid() == 0
    else []
)
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
        "search",
    }
    assert "python -m core probe" in study.missing()["probe"].command
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


def test_has_firing__is_of_both_arrays(tmp_path):
    study = small.write_small_study(tmp_path / "with")
    assert study.has_firing
    study.damage = {"firing_by_feature_rows": "cut"}
    assert not study.has_firing
    assert not small.write_small_study(tmp_path / "without", features=False).has_firing


def test_reader__refuses_what_was_made_again_since_it_was_opened(tmp_path):
    study = open_study(make(tmp_path / "s"))
    vectors = study.array("representations")
    with write_study(tmp_path / "s") as writer:
        with writer.step("features", {"epsilon": 5.0}, ("representations",)) as step:
            step.table("features", pd.DataFrame({"mean": [9.0]}))
        assert vectors[:].tolist() == [[1.0], [2.0], [3.0]] and len(study.table("images")) == 3
        with pytest.raises(StudyError, match="'features' of .* changed since it was opened"):
            study.table("features")
        with writer.step("features", {"epsilon": 6.0}, ("representations",)):
            assert "mean" in study.columns("features")  # a step may ask what there was before it
        old = open_study(tmp_path / "s")
        with writer.step("embed", {"images": "OTHER"}) as step:
            step.table("images", IMAGES.iloc[::-1])
            step.vector("representations", np.zeros((3, 1)))
            assert old.vector("representations").tolist() == [[1.0], [2.0], [3.0]]  # until the step ends
    for read in (
        lambda: old.vector("representations"),
        lambda: old.table("images"),
        lambda: old.value_range("images", "label"),
    ):
        with pytest.raises(StudyError, match="changed since it was opened"):
            read()
    assert old.damage == {}
    assert open_study(tmp_path / "s").vector("representations").tolist() == [[0.0]] * 3


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
    with pytest.raises(StudyError, match="'features' .* stale.* python -m core features"):
        study.table("features")


def test_is_current__depends_on_settings_inputs_and_the_outside(tmp_path):
    make(tmp_path / "s")
    with write_study(tmp_path / "s") as writer:
        assert writer.is_current("embed", {"images": "DIR"}, (), {"images": "abc"})
        assert not writer.is_current("embed", {"images": "DIR"}, (), {"images": "abd"})
        assert not writer.is_current("embed", {"images": "dir"}, (), {"images": "abc"})
        assert writer.is_current("features", {"epsilon": 4.0}, ("representations", "neighbours"))
        newer = {"epsilon": 4.0, "later": None}  # a setting that came later, not given
        assert writer.is_current("features", newer, ("representations", "neighbours"))
        assert writer.is_current(
            "features", {"epsilon": 4.0, "gone": False}, ("representations", "neighbours")
        )
        newer = {"epsilon": 4.0, "later": "given"}
        assert not writer.is_current("features", newer, ("representations", "neighbours"))
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
    with write_study(tmp_path / "s"), pytest.raises(StudyBusy), write_study(tmp_path / "s"):
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
    assert "is missing" in problems["scores/00000.npy"] and "core quality" in problems["scores/00000.npy"]


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
    found = damage_of(folder)
    assert set(found) == {"representations", "scores", "features"}
    assert found["representations"].startswith("representations/00001.npy")
    assert found["scores"].startswith("scores/00000.npy") and found["features"].startswith("features.parquet")
    pd.DataFrame({"feature": [1, 2]}).to_parquet(table)
    assert damage_of(folder)["features"].startswith("features.parquet has 2 ")
    table.unlink()
    assert damage_of(folder)["features"] != found["features"]


def test_damage__files_are_looked_up_by_folder_and_links_one_by_one(tmp_path, monkeypatch):
    folder, asked = make(tmp_path / "s"), []
    inside = seals.inside
    monkeypatch.setattr(seals, "inside", lambda *place: asked.append(place[1]) or inside(*place))
    assert damage_of(folder) == {} and "representations/00001.npy" not in asked
    chunk, elsewhere = folder / "representations" / "00001.npy", tmp_path / "elsewhere.npy"
    chunk.rename(elsewhere)
    chunk.symlink_to(elsewhere)
    what = "representations/00001.npy points outside the study folder"
    assert damage_of(folder) == {"representations": what}
    chunk.unlink()
    elsewhere.rename(folder / "kept.npy")
    chunk.symlink_to(folder / "kept.npy")
    assert damage_of(folder) == {}
    chunk.unlink()
    chunk.mkdir()
    assert damage_of(folder)["representations"].startswith("representations/00001.npy")


def test_damage_set_aside__serves_the_rest_and_names_the_command(tmp_path):
    folder = make(tmp_path / "s")
    (folder / "features.parquet").write_bytes(b"nothing")
    study = open_study(folder)
    key = study.key
    study.set_damage_aside()
    assert not study.has("features") and study.has("scores") and study.has("images")
    assert study.key != key  # what was cached of the whole study is not served
    command = f"Run: python -m core features {folder} --redo"
    assert str(study.missing()["features"]).endswith(command)
    assert "quality" not in study.missing()
    with pytest.raises(StudyError, match="features.parquet .*--redo"):
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
            assert "quality.parquet" in study.missing()["quality"].reason
    assert found > 0.9 * len(places)  # the others hit what says nothing of the numbers


def test_opening__what_is_no_study(tmp_path):
    with pytest.raises(StudyError, match="absent.* python -m core analyze"):
        open_study(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="not a study"):
        open_study(tmp_path / "empty")
    folder = make(tmp_path / "s")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": FORMAT + 1}))
    with pytest.raises(StudyError, match=f"{FORMAT + 1}.*{FORMAT}"):
        open_study(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(StudyError, match="is damaged"):
        open_study(folder)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match="is a file"), write_study(tmp_path / "file"):
        pass


def test_manifest__a_flipped_bit_is_noticed_on_opening_and_by_verify(tmp_path):
    folder = make(tmp_path / "s")
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for place in [*range(0, 100), *range(100, len(whole), 29)]:
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        with pytest.raises(DamagedManifest, match=r"manifest\.json"):
            open_study(folder)
        assert [problem.file for problem in verify(folder)] == ["manifest.json"]
    path.write_bytes(whole)
    assert verify(folder) == []


@pytest.mark.parametrize("change", [{}, {"format": 0}], ids=["no checksum", "an earlier format"])
def test_manifest__of_an_earlier_version_is_refused_with_the_command_that_makes_it_anew(tmp_path, change):
    folder = make(tmp_path / "s")
    path = folder / "manifest.json"
    old = {key: value for key, value in json.loads(path.read_text()).items() if key != "checksum"} | change
    path.write_text(json.dumps(old, sort_keys=True, ensure_ascii=False, indent=1) + "\n")
    before = path.read_bytes()
    with pytest.raises(StudyError, match=rf"python .* {folder}-new "):
        open_study(folder)
    with pytest.raises(StudyError, match="earlier version"), write_study(folder):
        pass
    assert path.read_bytes() == before


def test_verify__lists_every_problem_and_goes_on(tmp_path):
    folder = make(tmp_path / "s")
    (folder / "features.parquet").unlink()
    (folder / "images.parquet").unlink()
    (folder / "images.parquet").mkdir()
    chunk = folder / "representations" / "00001.npy"
    chunk.rename(tmp_path / "elsewhere.npy")
    chunk.symlink_to(tmp_path / "elsewhere.npy")  # the right contents, in a foreign place
    (folder / "representations" / "00000.npy").unlink()
    os.mkfifo(folder / "representations" / "00000.npy")
    (folder / "notes.txt").write_text("mine")
    (folder / "representations" / "00007.npy").write_bytes(b"of nobody")
    (folder / "representations" / ".00001.npy.999999999.tmp").write_bytes(b"killed")
    (folder / f".row_stats.{os.getpid()}.tmp").write_bytes(b"being written by a running process")
    (folder / "link").symlink_to("/etc")
    (folder / "requested_heatmaps").mkdir()
    seals.write_arrays(folder / "requested_heatmaps" / "3-a.npz", {"maps": np.zeros(3)})
    np.savez(folder / "requested_heatmaps" / "4-old.npz", maps=np.zeros(3))
    cached = folder / "requested_heatmaps" / "3-a.npz"
    cached.write_bytes(cached.read_bytes().replace(b"maps", b"mops"))
    found = {problem.file: problem.what for problem in verify(folder)}
    kinds = {
        "features.parquet": "missing",
        "images.parquet": "regular",
        "representations/00000.npy": "regular",
        "representations/00001.npy": "outside",
        "notes.txt": "belong",
        "representations/00007.npy": "step",
        "representations/.00001.npy.999999999.tmp": "temporary",
        "link": "link",
        "requested_heatmaps/3-a.npz": "checksum",
        "requested_heatmaps/4-old.npz": "checksum",
    }
    assert set(found) == set(kinds)
    assert [file for file in kinds if kinds[file] not in found[file]] == []


def test_verify__names_what_it_may_not_read(tmp_path):
    folder = make(tmp_path / "s")
    for name in ("features.parquet", "scores/00000.npy"):
        (folder / name).chmod(0)
    (folder / "scores").chmod(0)
    code = """
        import sys
        from core.publish.summary import verify
        for problem in verify(sys.argv[1]):
            print(problem.file, problem.what, sep="|")
    """
    try:
        said = subprocess.run(
            [*UNPRIVILEGED, sys.executable, "-c", textwrap.dedent(code), str(folder)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        (folder / "scores").chmod(0o755)
    files = ["features.parquet", "scores/00000.npy", "scores"]
    assert [line.partition("|")[0] for line in said.splitlines()] == files
    assert said.count("(Permission denied)") == len(files)


def test_reader__follows_no_link_out_of_the_study(tmp_path):
    folder, other = make(tmp_path / "s"), make(tmp_path / "other", (7.0, 8.0, 9.0))
    for name in ("features.parquet", "representations", "scores/00000.npy"):
        path = folder / name
        path.rename(tmp_path / "moved") if path.is_file() else shutil.move(path, tmp_path / "moved_folder")
        path.symlink_to(other / name)
    study = open_study(folder)
    for read in (
        lambda: study.table("features"),
        lambda: study.vector("representations"),
        lambda: study.array("scores")[0:1],
        lambda: list(stream_table(study, "features", "csv")),
    ):
        with pytest.raises(StudyError, match="outside"):
            read()
    study.set_damage_aside()
    assert set(study.damage) == {"features", "representations", "scores"}
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").symlink_to(other / "manifest.json")
    with pytest.raises(StudyError, match="outside"):
        open_study(folder)


def test_writer__neither_deletes_nor_writes_through_a_link(tmp_path):
    folder, photos = make(tmp_path / "s"), tmp_path / "photos"
    photos.mkdir()
    (photos / "00000.npy").write_bytes(b"mine")
    shutil.rmtree(folder / "scores")
    for name in ("scores", "logits", ".features.redo"):
        (folder / name).symlink_to(photos)
    with (
        pytest.raises(StudyError, match="outside"),
        write_study(folder) as writer,
        writer.step("probe", {}) as step,
    ):
        step.vector("logits", np.arange(3))
    with (
        pytest.raises(StudyError, match="outside"),
        write_study(folder) as writer,
        writer.step("probe", {}) as step,
    ):
        step.array("logits").put(0, np.arange(3))
    with (
        pytest.raises(StudyError, match="outside"),
        write_study(folder) as writer,
        writer.step("features", {}, inputs=("representations", "neighbours")),
    ):
        pass
    with write_study(folder) as writer, writer.step("quality", {}, inputs=("features",)) as step:
        step.vector("scores", np.arange(3))  # in a folder of its own, which takes the place of the link
    assert not (folder / "scores").is_symlink()
    assert [(path.name, path.read_bytes()) for path in photos.iterdir()] == [("00000.npy", b"mine")]


@pytest.mark.parametrize("name", ["../photos", "/tmp/photos", "a/../../photos", ".", "", ".."])
def test_writer__a_manifest_that_names_a_foreign_folder_deletes_nothing(tmp_path, name):
    folder, photos = make(tmp_path / "s"), tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"mine")
    with edited_manifest(folder) as manifest:
        manifest["steps"]["quality"]["outputs"].append(name.replace("/tmp/photos", str(photos)))
    with (
        pytest.raises(StudyError, match="name"),
        write_study(folder) as writer,
        writer.step("quality", {}, inputs=("features",)) as step,
    ):
        step.vector("scores", np.arange(3))
    assert (photos / "cat.jpg").read_bytes() == b"mine" and (folder / "manifest.json").exists()


def test_pictures__are_found_by_id_and_by_row(shared_study):
    study, row = open_study(shared_study), 3
    image_id = study.images["image_id"].iat[row]
    for read in (study.image, study.thumbnail_image):
        by_id, by_row, by_index = (read(image).tobytes() for image in (image_id, row, np.int64(row)))
        assert by_id == by_row == by_index
    assert study.thumbnail(image_id) == study.thumbnail(row) == study.thumbnail(np.int64(row))
    for read in (study.image, study.thumbnail, study.thumbnail_image):
        for nowhere in ("nowhere.png", -1, study.n_images):
            with pytest.raises(StudyError, match=f"no image .*{nowhere}"):
                read(nowhere)


def test_bytes_below__a_file_that_goes_meanwhile_counts_nothing(tmp_path, monkeypatch):
    """A command that writes renames its temporary files while a page asks for the size of the study."""
    (tmp_path / "there").write_bytes(b"12345")
    monkeypatch.setattr(os, "walk", lambda folder: [(str(folder), [], ["there", ".gone.7.tmp"])])
    assert bytes_below(tmp_path) == 5
