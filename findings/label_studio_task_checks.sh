#!/usr/bin/env bash
# label-studio-sdk==2.1.2. Seen on 2026-11-30.
#
# Guess before it was run: `LabelInterface(CONFIG).validate_task(TASK)` returns whether a task fits an interface,
# with its annotations and predictions.
#
# What it does: a task that has the key "annotations", also an empty list, raises TypeError, since
# `validate_annotation` is called without the annotation; one that has "predictions" raises it for the same
# reason. Only a task without both is checked. `validate_annotation(ANNOTATION)` and
# `validate_prediction(PREDICTION)` work when they are called one by one.
#
# Why it matters: who checks tasks that are to be imported must take these keys out, and check each alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2
cat > "$folder/look.py" <<'PYTHON'
from label_studio_sdk.label_interface import LabelInterface

CHOICES = '<Choices name="choice" toName="image"><Choice value="cat"/></Choices>'
interface = LabelInterface(f'<View><Image name="image" value="$image"/>{CHOICES}</View>')
RESULT = {"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}
DATA = {"data": {"image": "a.png"}}


def look(name: str, expected: object, check, *given) -> None:
    try:
        said = check(*given)
    except TypeError as error:
        said = type(error).__name__
    print(f"{name}: {said}")
    assert said == expected, f"changed: it was {expected}"


look("a task alone", True, interface.validate_task, DATA)
look("annotations: none", "TypeError", interface.validate_task, {**DATA, "annotations": []})
look("one annotation", "TypeError", interface.validate_task, {**DATA, "annotations": [{"result": [RESULT]}]})
look("one prediction", "TypeError", interface.validate_task, {**DATA, "predictions": [{"result": [RESULT]}]})
look("that annotation by itself", True, interface.validate_annotation, {"result": [RESULT]})
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
