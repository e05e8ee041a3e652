"""Go to anything by name: where each choice leads."""

from __future__ import annotations

import pytest

from core.charts.registry import CHARTS
from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import open_study
from dashboard.cache import reads
from dashboard.panels import palette
from dashboard.state import session


@pytest.fixture
def chosen(studies, open_page, monkeypatch):
    """Type a text into the open dialog; gives the page gone to, and what its address holds."""
    gone: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(session, "go", lambda page, **shown: gone.append((page, shown)))

    def choose(text: str):
        app = open_page("images", study="demo")
        app.button(key="palette_open").click().run()
        assert not app.exception
        box = app.selectbox(key=palette.CHOICE)
        box.set_value(text).run()
        assert not app.exception
        return gone[-1] if gone else None, app

    return choose


def test_page_and_feature(chosen, studies):
    assert chosen("Errors")[0] == ("errors", {})
    name = reads.feature_name(open_study(studies / "demo"), 3)
    assert chosen(name)[0] == ("feature", {"feature": "3"})


@pytest.mark.parametrize("text", ["#3", "feature 3", "Feature #3"])
def test_feature__by_its_number_however_it_is_written(text, studies):
    assert palette._feature(open_study(studies / "demo"), text) == 3


def test_class__is_the_filter_of_its_features(chosen, studies):
    label = open_study(studies / "demo").class_names[0]
    gone, app = chosen(f"Class {label}")
    assert gone == ("features", {})
    assert app.query_params["where"] in ([f"label={label}"], f"label={label}")


def test_saved_slice__is_the_filter(chosen, studies):
    saved_slices.save(studies / "demo", "odd <b> ones", Slice.parse("split=train"))
    gone, app = chosen("Slice odd <b> ones")
    assert gone is not None and gone[0] == "images"
    assert app.query_params["where"] in (["split=train"], "split=train")


@pytest.fixture
def typed(chosen, monkeypatch):
    """As `chosen`, for a text that is no option, which the test harness cannot type."""

    def type_text(text: str):
        monkeypatch.setattr(session, "value", lambda key: text if key == palette.CHOICE else None)
        return chosen("Errors")

    return type_text


def test_image__by_any_part_of_its_name_before_words_are_searched_for(typed, studies):
    assert open_study(studies / "demo").images["image_id"].iat[83] == "val/000083"
    assert typed("000083")[0] == ("image", {"image": "val/000083"})
    assert typed("L/000083")[0] == ("image", {"image": "val/000083"})  # in any case
    assert typed("3")[0] == ("feature", {"feature": "3"})
    assert typed("a red ball")[0] == ("images", {"search": "a red ball"})


def test_name__of_other_things_by_any_part_before_words_are_searched_for(typed, second):
    assert typed("predicting")[0] == ("predicting_errors", {})  # the one page
    gone, app = typed("second")
    assert gone == ("overview", {}) and app.query_params["study"] in ("second", ["second"])


def test_names__that_hold_the_text_are_listed_to_choose_from(typed, second, shelf, second_made):
    shelf.serve("second of all", second_made)
    gone, app = typed("secon")
    assert gone is None
    listed = [one.label for one in app.button if str(one.key).startswith("palette_place")]
    assert listed == ["Study second", "Study second of all"]
    app.button(key="palette_place_1").click().run()
    assert not app.exception
    assert app.query_params["study"] in ("second of all", ["second of all"])


def test_images__several_with_the_text_are_offered_with_the_search(typed):
    gone, app = typed("00008")
    assert gone is None
    assert any("11 images" in one.value for one in app.caption)
    app.button(key="palette_search").click().run()
    assert not app.exception


def test_figures_of_papers__by_their_number(chosen):
    places = {name: CHARTS[name] for name in palette.OF_PAPERS}
    assert all(chart.source for chart in places.values())
    one = places["sorted_activation"]
    assert chosen(f"{one.source}: {one.title}")[0] == ("features", {"features_as": "Plot"})


def test_images__are_completed_by_their_names_after_pages_and_before_features(chosen, studies, monkeypatch):
    study = open_study(studies / "demo")
    image = str(study.images["image_id"].iat[83])
    assert chosen(image)[0] == ("image", {"image": image})
    options = list(palette._options(study))
    assert options.index("Errors") < options.index(image) < options.index(reads.feature_name(study, 3))
    monkeypatch.setattr(palette, "MOST_IMAGES", 100)  # the study has 120
    assert image not in palette._options(study)


def test_parts_of_pages__by_other_words_for_them(typed):
    for text in ("basis", "bases", "Latents"):
        assert typed(text)[0] == ("features", {"features_as": "Bases"})
    assert typed("leaderboard")[0] == ("compare", {"compare_what": "Leaderboard"})
    assert typed("remedies")[0] == ("errors", {"errors_tab": "What would help"})
    assert typed("confusion matrix")[0] == ("errors", {"errors_tab": "Confusions"})


@pytest.mark.slow
def test_parts_of_pages__are_parts_that_the_page_shows(open_page):
    for part in palette.PARTS.values():
        app = open_page(part["page"], study="demo", **part["parts"])
        assert not app.exception
        assert not any("part of the link was dropped" in note.value for note in app.info), part
