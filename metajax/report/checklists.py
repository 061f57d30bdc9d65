"""TRIPOD+AI and CLAIM: what the records can answer, and what only the authors can.

The items are paraphrased; submit the official forms. Sources: Collins et al. (2024), TRIPOD+AI,
BMJ 385:e078378; Mongan, Moy and Kahn (2020), CLAIM, Radiology: AI 2(2):e200029 (its 2024 update
orders some items differently).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Item(NamedTuple):
    """One item of a checklist.

    Attributes:
      number: as in the paper.
      asks: what it asks for.
      facts: names of the facts that answer it (`metajax.report.facts`); none: only authors can.
      whole: the facts answer all that is asked; otherwise the item stays open in part.
    """

    number: str
    asks: str
    facts: tuple[str, ...] = ()
    whole: bool = False


TRIPOD = (
    Item("1", "Title: developing or evaluating a prediction model, target population, outcome",
         ("aim",)),
    Item("2", "Abstract, by TRIPOD+AI for abstracts"),
    Item("3a", "Health context, rationale, existing models"),
    Item("3b", "Target population, intended purpose and users in the care pathway"),
    Item("3c", "Known health inequalities between groups"),
    Item("4", "Objectives: development, evaluation or both", ("aim",), True),
    Item("5a", "Sources of data for development and evaluation, and how representative they are",
         ("data",)),
    Item("5b", "Dates of data collection"),
    Item("6a", "Setting: number and location of centres", ("tasks",)),
    Item("6b", "Eligibility of participants", ("reading",)),
    Item("6c", "Treatments received, and how they were handled"),
    Item("7", "Data preparation and quality checks, also across groups", ("reading", "sums")),
    Item("8a", "Outcome: definition, time horizon, how and when assessed", ("outcome",)),
    Item("8b", "Who assessed outcomes that need interpretation"),
    Item("8c", "Blinding of the outcome's assessment"),
    Item("9a", "Choice of the predictors, and selection before modelling", ("reading",)),
    Item("9b", "Definition of all predictors, how and when measured"),
    Item("9c", "Who measured predictors that need interpretation"),
    Item("10", "Sample size, and why it is enough", ("size",)),
    Item("11", "Missing data", ("reading", "missing")),
    Item("12a", "How data were used for development and evaluation", ("splits", "units"), True),
    Item("12b", "How predictors were handled", ("missing",)),
    Item("12c", "Type of model, all steps of building, tuning, internal validation",
         ("learners", "training"), True),
    Item("12d", "Heterogeneity between clusters", ("clusters",), True),
    Item("12e", "Measures and plots of performance, and how models are compared",
         ("measures", "tests"), True),
    Item("12f", "Updating of the model after evaluation", ("updating",), True),
    Item("12g", "How predictions of the evaluation were made", ("learners", "output"), True),
    Item("13", "Class imbalance: whether and how handled", ("imbalance",), True),
    Item("14", "Fairness: what was done"),
    Item("15", "Output of the model, and thresholds", ("output",), True),
    Item("16", "Differences between development and evaluation data", ("splits",)),
    Item("17", "Ethical approval and consent"),
    Item("18a", "Funding"),
    Item("18b", "Conflicts of interest"),
    Item("18c", "Where the protocol is", ("protocol",)),
    Item("18d", "Registration"),
    Item("18e", "Availability of the data", ("sums", "licences"), True),
    Item("18f", "Availability of the code", ("code",), True),
    Item("19", "Involvement of patients and the public"),
    Item("20a", "Flow of participants, with and without the outcome", ("size", "prevalence")),
    Item("20b", "Characteristics of participants, in all and by source"),
    Item("20c", "Development and evaluation data compared"),
    Item("21", "Participants and outcome events in each analysis", ("size", "prevalence")),
    Item("22", "The model in full, so that others can predict", ("learners", "code")),
    Item("23a", "Performance with intervals, also in key subgroups", ("performance",)),
    Item("23b", "Heterogeneity of performance between clusters", ("clusters",), True),
    Item("24", "Results of updating", ("updating",), True),
    Item("25", "Interpretation, in the light of fairness and of earlier studies"),
    Item("26", "Limitations", ("limits",)),
    Item("27a", "Handling of poor or missing input in use"),
    Item("27b", "Interaction and expertise that users need"),
    Item("27c", "Next steps, applicability, generalisability"),
)  # fmt: skip

CLAIM = (
    Item("1", "Title or abstract names the AI technique", ("learners",)),
    Item("2", "Structured abstract"),
    Item("3", "Background, intended use and clinical role"),
    Item("4", "Objectives and hypotheses", ("aim",)),
    Item("5", "Prospective or retrospective"),
    Item("6", "Goal of the study", ("aim",), True),
    Item("7", "Data sources", ("data",), True),
    Item("8", "Eligibility: how, where and when participants were found", ("reading",)),
    Item("9", "Data pre-processing", ("reading", "missing"), True),
    Item("10", "Selection of subsets of the data", ("splits",)),
    Item("11", "Definitions of data elements", ("outcome", "tasks")),
    Item("12", "De-identification"),
    Item("13", "Missing data", ("reading", "missing")),
    Item("14", "Definition of the reference standard", ("outcome",)),
    Item("15", "Why this reference standard"),
    Item("16", "Who annotated, with which qualification"),
    Item("17", "Annotation tools"),
    Item("18", "Variability between and within annotators"),
    Item("19", "Intended sample size, and how it was found", ("size",)),
    Item("20", "How data were assigned to partitions", ("splits",), True),
    Item("21", "Level at which partitions are disjoint", ("units",), True),
    Item("22", "The model: inputs, outputs, layers", ("learners", "encoders"), True),
    Item("23", "Software libraries and packages", ("software",), True),
    Item("24", "Initial parameters of the model", ("seeds",)),
    Item("25", "Training: hyper-parameters, number of models, augmentation", ("training",)),
    Item("26", "How the final model was selected", ("selection",), True),
    Item("27", "Ensembling", ("ensembles",), True),
    Item("28", "Metrics of performance", ("measures",), True),
    Item("29", "Measures of significance and uncertainty", ("tests",), True),
    Item("30", "Robustness and sensitivity analyses", ("clusters",)),
    Item("31", "Explainability"),
    Item("32", "Testing on external data", ("splits",)),
    Item("33", "Flow of participants or cases", ("size",)),
    Item("34", "Demographic and clinical characteristics by partition"),
    Item("35", "Performance on all partitions, with benchmarks", ("performance",), True),
    Item("36", "Estimates of diagnostic accuracy and their precision", ("performance",), True),
    Item("37", "Analysis of failures", ("failures",)),
    Item("38", "Limitations", ("limits",)),
    Item("39", "Implications for practice"),
    Item("40", "Registration"),
    Item("41", "Where the protocol and the code are", ("protocol", "code"), True),
    Item("42", "Funding"),
)  # fmt: skip


def answer(item: Item, facts: Mapping[str, str]) -> tuple[str, str]:
    """Answer an item from the records.

    Args:
      item: the item.
      facts: texts by name; an absent one is not known of these runs.

    Returns:
      Its state, "filled", "in part" or "open", and the text.
    """
    told = [facts[name] for name in item.facts if facts.get(name)]
    if not told:
        return "open", "for the authors"
    whole = item.whole and len(told) == len(item.facts)
    return ("filled" if whole else "in part"), " ".join(told)
