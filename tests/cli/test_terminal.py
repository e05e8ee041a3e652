"""Names of a stranger are printed as text, and are no commands to the terminal."""

from __future__ import annotations

from core.cli import main
from tests.manifests import edited_manifest
from tests.synthetic import make_seen_study


def test_names__hold_no_control_characters(tmp_path, capsys):
    names = ("\x1b]0;title\x07\x1b[2Ja", "b\x9b2J", "c", "d")
    study = make_seen_study(tmp_path / "study", class_names=names)
    with edited_manifest(study) as manifest:
        manifest["steps"]["embed"]["summary"]["encoder"]["assumptions"] = ["\x1b[8mhidden"]
    export = ["export", str(study), "quality", "-o", str(tmp_path / "a.csv"), "--slice", "label=z"]
    assert [main(["info", str(study)]), main(export)] == [0, 2]
    printed = capsys.readouterr()
    assert r"\u001b[8mhidden" in printed.out and r"\u001b[2Ja" in printed.err
    assert all(one.isprintable() or one in "\n\t" for one in printed.out + printed.err)
