"""A session of Streamlit's protocol without a browser: what it sends and hears on its WebSocket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

PATIENCE = 60.0


class Session:
    """One connection; `id` is the session that the server gave it."""

    def __init__(self, socket: ClientConnection, url: str):
        self.socket, self.url, self.id, self.heard = socket, url, "", b""

    def run(self, presses: str = "", *, page: str = "", query: str = "") -> list[ForwardMsg]:
        """Run the page, with a button pressed by the id of its widget, to the end; what the server sends."""
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        message.rerun_script.context_info.url = self.url
        if presses:
            widget = message.rerun_script.widget_states.widgets.add()
            widget.id, widget.trigger_value = presses, True
        self.send(message)
        return list(self._until_finished())

    def send(self, message: BackMsg) -> None:
        self.socket.send(message.SerializeToString())

    def _until_finished(self) -> Iterator[ForwardMsg]:
        while True:
            frame = self.socket.recv(timeout=PATIENCE)
            assert isinstance(frame, bytes)
            self.heard += frame
            message = ForwardMsg()
            message.ParseFromString(frame)
            if message.HasField("new_session"):
                self.id = message.new_session.initialize.session_id or self.id
            yield message
            if message.HasField("script_finished"):
                return


@contextmanager
def session(url: str, *, existing: str = "", **headers: str) -> Iterator[Session]:
    """Open a WebSocket. existing: the id of a session to take over. headers: Cookie, Authorization."""
    protocols: list[Any] = ["streamlit", "none", *([existing] if existing else [])]
    socket = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    given = {"Origin": url, **headers}
    with connect(socket, additional_headers=given, subprotocols=protocols, max_size=None) as connection:
        yield Session(connection, url)


def buttons(messages: list[ForwardMsg]) -> Mapping[str, str]:
    """The ids of the buttons that a page has drawn, by their labels."""
    drawn = [message.delta.new_element.button for message in messages if message.HasField("delta")]
    return {button.label: button.id for button in drawn if button.id}


def codes(messages: list[ForwardMsg]) -> list[str]:
    """What a page shows to be copied."""
    drawn = [message.delta.new_element for message in messages if message.HasField("delta")]
    return [element.code.code_text for element in drawn if element.WhichOneof("type") == "code"]


def texts(messages: list[ForwardMsg]) -> list[str]:
    drawn = [message.delta.new_element for message in messages if message.HasField("delta")]
    return [element.text.body for element in drawn if element.WhichOneof("type") == "text"]
