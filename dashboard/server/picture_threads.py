"""Answers that decode pictures, in few threads of their own: no thumbnail or page waits behind them."""

from collections.abc import Callable

from anyio import CapacityLimiter, move_on_after, to_thread
from anyio.lowlevel import RunVar
from starlette.responses import Response

AT_ONCE = 8  # most of them wait for a turn of `core.data.picture_limits` where pictures are large
_limiter: RunVar[CapacityLimiter] = RunVar("picture threads")  # of the server that runs


async def run(answer: Callable[[], Response]) -> Response:
    """Return the answer; without a thread after `routes.WAIT` seconds, one that says to come again."""
    from dashboard.server import routes  # loaded by now, see `app.py`

    try:
        limiter = _limiter.get()
    except LookupError:
        _limiter.set(limiter := CapacityLimiter(AT_ONCE))
    with move_on_after(routes.WAIT) as waited:
        await limiter.acquire_on_behalf_of(answer)
    if waited.cancelled_caught:
        return routes.busy()
    try:
        return await to_thread.run_sync(answer)
    finally:
        limiter.release_on_behalf_of(answer)
