"""Confirmed cases like a photograph: the held-out photographs that the network embeds most like it.

    similar = SimilarCases(cohort)
    similar.find(features.embedding)                        # of a photograph that is none of the held-out ones
    similar.find(features.embedding, "ISIC_0024329", Subgroup(sex="female"), other_than="nv")

Showing what a network finds similar, with the confirmed diagnoses, is content-based image retrieval; Tschandl et al.,
"Diagnostic accuracy of content-based dermatoscopic image retrieval with deep classification features" (British Journal
of Dermatology 181, 2019), measured it for dermoscopy. How often the nearest cases have the photograph's diagnosis here
is measured by `lesion.report.similar_cases`.
"""

from functools import cached_property

import numpy as np
import pandas as pd

from lesion.data.diagnoses import CODES, check_code
from lesion.errors import UserError, shown
from lesion.model.nearest import NearestHeldOut
from lesion.report.similar_cases import NEAREST
from lesion.teaching.cohort import ANY, Cohort, Subgroup

NOT_A_DOCTOR = "This is what the model finds similar, not what a doctor would."
ANOTHER = "another"
AMONG = (ANY, ANOTHER, *CODES)
"""The diagnoses to look among: any, any other than the model's answer, or one alone."""


def check_among(among: object) -> None:
    """Raises a UserError where `among` is none of AMONG."""
    if among not in AMONG:
        raise UserError(f"Diagnosis {shown(among)} is not known; choose {', '.join(AMONG)}.")


class SimilarCases:
    """The held-out photographs of a checkpoint, by what the network finds similar.

    Args:
        cohort: the held-out photographs.
    """

    def __init__(self, cohort: Cohort):
        self.cohort = cohort

    @cached_property
    def nearest(self) -> NearestHeldOut:
        """Prepared when it is first asked for."""
        return NearestHeldOut(self.cohort.held_out)

    def find(
        self,
        embedding: np.ndarray,
        image_id: str | None = None,
        subgroup: Subgroup | None = None,
        other_than: str | None = None,
    ) -> pd.DataFrame:
        """The nearest cases to a photograph, at most NEAREST, the nearest first.

        Args:
            embedding: float32, of `Features`.
            image_id: of the photograph, where it is a held-out one: photographs of its lesion are left out.
            subgroup: to look among; by default all held-out images.
            other_than: the code of a diagnosis that is left out.

        Returns:
            image_id, lesion_id, diagnosis (a code), dx_type, age, sex, site and similarity (cosine, −1 to 1).

        Raises:
            UserError: the subgroup is empty, or a diagnosis is not known.
        """
        table = self.cohort.table
        candidates = np.zeros(len(table), bool)
        candidates[(subgroup or Subgroup()).rows(table)] = True
        if other_than is not None:
            check_code(other_than)
            candidates &= self.cohort.labels != CODES.index(other_than)
        own = np.array([self.cohort.row_of.get(image_id, -1)])
        rows, similarities = (found[0] for found in self.nearest.find(embedding[None], own, NEAREST, candidates))
        rows, similarities = rows[rows >= 0], similarities[rows >= 0]
        cases = table.iloc[rows][["image_id", "lesion_id", "dx_type", "age", "sex", "site"]]
        diagnoses = [CODES[k] for k in self.cohort.labels[rows]]
        return cases.assign(diagnosis=diagnoses, similarity=similarities.astype(float)).reset_index(drop=True)

    def among(
        self, embedding: np.ndarray, image_id: str | None, among: str, answered: str | None = None
    ) -> pd.DataFrame:
        """As `find`, among the diagnoses that a person chose.

        Args:
            embedding, image_id: of the photograph, see `find`.
            among: one of AMONG.
            answered: the code of the model's answer, which ANOTHER leaves out. It is not the confirmed diagnosis that
                is left out, which a class that looks at the list could then guess.

        Raises:
            UserError: `among` is not known, or no held-out photograph has this diagnosis.
        """
        check_among(among)
        if among == ANOTHER:
            return self.find(embedding, image_id, other_than=answered)
        return self.find(embedding, image_id, Subgroup(diagnosis=among))
