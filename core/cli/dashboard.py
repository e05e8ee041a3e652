"""The commands `mcp`, and `dashboard`, which replaces this process by the server without importing it."""

import argparse
import os
import subprocess
from pathlib import Path
from typing import Any

from core.cli import options
from core.common.assets import PACKAGE
from core.common.command_line import python_module
from core.common.remote.addresses import study_folder
from core.errors import SettingsError

APP = PACKAGE.parent / "dashboard" / "app.py"
PORT, HOST = 8501, "localhost"
STUDIES, DEFAULT_STUDIES = "PEREGRINE_STUDIES", "studies"
# uvicorn believes their X-Forwarded- headers; its own default is this machine
PROXIES = "FORWARDED_ALLOW_IPS"


def add_dashboard(commands: Any) -> None:
    summary = "serve studies in the browser"
    sub = options.add_command(
        commands, "dashboard", dashboard, summary, "dashboard --studies studies --port 8501"
    )
    _add_studies(sub)
    sub.add_argument("--port", type=port, metavar="N", help=f"port to listen on (default: {PORT})")
    sub.add_argument(
        "--host",
        metavar="ADDRESS",
        help=f"address to listen on; any but {HOST} needs a token in PEREGRINE_TOKEN (default: {HOST})",
    )


def add_mcp(commands: Any) -> None:
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
    """Return a port number. Raises ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: give a number from 1 to 65535")
    return int(text)


def mcp(args: argparse.Namespace) -> None:
    """Serve agents until they leave or the user stops it."""
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        raise SettingsError("the package 'mcp' is not installed. Run: pip install 'mcp>=2,<3'")
    from core.mcp.server import serve_agents
    from core.served.token import TOKEN

    http = (getattr(args, "host", HOST), args.http) if "http" in args else None
    if http is None and "host" in args:
        raise SettingsError("--host belongs to --http")
    link = getattr(args, "dashboard", f"http://{HOST}:{PORT}")
    serve_agents(_studies(args), link, http=http, token=os.environ.get(TOKEN, "").strip())


def dashboard(args: argparse.Namespace) -> int:
    """Serve until the user stops it."""
    studies = _studies(args)
    os.environ[STUDIES] = str(studies)
    os.environ.setdefault(PROXIES, "")
    port_given, host = getattr(args, "port", PORT), getattr(args, "host", None)
    address = host or os.environ.get("STREAMLIT_SERVER_ADDRESS") or HOST
    print(f"Peregrine: http://{address}:{port_given}   (studies in {studies}; Ctrl-C stops)", flush=True)
    return replace_process(server_command(port_given, host))


def _studies(args: argparse.Namespace) -> Path:
    named = getattr(args, "studies", None) or os.environ.get(STUDIES) or DEFAULT_STUDIES
    studies = study_folder(named).resolve()
    if studies.exists() and not studies.is_dir():
        raise SettingsError(f"'{studies}' is a file. Give a folder of studies with --studies")
    return studies


def server_command(port: int, host: str | None = None) -> list[str]:
    """Return the command that serves the dashboard. Other settings are in .streamlit/config.toml.

    Raises:
        SettingsError: the dashboard is not installed beside `core`.
    """
    if not APP.is_file():
        raise SettingsError(f"the dashboard is not installed: there is no '{APP}'. Install Peregrine again")
    flags = [f"--server.port={port}", *([f"--server.address={host}"] if host else [])]
    return python_module("dashboard.server.start", "run", str(APP), *flags)


def replace_process(command: list[str]) -> int:
    """Run a command in place of this one, so that signals reach it; on Windows, wait for it."""
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)
