"""What research adds to the pages: one table, of which a page shows its row."""

from dashboard.research import (
    accuracy_estimates,
    domain_line,
    few_shot_words,
    moved_embedding,
    scene_graph,
    transferred_words,
)

BESIDE_THE_ACCURACY = (few_shot_words.few_shot_words,)  # (study) -> words
ON_THE_OVERVIEW = (domain_line.domain_probe_line,)  # (study)
OF_AN_IMAGE = {"Scene graph": scene_graph.scene_graph_part}  # further parts of its page: (study, row, facts)
BELOW_SIMILAR_IMAGES = (moved_embedding.near_moved_embedding,)  # (study, row)
BELOW_COMPARED_FEATURES = (accuracy_estimates.accuracy_estimates,)  # (comparison)
BELOW_COMPARED_WORDS = (transferred_words.carried_words,)  # (comparison), of studies that have words
