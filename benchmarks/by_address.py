"""`python -m benchmarks.by_address STUDY…`: the first overview of studies in an object store and in a folder.

The store is moto's S3 server in a process of its own, which waits before each answer. The page is drawn
without a browser (`AppTest`) by a server that has imported what it needs, and knows nothing of the study.
Rounds: the most requests of which each began after the one before had been answered; unlike seconds they do
not depend on what else the machine does. --requests lists them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
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
    requests: list[tuple[float, float, str]] = []

    def answer(environment, start):
        began = time.monotonic()
        time.sleep(waits["s"])
        answered = store(environment, start)
        what = (
            f"{environment['REQUEST_METHOD']} {environment['PATH_INFO']} {environment.get('HTTP_RANGE', '')}"
        )
        requests.append((began, time.monotonic(), what.strip()))
        return answered

    server = make_server("127.0.0.1", 0, answer, threaded=True)

    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
    client = s3fs.S3FileSystem()
    client.makedirs(BUCKET.partition("/")[0])
    for folder in folders:
        client.put(str(folder), f"{BUCKET}/{folder.name}", recursive=True)
    waits["s"] = delay_s
    print(os.environ["AWS_ENDPOINT_URL"], flush=True)
    requests.clear()
    for _ in sys.stdin:  # a line: what has been asked since the last one
        print(json.dumps(rounds(requests)), flush=True)
        requests.clear()


def rounds(requests: list[tuple[float, float, str]]) -> list[tuple[int, str]]:
    """The round of each request, (began, ended, what): 1 + the last round that had ended when it began."""
    ended: list[tuple[float, int]] = []
    numbered = []
    for began, end, what in sorted(requests):
        number = 1 + max((before for at, before in ended if at <= began), default=0)
        ended.append((end, number))
        numbered.append((number, what))
    return numbered


@contextlib.contextmanager
def slow_store(delay_s: float, folders: list[Path]) -> Iterator[Callable[[], list[tuple[int, str]]]]:
    """Run the store; the function it yields tells the requests since it was last called."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, "-m", "benchmarks.by_address", "--serve", str(delay_s), *map(str, folders)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        question, answer = server.stdin, server.stdout
        assert question and answer
        os.environ["AWS_ENDPOINT_URL"] = answer.readline().strip()

        def asked() -> list[tuple[int, str]]:
            question.write("\n")
            question.flush()
            return json.loads(answer.readline())

        yield asked
        question.close()


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
    parser.add_argument("--requests", action="store_true", help="list them with their rounds")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        return serve(args.serve, args.studies)
    logging.disable(logging.ERROR)
    print(
        "| study | by address, empty cache | … full cache | in a folder | requests | rounds | … full cache |"
    )
    print("|---|---|---|---|---|---|---|")
    with slow_store(args.delay, args.studies) as asked, tempfile.TemporaryDirectory() as folder:
        for study in args.studies:
            overview_s(str(study.parent.resolve()), study.name)  # imports what the page needs
            seconds, (empty, full) = _measured(study, Path(folder), args.rounds, asked)
            counts = f"{len(empty)} | {max(empty)[0]} | {len(full)} in {max(full)[0]}"
            print(f"| {study.name} | {' | '.join(seconds)} | {counts} |", flush=True)
            if args.requests:
                print("\n".join(f"{number:3} {what}" for number, what in sorted(empty)), flush=True)


Asked = list[tuple[int, str]]


def _measured(
    study: Path, folder: Path, rounds: int, asked: Callable[[], Asked]
) -> tuple[list[str], tuple[Asked, Asked]]:
    """Median seconds of each way to read, and the last requests with an empty and with a full cache."""
    import streamlit as st

    from core.common.remote import objects, place

    taken: list[list[float]] = [[], [], []]
    requests: list[Asked] = [[], [], []]
    for number in range(rounds):
        os.environ["PEREGRINE_CACHE"] = str(folder / f"{study.name}{number}")
        for kind, studies in enumerate((f"s3://{BUCKET}", f"s3://{BUCKET}", str(study.parent.resolve()))):
            st.cache_data.clear()
            st.cache_resource.clear()
            for known in (objects._known, place._asked, place._listed, place._folders):
                known.clear()  # as in a server that has just started
            asked()
            taken[kind].append(overview_s(studies, study.name))
            requests[kind] = asked()
    return [f"{sorted(seconds)[rounds // 2]:.2f} s" for seconds in taken], (requests[0], requests[1])


if __name__ == "__main__":
    main()
