"""Settings of the guard, read from Streamlit's configuration and the environment."""

import os
from pathlib import Path

from streamlit import config, file_util

from core.errors import SettingsError
from core.served.token import is_loopback
from dashboard.server.access import headers, tokens
from dashboard.server.access.hosts import hosts_of
from dashboard.server.access.rules import HOSTS, TOKEN, Rules


def read_rules() -> Rules:
    """The rules of this server.

    Raises:
        SettingsError: it would listen where other machines reach it, without a token; the token is too short;
            a listed host is none.
    """
    address = config.get_option("server.address")
    token = os.environ.get(TOKEN, "").strip() or None
    if token is not None:
        tokens.check_token(token)
    elif not is_loopback(address):
        raise SettingsError(
            f"the server would listen on {address or 'every address of this machine'} without a token. "
            f"Set {TOKEN} ({tokens.SHORTEST} characters or more), or start it with --server.address localhost"
        )
    listed = [*os.environ.get(HOSTS, "").split(","), *_browser_address()]
    page = Path(file_util.get_static_dir()) / "index.html"
    policy = headers.page_policy(headers.inline_scripts(page.read_text(encoding="utf-8")))
    return Rules(hosts_of([address] if address else [], listed), token, headers.common(policy))


def _browser_address() -> list[str]:
    """The address that users point their browsers to, where the owner configured one."""
    if not config.is_manually_set("browser.serverAddress"):
        return []
    name = str(config.get_option("browser.serverAddress"))
    if config.is_manually_set("browser.serverPort"):
        return [f"{name}:{config.get_option('browser.serverPort')}"]
    return [name]
