"""Errors that are meant for the user: one line each, whatever a stranger's names hold."""

from __future__ import annotations

import errno

import pytest

from core.errors import PeregrineError, ShapeError, SliceError, user_message


@pytest.mark.parametrize("kind", [PeregrineError, ShapeError, SliceError])
def test_every_error_is_one_line(kind):
    error = kind("no class 'a\nb\r\n \u2028c'")
    assert len(str(error).splitlines()) == 1 and "a" in str(error) and "c" in str(error)
    assert user_message(error) == str(error)
    assert getattr(error, "short", str(error)) == str(error)


@pytest.mark.parametrize("number", sorted(set(errno.errorcode) - {errno.ENOMEM}))
def test_no_error_of_the_system_is_a_bug(number):
    message = user_message(OSError(number, "so it says", "/a\nb"), again="look again")
    assert message is not None and len(message.splitlines()) == 1 and "/a" in message


def test_an_error_of_the_program_is_one():
    assert user_message(KeyError("x")) is None and user_message(TypeError("two\nlines")) is None
