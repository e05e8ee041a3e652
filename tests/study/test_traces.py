"""Notes, tags, doubts and names: round trips, limits, hostile texts, damage, and many writers at once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DamagedTraces, StudyError, TraceError
from core.pipeline.verify import verify
from core.publish.served import open_current
from core.store import Study, open_study
from core.study import trace_changes, trace_limits
from core.study.kept_file import read_from_copy
from core.study.manifest import MANIFEST
from core.study.traces import KEPT, UNSURE, FeatureTrace, ImageTrace, Traces, read_traces, traces_stamp
from tests import small

HOSTILE = [
    "<script>alert(1)</script>",
    "**bold** [x](javascript:alert(1)) :material/delete: $x$ `c`",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd",
    'a "b" \\ c',
    "{{ 7 * 7 }} %s {0}",
    "犬 \N{DOG FACE} שלום",
    "line one\nline two",
]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small.write_small_study(tmp_path / "study")


def ids(study: Study) -> list[str]:
    return study.images["image_id"].tolist()


def test_set_read_and_remove(study: Study) -> None:
    first, second = ids(study)[:2]
    assert read_traces(study.path) == Traces() and not any(traces_stamp(study.path))
    trace_changes.set_note(study, first, "  blurred \r\n twice ")
    trace_changes.set_tags(study, first, [" to  check "])
    trace_changes.set_tags(study, first, ["doubtful"], seen=[])
    trace_changes.set_tags(study, first, ["doubtful"], seen=[])
    trace_changes.mark_wrong_label(study, first, "cat")
    trace_changes.mark_wrong_label(study, second)
    trace_changes.name_feature(study, 2, " night  sky ")
    trace_changes.note_feature(study, 2, "stars")
    trace_changes.set_feature_tags(study, 2, ["background"])
    traces = read_traces(study.path)
    assert traces.images == {
        first: ImageTrace("blurred \n twice", ("doubtful", "to check"), "cat"),
        second: ImageTrace(wrong_label=UNSURE),
    }
    assert traces.features == {2: FeatureTrace("night sky", "stars", ("background",))}
    assert traces.feature_names == {2: "night sky"}
    assert (traces.image_tags, traces.feature_tags) == (["doubtful", "to check"], ["background"])
    trace_changes.set_tags(study, first, [], seen=["doubtful"])
    trace_changes.set_tags(study, first, [], seen=["never there"])
    assert read_traces(study.path).images[first].tags == ("to check",)
    trace_changes.set_note(study, first, "")
    trace_changes.set_tags(study, first, [])
    trace_changes.mark_wrong_label(study, first, None)
    trace_changes.mark_wrong_label(study, second, "")
    trace_changes.name_feature(study, 2, " ")
    trace_changes.note_feature(study, 2, "")
    trace_changes.set_feature_tags(study, 2, [])
    assert read_traces(study.path) == Traces()


def test_views__are_kept_renamed_by_nobody_and_removed(study: Study) -> None:
    trace_changes.set_note(study, ids(study)[0], "seen")
    assert (
        trace_changes.save_view(study, " dogs  under snow ", "images?where=label%3Ddog") == "dogs under snow"
    )
    trace_changes.save_view(study, "dogs under snow", "images?where=label%3Ddog")  # the same again
    trace_changes.save_view(study, "All", "compare")
    held = read_traces(study.path)
    assert list(held.views.items()) == [("All", "compare"), ("dogs under snow", "images?where=label%3Ddog")]
    trace_changes.set_tags(study, ids(study)[1], ["doubtful"])
    assert read_traces(study.path).views == held.views and len(read_traces(study.path).images) == 2
    with pytest.raises(TraceError, match="'All'"):
        trace_changes.save_view(study, "All", "images")
    trace_changes.remove_view(study, "All")
    trace_changes.remove_view(study, "All")
    assert list(read_traces(study.path).views) == ["dogs under snow"] and verify(study) == []


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "images#x",
        "images?a=b c",
        "../x",
        "",
        "i?" + "a" * 2000,
        "Images",
    ],
)
def test_views__lead_to_pages_of_the_dashboard_only(study: Study, address: str) -> None:
    with pytest.raises(TraceError, match="address"):
        trace_changes.save_view(study, "x", address)
    for name in ("", "<b>", "a" * 41):
        with pytest.raises(TraceError):
            trace_changes.save_view(study, name, "images")
    KEPT.change(study.path, lambda: {"images": {}, "features": {}, "views": {"x": address}})
    with pytest.raises(DamagedTraces):
        read_traces(study.path)


def test_what_two_write_at_once__the_second_is_told_and_the_first_is_kept(study: Study) -> None:
    first = ids(study)[0]
    trace_changes.set_note(study, first, "blurred", seen="")
    trace_changes.mark_wrong_label(study, first, "cat", seen="")
    trace_changes.name_feature(study, 2, "night sky", seen="")
    for second in (
        lambda: trace_changes.set_note(study, first, "sharp", seen=""),
        lambda: trace_changes.mark_wrong_label(study, first, "dog", seen=""),
        lambda: trace_changes.name_feature(study, 2, "stars", seen=""),
    ):
        with pytest.raises(TraceError):
            second()
    traces = read_traces(study.path)
    assert traces.images == {first: ImageTrace("blurred", (), "cat")}
    assert traces.feature_names == {2: "night sky"}
    trace_changes.name_feature(study, 2, "stars", seen="night sky")
    assert read_traces(study.path).feature_names == {2: "stars"}


def test_stamps__change_where_the_clock_is_set_back(study: Study) -> None:
    trace_changes.set_note(study, ids(study)[0], "a")
    opened, before = open_current(study.path), traces_stamp(study.path)
    clock = (study.path / KEPT.name).stat()
    trace_changes.set_note(study, ids(study)[0], "b")
    manifest = study.path / MANIFEST
    shutil.copy2(manifest, study.path / "copy")
    os.replace(study.path / "copy", manifest)
    os.utime(study.path / KEPT.name, ns=(clock.st_atime_ns, clock.st_mtime_ns))
    assert traces_stamp(study.path) != before
    assert open_current(study.path) is not opened


def test_nothing_of_the_study_changes(study: Study) -> None:
    before = {path: path.read_bytes() for path in study.path.rglob("*") if path.is_file()}
    trace_changes.set_note(study, ids(study)[0], "seen")
    assert open_study(study.path).key == study.key
    assert verify(study.path) == []
    new = {path.name for path in study.path.rglob("*") if path.is_file()} - {path.name for path in before}
    assert {"traces.json", "traces.json.last"} <= new <= {"traces.json", "traces.json.last", ".traces.lock"}
    assert all(path.read_bytes() == body for path, body in before.items())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_notes_stay_text(study: Study, text: str) -> None:
    trace_changes.set_note(study, ids(study)[0], text)
    trace_changes.note_feature(study, 0, text)
    traces = read_traces(study.path)
    assert traces.images[ids(study)[0]].note == text and traces.features[0].note == text
    assert {path.name for path in study.path.parent.iterdir()} == {"study"}


@pytest.mark.parametrize("text", [one for one in HOSTILE if not one.startswith("line")])
def test_hostile_tags_and_names_are_refused_in_one_line(study: Study, text: str) -> None:
    """They go into Markdown, charts and filters."""
    for act in (
        lambda: trace_changes.set_tags(study, ids(study)[0], [text]),
        lambda: trace_changes.set_feature_tags(study, 0, ["fine", text]),
        lambda: trace_changes.name_feature(study, 0, text),
    ):
        with pytest.raises(TraceError, match="letters") as raised:
            act()
        assert "\n" not in str(raised.value)
    assert not (study.path / "traces.json").exists()


@given(st.text(max_size=60))
def test_what_a_name_may_hold_is_no_markup(text: str) -> None:
    try:
        name = trace_limits.checked_name(text)
    except TraceError as error:
        assert "\n" not in str(error)
        return
    assert name == trace_limits.checked_name(name)
    assert len(name) <= trace_limits.LONGEST_NAME
    assert not set(name) & set('<>[]*_`$:#|~\\"=@!&{}/.\n\t\u202e\x00\x1b')
    assert name == "" or name[0].isalnum() or not name[0].isascii()


@given(note=st.text(max_size=200))
def test_any_note_comes_back(study: Study, note: str) -> None:
    cleaned = trace_limits.checked_note(note)
    trace_changes.set_note(study, ids(study)[0], note)
    assert read_traces(study.path).images.get(ids(study)[0], ImageTrace()).note == cleaned
    assert trace_limits.checked_note(cleaned) == cleaned
    assert not set(cleaned) & {"\x00", "\x1b", "\u202e", "\r"}


def test_limits(study: Study) -> None:
    image = ids(study)[0]
    trace_changes.set_note(study, image, "n" * trace_limits.LONGEST_NOTE)
    trace_changes.set_tags(study, image, [f"t{n}" for n in range(trace_limits.MOST_TAGS)])
    before = (study.path / "traces.json").read_bytes()
    for act, what in (
        (
            lambda: trace_changes.set_note(study, image, "n" * (trace_limits.LONGEST_NOTE + 1)),
            "at most 2,000 characters",
        ),
        (lambda: trace_changes.set_tags(study, image, ["one more"], seen=[]), "at most 12 tags"),
        (
            lambda: trace_changes.set_tags(study, image, ["t" * (trace_limits.LONGEST_TAG + 1)]),
            "at most 30 characters",
        ),
        (lambda: trace_changes.set_tags(study, image, ["  "]), "needs letters"),
        (
            lambda: trace_changes.name_feature(study, 0, "n" * (trace_limits.LONGEST_NAME + 1)),
            "at most 40 characters",
        ),
        (lambda: trace_changes.set_tags(study, image, "abc"), "list of texts"),
        (lambda: trace_changes.mark_wrong_label(study, image, "ct"), "no class 'ct'.*Did you mean 'cat'"),
        (lambda: trace_changes.name_feature(study, 999, "x"), "no feature 999"),
        (lambda: trace_changes.name_feature(study, -1, "x"), "no feature -1"),
    ):
        with pytest.raises(TraceError, match=what):
            act()
    with pytest.raises(StudyError, match="'nowhere'"):
        trace_changes.set_note(study, "nowhere", "x")
    assert (study.path / "traces.json").read_bytes() == before


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"images": 3, "features": {}}',
        '{"images": {"a": {"note": 3}}, "features": {}}',
        '{"images": {"a": {"colour": "red"}}, "features": {}}',
        '{"images": {"a": {"tags": ["<b>"]}}, "features": {}}',
        '{"images": {}, "features": {"one": {"name": "x"}}}',
        '{"images": {}, "features": {"1": {"name": "[x](y)"}}}',
        '{"images": {}, "features": {}, "other": {}}',
    ],
)
def test_damaged_file_is_named_and_kept(study: Study, body: str) -> None:
    path = study.path / "traces.json"
    path.write_text(body)
    for act in (
        lambda: read_traces(study.path),
        lambda: trace_changes.set_note(study, ids(study)[0], "x"),
        lambda: trace_changes.name_feature(study, 0, "x"),
    ):
        with pytest.raises(DamagedTraces, match=r"traces\.json"):
            act()
    assert path.read_text() == body
    assert [problem.file for problem in verify(study)] == ["traces.json"]


def test_every_flipped_bit_is_found(study: Study) -> None:
    trace_changes.set_note(study, ids(study)[0], "seen")
    trace_changes.name_feature(study, 1, "sky")
    path = study.path / "traces.json"
    path.with_name("traces.json.last").unlink()
    whole = path.read_bytes()
    for at in range(0, 8 * len(whole), 5):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        with pytest.raises(DamagedTraces):
            read_traces(study.path)
    path.write_bytes(whole)
    assert read_traces(study.path).feature_names == {1: "sky"}


DAMAGES = {
    "header": lambda body: b"[" + body[1:],
    "middle": lambda body: body.replace(b"seen", b"sees"),
    "end": lambda body: body[:-3],
    "empty": lambda body: b"",
    "doubled": lambda body: body + body,
    "gone": None,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_file_the_copy_is_read_and_the_next_save_restores_it(
    study: Study, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = ids(study)[:2]
    trace_changes.set_note(study, first, "seen")
    trace_changes.save_view(study, "worst", "images")
    path, changed = study.path / "traces.json", DAMAGES[damage]
    body = b"" if changed is None else changed(path.read_bytes())
    path.unlink() if changed is None else path.write_bytes(body)
    for _ in range(2):
        assert read_traces(study.path).images[first].note == "seen"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said == [f"note: {study.path}/{line}" for line in read_from_copy(study.path)]
    assert [problem.file for problem in verify(study)] == ["traces.json"]
    trace_changes.set_note(study, second, "new")
    traces = read_traces(study.path)
    assert [traces.images[one].note for one in (first, second)] == ["seen", "new"]
    assert list(traces.views) == ["worst"] and read_from_copy(study.path) == []
    aside = path.with_name("traces.json.damaged")
    assert changed is None or aside.read_bytes() == body
    aside.unlink(missing_ok=True)
    assert verify(study) == []


def test_a_damaged_copy_is_named_by_verify_and_written_again(study: Study) -> None:
    trace_changes.set_note(study, ids(study)[0], "seen")
    copy = study.path / "traces.json.last"
    copy.write_text("{")
    assert read_traces(study.path).images and read_from_copy(study.path) == []
    assert [problem.file for problem in verify(study)] == ["traces.json.last"]
    trace_changes.set_note(study, ids(study)[0], "seen again")
    assert verify(study) == []
    (study.path / "traces.json").write_text("{")
    copy.write_text("{")
    with pytest.raises(DamagedTraces):
        read_traces(study.path)
    (study.path / "traces.json").unlink()
    with pytest.raises(DamagedTraces):
        read_traces(study.path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_note_that_does_not_reach_the_disk_is_not_said_to_be_saved(
    study: Study, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    trace_changes.set_note(study, ids(study)[0], "seen")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("core.common.inside.os.fsync", fail)
    with pytest.raises(StudyError, match=f"notes cannot be saved .*{os.strerror(number)}"):
        trace_changes.set_note(study, ids(study)[0], "new")
    assert read_traces(study.path).images[ids(study)[0]].note == "seen"


def test_a_file_written_by_hand_is_read(study: Study) -> None:
    content = {"version": 1, "images": {"a": {"tags": ["x"]}}, "features": {"3": {"name": "sky"}}}
    (study.path / "traces.json").write_text(json.dumps(content))
    assert read_traces(study.path) == Traces({"a": ImageTrace(tags=("x",))}, {3: FeatureTrace("sky")})
    trace_changes.set_note(study, ids(study)[0], "new")
    assert read_traces(study.path).images["a"].tags == ("x",), "of an image that is no longer in the study"


@pytest.mark.parametrize("version", [9, 2, 0, "1", None, [1]])
def test_a_file_of_another_version_is_neither_read_nor_overwritten(study: Study, version: object) -> None:
    content = json.dumps({"version": version, "images": {}, "features": {}})
    (study.path / "traces.json").write_text(content)
    with pytest.raises(DamagedTraces, match="version"):
        read_traces(study.path)
    with pytest.raises(DamagedTraces):
        trace_changes.set_note(study, ids(study)[0], "new")
    assert (study.path / "traces.json").read_text() == content


def test_a_file_that_would_be_too_large_to_be_read_is_not_written(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace_changes.set_note(study, ids(study)[0], "seen")
    monkeypatch.setattr("core.study.kept_file.MOST_BYTES", 300)
    with pytest.raises(StudyError, match=r"traces\.json' is full"):
        trace_changes.set_note(study, ids(study)[1], "x" * 300)
    assert [trace.note for trace in read_traces(study.path).images.values()] == ["seen"]


@pytest.mark.slow
def test_many_at_once_lose_nothing(study: Study) -> None:
    """Threads of one server, and another process beside them."""
    image = ids(study)[0]
    script = (
        "import sys; from core.store import open_study; from core.study import trace_changes\n"
        "study = open_study(sys.argv[1])\n"
        "for n in range(6): trace_changes.set_tags(study, sys.argv[2], [f'other {n}'], seen=[])"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(study.path), image], env=dict(os.environ))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: trace_changes.set_tags(study, image, [f"mine {n}"], seen=[]), range(6)))
    assert other.wait(60) == 0
    expected = {f"mine {n}" for n in range(6)} | {f"other {n}" for n in range(6)}
    assert set(read_traces(study.path).images[image].tags) == expected


def test_a_study_that_cannot_be_written_to(study: Study) -> None:
    if os.geteuid() == 0:
        (study.path / ".traces.lock").mkdir()  # root may write anywhere, but not into a folder's name
    else:
        study.path.chmod(0o500)
    try:
        with pytest.raises(StudyError):
            trace_changes.set_note(study, ids(study)[0], "x")
    finally:
        study.path.chmod(0o700)


def test_a_link_out_of_the_study_is_not_followed(study: Study, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"images": {}, "features": {}}')
    (study.path / "traces.json").symlink_to(outside)
    with pytest.raises(StudyError):
        read_traces(study.path)
    with pytest.raises(StudyError):
        trace_changes.set_note(study, ids(study)[0], "x")
    assert outside.read_text() == '{"images": {}, "features": {}}'
