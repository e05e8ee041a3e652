"""What the topic adds to the workbench: tests of words and slices on newly rendered scenes. No torch."""

from core.topics import Topic

TOPIC = Topic(
    options={
        "concepts of planted words": "core.research.rendered_scenes.word_auc:add_aucs",
        "failures of planted causes": "core.research.rendered_scenes.planted:PlantedAttributes",
        "concepts --twins": "core.research.rendered_scenes.word_twins:twins_of",
        "slices --fresh": "core.research.rendered_scenes.fresh_slices:fresh_report",
    }
)
