"""`python -m benchmarks.by_address STUDY…`: the first overview of studies in an object store and in a folder.

The store is moto's S3 server in a process of its own, which waits before each answer. The page is drawn
without a browser (`AppTest`) by a server that has imported what it needs, and knows nothing of the study.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

MAIN = Path(__file__).resolve().parents[1] / "dashboard" / "main.py"
BUCKET = "bucket/studies"


def serve(delay_s: float, folders: list[Path]) -> None:
    """Hold the folders as objects, print the endpoint, and answer until stdin ends."""
    import s3fs
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    store, waits = DomainDispatcherApplication(create_backend_app), {"s": 0.0}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    def answer(environment, start):
        time.sleep(waits["s"])
        return store(environment, start)

    server = make_server("127.0.0.1", 0, answer, threaded=True)

    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
    client = s3fs.S3FileSystem()
    client.makedirs(BUCKET.partition("/")[0])
    for folder in folders:
        client.put(str(folder), f"{BUCKET}/{folder.name}", recursive=True)
    waits["s"] = delay_s
    print(os.environ["AWS_ENDPOINT_URL"], flush=True)
    sys.stdin.read()


@contextlib.contextmanager
def slow_store(delay_s: float, folders: list[Path]) -> Iterator[None]:
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, "-m", "benchmarks.by_address", "--serve", str(delay_s), *map(str, folders)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        os.environ["AWS_ENDPOINT_URL"] = server.stdout.readline().strip()
        yield
        server.stdin.close()


def overview_s(studies: str, name: str) -> float:
    """Seconds until the overview of a study is drawn."""
    from streamlit.testing.v1 import AppTest

    from dashboard.addresses import served_studies

    os.environ["PEREGRINE_STUDIES"] = studies
    served_studies.forget()
    app = AppTest.from_file(str(MAIN), default_timeout=600)
    app.query_params["study"] = name
    began = time.perf_counter()
    app.run()
    assert not app.exception and not app.error and app.main.children, app
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.by_address", description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY")
    parser.add_argument("--delay", type=float, default=0.05, metavar="S", help="before each answer (0.05)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        return serve(args.serve, args.studies)
    logging.disable(logging.ERROR)
    print("| study | by address, empty cache | … full cache | in a folder |\n|---|---|---|---|")
    with slow_store(args.delay, args.studies), tempfile.TemporaryDirectory() as folder:
        for study in args.studies:
            overview_s(str(study.parent.resolve()), study.name)  # imports what the page needs
            print(f"| {study.name} | {' | '.join(_measured(study, Path(folder), args.rounds))} |", flush=True)


def _measured(study: Path, folder: Path, rounds: int) -> list[str]:
    import streamlit as st

    from core.common.remote import objects, place

    taken: list[list[float]] = [[], [], []]
    for number in range(rounds):
        os.environ["PEREGRINE_CACHE"] = str(folder / f"{study.name}{number}")
        for kind, studies in enumerate((f"s3://{BUCKET}", f"s3://{BUCKET}", str(study.parent.resolve()))):
            st.cache_data.clear()
            st.cache_resource.clear()
            for known in (objects._known, place._asked, place._listed, place._folders):
                known.clear()  # as in a server that has just started
            taken[kind].append(overview_s(studies, study.name))
    return [f"{sorted(seconds)[rounds // 2]:.2f} s" for seconds in taken]


if __name__ == "__main__":
    main()
