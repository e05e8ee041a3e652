"""What the pages say of domains: the Overview's line, the maps of the parts, the columns of the features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.analysis import map_step
from core.pipeline.run import run_step
from core.research.domains_topic import DomainsFacts
from core.store import open_study
from core.study.progress import Progress
from dashboard.cache import map_reads
from dashboard.components.tooltips import plain
from dashboard.panels.research import domain_sentence
from tests.dashboard.conftest import all_text
from tests.sentences import numbers, without_numbers


def test_sentence__says_what_each_part_tells():
    whole = DomainsFacts(column="image_style", base_rate=0.35, domain_linear_all=0.9, domain_mlp_all=0.97)
    clear = domain_sentence(whole)
    assert numbers(clear) == ["97", "35"] and "image style" in clear
    parts = {"domain_linear_rest": 0.41, "domain_mlp_rest": 0.4, "domain_mlp_prefix": 0.99}
    of_parts = domain_sentence(replace(whole, **parts)).removeprefix(clear)
    assert numbers(of_parts) == ["41", "99"] and of_parts.index("rest") < of_parts.index("prefix")
    hardly = domain_sentence(replace(whole, domain_linear_all=0.37, domain_mlp_all=None))
    assert numbers(hardly) == ["37", "35"] and without_numbers(hardly) != without_numbers(clear)
    assert numbers(domain_sentence(DomainsFacts(column="style"))) == []


def test_line__warns_where_the_domain_is_the_class():
    cautions = ["'label' is the class of every image: no test can tell the domain from the class"]

    def page() -> None:
        from types import SimpleNamespace

        from core.research.domains_topic import DomainsFacts
        from dashboard.panels import research

        caution = "'label' is the class of every image: no test can tell the domain from the class"
        facts = DomainsFacts(column="label", base_rate=0.2, domain_linear_all=0.9, cautions=(caution,))
        study = SimpleNamespace(has=lambda name: True, facts=lambda kind: facts)
        research.domain_probe_line(study)  # type: ignore[arg-type]

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert [one.value for one in app.caption] == [f":material/warning: {plain(cautions[0])}."]


@pytest.mark.slow
def test_pages__show_the_parts_after_the_step(studies, open_page, monkeypatch):
    monkeypatch.setattr(map_step, "umap_map", lambda reduced, fitted, config, bar: reduced[:, :2])
    study = open_study(studies / "demo")
    assert map_reads.kinds(study) == ["pca"]
    run_step(
        "domains", studies / "demo", {"column": "split", "prefix": 6, "method": "umap"}, Progress.silent()
    )
    study = open_study(studies / "demo")
    assert map_reads.kinds(study) == ["pca", "rest_umap", "rest", "prefix_umap", "prefix"]
    table = study.table("domain_map")
    np.testing.assert_array_equal(map_reads.places(study, "prefix"), table[["x_prefix", "y_prefix"]])
    for kind in ("Prefix, PCA", "Prefix, UMAP"):
        app = open_page("map", study="demo", map_kind=kind)
        assert not app.exception and "domain prefix alone" in all_text(app)
    features = open_page("features", study="demo", features_as="Table")
    assert not features.exception
    shown = features.dataframe[0].value
    assert {"part", "top_domain", "domain_purity"} <= set(shown.columns)
    assert set(shown["part"]) <= {"prefix", "rest"}
    overview = open_page("overview", study="demo")
    assert not overview.exception and domain_sentence(study.facts(DomainsFacts)) in all_text(overview)
