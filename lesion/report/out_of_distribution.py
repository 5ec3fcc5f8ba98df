"""How well out-of-distribution images are detected: images that are not dermoscopic photographs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lesion.metrics.bootstrap import mean_with_interval
from lesion.model.out_of_distribution import METHOD, MahalanobisDetector
from lesion.report.out_of_distribution_images import far, near


def out_of_distribution_report(
    detector: MahalanobisDetector,
    embed: Callable[[Image.Image], np.ndarray],
    embeddings: np.ndarray,
    weights: np.ndarray,
    photographs: Sequence[Path],
) -> dict:
    """False alarms on the test part, and how many out-of-distribution images are detected, ready for JSON.

    Args:
        detector: fitted.
        embed: from an image to its embedding, float (D,), as the app computes it.
        embeddings: float (N, D), of the test part.
        weights: of `lesion.metrics.bootstrap.bootstrap_weights`, float (rounds, N).
        photographs: some of the test part's, to blur and to cover; see `lesion.report.out_of_distribution_images.near`.

    Returns:
        "method"; "false-alarm rate on validation"; "false alarms on test" with "value" and "interval"; "families" by
        name with "far", "images" and "caught", the share detected; and "far caught", the share of all far images.

    Raises:
        UserError: scikit-image, whose samples are scored, is not installed; a photograph cannot be read.
    """
    alarms = (detector.score(embeddings) > detector.threshold).astype(float)
    families, detected_far = {}, []
    for is_far, of_source in ((True, far("report")), (False, near("report", photographs))):
        for name, images in of_source.items():
            detected = [detector.is_out_of_distribution(embed(image)) for image in images]
            families[name] = {"far": is_far, "images": len(images), "caught": float(np.mean(detected))}
            detected_far += detected if is_far else []
    return {
        "method": METHOD,
        "false-alarm rate on validation": detector.false_alarm_rate,
        "false alarms on test": mean_with_interval(alarms, weights),
        "families": families,
        "far caught": float(np.mean(detected_far)),
    }
