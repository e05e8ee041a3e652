"""The sentences that commands print, and those with which they refuse options."""

from core.common.records import Templates

say_of_command = Templates.beside(__file__)
