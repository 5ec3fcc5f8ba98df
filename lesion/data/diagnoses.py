"""The seven diagnoses of HAM10000: the one place they are listed, in the order of every label, logit and column.

Names and descriptions follow Tschandl, Rosendahl and Kittler, "The HAM10000 dataset" (Sci. Data 5, 180161, 2018); the
order is that of the ISIC 2018 Task 3 submission file. Colours are Okabe and Ito's colour-blind safe set, with a
neutral grey in place of its yellow, which is too faint on white: a grey dark enough to be told from the green by
deuteranopes, and light enough for a dark page.
"""

from dataclasses import dataclass

from lesion.errors import UserError, shown


@dataclass(frozen=True)
class Diagnosis:
    """One class.

    Attributes:
        code: HAM10000's `dx` value; in upper case, the ISIC column.
        name: the name shown to people.
        nature: "malignant", "pre-malignant" or "benign".
        colour: hexadecimal RGB, the same in every plot.
        description: one line for a class of students.
    """

    code: str
    name: str
    nature: str
    colour: str
    description: str


DIAGNOSES = (
    Diagnosis("mel", "Melanoma", "malignant", "#D55E00", "Cancer of the pigment cells; curable when removed early."),
    Diagnosis("nv", "Melanocytic nevus", "benign", "#0072B2", "The common mole: a benign nest of pigment cells."),
    Diagnosis("bcc", "Basal cell carcinoma", "malignant", "#CC79A7", "The most common skin cancer; it rarely spreads."),
    Diagnosis(
        "akiec",
        "Actinic keratosis / Bowen's disease",
        "pre-malignant",
        "#E69F00",
        "Sun damage of the upper skin that can turn into squamous cell carcinoma.",
    ),
    Diagnosis(
        "bkl",
        "Benign keratosis",
        "benign",
        "#009E73",
        "Seborrhoeic keratoses, solar lentigines and lichen-planus-like keratoses.",
    ),
    Diagnosis("df", "Dermatofibroma", "benign", "#56B4E9", "A firm, harmless nodule of the connective tissue."),
    Diagnosis(
        "vasc", "Vascular lesion", "benign", "#6A6A6A", "Angiomas, angiokeratomas, pyogenic granulomas and bleeding."
    ),
)
CODES = tuple(d.code for d in DIAGNOSES)
BY_CODE = {d.code: d for d in DIAGNOSES}


def check_code(code: object) -> None:
    """Raises a UserError where `code` is not a diagnosis."""
    if code not in CODES:
        raise UserError(f"Diagnosis {shown(code)} is not known; choose {', '.join(CODES)}.")
