"""Names and words of a study inside Markdown: shown as they are, whatever they hold."""

import re

from core.common.captions import with_class_names

MARKUP = frozenset("\\`*_{}[]()#+-.!|<>$~:^&")
# Streamlit turns these into icons, emoji, links and arrows once Markdown is parsed: no backslash helps.
REPLACED = re.compile(r":(?=//|[\w+/-]+:)|www(?=\.)|@(?=[\w-]+\.)|(?<!\S)[<>~-](?=[=>-]{1,2}(?!\S))", re.I)
JOINER = "\u2060"  # takes no room and allows no line break


def plain(text: object) -> str:
    """Return any text, made safe to stand inside Markdown: names of files and classes are shown as they are.

    A WordNet id has its name. A backslash stands before each sign of Markdown, and a joiner parts what
    Streamlit would replace.
    """
    parted = REPLACED.sub(lambda sign: sign[0] + JOINER, with_class_names(str(text)))
    return "".join(f"\\{letter}" if letter in MARKUP else letter for letter in parted)
