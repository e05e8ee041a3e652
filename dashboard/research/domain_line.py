"""What a probe reads of the domain of an image, in one line of the overview."""

import streamlit as st

from core.research.domains.facts import DomainsFacts
from core.store import Study
from dashboard.components import widgets

NO_LEAD = 0.05  # share of the lead over the base rate that counts as none
PARTS = {"rest": "the rest", "prefix": "the prefix"}


def domain_probe_line(study: Study) -> None:
    """Show how well a probe reads the domain, once the step `domains` has run."""
    if not study.has("domain_probes"):
        return
    facts = study.facts(DomainsFacts)
    with st.container(border=True):
        st.markdown(domain_sentence(facts), help=widgets.help_text("domain_probe"))
        for caution in facts.cautions:
            st.caption(f":material/warning: {widgets.plain(caution[:1].upper() + caution[1:])}.")


def domain_sentence(facts: DomainsFacts) -> str:
    """Say what a probe reads from all features and, with a prefix, from its parts."""
    rate, column = facts.base_rate, widgets.plain(facts.column.replace("_", " "))
    best = {part: facts.best_probe(part) for part in ("all", *PARTS)}
    if rate is None or best["all"] is None:
        return f"**Do the representations tell the {column}?** Too few images to tell."
    share = {part: widgets.percent(value, digits=0) for part, value in best.items() if value is not None}
    verdict = "Yes" if best["all"] - rate > NO_LEAD * (1 - rate) else "Hardly"
    line = f"{verdict}: a probe names it in {share['all']}, guessing in {widgets.percent(rate, digits=0)}."
    parts = [f"{name} {share[part]}" for part, name in PARTS.items() if part in share]
    more = f" From {' and from '.join(parts)}." if parts else ""
    return f"**Do the representations tell the {column}?** {line}{more}"
