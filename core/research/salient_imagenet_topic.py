"""What the topic adds to the workbench: the masks of Salient ImageNet. No torch."""

from core.common.topics import Topic

TOPIC = Topic(options={"--salient-imagenet": "core.research.salient_imagenet_masks:SalientImageNet"})
