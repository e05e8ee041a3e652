"""Addresses of earlier versions lead to the pages that took over."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse

from dashboard.addresses.pages import moved_to


def moved(request: Request) -> RedirectResponse:
    """Answer with the new address; the query string goes along."""
    return RedirectResponse(moved_to(request.url.path.strip("/"), request.url.query), status_code=307)
