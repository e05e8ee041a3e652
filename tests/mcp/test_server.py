"""The MCP server, asked by the SDK's own client: over stdio in a process of its own, and over HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pandas as pd
import pytest
from PIL import Image

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared._httpx_utils import create_mcp_http_client

from core.errors import SettingsError
from core.mcp.server import _guarded, _text, http_app, make_server, serve_agents
from core.mcp.tools import READ_HERE, StudyTools, each_once
from core.publish.export_files import COLUMNS
from core.store import open_study
from core.study.writer import write_study
from dashboard.state.pages import PAGES
from dashboard.state.served_studies import BASIS
from dashboard.state.session import IMAGE, WHERE
from tests.browser.harness import free_port, run_apart
from tests.synthetic import make_study

ROOT = Path(__file__).parents[2]
TOKEN = "correct horse battery staple"
HOSTILE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("describe", {"study": "../shared"}, "no study"),
    ("describe", {"study": "/etc"}, "no study"),
    ("describe", {"study": "share"}, "Did you mean 'shared'"),
    ("describe", {"study": 7}, "valid string"),
    ("describe", {"study": "a" * 10**5}, "no study"),
    ("table", {"study": "shared", "table": "imges"}, "Did you mean 'images'"),
    ("table", {"study": "shared", "table": "representations"}, "no table"),
    ("table", {"study": "shared", "table": "images", "columns": ["lable"]}, "Did you mean 'label'"),
    ("table", {"study": "shared", "table": "images", "limit": 10**9}, "from 1 to 200"),
    ("table", {"study": "shared", "table": "images", "offset": -1}, "offset"),
    ("table", {"study": "shared", "table": "images", "where": "label=" + "x" * 10**5}, "characters"),
    ("table", {"study": "shared", "table": "images", "where": "nothing=1"}, "nothing"),
    ("table", {"study": "shared", "table": "probe", "answer": "../x"}, "answer"),
    ("image", {"study": "shared", "image_id": "../../etc/passwd"}, "no image"),
    ("feature", {"study": "shared", "feature": 10**12}, "feature is a number"),
    ("feature", {"study": "shared", "feature": 0, "pictures": 10**6}, "pictures"),
    ("figure", {"study": "shared", "figure": "../roc"}, "no figure"),
    ("figure", {"study": "shared", "figure": "heatmaps", "features": list(range(51))}, "number of features"),
    ("search", {"study": "shared", "text": "!!"}, "nothing to search for"),
)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(one): (one.stat().st_size, one.stat().st_mtime_ns) for one in folder.rglob("*")}


async def call(client: Client, name: str, **given: Any) -> Any:
    result = await client.call_tool(name, given)
    assert not result.is_error, result.content
    return result.content


async def read(client: Client, name: str, **given: Any) -> Any:
    return json.loads((await call(client, name, **given))[0].text)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("table", {"study": 7, "table": [], "limit": "many"}),
        ("table", {}),
        ("table", {"study": "a", "table": "b", "columns": [0] * 999}),
        ("ta\nble" * 999, {}),
    ],
)
def test_wrong_calls__are_refused_in_one_line(tmp_path: Path, name: str, given: dict[str, Any]) -> None:
    with pytest.raises(ToolError) as caught:
        run_apart(make_server(tmp_path, "http://x").call_tool(name, given))
    assert "\n" not in str(caught.value) and 20 < len(str(caught.value)) < 1100


@pytest.mark.slow
def test_a_session_over_stdio_reads_a_study_and_writes_nothing(shared_study: Path) -> None:
    before = files(shared_study)
    command = ["-m", "core", "mcp", "--studies", str(shared_study.parent)]
    run_apart(_session(StdioServerParameters(command=sys.executable, args=command, cwd=ROOT), shared_study))
    assert files(shared_study) == before


async def _session(server: StdioServerParameters, folder: Path) -> None:
    study = open_study(folder)
    async with Client(stdio_client(server)) as client:
        tools = (await client.list_tools()).tools
        assert all(one.annotations and one.annotations.read_only_hint for one in tools)
        assert "shared" in [row["study"] for row in (await read(client, "studies"))["studies"]]
        described = await read(client, "describe", study="shared")
        assert described["n_images"] == study.n_images
        assert str(folder.parent) not in json.dumps(described)
        first = await read(client, "table", study="shared", table="images", where="split=val", limit=3)
        ids = study.images.loc[study.is_val, "image_id"].tolist()
        assert [row["image_id"] for row in first["rows"]] == ids[:3]
        assert (first["n_rows"], first["next_offset"]) == (len(ids), 3)
        rest = await read(client, "table", study="shared", table="images", where="split=val", offset=3)
        assert rest["rows"][0]["image_id"] == ids[3]
        assert (await read(client, "inspect", study="shared", where="correct=false"))["accuracy"] == 0
        assert "slices" in await read(client, "worst_slices", study="shared", n=2)
        facts, picture = await call(client, "image", study="shared", image_id=ids[0])
        assert json.loads(facts.text)["link"].endswith(f"image={ids[0].replace('/', '%2F')}")
        labels = study.images["label"].to_numpy()[study.is_val]
        assert json.loads(facts.text)["true"] == labels[0]
        assert base64.b64decode(picture.data) == study.thumbnail(ids[0])
        feature = await call(client, "feature", study="shared", feature=0, pictures=1)
        top = study.images["image_id"].iat[int(study.vector("top_images")[0][0])]
        assert json.loads(feature[0].text)["top_images"][0] == top
        assert Image.open(io.BytesIO(base64.b64decode(feature[1].data))).size[0] > 8
        label = str(study.class_names[0])
        assert (await read(client, "search", study="shared", text=label))["by_class"]
        schema = await client.read_resource("peregrine://schema")
        assert json.loads(schema.contents[0].text)["quality"]["correct"]  # pyright: ignore
        for name, given, message in HOSTILE:
            result = await client.call_tool(name, given)
            text = " ".join(getattr(part, "text", "") for part in result.content)
            assert result.is_error and message in text, (name, given, text)
            assert str(folder.parent) not in text and len(text) < 2000


@pytest.mark.slow
def test_a_figure_comes_as_png_of_bounded_size(shared_study: Path) -> None:
    async def drawn() -> Any:
        async with Client(make_server(shared_study.parent, "http://x")) as client:
            return await call(client, "figure", study="shared", figure="roc")

    picture = Image.open(io.BytesIO(base64.b64decode(run_apart(drawn())[0].data)))
    assert picture.format == "PNG" and 100 < max(picture.size) <= 1600


def test_what_lies_outside_a_study_is_not_read(shared_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images and masks are named by paths that a stranger may have written."""
    monkeypatch.setattr("core.data.images.reopen_images", lambda _: pytest.fail("read"))
    monkeypatch.setattr("core.data.masks.open_masks", lambda **_: pytest.fail("read"))
    study = StudyTools(shared_study.parent, "http://x").opened("shared")
    for one in (study, study.where("split=val"), study.answering("probe")):
        assert one.image(0).size == one.thumbnail_image(0).size
        assert one.masks is None


def test_a_search_is_of_the_evaluation_images_of_its_slice(shared_study: Path) -> None:
    tools, study = StudyTools(shared_study.parent, "http://x"), open_study(shared_study)
    for where in ("", "label=ant", "label=ant split=train"):
        chosen = study.where(f"label=ant {where.removeprefix('label=ant')}").chosen
        expected = study.images["image_id"].astype(str)[chosen].tolist()
        assert tools.search("shared", "ant", where, 200)["by_class"] == expected


def test_ids_that_are_paths_are_told_apart_and_name_their_images(tmp_path: Path) -> None:
    """A table of absolute paths gives such ids; an agent sees no folder of this machine."""
    folder = tmp_path / "study"
    ids = [f"{tmp_path}/{label}/{n}.png" for label in "ab" for n in range(2)]
    with write_study(folder) as writer, writer.step("embed", {}) as step:
        frame = pd.DataFrame({"image_id": ids, "path": ids, "split": "val", "label": list("aabb")})
        step.table("images", frame)
    tools, shown = StudyTools(tmp_path, "http://x"), ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    rows = tools.table("study", "images", "", ["image_id"], (0, 9), "")["rows"]
    assert tools.search("study", "b", "", 9)["by_class"] == shown[2:]
    assert json.loads(_text({"rows": rows}))["rows"] == [{"image_id": one} for one in shown]
    for row, one in enumerate(shown):
        facts = tools.image("study", one, "")
        assert (facts["image_id"], facts["row"]) == (one, row)
        assert parse_qs(urlsplit(facts["link"]).query)["image"] == [ids[row]]  # as the dashboard knows it
        (found,) = tools.table("study", "images", f"image={one}", [], (0, 9), "")["rows"]
        assert found["image_id"] == one


def test_links_open_the_answer_that_was_asked_for(shared_study: Path) -> None:
    tools, study = StudyTools(shared_study.parent, "http://x"), open_study(shared_study)
    for answer in ("probe", ""):
        links = [
            tools.inspect("shared", "label=ant", "", answer)["link"],
            tools.image("shared", str(study.images["image_id"].iloc[0]), answer)["link"],
            tools.feature("shared", 3, answer)["link"],
            *(one["link"] for one in tools.worst("shared", 3, answer)["slices"]),
        ]
        assert len(links) > 3 and all(("&answer=probe" in link) == bool(answer) for link in links)


def test_http_answers_only_who_brings_the_token(shared_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.publish.server_token.HELD_S", 0.0)
    app = http_app(make_server(shared_study.parent, "http://x"), "localhost", 8600, TOKEN)

    async def status(headers: dict[str, str]) -> int:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.9", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8600") as client:
            return (await client.post("/mcp", json={}, headers=headers)).status_code

    assert run_apart(status({})) == 401
    wrong = [run_apart(status({"Authorization": f"Bearer wrong{number}"})) for number in range(5)]
    assert wrong == [401, 401, 401, 429, 429]
    with pytest.raises(RuntimeError):  # let in: the server inside has not been started
        run_apart(status({"Authorization": f"bearer {TOKEN}"}))
    assert run_apart(status({})) == 401
    for token, message in (("", "needs a token"), ("short", "16 or more")):
        with pytest.raises(SettingsError, match=message):
            serve_agents(shared_study.parent, "http://x", http=("localhost", 8600), token=token)


@pytest.mark.parametrize(
    ("host", "name", "expected"),
    [
        ("localhost", "localhost:8600", 200),
        ("::1", "[::1]:8600", 200),
        ("127.0.0.1", "evil.example:8600", 421),
        ("0.0.0.0", "192.168.1.5:8600", 200),
        ("192.168.1.5", "lab.example:80", 200),
    ],
)
def test_http_answers_under_other_names_where_it_was_asked_to(
    shared_study: Path, host: str, name: str, expected: int
) -> None:
    """On this machine only, under no other name: a page in a browser could make one up."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepted = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {TOKEN}"}

    async def status() -> int:
        server = make_server(shared_study.parent, "http://x")
        app = http_app(server, host, 8600, TOKEN)
        async with (
            server.session_manager.run(),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{name}") as client,
        ):
            return (await client.post("/mcp", json=asked, headers=accepted)).status_code

    assert run_apart(status()) == expected


def test_a_link_opens_the_page_that_the_dashboard_opens(tmp_path: Path) -> None:
    tools = StudyTools(tmp_path, "http://x/")
    wanted = "http://x/feature?study=lab%2Fdemo&basis=sae&feature=3"
    assert tools.link("feature", "lab/demo/bases/sae", feature="3") == wanted
    pages = ("overview", "images", "image", "feature")
    assert all(page in PAGES for page in pages) and (BASIS, IMAGE, WHERE) == ("basis", "image", "where")


def test_every_column_of_the_schema_has_a_meaning() -> None:
    from core.publish.meanings import meaning

    unknown = {column for name in READ_HERE for column in COLUMNS[name] if not meaning(column)}
    assert not unknown


@pytest.mark.slow
def test_a_session_over_http_with_the_token(shared_study: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "core", "mcp", "--studies", str(shared_study.parent)]
    environment = {**os.environ, "PEREGRINE_TOKEN": TOKEN}
    with subprocess.Popen([*command, "--http", str(port)], cwd=ROOT, env=environment) as server:
        try:
            named = run_apart(_over_http(f"http://localhost:{port}/mcp"))
        finally:
            server.terminate()
    assert "shared" in [row["study"] for row in named["studies"]]


async def _over_http(url: str) -> Any:
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("localhost", int(url.split(":")[2].split("/")[0]))).close()
            break
        await asyncio.sleep(0.1)
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"}) as opened,
        Client(streamable_http_client(url, http_client=opened)) as client,
    ):
        return await read(client, "studies")


def test_a_column_or_feature_that_is_named_again_and_again_is_read_once(shared_study: Path) -> None:
    read = StudyTools(shared_study.parent, "http://x").table(
        "shared", "images", "", ["image_id"] * 1000, (0, 2), ""
    )
    assert read["columns"] == list(read["rows"][0]) == ["image_id"]
    assert each_once([3, 4] * 1000) == [3, 4]


def test_a_text_beside_an_address_names_no_folder_and_an_address_stays_whole() -> None:
    address = "https://lab.example/get?file=/a/b/c.jpg"
    report = {"run": "embed /data/jo/mine --images s3://lab/set", "image_id": address}
    assert json.loads(_text(report)) == {"run": "embed mine --images s3://lab/set", "image_id": address}


def test_classes_whose_names_look_like_paths_keep_them(tmp_path: Path) -> None:
    """Those of OpenImages do; an agent that filters by them needs them whole."""
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        ids, labels = [str(tmp_path / one) for one in "ab"], ["/m/0bt9lr", "/m/01yrx"]
        step.table("images", pd.DataFrame({"image_id": ids, "path": ids, "split": "val", "label": labels}))

    async def said() -> Any:
        async with Client(make_server(tmp_path, "http://x")) as client:
            given = {"study": "study", "table": "images"}
            wrong = await client.call_tool("table", given | {"where": "label=/m/0bt9l"})
            return await read(client, "table", **given, where="label=/m/0bt9lr"), wrong.content[0]

    table, wrong = run_apart(said())
    assert [(row["image_id"], row["label"]) for row in table["rows"]] == [("a", "/m/0bt9lr")]
    assert "'/m/0bt9lr'" in wrong.text


def test_a_study_without_pictures_tells_of_its_images_and_features(tmp_path: Path) -> None:
    make_study(tmp_path / "study", n_train=12, n_val=6, n_features=8, pictures=False)

    async def said() -> list[Any]:
        async with Client(make_server(tmp_path, "http://x")) as client:
            image = str(open_study(tmp_path / "study").images["image_id"].iat[0])
            facts = await read(client, "image", study="study", image_id=image, heatmap=True)
            return [facts, await read(client, "feature", study="study", feature=0)]

    assert [one["pictures"].partition(":")[0] for one in run_apart(said())] == ["none", "none"]


def test_an_error_of_the_disk_is_one_line_without_folders(tmp_path: Path) -> None:
    def fails() -> None:
        raise OSError(5, "Input/output error", "/data/jo/a\nb.npy")

    with pytest.raises(ToolError) as caught:
        _guarded(fails, StudyTools(tmp_path, "http://x"))()
    said = str(caught.value)
    assert "Input/output error" in said and len(said.splitlines()) == 1 and "/data" not in said
