"""Names as charts show them: escaped for plotly, and not too long."""

from core.common.captions import cut_text, with_class_names


def as_text(name: str) -> str:
    """Escape a name so that plotly draws it as it is; a WordNet id is drawn as its name."""
    return with_class_names(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(name: str, longest: int = 28) -> str:
    """Shorten the name of a class to stand beside a chart: of synonyms the first, else its beginning.

    >>> shortened("a very long name", 8), shortened("ant"), shortened("hammerhead, hammerhead shark", 18)
    ('a very …', 'ant', 'hammerhead')
    """
    first = name.partition(", ")[0]
    if len(first) <= longest < len(name) and "(" not in first:
        return first
    return cut_text(name, longest)
