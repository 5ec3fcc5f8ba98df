"""Is this a dermoscopic photograph at all? A classifier of seven diagnoses gives every picture one of the seven.

The score is the squared Mahalanobis distance of the image embedding to the training embeddings along their 256
strongest principal components (Mahalanobis distance for this purpose: Lee et al., "A simple unified framework for
detecting out-of-distribution samples and adversarial attacks", 2018). A fine-tuned backbone puts nearly all variance
into a few directions. Unusual pictures differ in the others, where photographs of lesions hardly vary, so the
covariance is not shrunk. On tuning pictures of `lesion.report.out_of_distribution_images`, at the same rate of false
alarms, this detected more than scikit-learn's Ledoit-Wolf estimate, than the distance off the strongest components
(Wang et al., "ViM", 2022), than the nearest training embedding (Sun et al., 2022) and than the relative Mahalanobis
distance (Ren et al., 2021).
"""

from dataclasses import dataclass

import numpy as np

COMPONENTS = 256
SMALLEST_VARIANCE = 1e-9
"""Of a component relative to the strongest. Less is only rounding: LayerNorm removes one direction."""
FALSE_ALARM_RATE = 0.02
"""On the validation part. With 1,000 photographs there, a rate above 3 % on new ones is unlikely."""
METHOD = (
    f"the distance of the picture's features from those of the training photographs (Mahalanobis, along their "
    f"{COMPONENTS} strongest principal components)"
)


@dataclass(frozen=True)
class MahalanobisDetector:
    """Tells embeddings like those of the training part from others.

    Attributes:
        mean: of the training embeddings, float32 (D,).
        whitening: the components, each divided by its standard deviation, float32 (K, D).
        threshold: a larger score is out of distribution.
        false_alarm_rate: the share of the validation part above the threshold, at most.
    """

    mean: np.ndarray
    whitening: np.ndarray
    threshold: float
    false_alarm_rate: float

    def score(self, embeddings: np.ndarray) -> np.ndarray:
        """Squared distance to the training embeddings: float (N, D), from the pass that predicts, to float32 (N,).
        A photograph like the training part's scores about K."""
        return np.square((embeddings - self.mean) @ self.whitening.T).sum(1)

    def is_out_of_distribution(self, embedding: np.ndarray) -> bool:
        """Whether the embedding of one picture, float (D,), is unlike that of a dermoscopic photograph."""
        return bool(self.score(embedding[None])[0] > self.threshold)

    def arrays(self) -> dict[str, np.ndarray]:
        """What to store, by name; `from_arrays` reads it."""
        limits = np.array([self.threshold, self.false_alarm_rate], np.float64)
        return {"mean": self.mean, "whitening": self.whitening, "limits": limits}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "MahalanobisDetector":
        """The detector that gave these `arrays`.

        Raises:
            KeyError: an array is missing.
            ValueError: shapes do not fit, or values are out of range.
        """
        mean, whitening, limits = (arrays[name] for name in ("mean", "whitening", "limits"))
        if mean.ndim != 1 or whitening.ndim != 2 or whitening.shape[1:] != mean.shape or limits.shape != (2,):
            raise ValueError(f"the shapes {mean.shape}, {whitening.shape} and {limits.shape} do not fit each other")
        if not all(np.isfinite(x).all() for x in (mean, whitening, limits)) or limits[0] <= 0 or not 0 < limits[1] < 1:
            raise ValueError("there are values that are not finite, or limits out of range")
        return cls(mean, whitening, float(limits[0]), float(limits[1]))


def fit_detector(
    training: np.ndarray, validation: np.ndarray, false_alarm_rate: float = FALSE_ALARM_RATE
) -> MahalanobisDetector:
    """Components from the training part, the threshold from the validation part.

    Args:
        training: float (N, D), pooled image embeddings.
        validation: float (M, D).
        false_alarm_rate: the share of the validation part that may be called out of distribution.
    """
    mean = training.mean(0, dtype=np.float64)
    variances, components = np.linalg.eigh(np.cov(training, rowvar=False, dtype=np.float64))  # in ascending order
    variances, components = variances[::-1][:COMPONENTS], components.T[::-1][:COMPONENTS]
    real = variances > SMALLEST_VARIANCE * variances[0]
    whitening = components[real] / np.sqrt(variances[real])[:, None]
    whitening = np.ascontiguousarray(whitening, np.float32)  # safetensors stores rows in this order
    unlimited = MahalanobisDetector(mean.astype(np.float32), whitening, np.inf, false_alarm_rate)
    # One of the scores themselves, so that no more than the given share lies above it.
    threshold = np.quantile(unlimited.score(validation), 1 - false_alarm_rate, method="higher")
    return MahalanobisDetector(unlimited.mean, unlimited.whitening, float(threshold), false_alarm_rate)
