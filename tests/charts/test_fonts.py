import plotly.graph_objects as go
import pytest

from core.charts import fonts
from core.charts.fonts import letters_in_words, letters_without_glyph


@pytest.mark.parametrize(
    ("text", "lacking"),
    [("Žirafa, naïve, собака, Ελλάδα – 5 %", ""), ("狗 dog 狗", "狗"), ("कुत्ता 狗", "कुत्ा狗")],
)
def test_fonts__know_what_they_lack(text: str, lacking: str) -> None:
    assert {*letters_without_glyph(text)} == {*lacking}


@pytest.mark.parametrize(
    ("there", "kind", "n"), [("狗猫", "other_font", 2), ("狗", "boxes", 1), ("", "boxes", 2)]
)
def test_letters__are_said_once(monkeypatch: pytest.MonkeyPatch, there: str, kind: str, n: int) -> None:
    monkeypatch.setattr(fonts, "_machine_has", lambda letter: letter in there)
    note = letters_in_words(go.Figure(go.Bar(x=["狗", "猫", "dog"], y=[1, 2, 3], hovertext=["鸟"] * 3)))
    assert note is not None and (note.kind, note.n) == (kind, n)


def test_letters__none_is_no_word() -> None:
    assert letters_in_words(go.Figure(go.Bar(x=["naïve", "собака"], y=[1, 2]))) is None
