"""Answers of the addresses of `app.py`: pictures, points, tables, the chart library.

An address carries `?v=` with the study's digest, so browsers may keep what they got for ever and never show a
stale one.
"""

import hashlib
from collections.abc import Callable
from functools import partial

from PIL import Image, ImageDraw
from starlette.requests import Request
from starlette.responses import Response

from core.common.picture_bytes import image_file
from core.common.private_paths import without_folders
from core.data.picture_limits import wanted
from core.errors import FORESEEN, DecoderBusy, PeregrineError, user_message
from core.store import Study
from dashboard.server import chart_library
from dashboard.server.table_downloads import table_file as table_file
from dashboard.state import served_studies
from dashboard.state.served_studies import printable, whole

MAX_SIDE = 1600  # pixels of the larger side of a full-size picture
WAIT = 30.0  # seconds for a turn to decode a large picture
MOST_SAID = 1000  # characters of an error
FOR_EVER = "public, max-age=31536000, immutable"


def thumbnail(request: Request) -> Response:
    """The JPEG stored for one image of a study; 404 for anything else."""
    try:
        study, row = _asked_for(request), _row(request)
        _check_row(study, row)
        identity = f"{study.digest}-{row}-thumb"
        if answer := _unchanged(request, identity):
            return answer
        body = study.thumbnail(row) or _placeholder(study, row)
    except FORESEEN as error:
        return _not_found(error)
    return _lasting(request, body, "image/jpeg", identity)


def full_image(request: Request) -> Response | Callable[[], Response]:
    """The original picture, at most MAX_SIDE pixels wide or high; a placeholder when its file is gone."""
    try:
        study, row = _asked_for(request), _row(request)
        _check_row(study, row)
    except FORESEEN as error:
        return _not_found(error)
    identity = f"{study.digest}-{row}-image"
    return _unchanged(request, identity) or partial(_picture, request, study, row, identity)


def _picture(request: Request, study: Study, row: int, identity: str) -> Response:
    try:
        with wanted(side=MAX_SIDE, wait=WAIT):
            picture = study.image(row)
    except DecoderBusy:
        return busy()
    except (*FORESEEN, KeyError):
        body = _placeholder(study, row)
        return Response(body, media_type="image/png", headers={"Cache-Control": "no-store"})
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    body, kind = _encoded(picture)
    return _lasting(request, body, kind, identity)


def overlay(request: Request) -> Response | Callable[[], Response]:
    """An image with its stored heatmap and its masks; 404 where there is no such map."""
    from dashboard.state import overlay_images  # OpenCV takes long to load, and the first page needs none

    try:
        study, row = _asked_for(request), _row(request)
        _check_row(study, row)
        style = overlay_images.style_of(request.query_params)
        side = overlay_images.side_of(request.query_params)
    except FORESEEN as error:
        return _not_found(error)
    identity = f"{study.digest}-{row}-{side}-{overlay_images.identity_of(style)}"
    drawing = partial(_overlay, request, partial(overlay_images.draw, study, row, style, side), identity)
    answer = _unchanged(request, identity)
    return answer or (drawing if overlay_images.reads_original(side) else drawing())


def _overlay(request: Request, draw: Callable[[], tuple[bytes, bool]], identity: str) -> Response:
    try:
        with wanted(wait=WAIT):
            body, lasting = draw()
    except DecoderBusy:
        return busy()
    except (*FORESEEN, IndexError, KeyError) as error:
        return _not_found(error)
    if not lasting:
        return Response(body, media_type="image/jpeg", headers={"Cache-Control": "no-store"})
    return _lasting(request, body, "image/jpeg", identity)


def points(request: Request) -> Response:
    """The packed points of a map; 404 where the study has no such map, column or slice."""
    from dashboard.server.map_points import Wanted, packed  # brings plotly

    try:
        study = _asked_for(request)
        map_request = Wanted.of(request.query_params)
        body = packed(study, map_request)
    except FORESEEN as error:
        return _not_found(error)
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    return _lasting(request, body, "application/octet-stream", tag)


def library(request: Request) -> Response:
    """The browser half of plotly: no other server is asked."""
    compressed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"Cache-Control": FOR_EVER if request.query_params.get("v") else "no-cache"}
    headers |= {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if compressed else {})
    body = chart_library.library(compressed=compressed)
    return Response(body, media_type="text/javascript", headers=headers)


def _asked_for(request: Request) -> Study:
    return served_studies.asked_for(request.path_params["study"], request.query_params)


def _row(request: Request) -> int:
    return whole(request.path_params["row"], "the row of an image")


def _check_row(study: Study, row: int) -> None:
    if row >= study.n_images:
        raise PeregrineError(f"no image in row {row}: the study holds {study.n_images:,}")


def _not_found(error: Exception) -> Response:
    headers = {"Cache-Control": "no-store"}  # what is missing now may be computed later
    message = user_message(error, again="ask again") or type(error).__name__
    text = f"not found: {printable(without_folders(message), MOST_SAID)}\n"
    return Response(text, status_code=404, media_type="text/plain", headers=headers)


def busy() -> Response:
    """Tell the reader that there are too many large pictures to read at once."""
    headers = {"Cache-Control": "no-store", "Retry-After": f"{WAIT:.0f}"}
    canvas = Image.new("RGB", (480, 480), "#97A3B1")
    body = image_file(_lettered(canvas, "too many large pictures at once: reload"), "PNG")
    return Response(body, status_code=503, media_type="image/png", headers=headers)


def _lasting(request: Request, body: bytes, kind: str, identity: str) -> Response:
    answer = _unchanged(request, identity)
    return answer or Response(body, media_type=kind, headers=_kept_by_browsers(request, identity))


def _unchanged(request: Request, identity: str) -> Response | None:
    """The answer to a browser that has this already."""
    headers = _kept_by_browsers(request, identity)
    asked_for = request.headers.get("if-none-match")
    return Response(status_code=304, headers=headers) if asked_for == headers["ETag"] else None


def _kept_by_browsers(request: Request, identity: str) -> dict[str, str]:
    return {
        "ETag": f'"{identity}"',
        "Cache-Control": FOR_EVER if request.query_params.get("v") else "no-cache",
        "X-Content-Type-Options": "nosniff",
    }


def _encoded(picture: Image.Image) -> tuple[bytes, str]:
    """Small pictures as PNG, so that magnified pixels stay what they are; large ones as JPEG."""
    if max(picture.size) <= 256:
        return image_file(picture, "PNG"), "image/png"
    return image_file(picture, quality=90), "image/jpeg"


def _placeholder(study: Study, row: int) -> bytes:
    """The stored thumbnail, enlarged, with a line that says why there is no more; plain grey without one."""
    side = 480
    try:
        canvas = study.thumbnail_image(row).resize((side, side))
    except FORESEEN:
        canvas = Image.new("RGB", (side, side), "#97A3B1")
    return image_file(_lettered(canvas, "image is missing"), "PNG")


def _lettered(canvas: Image.Image, line: str) -> Image.Image:
    """A picture of 480 x 480 pixels with a line on a dark band below."""
    side, band = canvas.width, 44
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, side - band, side, side), fill="#26323F")
    draw.text((side // 2, side - band // 2), line, anchor="mm", fill="white", font_size=20)
    return canvas
