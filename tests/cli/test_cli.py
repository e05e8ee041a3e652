"""The command line: instant help, one-line errors, exit codes, what is printed."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import build_parser, main, output
from core.cli import errors as cli_errors
from core.errors import KEPT, STOPPED, StudyError
from core.pipeline import run as pipeline
from core.study.progress import read_record
from tests import small
from tests.cli.reference import REFERENCE

ROOT = Path(__file__).parents[2]
COMMANDS = re.findall(r"^## (\S+)$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)


def python(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, **options)


def loaded_modules(*commands: list[str]) -> set[str]:
    """The top-level modules that commands load, one after the other in one process."""
    code = (
        "import json, sys; from core.cli import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    )
    return set(python("-c", code, json.dumps(commands)).stdout.rpartition("MODULES")[2].split())


@pytest.mark.slow
def test_help_loads_nothing_heavy() -> None:
    """The help text of every command, one after the other in one process."""
    code = (
        "import sys; from core.cli import main\n"
        "for words in [[], *([name] for name in sys.argv[1:])]:\n"
        "    try: main([*words, '--help'])\n"
        "    except SystemExit: pass\n"
        "print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    )
    heavy = {"torch", "torchvision", "timm", "pandas", "numpy", "streamlit", "sklearn", "pyarrow"}
    shown, _, loaded = python("-c", code, *COMMANDS).stdout.rpartition("MODULES")
    assert shown.count("usage: python -m core") == len(COMMANDS) + 1
    assert "argparse" in loaded.split() and not heavy & set(loaded.split())


@pytest.mark.slow
def test_info_and_export_load_no_torch(shared_study: Path, tmp_path: Path) -> None:
    study, out = str(shared_study), str(tmp_path / "q.csv")
    loaded = loaded_modules(["info", study], ["export", study, "quality", "-o", out])
    assert "pandas" in loaded and "torch" not in loaded
    assert (tmp_path / "q.csv").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_an_example_that_parses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if line.startswith("  python -m core "))
    words = shlex.split(line.rstrip("\\"))[3:]
    args, unknown = build_parser().parse_known_args(words)
    assert args.command == command == words[0] and not unknown


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if re.search(rf"^    {name}\b", shown, re.M)] == COMMANDS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["analyse", "x"], "Did you mean 'analyze'"),
        (["analyze", "x", "--images", "y", "--epsilom", "4"], "--epsilom.* Did you mean '--epsilon'"),
        (["analyze", "x", "--images", "y", "--epsilon", "four"], "'four' is not a number of standard"),
        (["analyze", "x", "--images", "y", "--mean", "0.5,x"], "'0.5,x' is not three numbers R,G,B"),
        (["embed", "x", "--batch-size", "0"], "'0' is not a whole number above 0"),
        (["analyze", "x", "--seed", "-1"], "'-1' is not a whole number of 0 or more"),
        (["compare", "x", "y", "--seed", "-1"], "'-1' is not a whole number of 0 or more"),
        (["analyze", "x", "--seed", str(2**64)], "'18446744073709551616' is too large"),
        (["embed", "x", "--workers", "-1"], "'-1' is not a whole number of 0 or more"),
        (["embed", "x", "--mean", "nan"], "'nan' is not three numbers"),
        (["concepts", "x", "--beta", "nan"], "'nan' is not a number"),
        (["transfer", "x", "y", "--lr", "-1"], "'-1' is not a number above 0"),
        (["perturbed", "x", "--epsilons", "0,inf"], "'0,inf' is not a list of numbers"),
        (["export", "x", "quality"], "required: -o/--output"),
        (["info"], "required: STUDY"),
    ],
)
def test_mistyped_commands(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and said.startswith("error: ")
    assert re.search(message, said) and re.search(r"See: python -m core.* --help$", said)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("command", ["info", "verify", "features", "quality"])
def test_study_that_is_not_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, command, tmp_path / "none")
    assert code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert "python -m core" in err


def test_info(shared_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "info", shared_study)
    assert code == 0
    for pattern in (
        r"^study +shared  \(.*\)$",
        r"^images +120 images: 80 train, 40 val, 4 classes$",
        r"^encoder .* 48 features$",
        r"^features +epsilon [\d.]+, \d+ discriminative",
        r"^probe +top-1 [\d.]+ %.* on val$",
        r"^Q-Score +AUROC [\d.]+ \(95 % interval [\d.]+ to [\d.]+; chance 0.5\)$",
        r"^ +AUPRC [\d.]+ \(95 % interval [\d.]+ to [\d.]+; base rate [\d.]+\)$",
        r"^steps +embed done, .*, heatmaps skipped, overlap skipped, concepts skipped, failures done, "
        "search skipped, map done$",
    ):
        assert re.search(pattern, out, re.M), f"{pattern} not in\n{out}"
    assert "missing" not in out


def test_info_as_json(shared_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "info", shared_study, "--json")
    report = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    promised = "epsilon k n_images n_skipped n_features n_discriminative accuracy q_auroc q_auprc base_rate"
    assert code == 0 and set(promised.split()) <= set(report)
    assert report["n_images"] == 120 and report["n_features"] == 48


def test_info_of_an_early_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small.write_small_study(tmp_path / "early", features=False)
    code, out, _ = run(capsys, "info", study.path)
    assert code == 0
    assert re.search(r"^missing +features: not run yet. Run: python -m core features", out, re.M)
    assert "AUROC" not in out


def test_export_and_slice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small.write_small_study(tmp_path / "study").path
    out = tmp_path / "q.csv"
    code, said, _ = run(capsys, "export", study, "quality", "-o", out, "--slice", "correct=false")
    assert code == 0 and said.startswith(f"{out}: 3 rows\nnote: on train images")
    code, _, err = run(capsys, "export", study, "quality", "-o", out, "--slice", "labl=dog")
    assert code == 2 and "'label'" in err
    code, _, err = run(capsys, "export", study, "qualty", "-o", out)
    assert code == 2 and "'quality'" in err


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small.write_small_study(tmp_path / "study").path
    assert run(capsys, "verify", study)[:2] == (0, f"{study}: all files are intact\n")
    (study / "representations" / "00001.npy").unlink()
    code, out, _ = run(capsys, "verify", study)
    assert code == 1 and "representations/00001.npy" in out
    code, out, _ = run(capsys, "verify", study, "--json")
    assert code == 1 and json.loads(out)["ok"] is False


def test_settings_given_are_those_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {}
    monkeypatch.setattr(pipeline, "run_step", lambda *args: seen.update(step=args) or {"epsilon": 2.5})
    code, out, _ = run(capsys, "features", tmp_path, "--epsilon", "auto")
    assert code == 0 and out == "epsilon  2.5\n"
    assert seen["step"][:3] == ("features", tmp_path, {"epsilon": "auto"})

    monkeypatch.setattr(pipeline, "analyze", lambda *args: seen.update(analyze=args))
    monkeypatch.setattr("core.cli.study.print_study", lambda *args, **options: None)
    words = (
        "--images photos --encoder x@y.ckpt --mean 0.5 --std 1,2,3 --input-size 96 --batch-size 8 --strict"
    )
    assert run(capsys, "analyze", tmp_path, *words.split())[0] == 0
    assert seen["analyze"][1] == {
        "images": "photos",
        "encoder": "x@y.ckpt",
        "mean": (0.5, 0.5, 0.5),
        "std": (1.0, 2.0, 3.0),
        "input_size": 96,
        "batch_size": 8,
        "strict": True,
    }


def guarded(error: BaseException, study: Path | None = None, debug: bool = False) -> int:
    def fail(args: argparse.Namespace) -> None:
        raise error

    return cli_errors.run_guarded(argparse.Namespace(run=fail, study=study, debug=debug))


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StudyError("two\nlines"), 2, "error: two lines\n"),
        (KeyboardInterrupt(), 130, f"{STOPPED}\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.npy"),
            2,
            "error: the disk is full while writing x.npy",
        ),
        (OSError("[Errno 28] No space left on device"), 2, f"error: the disk is full; {KEPT}"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "/" + "x" * 5000),
            2,
            "error: File name too long: /x",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "error: Permission denied: /x. Choose"),
        (OSError(errno.EIO, "Input/output error"), 2, "error: Input/output error; completed work"),
        (OSError(errno.ESTALE, "Stale file handle", "/a", None, "/b"), 2, "error: Stale file handle: /a; "),
        (FileNotFoundError(errno.ENOENT, "No such file", "/a\nb"), 2, "error: No such file: /a b; "),
        (OSError("a library's words\nin two lines"), 2, "error: a library's words; "),
        (OutOfMemoryError("CUDA out of memory"), 2, "error: out of memory; .* Close other programs"),
        (MemoryError(), 2, "error: out of memory"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(error) == code
    err = capsys.readouterr().err
    assert re.match(said, err) and err.count("\n") == 1


def test_study_moved_while_a_command_writes_it__is_no_defect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "s" / "x"))
    assert guarded(gone, study=tmp_path / "s") == 2
    assert "was moved or deleted while the command ran" in capsys.readouterr().err
    assert guarded(gone, study=tmp_path) == 2


def test_defects_are_one_line_with_the_traceback_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(ZeroDivisionError("by zero"), study=tmp_path) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"details in {tmp_path / 'log.txt'}" in err
    assert "Traceback" in (tmp_path / "log.txt").read_text()

    assert guarded(ZeroDivisionError("by zero"), study=tmp_path / "none") == 1
    found = re.search(r"details in (.*)\)", capsys.readouterr().err)
    assert found and "Traceback" in Path(found[1]).read_text()
    Path(found[1]).unlink()

    assert guarded(ZeroDivisionError("by zero"), study=tmp_path, debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_reader_that_goes_away_is_no_error(shared_study: Path) -> None:
    line = f"{sys.executable} -m core info {shared_study} --json | head -c 1"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "{" and done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [False, True], ids=["plain", "background"])
def test_interrupted_command(tmp_path: Path, ignored: bool) -> None:
    """Ctrl-C in the middle: exit code 130, one line, state 'cancelled'; also where a shell had it ignored."""
    script = (
        "import sys, time; from core import cli; from core.pipeline import run as pipeline\n"
        "def slow(step, folder, options, progress):\n"
        "    with progress.stage('features', total=9):\n"
        "        print('ready', flush=True)\n"
        "        while True: time.sleep(0.1)\n"  # a signal may reach another thread, which wakes no sleep
        "pipeline.run_step = slow\n"
        "sys.exit(cli.main(['features', sys.argv[1]]))"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.getsignal(signal.SIGINT))
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1] == STOPPED and "Traceback" not in err
    assert (read_record(tmp_path / "progress.json") or {})["state"] == "cancelled"


def test_plan_for_people() -> None:
    report = {
        "study": "studies/new",
        "exists": False,
        "images": {
            "kind": "folder",
            "n_images": 1200,
            "splits": {"train": 960, "val": 240},
            "n_classes": 2,
            "classes": {"cat": 600, "dog": 600},
            "notes": ["'test' is ignored"],
            "unreadable_in_sample": ["x.jpg: truncated"],
        },
        "encoder": {
            "spec": "torchvision:resnet18",
            "layer": "layer4.1",
            "n_features": 512,
            "transform": None,
        },
        "assumptions": [],
        "seconds": 200.0,
        "steps": [
            {"title": "Heatmaps", "seconds": 170.0},
            {"title": "Map", "seconds": 0.5},
            {"title": "Concepts", "seconds": None, "note": "no CLIP is named"},
        ],
        "bytes": 5_000_000,
        "free_bytes": 1e12,
    }
    text = output.plan_text(report)
    assert re.search(r"^images +1,200 images \(folder\): 960 train, 240 val, 2 classes$", text, re.M)
    assert re.search(r"^note +'test' is ignored$", text, re.M)
    assert re.search(r"^time +(about )?3 min.*, in all$", text, re.M)
    assert re.search(r"heatmaps 3 min; not estimated: concepts \(no CLIP is named\)$", text, re.M)
    assert re.search(r"^disk +about 5 MB in all, of 1.0 TB free$", text, re.M)


def test_json_has_no_nan() -> None:
    import numpy as np

    report = {"a": float("nan"), "b": [np.float32(0.5), float("inf")], "c": np.arange(2), "d": Path("x")}
    assert json.loads(output.json_text(report)) == {"a": None, "b": [0.5, "Infinity"], "c": [0, 1], "d": "x"}
