"""What classifiers, pretext heads and what lies before a classifier are called in files: one list of each."""

import re

# First parts of keys of a classifier; `heads` is torchvision's ViT. A Linear by one of these names is one.
CLASSIFIERS = (
    *("fc", "head", "heads", "head_dist", "classifier", "linear", "last_linear", "mlp_head", "cls_head"),
    *("class_head", "classification_head", "classifier_head", "linear_head", "linear_classifier", "logits"),
    *("class_layers", "_fc", "clf", "fc_cls", "fc_out", "aux1", "aux2", "AuxLogits"),
)
# Heads of pretext tasks, queues and decoders, which never belong to a representation and are no classifier.
PRETEXT = (
    *(
        "projection_head",
        "projector",
        "projection",
        "prototypes",
        "predictor",
        "queue",
        "queue_ptr",
        "queue_2",
    ),
    *("contrastive_head", "last_layer", "logit_scale", "mask_token", "masked_embed", "decoder_embed"),
    *("decoder_blocks", "decoder_norm", "decoder_pred", "decoder_pos_embed", "aux_classifier"),
)
NO_CLASSIFIER = ("heads", "head_dist", "aux1", "aux2", "AuxLogits")  # by themselves
INSIDE = ("fc", "linear", "head", "classifier", "cls", "out", "last", "layer")  # what a head calls its Linear
NAME = "|".join(one for one in CLASSIFIERS if one not in NO_CLASSIFIER)
CLASSIFIER = rf"(?:(?:{NAME})(?:[.](?:{'|'.join(INSIDE)}))?|heads[.]head)"
# Parts of names that something else than the way from representation to classifier has: pretext heads, other
# networks, losses.
OTHER = re.compile(
    rf"(?:^|[._])(?:{'|'.join(PRETEXT)}|decoder|text|text_model|loss|criterion|metric|optimi[sz]er|aux\w*"
    r"|mask_head|rpn|roi_heads|embeddings)(?:[._]|$)",
    re.IGNORECASE,
)
# A Linear that is called like a further head, in keys without AUXILIARY: head2, fc_coarse, age_head.
HEAD_LIKE = re.compile(rf"(?:^|[._])(?:{NAME})\d*(?:_\w+)?$")
AUXILIARY = re.compile(r"(?<![a-z])aux(?:iliary)?_")
COPY = re.compile(
    r"(?:^|(?<=[._]))(?:momentum|target|teacher|ema|key|averaged?)[._]|_(?:momentum|ema|teacher)$"
)
BEFORE = {
    "pooler.dense": "Tanh",
    "pre_logits.fc": "Tanh",
}  # a Linear before a classifier, and what follows it
SCALES = {
    "scale": 1,
    "s": 1,
    "sigma": 1,
    "eta": 1,
    "temperature": -1,
    "tau": -1,
}  # power of a cosine's factor
