"""The MCP server: the tools of `tools.py` by the official SDK, over stdio, or over HTTP behind a token."""

import functools
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import ValidationError

from core.common.formatting import json_text
from core.common.private_paths import without_folders
from core.errors import FORESEEN, PeregrineError, SettingsError, one_line, user_message, without_middle
from core.mcp.tools import MOST_PICTURES, StudyTools, bounded
from core.publish.server_token import Tries, check_token, is_loopback

PROBLEMS = {
    401: "give the token: Authorization: Bearer",
    429: "too many wrong tokens from this address; wait a minute",
}
SLICES = (
    "A slice is a text such as 'label=dog correct=false', 'q_score=..0.1 split=val', 'feature=12', or "
    "'@name' for a saved one. Without a split it means the evaluation images. "
    "Start with `studies` and `describe`."
)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S*")
NO_PICTURES = {"pictures": "none: the study was made from representations"}
MOST_PROBLEMS = 3  # of the arguments of a call that are said
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


class Server(MCPServer):
    """The SDK's server, which says in one line what is wrong with a call."""

    async def call_tool(self, name: str, arguments: dict[str, Any], *context: Any) -> Any:
        try:
            return await super().call_tool(name, arguments, *context)
        except UnexpectedToolError:
            raise
        except ToolError as error:
            raise ToolError(one_line(without_middle(_wrong_with(error)))) from None


def _wrong_with(error: ToolError) -> str:
    """What is wrong with a call; of its arguments, the first few that are of another kind, without values."""
    if not isinstance(error.__cause__, ValidationError):
        return str(error)
    wrong = error.__cause__.errors(include_url=False, include_input=False)
    parts = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in wrong[:MOST_PROBLEMS]]
    more = len(wrong) - len(parts)
    return "; ".join([*parts, f"and {more} more"] if more else parts)


def make_server(folder: Path, address: str) -> MCPServer:
    """Return the MCP server of the studies below a folder; `address` is that of their dashboard."""
    server, studies = Server("peregrine", instructions=SLICES), StudyTools(folder, address)

    def tool(function: Callable[..., Any]) -> None:
        server.add_tool(_guarded(function, studies), annotations=READS, structured_output=False)

    def list_studies() -> Any:
        """List the studies: name, encoder, number of images, steps that are missing, and a link."""
        return studies.studies()

    def describe(study: str) -> Any:
        """Describe a study: finding, accuracy, scores, steps, answers, saved slices and what is missing."""
        return studies.describe(study)

    def table(
        study: str,
        table: str,
        where: str = "",
        columns: list[str] | None = None,
        offset: int = 0,
        limit: int = 50,
        answer: str = "",
    ) -> Any:
        """Read rows of a table of a slice, at most 200 a page. The resource peregrine://schema lists the
        tables and what their columns mean.
        """
        return studies.table(study, table, where, columns or [], (offset, limit), answer)

    def inspect(study: str, where: str = "", against: str = "", answer: str = "") -> Any:
        """Say everything about a slice: accuracy, scores, confusions, features and words that differ."""
        return studies.inspect(study, where, against, answer)

    def worst(study: str, n: int = 10, answer: str = "") -> Any:
        """Find the slices with the highest error rates, most significant first (at most 20)."""
        return studies.worst(study, n, answer)

    def image(
        study: str, image_id: str, heatmap: bool = False, features: list[int] | None = None, answer: str = ""
    ) -> Any:
        """Show an image: facts, most active features and its thumbnail; with `heatmap`, the stored heatmap of
        `features` over it (none named: those that fire).
        """
        facts, opened = studies.image(study, image_id, answer), studies.opened(study, answer)
        if not opened.has("thumbnails"):
            return facts | NO_PICTURES
        shown = studies.picture(opened, facts["row"], (features or []) if heatmap else None)
        return [facts, Image(data=shown, format="jpeg")]

    def feature(study: str, feature: int, pictures: int = 4, heatmap: bool = True, answer: str = "") -> Any:
        """Show a feature: numbers, words, similar features and the images on which it is largest."""
        facts, opened = studies.feature(study, feature, answer), studies.opened(study, answer)
        rows = studies.top_rows(opened, feature)[: bounded(pictures, "pictures", 0, MOST_PICTURES)]
        if not opened.has("thumbnails"):
            return facts | NO_PICTURES
        heats = [feature] if heatmap and opened.has("heatmap_maps") else None
        shown = []
        for row in rows:
            try:
                shown.append(studies.picture(opened, int(row), heats))
            except PeregrineError:  # its heatmap is not stored
                shown.append(studies.picture(opened, int(row), None))
        return [facts, *(Image(data=one, format="jpeg") for one in shown)]

    def figure(
        study: str, figure: str, where: str = "", features: list[int] | None = None, answer: str = ""
    ) -> Any:
        """Draw a figure of the catalogue as PNG: roc, baselines, q_distribution, worst_slices … ; a wrong
        name lists them all.
        """
        return Image(data=studies.figure(study, figure, where, answer, features or []), format="png")

    def search(study: str, text: str, where: str = "", n: int = 24) -> Any:
        """Find images by words: with CLIP where the study has an index, in captions, and by class names."""
        return studies.search(study, text, where, n)

    for one in (describe, table, inspect, image, feature, figure, search):
        tool(one)
    list_studies.__name__, worst.__name__ = "studies", "worst_slices"
    tool(list_studies)
    tool(worst)

    def schema() -> str:
        return json_text(studies.schema())

    server.resource("peregrine://schema", mime_type="application/json", description="tables and columns")(
        schema
    )
    return server


def _guarded(function: Callable[..., Any], studies: StudyTools) -> Callable[..., Any]:
    """Turn results into JSON, and errors into one line; both without folders of this machine."""

    @functools.wraps(function)
    def guarded(**asked: Any) -> Any:
        names: list[str] = []
        try:
            if "study" in asked:
                names = studies.opened(asked["study"]).class_names
            result = function(**asked)
        except FORESEEN as error:
            message = user_message(error, again="ask again") or type(error).__name__
            raise ToolError(without_middle(without_folders(message, names))) from None
        parts = [
            _text(one, names) if isinstance(one, dict) else one
            for one in (result if isinstance(result, list) else [result])
        ]
        return parts if isinstance(result, list) else parts[0]

    return guarded


def _text(report: dict[str, Any], names: Iterable[str] = ()) -> str:
    """Return a report as JSON without folders of this machine; names of classes stay as they are."""
    return json.dumps(_plain(json.loads(json_text(report)), names), ensure_ascii=False)


def _plain(value: Any, names: Iterable[str]) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner, names) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, names) for inner in value]
    is_text = isinstance(value, str) and not ADDRESS.fullmatch(value)
    return without_folders(value, names) if is_text else value


def serve_agents(folder: Path, address: str, *, http: tuple[str, int] | None = None, token: str = "") -> None:
    """Serve studies to agents by MCP until the client leaves or the user stops it.

    Args:
        http: host and port to listen on; None: stdin and stdout.
    Raises:
        SettingsError: HTTP without a token that cannot be guessed.
    """
    server = make_server(folder, address)
    if http is None:
        server.run("stdio")
        return
    if not token:
        raise SettingsError("--http needs a token in PEREGRINE_TOKEN")
    check_token(token)
    import uvicorn

    host, port = http
    uvicorn.run(http_app(server, host, port, token), host=host, port=port, log_level="warning")


def http_app(server: MCPServer, host: str, port: int, token: str) -> Callable[..., Any]:
    """Return the MCP server as an ASGI app: /mcp, answered only with `Authorization: Bearer TOKEN`.

    A wrong token is told at once, and slowed down from the fourth on, as at the dashboard. On this machine
    only, it answers under no other name; elsewhere it is called by names and addresses unknown here.
    """
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=is_loopback(host),
        allowed_hosts=[f"{name}:{port}" for name in (host, "localhost", "127.0.0.1", "[::1]")],
    )
    app = server.streamable_http_app(host=host, transport_security=security, stateless_http=True)
    tries = Tries()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            kind, _, word = given.partition(" ")
            client = (scope.get("client") or ("",))[0]
            is_bearer = kind.lower() == "bearer"  # without a token there is nothing to guess
            status = await tries.judge(client, word.strip(), token) if is_bearer else 401
            if status != 200:
                headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": PROBLEMS[status].encode()})
                return
        await app(scope, receive, send)

    return guarded
