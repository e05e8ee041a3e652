"""Tables of images that pandas and polars write alike: paths, labels and splits, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.crossed.data_kit import Picture, WrittenData, rgb, save_all

NAMES = ("cat", "dog", "hot dog")
Columns = dict[str, list[Any]]
Save = Callable[[Columns, Path], Columns]  # writes a table and returns what the tool reads of it


def columns(
    root: Path,
    *,
    path: str = "path",
    label: str = "label",
    split: str = "",
    names: tuple[str, str] = ("train", "val"),
    below: str = "",
    values: tuple[Any, ...] = NAMES,
    stems: bool = False,
    absolute: bool = False,
    more: dict[str, list[Any]] | None = None,
) -> Columns:
    """Columns of nine pictures that are saved below ROOT/BELOW; two thirds are of the first split."""
    places = [root / below / f"im_{number:03d}.png" for number in range(9)]
    save_all(places)
    texts = [str(one) if absolute else str(one.relative_to(root)) for one in places]
    texts = [Path(text).with_suffix("").name for text in texts] if stems else texts
    held: Columns = {path: texts}
    if label:
        held[label] = [values[number % len(values)] for number in range(9)]
    if split:
        held[split] = [names[number >= 6] for number in range(9)]
    return held | (more or {})


def case(
    folder: Path,
    save: Save,
    *,
    file: str = "list.csv",
    more: str = "",
    then: str = "",
    plain: Save | None = None,
    excused: str = "",
    reads: tuple[str, str, str] = ("path", "label", ""),
    below: str = "",
    **how: Any,
) -> WrittenData:
    """Write a table; the truth is what the tool reads of it.

    Args:
        reads: the columns of paths, labels and splits.
        then: the file and its options that read it where it is refused.
        plain: writes the way out, a table as everyone reads it.
    """
    root = folder / "data"
    root.mkdir()
    path, label, split = reads
    held = columns(root, path=path, label=label, split=split, below=below, **how)
    back = save(held, root / file)
    if plain is not None:
        then = "plain.csv"
        plain(held, root / then)
    pictures = []
    for number, place in enumerate(back[path]):
        name = Path(str(place)).name
        name = name if name.endswith(".png") else f"{name}.png"
        said = None if not label or back[label][number] is None else str(back[label][number])
        is_train = not split or number < 6
        word = "" if not split else ("train" if is_train else "val")
        pictures.append(Picture(rgb(root / below / name), said, word, name))
    way_out = (f"{{folder}}/data/{then}", {}) if then else None
    return WrittenData(spec=f"{{folder}}/data/{file}{more}", pictures=pictures, then=way_out, excused=excused)
