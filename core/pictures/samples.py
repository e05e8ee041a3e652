"""Photographs that everybody has: those that scikit-learn ships. No torch."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A picture that ships with a package that Peregrine depends on. `about`: what it shows."""

    name: str
    about: str
    path: Path


def samples() -> dict[str, Sample]:
    """The samples by name; without those that this computer lacks."""
    package = find_spec("sklearn")  # finds it without loading it
    folder = Path(package.origin if package and package.origin else "").parent / "datasets" / "images"
    both = [
        Sample("temple", "a temple in China", folder / "china.jpg"),
        Sample("flower", "a dahlia", folder / "flower.jpg"),
    ]
    return {one.name: one for one in both if one.path.is_file()}
