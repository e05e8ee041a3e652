"""Settings of the guard, read from Streamlit's configuration and the environment."""

import os
import secrets

from streamlit import config

from core.errors import SettingsError
from core.publish.server_token import GUEST_TOKEN, is_loopback
from dashboard.server import rules
from dashboard.server.first_page import first_page
from dashboard.server.rules import HOSTS, TOKEN, Rules, hosts_of
from dashboard.state.visitor import hold_guests_back, tie_sessions_to_visitors


def read_rules() -> Rules:
    """The rules of this server.

    Raises:
        SettingsError: it would listen where other machines reach it, without a token; the token is too short;
            a listed host is none; guests bring no token of their own, or nobody else brings one.
    """
    address = config.get_option("server.address")
    token = os.environ.get(TOKEN, "").strip() or None
    guest_token = os.environ.get(GUEST_TOKEN, "").strip() or None
    if guest_token is not None:
        _check_guests(guest_token, token)
    if token is not None:
        rules.check_token(token)
    elif not is_loopback(address):
        raise SettingsError(
            f"the server would listen on {address or 'every address of this machine'} without a token. "
            f"Set {TOKEN} ({rules.SHORTEST} characters or more), or start it with --server.address localhost"
        )
    listed = [*os.environ.get(HOSTS, "").split(","), *_browser_address()]
    policy = rules.page_policy(rules.inline_scripts(first_page()))
    tie_sessions_to_visitors()
    guest_token = guest_token or secrets.token_urlsafe()
    hold_guests_back(guest_token)
    return Rules(
        hosts_of([address] if address else [], listed), token, rules.common_headers(policy), guest_token
    )


def _check_guests(guest_token: str, token: str | None) -> None:
    """Raise SettingsError where guests could not be told from those who may do everything."""
    rules.check_token(guest_token, GUEST_TOKEN)
    if token is None:
        raise SettingsError(
            f"{GUEST_TOKEN} is set and {TOKEN} is not, so everybody could do everything. Set both"
        )
    if rules.fits(guest_token, token):
        raise SettingsError(f"{GUEST_TOKEN} and {TOKEN} are the same. Give guests another one")


def _browser_address() -> list[str]:
    """The address that users point their browsers to, where the owner configured one."""
    if not config.is_manually_set("browser.serverAddress"):
        return []
    name = str(config.get_option("browser.serverAddress"))
    if config.is_manually_set("browser.serverPort"):
        return [f"{name}:{config.get_option('browser.serverPort')}"]
    return [name]
