"""How the headroom of each family is measured, as data; fixed before any result was in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metajax.benchmarks import Shared

Inputs = Literal[
    "table", "modalities", "dna", "variants", "molecules", "beats", "strokes", "images"
]


@dataclass(frozen=True)
class Plan:
    """How the headroom of a family is measured.

    Attributes:
      family: name of the data set.
      inputs: what its inputs are; see `metajax.family_headroom.inputs`.
      targets: "split" (the meta-test tasks), "each" (every task in turn) or "classes" (each
        held-out class against the other held-out classes of its data set).
      prior: whether labels mean the same in all tasks, so that a pooled model may know them.
      fit: on what scaling, projection and choice of columns are fitted: on the rows of the source
        tasks, or ("support", without a prior) on the labelled rows of the target.
      shared: what is done with a case of both sides; see `metajax.benchmarks.separated`.
      only: ids of the tasks that may be targets ("each"); None: all.
      width: the number of columns that are kept where they are chosen on the support.
      part: only tasks whose name begins so, where labels mean the same in these alone; "": all.
    """

    family: str
    inputs: Inputs
    targets: Literal["split", "each", "classes"]
    prior: bool = True
    fit: Literal["sources", "support"] = "sources"
    shared: Shared = "drop"
    only: tuple[int, ...] | None = None
    width: int = 32
    part: str = ""

    def __post_init__(self):
        """Refuses a prior for inputs that every target scales for itself."""
        if self.prior and self.fit == "support":
            raise ValueError(f"{self.family}: a prior needs inputs fitted on the sources")


def _own(family, inputs="table", targets="each", width=32):
    """A family whose tasks share neither columns nor labels, or that is a single task."""
    return Plan(family, inputs, targets, prior=False, fit="support", width=width)


PLANS = (
    # Switzerland (2) has 8 patients without disease: a source, never a target.
    Plan("heart_uci", "table", "each", only=(0, 1, 3)),
    Plan("support2", "table", "each"),
    Plan("diabetes130_specialty", "table", "each"),
    Plan("diabetes130_chapter", "table", "each"),
    Plan("brfss2020", "table", "split"),
    Plan("myocardial_infarction", "table", "each", shared="divide"),
    Plan("impact_tbi15", "table", "each"),
    Plan("gusto_regions", "table", "each"),
    Plan("metabric_clin_mut", "table", "each"),
    Plan("chapman_ecg_features", "table", "each", shared="divide"),
    # Of several labels the first: the others are other questions.
    Plan("tcga_lung_sites", "modalities", "each", part="TP53", only=tuple(range(7))),
    Plan("tcga_cancers", "modalities", "each", part="TP53"),
    Plan("lung_directors4", "modalities", "each"),
    Plan("breast7g_6cohorts", "modalities", "each"),
    _own("sklearn_tables"),
    _own("disease_tables", targets="split"),
    _own("survival", targets="split", width=16),
    _own("microarray", targets="split"),
    _own("gse7390"),
    *map(_own, ("tabllm_heart", "tabllm_diabetes", "tabllm_blood")),
    Plan("mitbih", "beats", "split"),
    Plan("omniglot", "strokes", "classes", prior=False),
    *(Plan(name, "images", "classes", prior=False)
      for name in ("cross_domain", "odir_fundus", "ham10000")),
    *(_own(name, "images", "classes")
      for name in ("pneumoniamnist", "breastmnist", "retinamnist", "mednist", "iqoth_lung_ct",
                   "luna16_nodule", "lc25000_lung", "brain_mri_tumour", "covid_cxr",
                   "pocus_lung_ultrasound")),
    *(Plan(name, "dna", "split") for name in ("idna_ms", "deepbind", "rbp31", "gue_tf", "gue_emp")),
    *(Plan(name, "dna", "each") for name in ("gue_prom", "cnnprom")),
    _own("gue_splice", "dna"),
    _own("uci_splice", "dna"),
    Plan("humsavar", "variants", "split"),
    Plan("proteingym", "variants", "split"),
    # Every assay has its own end point.
    Plan("fsmol", "molecules", "split", prior=False),
    *(Plan(name, "molecules", "split", shared="divide")
      for name in ("tox21", "sider", "toxcast", "muv")),
    # 68 ligands, each measured on every kinase: divided, too few would be left.
    Plan("davis", "molecules", "split", shared="shared"),
)  # fmt: skip

_OTHER = "the same cases as {} under another split"
_LARGE = "one set of images, no family; its file is large and is downloaded only on request"
LEFT_OUT = {
    "omniglot_lake": _OTHER.format("omniglot"),
    "omniglot_maml": _OTHER.format("omniglot"),
    "mitbih_published": _OTHER.format("mitbih"),
    "mitbih_small": "a part of the beats of mitbih",
    **dict.fromkeys(
        ("pathmnist", "chestmnist", "dermamnist", "octmnist", "bloodmnist", "tissuemnist",
         "organamnist", "organcmnist", "organsmnist"), _LARGE),
}  # fmt: skip
