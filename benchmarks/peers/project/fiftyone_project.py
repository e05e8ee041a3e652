"""FiftyOne: a data set in its database, which lies in the folder that MONGOD_PLACE names."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.crossed.readers.fiftyone import fo  # which starts its database

NAME = "photographs"


def main(folder: str, port: str = "") -> None:
    if not port:
        data = fo.Dataset(NAME, persistent=True)
        data.add_samples([fo.Sample(filepath=str(path)) for path in sorted(Path(folder).iterdir())])
        return
    session = fo.launch_app(fo.load_dataset(NAME), remote=True, address="127.0.0.1", port=int(port))
    session.wait(-1)


if __name__ == "__main__":
    main(*sys.argv[1:])
