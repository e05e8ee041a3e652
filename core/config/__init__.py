"""The settings of each step: one frozen dataclass per step, saved with its result."""

from core.config.analysis import (
    ENCODER_SETTINGS,
    EPSILON_CANDIDATES,
    HEAD_ACTIVATIONS,
    MAP_METHODS,
    POOLINGS,
    READOUT,
    TOKEN_NORMS,
    TOKENS,
    AddedAnswerConfig,
    AnswersConfig,
    CausesConfig,
    CrossfitConfig,
    EmbedConfig,
    FeaturesConfig,
    HeatmapsConfig,
    MapConfig,
    MaskOptions,
    NeighboursConfig,
    OverlapConfig,
    ProbeConfig,
    QualityConfig,
    RemediesConfig,
    RotationConfig,
    RunOptions,
)
from core.config.bases import BASIS_KINDS, BasisConfig, LoadedBasisConfig
from core.config.concepts import CONCEPT_SCORES, ConceptsConfig, FailuresConfig, SearchConfig
from core.config.settings import as_settings, option
