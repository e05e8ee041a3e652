"""What the topic adds to the workbench. No torch."""

from core.config.step import IN_BATCHES, Step
from core.research.domains.config import DomainTestsConfig, check_domain_options
from core.topics import ImageSet, Topic

TOPIC = Topic(
    steps=(
        Step(
            name="domains",
            title="Domains",
            doing="Testing what the representations tell of the domain",
            summary="test how much of the domain the representations and their parts tell",
            example="domains studies/mine --column style --unseen pastel",
            weight=0,
            config=DomainTestsConfig,
            function="core.research.domains.analysis.step:compute_domains",
            inputs=("representations", "images", "firing_by_feature_ptr", "firing_by_feature_rows"),
            needs=("embed", "features"),
            outputs=(
                *("domains", "domain_probes", "domain_classes", "domain_twins", "domain_features"),
                *("domain_jaccard", "domain_map"),
            ),
            options=("column", "unseen"),
            running=IN_BATCHES,
            check=check_domain_options,
            on_request=True,
        ),
    ),
    charts=(
        "core.research.domains.figures.study_domains:DDM_FEATURES",
        "core.research.domains.figures.study_domains:DDM_MAP",
    ),
    image_sets=(
        ImageSet("domains", "core.research.domains.domain_folders:DomainFolders"),
        ImageSet("tinted", "core.research.domains.tinted:TintedSource"),
    ),
    training="core.research.domains.training.section:SECTION",
)
