"""Dictionaries of other libraries, recognised by the names of their weights: one table (docs/method.md 18.4).

What a library publishes as its forward pass is what its files mean here. Nothing is read from a file but
numbers and texts. Each layout takes what it understands: a floating tensor that nobody takes refuses the
file, and a setting that nobody takes and that may change codes is a note.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.bases.components import FREE, NEEDED, read_components, read_export, read_matrix
from core.bases.dictionary import Dictionary
from core.bases.linear import (
    read_dictionary_learning,
    read_openai,
    read_overcomplete,
    read_sparse_autoencoder,
    read_sparsify,
    read_two_layers,
    read_visaebench,
)
from core.bases.matrices import read_matrices, read_sae_lens, read_saev
from core.bases.origin import noted
from core.bases.reading import Reading, Undecided, UnknownLayout

# Settings whose names say that they change codes, where no layout has taken them.
CHANGES = re.compile(
    r"(?i).*(activation|act_fn|nonlinear|norm(?!al)|normali|scal|thresh|bias|b_dec|whiten|tied|tie_|transcod|"
    r"skip|gate|gating|reshape|architecture|sae_type|top_?k|head_index|residual|dropout_at|softmax|group(?!_by)).*"
)
NOTHING = (None, False, "", "none", "None", 0, [], {})
# Settings of training and of bookkeeping alone.
HARMLESS = (
    *(
        "*lr*",
        "*learning*",
        "*optim*",
        "*loss*",
        "*coef*",
        "*wandb*",
        "*seed*",
        "*dtype*",
        "*device*",
        "*init*",
    ),
    *(
        "*warm*",
        "*decay*",
        "*alpha*",
        "*resampl*",
        "*_steps*",
        "*_start*",
        "*version*",
        "*path*",
        "*dir*",
        "*log*",
    ),
    *("*aux*", "*dead*", "*ghost*", "*grad*", "*momentum*", "*noise*", "*sparsity*", "*buffer*", "*dataset*"),
    *("normalize_sae_decoder", "normalize_decoder", "normalize_w_dec", "unit_norm_decoder", "*decoder_norm*"),
    *("lp_norm", "*group_fractions", "*group_weights", "*norm_factor", "multi_topk", "*threshold_beta"),
    *(
        "*group_sizes",
        "jumprelu_*",
        "*bandwidth*",
        "*exp_factor",
        "*expansion_factor",
        "*cls_token_only",
        "hook_head_index*",
    ),
    *("activation_scaler.has_whitening", "*.key", "l1_*", "use_threshold", "neuronpedia*"),
)
WIDTHS = ("d_in", "d_vit", "activation_dim", "input_dim", "input_dims", "n_input_features", "act_size")
SIZES = ("d_sae", "dict_size", "n_latents", "num_latents", "n_learned_features", "nb_concepts")
WITH_DIMENSIONS = ("trainer", "sae", "cfg", "config")
# Models of scikit-learn around others, by their class, and which one of theirs has the arrays.
WRAPPERS_OF_SKLEARN = {
    "Pipeline": "its last step, m[-1], and give it vectors as its first steps make them, m[:-1]",
    **dict.fromkeys(
        ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
        "the model that it found, m.best_estimator_",
    ),
}
# Tensors that no layout takes, and what they mean.
STRANGERS = {
    r"(.*\.)?(layer_?)?norm\d?\..*": "a normalisation of the vectors before the encoder",
    r".*scal(e|ing).*": "a factor of the codes",
    r".*(attn|attention|k_ctx|q_target).*": "attention to other tokens",
    r".*(gate|r_mag|mag).*": "a gate",
    r"Q": "levels to which codes are quantised",
}


@dataclass(frozen=True)
class DictionaryLayout:
    """How a library writes a dictionary.

    Attributes:
        fits: whether tensors and settings are its own. build: a dictionary of them. harmless: tensors that
            change nothing, as `Taken.left` has them.
    """

    name: str
    fits: Callable[[Reading], bool]
    build: Callable[[Reading], Dictionary]
    harmless: tuple[str, ...] = ()


def recognise_dictionary(reading: Reading) -> tuple[str, Dictionary]:
    """Return the name of the library that wrote a file, and its dictionary; notes go to `reading`.

    Raises:
        UnknownLayout: the weights are of no library of LIBRARIES, or not such as are read; or they and their
            settings are of two dictionaries.
    """
    for layout in LIBRARIES:
        if layout.fits(reading):
            try:
                dictionary = layout.build(reading)
            except Undecided:
                _check_tensors(reading, layout, only_known=True)  # what no answer of the user would mend
                raise
            _check_dimensions(reading, dictionary)
            _check_tensors(reading, layout)
            _note_settings(reading)
            facts = {"n_tensors": len(reading.tensors.read & set(reading.tensors))}
            reading.otherwise = {name: replace(one, facts=facts) for name, one in reading.otherwise.items()}
            return layout.name, replace(dictionary, facts=facts)
    _refuse_matrices_alone(reading)
    names = ", ".join(sorted(reading.tensors)[:8])
    libraries = ", ".join(dict.fromkeys(layout.name for layout in LIBRARIES))
    raise UnknownLayout(f"holds no dictionary that is known ({libraries}); its weights: {names or 'none'}")


def _refuse_matrices_alone(reading: Reading) -> None:
    """Raise UnknownLayout for a file of no array at all, or of one matrix and nothing beside it."""
    kind = str(reading.settings.get("kind", ""))
    if not reading.tensors and kind in WRAPPERS_OF_SKLEARN:
        inner = WRAPPERS_OF_SKLEARN[kind]
        raise UnknownLayout(f"holds no arrays, which a {kind} keeps in another model: write those of {inner}")
    if not reading.tensors:
        of_kind = f", but its kind '{kind}'" if kind else ""
        raise UnknownLayout(f"holds no arrays{of_kind}: an .npz with {NEEDED} is read")
    if len(reading.tensors) == 1:
        [(name, array)] = reading.tensors.items()
        if array.ndim == 2:
            raise UnknownLayout(
                f"holds a matrix '{name}' {array.shape} alone, so it does not say how vectors become codes: "
                f"an .npz with {NEEDED} is read"
            )


def _check_dimensions(reading: Reading, found: Dictionary) -> None:
    """Raise UnknownLayout where the settings state another size or width than the weights have."""
    for settings in (reading.settings, *(reading.settings.inner(name) for name in WITH_DIMENSIONS)):
        for keys, size in ((WIDTHS, found.width), (SIZES, found.size)):
            for key in keys:
                stated = settings.get(key)
                if isinstance(stated, int) and stated > 0 and stated != size:
                    raise UnknownLayout(
                        f"has {found.size:,} latents of {found.width:,} features, but "
                        f"{reading.settings.source} says {key} {stated:,}: they are of two dictionaries"
                    )


def _check_tensors(reading: Reading, layout: DictionaryLayout, *, only_known: bool = False) -> None:
    """Raise UnknownLayout for floating tensors that the layout has not taken; `only_known`: of STRANGERS."""
    left = reading.tensors.left(*layout.harmless)
    names = sorted(name for name, one in left.items() if np.issubdtype(np.asarray(one).dtype, np.floating))
    if only_known:
        names = [name for name in names if _meaning(name)]
    if not names:
        return
    meaning = _meaning(names[0])
    means = f", {meaning}" if meaning else ""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    raise UnknownLayout(
        f"looks like {layout.name}, but also holds {', '.join(names[:4])}{more}{means}: codes that leave "
        "them out would be others. Fold them into the weights, or compute codes with what wrote the file"
    )


def _meaning(tensor: str) -> str:
    """What a tensor that no layout takes is by its name; "" where that is not known."""
    return next((words for pattern, words in STRANGERS.items() if re.fullmatch(pattern, tensor)), "")


def _note_settings(reading: Reading) -> None:
    """Note the settings that nobody has taken and that may change codes."""
    left = reading.settings.left(*HARMLESS)
    changing = {key: value for key, value in left.items() if CHANGES.fullmatch(key)}
    names = [f"{key} = {_short(value)}" for key, value in changing.items() if _says(value)]
    if names:
        reading.notes.append(noted("settings_left", names=tuple(names[:6])))


def _says(value: Any) -> bool:
    return not any(value is one or (type(value) is type(one) and value == one) for one in NOTHING)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _own_settings(reading: Reading, names: Iterable[str]) -> bool:
    return any(name in reading.settings for name in names)


def _dict_class(reading: Reading) -> bool:
    """Whether the settings are dictionary_learning's: they name a class of it."""
    trainer: Mapping[str, Any] = reading.settings.inner("trainer") or reading.settings
    return "dict_class" in trainer


def _of_dictionary_learning(reading: Reading) -> bool:
    has = reading.has
    layers = has("encoder.weight", "decoder.weight")
    its_own = has("b_dec", "k") or (has("bias") and not has("decoder.bias"))
    return (
        (_dict_class(reading) and (layers or has("W_enc", "W_dec")))
        or (layers and its_own)
        or has("W_enc", "W_dec", "group_sizes")
        or has("r_mag", "gate_bias")
    )


def _of_visaebench(reading: Reading) -> bool:
    layers = reading.has("encoder.weight", "decoder.weight")
    its_own = reading.has("jump_thresholds") or reading.has("_running_threshold")
    stated = "hidden_dim" in reading.settings and _own_settings(reading, ("activation", "sae_type"))
    return layers and (its_own or stated) and _rows_of_latents(reading)


def _rows_of_latents(reading: Reading) -> bool:
    return (
        reading.tensors.values_by_key["decoder.weight"].shape
        == reading.tensors.values_by_key["encoder.weight"].shape
    )


LIBRARIES = (
    DictionaryLayout(
        "an export of Peregrine", lambda r: r.has("decoder", "offset") and "card" in r.settings, read_export
    ),
    DictionaryLayout(
        "scikit-learn",
        lambda r: any(
            r.has(f"{name}{end}") for name in ("components", "cluster_centers") for end in ("", "_")
        ),
        read_components,
        tuple(one for name in FREE for one in (name, name.removesuffix("_"))),
    ),
    DictionaryLayout("a matrix", lambda r: r.has("matrix"), read_matrix),
    DictionaryLayout("saev", lambda r: r.has_header and r.has("W_enc", "W_dec"), read_saev),
    DictionaryLayout(
        "overcomplete",
        lambda r: r.has("dictionary._weights") or r.has("dictionary.C"),
        read_overcomplete,
        ("encoder.tied_to.*",),
    ),
    DictionaryLayout(
        "sparse-autoencoder",
        lambda r: r.has("tied_bias", "encoder.weight", "decoder.weight"),
        read_sparse_autoencoder,
    ),
    DictionaryLayout(
        "OpenAI",
        lambda r: r.has("pre_bias", "latent_bias", "encoder.weight"),
        read_openai,
        ("latents_activation_frequency", "latents_mean_square", "decoder.linear.weight"),
    ),
    DictionaryLayout(
        "sparsify",
        lambda r: (
            r.has("encoder.weight", "b_dec")
            and (r.has("W_dec") or r.has("W_skip"))
            and _own_settings(r, ("expansion_factor", "num_latents"))
        ),
        read_sparsify,
    ),
    DictionaryLayout(
        "dictionary_learning", _of_dictionary_learning, read_dictionary_learning, ("threshold",)
    ),
    DictionaryLayout("ViSAEBench", _of_visaebench, read_visaebench),
    DictionaryLayout(
        "SAELens", lambda r: "apply_b_dec_to_input" in r.settings, read_sae_lens, ("activation_whitening.*",)
    ),
    DictionaryLayout(
        "Prisma",
        lambda r: r.has("W_enc", "W_dec", "b_dec") and "activation_fn_str" in r.settings,
        read_sae_lens,
    ),
    DictionaryLayout("encoder and decoder matrices", lambda r: r.has("W_enc", "W_dec"), read_matrices),
    DictionaryLayout(
        "two linear layers",
        lambda r: r.has("encoder.weight") and (r.has("decoder.weight") or r.has("W_dec")),
        read_two_layers,
    ),
)
