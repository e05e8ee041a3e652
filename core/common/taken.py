"""What was read of a settings file, and what was not: a mapping that remembers which keys were asked for.

A reader takes what it understands, says which further keys change nothing, and asks `left` for the rest: a
key that changes pixels, network, order or activation and that nobody took refuses the file, or is a note.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any


class Taken(Mapping[str, Any]):
    """The values of a settings file; each key that is read is remembered, also those of objects inside.

    >>> settings = Taken({"size": 224, "do_pad": True, "crop": {"height": 96, "width": 128}}, "config.json")
    >>> settings["size"], settings.inner("crop")["height"], settings.get("resample", 2)
    (224, 96, 2)
    >>> settings.left()
    {'do_pad': True, 'crop.width': 128}
    >>> settings.left("do_*")
    {'crop.width': 128}
    """

    def __init__(self, values: Mapping[str, Any], source: str = "") -> None:
        """Args: source: what the file is called in messages."""
        self.values_by_key = values
        self.source = source
        self.read: set[str] = set()
        self.objects: dict[str, Taken] = {}

    def __getitem__(self, key: str) -> Any:
        value = self.values_by_key[key]
        self.read.add(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)

    def __contains__(self, key: object) -> bool:
        return key in self.values_by_key

    def inner(self, key: str) -> "Taken":
        """The object below a key, of which the same is remembered; empty where there is no object."""
        if key not in self.objects:
            value = self.values_by_key.get(key)
            self.objects[key] = Taken(value if isinstance(value, Mapping) else {}, f"{self.source}: {key}")
        return self.objects[key]

    def left(self, *harmless: str) -> dict[str, Any]:
        """The values that nobody has read, by their keys ("crop.width" for one inside an object).

        Args:
            harmless: keys that change nothing, as they are written here; `*` stands for any part of one.
        """
        entries: dict[str, Any] = {}
        for key, value in self.values_by_key.items():
            if key in self.objects and isinstance(value, Mapping):
                inside = self.objects[key].left()
                entries |= {f"{key}.{inner}": one for inner, one in inside.items()}
            elif key not in self.read:
                entries[key] = value
        patterns = [re.compile(re.escape(one).replace(r"\*", ".*")) for one in harmless]
        return {key: value for key, value in entries.items() if not any(p.fullmatch(key) for p in patterns)}
