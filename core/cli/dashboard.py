"""The commands `mcp`, and `dashboard`, which replaces this process by the server without importing it."""

import argparse
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from core.cli import options
from core.cli.sentences import say_of_command
from core.common.addresses import study_folder
from core.common.assets import PACKAGE
from core.common.command_line import python_module
from core.errors import SettingsError

APP = PACKAGE.parent / "dashboard" / "app.py"
PORT, HOST = 8501, "localhost"
STUDIES, DEFAULT_STUDIES = "PEREGRINE_STUDIES", "studies"
# uvicorn believes their X-Forwarded- headers; its own default is this machine
PROXIES = "FORWARDED_ALLOW_IPS"
LINKS = (
    "With --host, or a token in PEREGRINE_TOKEN, it prints two links: one for full access, and a read-only "
    "one for guests, with the token in PEREGRINE_GUEST_TOKEN. A token that is not given is made, and holds "
    "until the server stops."
)


def add_dashboard(commands: Any) -> None:
    """Add the command `dashboard` to the command line."""
    summary = "serve studies in the browser"
    sub = options.add_command(
        commands, "dashboard", dashboard, summary, "dashboard --studies studies --port 8501", notes=LINKS
    )
    _add_studies(sub)
    sub.add_argument("--port", type=port, metavar="N", help=f"port to listen on (default: {PORT})")
    sub.add_argument(
        "--host",
        metavar="ADDRESS",
        help=f"address to listen on; other machines reach 0.0.0.0, and enter by a link (default: {HOST})",
    )


def add_mcp(commands: Any) -> None:
    """Add the command `mcp` to the command line."""
    summary = "let agents read studies: a read-only MCP server (needs the package `mcp`)"
    sub = options.add_command(
        commands, "mcp", mcp, summary, "mcp --studies studies", "mcp --studies studies --http 8600"
    )
    _add_studies(sub)
    sub.add_argument(
        "--http",
        type=port,
        metavar="PORT",
        help="answer at http://HOST:PORT/mcp, with the token in PEREGRINE_TOKEN, instead of stdin and stdout",
    )
    sub.add_argument(
        "--host",
        metavar="ADDRESS",
        help=f"with --http: where to listen; any but {HOST} answers other machines that bring the token, "
        f"without encryption (left out: {HOST})",
    )
    sub.add_argument(
        "--dashboard",
        metavar="URL",
        help=f"address of the dashboard that links go to (left out: http://{HOST}:{PORT})",
    )


def _add_studies(sub: argparse.ArgumentParser) -> None:
    about = f"serve every study below this folder (default: ${STUDIES}, or {DEFAULT_STUDIES})"
    sub.add_argument("--studies", type=options.folder, metavar="FOLDER", help=about)


def port(text: str) -> int:
    """Read the option --port of a command. Raises ArgumentTypeError for what is no port number."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(say_of_command("no_port", what=text))
    return int(text)


def mcp(args: argparse.Namespace) -> None:
    """Run the command `mcp`: serve agents until they leave or the user stops it."""
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        raise SettingsError(say_of_command("no_mcp"))
    from core.mcp.server import serve_agents
    from core.publish.server_token import TOKEN

    http = (getattr(args, "host", HOST), args.http) if "http" in args else None
    if http is None and "host" in args:
        raise SettingsError(say_of_command("host_of_http"))
    link = getattr(args, "dashboard", f"http://{HOST}:{PORT}")
    serve_agents(_studies(args), link, http=http, token=os.environ.get(TOKEN, "").strip())


def dashboard(args: argparse.Namespace) -> int:
    """Run the command `dashboard`: serve studies in the browser until the user stops it."""
    studies = _studies(args)
    os.environ[STUDIES] = str(studies)
    os.environ.setdefault(PROXIES, "")
    port_given, host = getattr(args, "port", PORT), getattr(args, "host", None)
    address = host or os.environ.get("STREAMLIT_SERVER_ADDRESS") or HOST
    by_access = _links(address, port_given)
    print(say_of_command("serves", names=(f"http://{address}:{port_given}", str(studies))), flush=True)
    for access, link in by_access.items():
        print(f"{access:<12} {link}", flush=True)
    return _replace_process(_server_command(port_given, host))


def _links(address: str, port: int) -> dict[str, str]:
    """Return the links that the command `dashboard` prints, by the access they give; none for this machine.

    Where others reach the server, a token that is not given is made for this run.

    Raises:
        SettingsError: a token could be guessed.
    """
    from core.publish.server_token import GUEST_TOKEN, HOSTS, TOKEN, entrance, is_loopback, shared_origin

    if not os.environ.get(TOKEN, "").strip() and is_loopback(address):
        return {}
    origin = shared_origin(address, port, os.environ.get(HOSTS, ""))
    variables = {"full access:": TOKEN, "read-only:": GUEST_TOKEN}
    return {access: entrance(origin, _token_of_run(variable)) for access, variable in variables.items()}


def _token_of_run(variable: str) -> str:
    """Return the token of a variable of the environment, which gets one where it is empty."""
    from core.publish.server_token import check_token

    token = os.environ.get(variable, "").strip() or secrets.token_urlsafe()
    check_token(token, variable)
    os.environ[variable] = token
    return token


def _studies(args: argparse.Namespace) -> Path:
    named = getattr(args, "studies", None) or os.environ.get(STUDIES) or DEFAULT_STUDIES
    studies = study_folder(named).resolve()
    if studies.exists() and not studies.is_dir():
        raise SettingsError(say_of_command("no_folder", what=str(studies)))
    return studies


def _server_command(port: int, host: str | None = None) -> list[str]:
    """Return the command line that serves the dashboard; other settings are in .streamlit/config.toml.

    Raises:
        SettingsError: the dashboard is not installed beside `core`.
    """
    if not APP.is_file():
        raise SettingsError(say_of_command("no_dashboard", what=str(APP)))
    flags = [f"--server.port={port}", *([f"--server.address={host}"] if host else [])]
    return python_module("dashboard.server.start", "run", str(APP), *flags)


def _replace_process(command: list[str]) -> int:
    """Run a command in place of this one, so that signals reach it; on Windows, wait for it."""
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)
