"""Attributes that are computed once, by several threads in Python 3.11. The server waits for this: no numpy.

`functools.cached_property` has one lock for all instances. Where the attributes of two studies ask for each
other's, two threads would wait for each other for ever. As from Python 3.12 on, there is none here.
"""

import functools
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property as cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801
        """As in Python 3.12: two threads may both compute the value, and one of them is kept."""

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            held = instance.__dict__
            return (
                held[self.attrname]
                if self.attrname in held
                else held.setdefault(self.attrname, self.func(instance))
            )
