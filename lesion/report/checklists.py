"""Where a model card answers the items of two reporting checklists, or that it does not.

TRIPOD+AI: G. S. Collins et al., BMJ 385, e078378 (2024), 27 items for prediction models.
CLEAR Derm: R. Daneshjou et al., JAMA Dermatology 158, 90–96 (2022), 25 items for image-based models in dermatology.
Topics are given in our own words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lesion.report.markdown import markdown_table


@dataclass(frozen=True)
class Item:
    """An item of a checklist.

    Attributes:
        number: in the checklist.
        topic: in a few words.
        sections: headings of the card that answer it; a card lacks those whose figures were not measured.
        remark: what is said besides, or instead of a section.
        needs: what the report must hold for the item to be answered.
    """

    number: str
    topic: str
    sections: Sequence[str] = ()
    remark: str = ""
    needs: str = ""


TRIPOD_AI = (
    Item("1", "title", ("Model facts",)),
    Item("2", "abstract", ("Model facts",)),
    Item("3a", "background", ("Use",)),
    Item("3b", "target population, purpose, users", ("Use",)),
    Item("3c", "known inequalities between groups", ("Skin tone", "Subgroups")),
    Item("4", "objectives", ("Use",)),
    Item("5", "sources and dates of the data", ("Data",)),
    Item("6a, b", "setting and eligibility", ("Data",), "the collection's paper has the details"),
    Item("6c", "treatments", (), "none: one photograph, no treatment"),
    Item("7", "preparation of the data", ("Model facts", "Data")),
    Item("8", "outcome and its assessment", ("How diagnoses were made",)),
    Item("9", "predictors", ("Model facts",)),
    Item("10", "sample size", ("Participants",), "all that the collection has; no calculation was made"),
    Item("11", "missing data", ("Participants",), "an unknown value is an input of its own, never filled in"),
    Item("12a, c, f, g", "partition, model, calibration", ("Model facts", "How it was made")),
    Item("12b", "handling of predictors", ("How it was made",), "age as a number, sex and site one-hot"),
    Item("12d", "differences between clusters", (), "not answered: centres are not recorded"),
    Item("12e", "measures of performance", ("Results",)),
    Item("13", "class imbalance", ("How it was made",)),
    Item("14", "fairness", ("Subgroups", "Skin tone")),
    Item("15", "output of the model", ("Model facts",)),
    Item("16", "training and evaluation compared", ("Participants",)),
    Item("17", "ethical approval", ("Funding and ethics",)),
    Item("18a", "funding", ("Funding and ethics",)),
    Item("18b", "conflicts of interest", ("Funding and ethics",)),
    Item("18c, d", "protocol and registration", (), "there is none"),
    Item("18e, f", "data and code", ("Data", "How it was made")),
    Item("19", "patient and public involvement", (), "there was none"),
    Item("20a, b", "flow and characteristics of participants", ("Participants",)),
    Item("20c", "development and evaluation data compared", ("Participants",)),
    Item("21", "participants and outcomes in each analysis", ("Participants", "Results", "Subgroups")),
    Item("22", "full specification of the model", ("Use", "How it was made"), "the weights are in this folder"),
    Item("23a", "performance with intervals", ("Results", "Subgroups")),
    Item("23b", "heterogeneity of performance", ("Subgroups",)),
    Item("24", "results of updating", (), "the model was not updated"),
    Item("25", "interpretation", ("Human performance", "Limits")),
    Item("26", "limitations", ("Limits",)),
    Item("27a", "input of poor quality", ("Results",), "Out-of-distribution detection"),
    Item("27b", "interaction with users and their expertise", ("Use",)),
    Item("27c", "next steps", (), "none is planned: it is made for teaching"),
)
CLEAR_DERM = (
    Item("1", "types of images", ("Data",)),
    Item("2", "artefacts in the images", (), "report.json holds the effect of drawn ones: `artefacts`", "artefacts"),
    Item("3", "technical details of acquisition", ("Data",), "cameras and dermatoscopes are not recorded"),
    Item("4", "preprocessing", ("Model facts",)),
    Item("5", "synthetic images", (), "none"),
    Item("6", "public images and their references", ("Data", "Licence")),
    Item("7", "metadata of patients", ("Participants",)),
    Item("8", "skin colour and how it was assessed", ("Skin tone",)),
    Item("9", "biases from patients' metadata", ("Limits",)),
    Item("10", "partitions of the data", ("Participants",)),
    Item("11", "sizes of the parts", ("Participants",)),
    Item("12", "external test set", ("Results",), "Elsewhere", "elsewhere"),
    Item("13", "images of several makers", (), "not answered: makers are not recorded"),
    Item("14", "distribution of the classes", ("Participants",)),
    Item("15", "out-of-distribution images", ("Results",)),
    Item("16", "labelling", ("How diagnoses were made",)),
    Item("17", "accepted diagnostic labels", ("Model facts", "How diagnoses were made")),
    Item("18", "histopathology of malignant lesions", ("How diagnoses were made",)),
    Item("19", "development of the algorithm", ("How it was made",)),
    Item("20", "how anyone can evaluate it", ("Use",)),
    Item("21", "measures of performance", ("Results",)),
    Item("22", "benchmarks and comparison", ("Results", "Human performance")),
    Item("23", "assessment of bias", ("Subgroups", "Skin tone")),
    Item("24", "use cases and target conditions", ("Use",)),
    Item("25", "effect on patients and on the team", ("Use", "Limits")),
)


def checklist_table(items: Sequence[Item], card: str, report: dict) -> str:
    """Where each item is answered.

    Args:
        items: of a checklist.
        card: the other sections of the card.
        report: of `lesion.report.build`; empty for a checkpoint without one.
    """
    headings = set(re.findall(r"(?m)^#+ (.+)$", card))
    rows = ([item.number, item.topic, where(item, headings, report)] for item in items)
    return "\n".join(markdown_table(["item", "topic", "where"], rows))


def where(item: Item, headings: set[str], report: dict) -> str:
    """Links to the sections that answer an item and its remark, or that it is not answered."""
    if item.needs and item.needs not in report:
        return "not answered"
    links = ", ".join(f"[{name}](#{anchor(name)})" for name in item.sections if name in headings)
    return "; ".join(filter(None, (links, item.remark))) if links or not item.sections else "not answered"


def anchor(heading: str) -> str:
    """The Hub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")
