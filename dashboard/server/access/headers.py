"""The headers of every answer: what a page may load, who may frame it, who may read it."""

import base64
import hashlib
import re
from collections.abc import Iterable

Header = tuple[bytes, bytes]

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# Headers by which a server lets other origins read its answers. No other origin has anything to read here.
_SHARING = b"access-control-"


def inline_scripts(page: str) -> list[str]:
    """The texts of the scripts that stand in an HTML page."""
    return _INLINE_SCRIPT.findall(page)


def page_policy(scripts: Iterable[str]) -> str:
    """The content security policy of the dashboard; `scripts` stand in its first page (`first_page`)."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return "; ".join(
        [
            "default-src 'self'",
            # Streamlit loads each component from a blob, and multiplies 64-bit numbers with WebAssembly.
            f"script-src 'self' blob: 'wasm-unsafe-eval' {hashes}".strip(),
            "style-src 'self' 'unsafe-inline'",  # Streamlit, its components and plotly write style sheets
            "img-src 'self' data: blob:",  # our icons are data, a chart that is saved is a blob
            "font-src 'self' data:",
            "worker-src 'none'",
            "frame-src 'none'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


def closed_policy(style: str, script: str) -> str:
    """The policy of a page of ours that has one style sheet, one script, a form and nothing else."""
    return (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def common(policy: str) -> tuple[Header, ...]:
    """The headers of every answer."""
    return (
        (b"content-security-policy", policy.encode("ascii")),
        (b"x-frame-options", b"DENY"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
    )


def dressed(given: Iterable[Header], ours: tuple[Header, ...]) -> list[Header]:
    """The headers of an answer with ours in place of its own, and without those that share it."""
    names = {name for name, _ in ours}
    unchanged = [
        (name, value)
        for name, value in given
        if name.lower() not in names and not name.lower().startswith(_SHARING)
    ]
    return [*unchanged, *ours]


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
