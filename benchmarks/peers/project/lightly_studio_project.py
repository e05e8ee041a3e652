"""LightlyStudio: its database in the current folder, without embeddings."""

from __future__ import annotations

import sys

import lightly_studio as ls


def main(folder: str) -> None:
    ls.ImageDataset.create().add_images_from_path(path=folder, embed=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
