"""What rules of style cost: a chart looks at the sizes of hundreds of its texts while it is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import dashboard

SHEETS = sorted(Path(dashboard.__file__).parent.rglob("*.css"))
ANYTHING = re.compile(r"(?:^|[\s>+~,{}]):has\(")  # no tag, class or attribute before it
PART_OF_CLASS = re.compile(r":has\([^{]*\[class\*=[^{]*\{")


def test_has__stands_behind_a_name_and_holds_none_that_any_element_could_match():
    """Else it is tried on every element that is drawn, and each look at a size took 50 ms in place of 1."""
    assert len(SHEETS) > 5
    found = []
    for sheet in SHEETS:
        rules = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        found += [
            (sheet.name, one.group()) for find in (ANYTHING, PART_OF_CLASS) for one in find.finditer(rules)
        ]
    assert found == []
