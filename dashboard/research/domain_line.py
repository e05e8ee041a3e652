"""What a probe reads of the domain of an image, in one line of the overview."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.store import Study
from dashboard.components import widgets

NO_LEAD = 0.05  # share of the lead over the base rate that counts as none
PARTS = {"rest": "the rest", "prefix": "the prefix"}


def domain_probe_line(study: Study) -> None:
    """Show how well a probe reads the domain, once the step `domains` has run."""
    if not study.has("domain_probes"):
        return
    summary = study.summary("domains")
    with st.container(border=True):
        st.markdown(domain_sentence(summary), help=widgets.help_text("domain_probe"))
        for caution in summary.get("cautions", ()):
            st.caption(f":material/warning: {widgets.plain(caution[:1].upper() + caution[1:])}.")


def domain_sentence(summary: Mapping[str, Any]) -> str:
    """Say what a probe reads from all features and, with a prefix, from its parts."""
    rate, column = summary.get("base_rate"), widgets.plain(str(summary.get("column")).replace("_", " "))
    best = {part: _best_probe(summary, part) for part in ("all", *PARTS)}
    if rate is None or best["all"] is None:
        return f"**Do the representations tell the {column}?** Too few images to tell."
    share = {part: widgets.percent(value, digits=0) for part, value in best.items() if value is not None}
    verdict = "Yes" if best["all"] - rate > NO_LEAD * (1 - rate) else "Hardly"
    line = f"{verdict}: a probe names it in {share['all']}, guessing in {widgets.percent(rate, digits=0)}."
    parts = [f"{name} {share[part]}" for part, name in PARTS.items() if part in share]
    more = f" From {' and from '.join(parts)}." if parts else ""
    return f"**Do the representations tell the {column}?** {line}{more}"


def _best_probe(summary: Mapping[str, Any], part: str) -> float | None:
    """The accuracy of the better of both probes; None without one."""
    values = [summary.get(f"domain_{kind}_{part}") for kind in ("linear", "mlp")]
    defined = [value for value in values if value is not None]
    return max(defined) if defined else None
