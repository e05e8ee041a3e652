"""Names of slices in plain words, from the conditions alone."""

from __future__ import annotations

import pytest

from core.measures.plain_names import plain_name, plural
from core.measures.slice import Slice


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "all images"),
        ("split=val", "all images"),
        ("split=val cause=small", "small objects"),
        ("label=tree cause=small", "small trees"),
        ("label=tree background=night", "trees at night"),
        ("background=marble", "images with a marble background"),
        ("background_agrees=false", "images on an unusual background"),
        ("label=dog companion_agrees=false", "dogs next to an unusual object"),
        ("background_agrees=true companion_agrees=false",
         "images next to an unusual object, background matches the class"),
        ("label=tree hide=yes", "tree, with hide = yes"),
        ("label=tree hide=true", "tree, with hide = yes"),
        ("clutter=3", "images with clutter = 3"),
        ("companion=umbrella", "images beside an umbrella"),
        ("has_wheels=true", "images with wheels"),
        ("has_wheels=false label=car", "cars without wheels"),
        ("is_toy=false label=car", "cars that are not toy"),
        ('label=tree concept="night sky"', "trees with “night sky” features"),
        ('concept="blue water",red', "images with “blue water” and “red” features"),
        ("fires=25 concept=red", "images with feature 25 and “red” features"),
        ("fires=190", "images with feature 190 (brick, red)"),
        ("label=shoe fires=25", "shoes with feature 25"),
        ("label=tree", "trees"),
        ("label=ant,bee", "ant or bee"),
        ("correct=false", "misclassified images"),
        ("why=crop", "images with the cause “cut by the crop”"),
        ("confusion=dog>cat", "dog taken for cat"),
        ("label=cat predicted=dog", "cats predicted as dog"),
        ('label="<b>x</b>" cause=small', "small <b>x</b>"),
        ("background=night cause=faded label=n01440764", "faded n01440764 at night"),
    ],
)  # fmt: skip
def test_plain_name__by_rule(text, name):
    assert plain_name(Slice.parse(text), {190: "brick, red"}) == name


def test_plain_name__every_condition_is_said():
    chosen = Slice.parse("label=ant fires=1,2 concept=sky style=plain correct=false background=sand")
    name = plain_name(chosen)
    for part in ("ants", "feature 1 ", "feature 2 ", "“sky”", "style = plain", "misclassified", "on sand"):
        assert part in name


@pytest.mark.parametrize("name", ["N01", "great white, shark", "Tench", "ox-3", "jeans", "bird of paradise"])
def test_plural__leaves_what_it_does_not_know(name):
    assert plural(name) == name
