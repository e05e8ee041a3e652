"""The process that keeps a CLIP loaded: real ones, of the CLIP that ships with Peregrine."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.processes import is_running, process_started
from core.concepts.search import LONGEST_TEXT, embed_picture, embed_text
from core.errors import ClipError, UnreadableImage
from core.study import resident
from tests.sampling import sample

pytestmark = pytest.mark.slow
CLIP = "asset:glyphworld"


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    resident.end_all()


@pytest.fixture(scope="module")
def clip():
    from core.concepts.clip import load_clip

    return load_clip(CLIP)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def gone(pid: int, started: str | None, patience: float = 30.0) -> bool:
    deadline = time.monotonic() + patience
    while is_running(pid, started) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not is_running(pid, started)


def test_process__answers_as_the_clip_itself_and_is_started_again_where_it_was_killed(clip, rng, monkeypatch):
    """One answers and is killed; the next stops answering and is ended. To load one takes seconds."""
    one = answers_are_what_the_clip_itself_says_and_bad_input_is_one_line(clip, rng)
    assert one.state == "ready"
    killed_is_started_again_and_one_that_stops_answering_is_ended(one, clip, monkeypatch)


def answers_are_what_the_clip_itself_says_and_bad_input_is_one_line(clip, rng) -> resident.Resident:
    one = resident.resident("clip", CLIP)
    assert one.state == "loading" and resident.resident("clip", CLIP) is one
    for text in ("a red ball on grass", "ü" * 300, "\n--json $(touch x) \0"):
        np.testing.assert_allclose(embed_text(CLIP, text), clip.embed_texts([text])[0], atol=1e-5)
    assert (one.state, one.fingerprint) == ("ready", clip.fingerprint)
    picture = Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8))
    expected = clip.embed_images([picture])[0]
    vector, preview = embed_picture(CLIP, png(picture))
    np.testing.assert_allclose(vector, expected, atol=1e-5)
    assert Image.open(io.BytesIO(preview)).size == (90, 70)

    for thin in ((1, 20_000), (300, 1)):
        assert embed_picture(CLIP, png(Image.new("RGB", thin)))[0].shape == (clip.width,)

    for data, what in ((b"%PDF-1.4", "a PDF document"), (b"", "empty"), (b"<svg>", "an SVG drawing")):
        with pytest.raises(UnreadableImage, match=what):
            embed_picture(CLIP, data)
    with pytest.raises(ClipError, match="truncated") as caught:
        embed_picture(CLIP, png(picture)[:200])
    assert "\n" not in str(caught.value)
    for text in ("", "  ", "x" * (LONGEST_TEXT + 1)):
        with pytest.raises(ClipError, match="1 to 1,000 characters"):
            embed_text(CLIP, text)
    embed_text(CLIP, "a blue fish")
    assert resident.resident("clip", CLIP) is one  # none of it has ended the process
    return one


def killed_is_started_again_and_one_that_stops_answering_is_ended(
    first: resident.Resident, clip, monkeypatch
) -> None:
    assert first.state == "ready"
    os.kill(first.pid, signal.SIGKILL)
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", "10000")  # handed on to the next process
    expected = clip.embed_texts(["a red ball"])[0]
    np.testing.assert_allclose(embed_text(CLIP, "a red ball"), expected, atol=1e-5)
    second = resident.resident("clip", CLIP)
    assert second.pid != first.pid and first.state == "ended"
    with pytest.raises(ClipError, match="pixels"):  # and is not decoded
        embed_picture(CLIP, png(Image.new("RGB", (200, 100))))
    os.kill(second.pid, signal.SIGSTOP)
    with pytest.raises(resident.Ended):
        second.ask({"text": "a red ball"}, patience=0.5)
    assert second.state == "ended"


@pytest.mark.exhaustive("test_process__answers_as_the_clip… ends one that does not answer")
def test_process__that_never_gets_loaded_is_ended(monkeypatch):
    one = resident.resident("clip", CLIP)
    os.kill(one.pid, signal.SIGSTOP)
    monkeypatch.setattr(resident, "LONGEST_LOADING", 0.0)
    started = process_started(one.pid)
    resident.resident("clip", CLIP)
    assert gone(one.pid, started) and one.wait(10.0) == "failed" and "-9" in one.error


@pytest.mark.exhaustive("test_process__answers_as_the_clip… ends one, too")
def test_process__ends_when_nobody_asks():
    one = resident.resident("clip", CLIP, idle=0.3)
    assert one.wait() == "ready"
    started = process_started(one.pid)
    assert gone(one.pid, started)
    deadline = time.monotonic() + 10.0
    while one.state == "ready" and time.monotonic() < deadline:  # a thread takes note of it
        time.sleep(0.05)
    assert one.state == "ended"


@pytest.mark.parametrize("moment", sample(["ready", "loading"], 1))
def test_process__ends_with_its_parent(moment):
    code = (
        "import sys, time; from core.study import resident as r\n"
        f"one = r.resident('clip', {CLIP!r})\n"
        f"{'one.wait()' if moment == 'ready' else ''}\n"
        "print(one.pid, flush=True); time.sleep(600)"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        started = process_started(pid)
        assert is_running(pid, started)
        parent.kill()
    assert gone(pid, started)


@pytest.mark.parametrize(
    ("spec", "why"),
    sample(
        [
            ("python:os:system", "the weights of python:os:system are not on this computer"),
            ("asset:none", "no CLIP 'asset:none'"),
            ("ViT-B-32@openai", "the weights of ViT-B-32@openai are not on this computer"),
        ],
        1,
    ),
)
def test_clip_that_cannot_be_loaded__says_why_and_is_not_tried_at_once_again(spec, why, monkeypatch):
    monkeypatch.setattr(resident, "RETRY_AFTER", 600.0)  # a crowded machine takes longer than usual to fail
    with pytest.raises(ClipError, match=why) as caught:
        embed_text(spec, "a red ball")
    assert "\n" not in str(caught.value)
    one = resident.resident("clip", spec)
    assert one.state == "failed" and why in one.error
    assert resident.resident("clip", spec) is one
    monkeypatch.setattr(resident, "RETRY_AFTER", 0.0)
    assert resident.resident("clip", spec) is not one


@pytest.mark.exhaustive("test_process__answers_as_the_clip… starts one in the same way")
def test_processes__no_more_than_a_few_at_once(monkeypatch):
    monkeypatch.setattr(resident, "AT_ONCE", 1)
    first = resident.resident("clip", CLIP)
    started = process_started(first.pid)
    second = resident.resident("clip", "asset:none")
    assert gone(first.pid, started) and resident.resident("clip", "asset:none") is second
