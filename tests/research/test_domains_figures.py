"""Maps of the parts by domain and class: every name is in the legend once, and the figure is high enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.charts import maps
from core.charts.theme import LIGHT, Theme, layout_of, paper
from core.research.domains_figures import domain_features, legend_height, part_maps

N_CLASSES, N_DOMAINS = 20, 4


def drawn(theme: Theme, n_classes: int) -> Any:
    rng, n = np.random.default_rng(0), 200
    names = {"domain": N_DOMAINS, "class": n_classes}
    rows = {
        shown: maps.by_name(
            np.array([f"{shown} {i % many}" for i in range(n)], object), title=shown, theme=theme
        )
        for shown, many in names.items()
    }
    places = {part: rng.normal(size=(n, 2)) for part in ("all", "prefix", "rest")}
    return part_maps(places, rows, titles={part: part for part in places}, theme=theme)


def test_legend_height__by_hand():
    # 24 names and 2 titles of 19 px (text of 10 px: 16 + 3), 12 px after each group, 60 px of margins
    assert legend_height([20, 4], paper(column="double")) == 26 * 19 + 24 + 60
    assert legend_height([1], LIGHT) == round(2 * (1.3 * LIGHT.font_size + 3) + 12 + 60)


@pytest.mark.parametrize("theme", [LIGHT, paper(column="double")], ids=["screen", "print"])
def test_part_maps__a_long_legend_makes_the_figure_higher(theme):
    long, short = drawn(theme, N_CLASSES), drawn(theme, 2)
    named = [trace.name for trace in long.data if trace.showlegend]
    assert sorted(named) == sorted(
        [f"class {i}" for i in range(N_CLASSES)] + [f"domain {i}" for i in range(N_DOMAINS)]
    )
    assert long.layout.height >= legend_height([N_CLASSES, N_DOMAINS], theme)
    assert short.layout.height <= long.layout.height


def test_domain_features__colours_reach_from_the_least_mean_to_the_largest(rng):
    signed = rng.normal(size=(1, 2, 50))
    for means, least in ((signed, np.quantile(signed, 0.005)), (np.abs(signed), 0.0)):
        figure = domain_features(means, ["cat"], ["plain", "mono"], k=None, jaccard={}, theme=LIGHT)
        axis = layout_of(figure).coloraxis
        assert (axis.cmin, axis.cmax) == pytest.approx((least, np.quantile(means, 0.995)))
    nothing = domain_features(0 * signed, ["cat"], ["plain", "mono"], k=None, jaccard={}, theme=LIGHT)
    assert layout_of(nothing).coloraxis.cmin < layout_of(nothing).coloraxis.cmax
