"""Messages of a guest's WebSocket: those that pages need pass, and no others of Streamlit's protocol.

Streamlit takes from every browser the orders to empty the caches of all sessions, to say where its code comes
from, to prepare an upload, and (where it is not headless) to write files for its developer.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
OPERATION = "backend_operation_request"
PASSING = frozenset({"rerun_script", "stop_script", "app_heartbeat", OPERATION})
PASSING_OPERATIONS = frozenset({"deferred_file", "dataframe_chunk"})  # downloads, and rows of a long table


def heard_from_guest(receive: Receive) -> Receive:
    """Return a function that receives what the server listens to."""

    async def heard() -> MutableMapping[str, Any]:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive" or may_pass(message.get("bytes")):
                return message

    return heard


def may_pass(frame: bytes | None) -> bool:
    """Return True for a message that a page needs; False for others, and for what is no message."""
    from google.protobuf.message import DecodeError  # Streamlit brings it; a guard without guests needs none
    from streamlit.proto.BackMsg_pb2 import BackMsg

    message = BackMsg()
    try:
        message.ParseFromString(frame or b"")
    except DecodeError:
        return False
    kind = message.WhichOneof("type")
    operation = message.backend_operation_request.WhichOneof("payload") if kind == OPERATION else None
    return kind in PASSING and (kind != OPERATION or operation in PASSING_OPERATIONS)
