"""What a study knows, handed to other tools at a click."""

from __future__ import annotations

import io
import zipfile

from core.publish.tool_exports import TOOLS, tool_archive
from core.publish.tool_names import TOOL_NAMES
from core.store import open_study
from dashboard.panels import exports
from tests.dashboard.conftest import all_text


def test_overview__has_a_button_a_tool(studies, open_page):
    app = open_page(study="demo")
    app.session_state[exports.TOOL_KEY] = True
    app.run()
    assert not app.exception
    buttons = app.get("download_button")
    assert [f"{exports.TOOL_KEY}_{tool}" for tool in TOOL_NAMES] == [
        one.key for one in buttons if one.key and one.key.startswith(exports.TOOL_KEY)
    ]
    assert all(form.title in all_text(app) for form in TOOLS.values())


def test_overview__of_many_images_says_the_command(studies, open_page, monkeypatch):
    monkeypatch.setattr(exports, "MOST_IMAGES", 1)
    app = open_page(study="demo")
    app.session_state[exports.TOOL_KEY] = True
    app.run()
    assert not app.exception
    assert [tool in one.value for tool, one in zip(TOOL_NAMES, app.code, strict=False)] == [True] * 4


def test_archive__is_the_folder(studies):
    content = tool_archive(open_study(studies / "demo"), "cvat")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert sorted(packed.namelist()) == ["README.md", "annotations.xml", "labels.json"]
        assert packed.testzip() is None
