"""What research adds to the pages: one table, of which a page shows its row."""

from __future__ import annotations

from dashboard.research import domain_line, moved_embedding, scene_graph, transferred_words

ON_THE_OVERVIEW = (domain_line.show,)  # (study)
OF_AN_IMAGE = {"Scene graph": scene_graph.show}  # further parts of its page: (study, row, facts)
BELOW_SIMILAR_IMAGES = (moved_embedding.show,)  # (study, row)
BELOW_COMPARED_WORDS = (transferred_words.show,)  # (comparison), of studies that have words
