"""config.json of a checkpoint: everything but the arrays."""

from dataclasses import asdict, dataclass

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.data.metadata import OLDEST, SEXES, SITES, MetadataEncoder
from lesion.data.transforms import CROP_MODES, ImageTransform
from lesion.errors import shown
from lesion.hardware import PRECISIONS
from lesion.model.calibration import Calibration
from lesion.model.conformal import PredictionSets
from lesion.model.fusion import FUSIONS

FORMAT = 4
DETECTOR, DETECTOR_OF_FORMAT_2 = "out_of_distribution.safetensors", "familiarity.safetensors"


@dataclass(frozen=True)
class CheckpointConfig:
    """Everything but the arrays.

    Attributes:
        backbone: timm model name.
        fusion: how image and metadata are joined, one of `lesion.model.fusion.FUSIONS`.
        transform: of prediction.
        encoder: of the metadata.
        calibration: of the probabilities.
        prediction_sets: what they promise, and their thresholds.
        embedding_precision: in which the backbone computed the stored embeddings: "float32", "bfloat16" or "float16".
        training: how the model was made, for people: start, data, recipe, seeds, minutes, versions.
    """

    backbone: str
    fusion: str
    transform: ImageTransform
    encoder: MetadataEncoder
    calibration: Calibration
    prediction_sets: PredictionSets
    embedding_precision: str
    training: dict

    @property
    def metadata(self) -> bool:
        """Whether the model reads metadata."""
        return self.fusion != "none"

    def to_document(self, hashes: dict[str, str]) -> dict:
        """What config.json holds; `from_document` is the inverse.

        Args:
            hashes: hexadecimal SHA-256 of the checkpoint's other files, by name.
        """
        return {
            "format": FORMAT,
            "backbone": self.backbone,
            "fusion": self.fusion,
            "diagnoses": CODES,
            "sexes": SEXES,
            "sites": SITES,
            "image": asdict(self.transform),
            "encoder": asdict(self.encoder),
            "calibration": {k: np.asarray(v).tolist() for k, v in vars(self.calibration).items()},
            "prediction_sets": {k: np.asarray(v).tolist() for k, v in vars(self.prediction_sets).items()},
            "embedding_precision": self.embedding_precision,
            "training": self.training,
            "sha256": hashes,
        }


def from_format_3(document: dict) -> dict:
    """A document of format 3 as one of format 4.

    Format 3 promises one coverage to every diagnosis with a threshold of its own, on average over validation parts, and
    nothing to the others, which share the "pooled" threshold of all diagnoses.

    Raises:
        KeyError, TypeError, ValueError: it lacks something.
    """
    sets = document["prediction_sets"]
    pooled = np.array(sets["pooled"], dtype=bool)
    return {
        **document,
        "format": FORMAT,
        "prediction_sets": {
            "promised": np.where(pooled, 0.0, float(sets["coverage"])).tolist(),
            "thresholds": sets["thresholds"],
            "confident": [False] * len(pooled),
        },
    }


def from_format_2(document: dict) -> dict:
    """A document of format 2 as one of format 3. It can go as soon as weights/ is of format 3 or later.

    Format 2 has no crop_mode, since it always squeezes the whole photograph, and other names for some values.

    Raises:
        KeyError, TypeError, AttributeError: it lacks something.
    """
    calibration, hashes = dict(document["calibration"]), dict(document["sha256"])
    calibration["prior_correction_exponents"] = calibration.pop("strengths")
    hashes[DETECTOR] = hashes.pop(DETECTOR_OF_FORMAT_2)
    return {
        **document,
        "format": 3,
        "image": {"crop_mode": "squash", **document["image"]},
        "calibration": calibration,
        "prediction_sets": document["conformal"],
        "embedding_precision": PRECISIONS[document["training"]["mixed_precision"]],
        "sha256": hashes,
    }


def from_document(document: dict) -> CheckpointConfig:
    """Reads and checks the content of a config.json of format 4.

    Raises:
        KeyError: something is missing.
        TypeError, ValueError, AttributeError, OverflowError: something is of another type, or out of range.
    """
    for name, expected in (("diagnoses", CODES), ("sexes", SEXES), ("sites", SITES)):
        if tuple(document[name]) != expected:
            raise ValueError(f"{name} are {shown(document[name])}, not {list(expected)}")
    if not isinstance(document["backbone"], str) or document["fusion"] not in FUSIONS:
        raise ValueError(f"backbone must be a name and fusion one of {', '.join(FUSIONS)}")
    if document["embedding_precision"] not in PRECISIONS.values():
        raise ValueError(f"embedding_precision must be one of {', '.join(PRECISIONS.values())}")
    encoder = MetadataEncoder(**{k: float(v) for k, v in document["encoder"].items()})
    if not 0 <= encoder.age_mean <= OLDEST or not 1e-3 < encoder.age_std <= OLDEST:
        raise ValueError("the encoder's age_mean and age_std must be years")
    return CheckpointConfig(
        document["backbone"],
        document["fusion"],
        read_transform(document["image"]),
        encoder,
        read_calibration(document["calibration"]),
        read_prediction_sets(document["prediction_sets"]),
        document["embedding_precision"],
        dict(document["training"]),
    )


def read_transform(image: dict) -> ImageTransform:
    """The transform of a document; raises as `from_document`."""
    transform = ImageTransform(
        int(image["size"]), int(image["working_size"]), of_channels(image["mean"]), of_channels(image["std"]),
        str(image["crop_mode"]),
    )  # fmt: skip
    if transform.crop_mode not in CROP_MODES:
        raise ValueError(f"the image's crop_mode must be one of {', '.join(CROP_MODES)}")
    if not (32 <= transform.size <= 2048 and 32 <= transform.working_size <= 100_000):
        raise ValueError(f"image sizes {transform.size} and {transform.working_size} are out of range")
    if not all(abs(x) < 1e3 for x in transform.mean) or not all(1e-3 < x < 1e3 for x in transform.std):
        raise ValueError("the image's mean and std must be numbers, std positive")
    return transform


def of_channels(values: list) -> tuple[float, float, float]:
    """A value for red, green and blue; raises as `from_document`."""
    if len(values) != 3:
        raise ValueError("the image's mean and std must have three values")
    red, green, blue = map(float, values)
    return red, green, blue


def read_calibration(values: dict) -> Calibration:
    """The calibration of a document; raises as `from_document`."""
    calibration = Calibration(**{k: np.array(v, dtype=np.float64) for k, v in values.items()})
    shapes = [x.shape for x in vars(calibration).values()]
    if shapes != [(7,), (7,), (16,), (16,)]:
        raise ValueError(f"calibration has the shapes {shapes}, not 7, 7, 16 and 16")
    if not all(np.all((x > 1e-9) & (x < 1e9)) for x in vars(calibration).values()):
        raise ValueError("calibration has values that are not positive numbers, or are out of range")
    return calibration


def read_prediction_sets(values: dict) -> PredictionSets:
    """The prediction sets of a document; raises as `from_document`."""
    prediction_sets = PredictionSets(
        np.array(values["promised"], dtype=np.float64),
        np.array(values["thresholds"], dtype=np.float64),
        np.array(values["confident"], dtype=bool),
    )
    promised, thresholds, confident = vars(prediction_sets).values()
    if not promised.shape == thresholds.shape == (16, 7) or confident.shape != (16,):
        raise ValueError("prediction_sets must have promises and thresholds for 16 subsets and 7 diagnoses")
    if not all(np.all((x >= 0) & (x <= 1)) for x in (promised, thresholds)):
        raise ValueError("the promises and the thresholds of prediction_sets must be from 0 to 1")
    return prediction_sets
