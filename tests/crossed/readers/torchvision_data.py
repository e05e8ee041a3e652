"""torchvision's ImageFolder reads a folder of links."""

from __future__ import annotations

import os
from pathlib import Path

from torchvision.datasets import ImageFolder

from tests.crossed.reading_back import ReadImage


def links(out: Path, images: Path) -> list[ReadImage]:
    read = []
    for split in ("train", "val"):
        data = ImageFolder(str(out / "links" / split))
        for at, (link, code) in enumerate(data.samples):
            data[at][0].load()
            path = Path(os.path.realpath(link)).relative_to(images.resolve())
            read.append(ReadImage(str(path), label=data.classes[code], split=split))
    return read


READERS = {"--as imagefolder": links}
