"""Photograph and metadata to an answer: what the app, the batch command and notebooks call.

from lesion import Metadata, load_predictor
predictor = load_predictor("weights")
prediction = predictor.predict(image, Metadata(age=55, sex="female", site="back"))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from lesion.data.diagnoses import CODES, check_code
from lesion.data.metadata import GRID, Metadata
from lesion.errors import UserError, shown
from lesion.hardware import find_device, prefers_bfloat16
from lesion.inference.activation_maps import (
    METHODS,
    covered_share,
    enlarge,
    offered_methods,
    on_one_scale,
    recorded_maps,
    recording,
    split_backbone,
    unscaled_maps,
)
from lesion.inference.batching import BatchingQueue
from lesion.inference.features import Features, FirstMap
from lesion.model.calibration import EVERYTHING, SUBSETS, UNIFORM, effective, reweight, subset_index
from lesion.model.checkpoint import Checkpoint, load_checkpoint
from lesion.model.fusion import head_logits, one_an_image

PRIORS = ("dataset", "uniform")
"""Diagnoses as common as in the data set, or all equally common."""
MOST_IN_A_PASS = 8
"""Photographs, or heat maps, that share a pass at most: more gain little, and the first would wait for them."""


class PassRequest(NamedTuple):
    """A photograph for the backbone: float32 (3, S, S) by `config.transform`, and its width and height in pixels; and
    the record for which a heat map will be asked next, or None."""

    inputs: torch.Tensor
    size: tuple[int, int]
    metadata: Metadata | None


class MapRequest(NamedTuple):
    """Class activation maps to compute: of a photograph's features and a record, by a method, for some diagnoses."""

    features: Features
    metadata: Metadata
    method: str
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """An answer.

    Attributes:
        probabilities: by diagnosis code, summing to 1.
        metadata: the record it was given.
        prior: how common the diagnoses were taken to be, one of PRIORS.
    """

    probabilities: dict[str, float]
    metadata: Metadata
    prior: str = "dataset"

    @property
    def diagnosis(self) -> str:
        """The code of the most probable diagnosis."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


class Predictor:
    """A checkpoint ready to answer. Its methods may be called from several threads: the network runs in one thread of
    its own, and requests at the same time share a pass.

    Args:
        checkpoint: of `load_checkpoint`; its backbone is changed in place where it runs in bfloat16.
        bfloat16: whether the backbone runs in bfloat16; by default where the device is faster with it.
        device: see `find_device`; its network is moved there.

    Raises:
        UserError: there is no such device.
    """

    def __init__(self, checkpoint: Checkpoint, bfloat16: bool | None = None, device: str | torch.device = "auto"):
        self.checkpoint, self.config = checkpoint, checkpoint.config
        self.model = checkpoint.model.requires_grad_(False).to(find_device(device))
        if prefers_bfloat16(self.model.device) if bfloat16 is None else bfloat16:
            self.model.use_bfloat16()
        self.stages = split_backbone(self.model.backbone)
        self.map_methods = offered_methods(checkpoint.folder, self.stages is not None)
        # Heat maps first: they are short, and the last thing that a visitor waits for.
        self._queue = BatchingQueue({"maps": self.run_maps, "backbone": self.run_backbone}, MOST_IN_A_PASS)

    @property
    def precision(self) -> str:
        """In which the backbone computes: "float32" or "bfloat16"."""
        return "bfloat16" if self.model.in_bfloat16 else "float32"

    def features(self, image: Image.Image, metadata: Metadata | None = None) -> Features:
        """Runs the backbone, the one costly step.

        Args:
            image: any PIL image; `lesion.data.reading.read_image` applies orientation and colour profile.
            metadata: the record for which the first method's heat map of the most probable diagnosis will be asked
                next. Where that method reads the earlier stage, a map made in the same pass takes half of the time
                that it takes later.
        """
        request = PassRequest(self.config.transform(image.convert("RGB")), image.size, metadata)
        return self._queue.ask("backbone", request)

    def run_backbone(self, requests: Sequence[PassRequest]) -> list[Features]:
        """One pass for several photographs; each takes less time than in a pass of its own."""
        batch = torch.stack([request.inputs for request in requests])
        batch = batch.to(self.model.device, memory_format=torch.channels_last)
        explained = METHODS[self.map_methods[0]].earlier and any(r.metadata is not None for r in requests)
        first_maps: list[FirstMap | None] = [None] * len(requests)
        earlier_maps: Any = [None] * len(requests)
        with recording(), self.model.autocast():
            if self.stages is None:
                feature_maps = self.model.forward_features(batch)
            else:
                before, last = self.stages
                earlier_maps = before(batch).requires_grad_(explained)
                feature_maps = last(earlier_maps)
            feature_maps = feature_maps.float()
        embeddings = self.model.pool(feature_maps.detach()).cpu().numpy()
        if explained:
            metadata, known = self.config.encoder.encode([request.metadata or Metadata() for request in requests])
            codes = [CODES[k] for k in self.answers(embeddings, metadata, known).argmax(1)]
            maps = recorded_maps(self.model, earlier_maps, feature_maps, metadata, self.map_methods[0], codes)
            first_maps = [
                None if request.metadata is None else FirstMap(request.metadata, code, on_one_scale(unscaled[None]))
                for request, code, unscaled in zip(requests, codes, maps, strict=True)
            ]
        # Copies, since a part of the batch would keep all of it in memory.
        return [
            Features(
                feature_map.detach().cpu().clone(),
                embedding.copy(),
                request.size,
                None if earlier_map is None else earlier_map.detach().float().cpu().clone(),
                first_map,
            )
            for request, feature_map, embedding, earlier_map, first_map in zip(
                requests, feature_maps, embeddings, earlier_maps, first_maps, strict=True
            )
        ]

    def probabilities(
        self,
        features: Features,
        records: Sequence[Metadata],
        present: np.ndarray = SUBSETS[EVERYTHING],
        prevalence: np.ndarray | None = None,
    ) -> np.ndarray:
        """Calibrated probabilities of one photograph with many records.

        Args:
            features: of the photograph.
            records: N records.
            present: bool (4,) or (N, 4), which of image, age, sex and site the model may look at.
            prevalence: how common each diagnosis is, float (7,); by default as in the data set.

        Returns:
            float64 (N, 7).
        """
        metadata, known = self.config.encoder.encode(records)
        return self.answers(features.embedding[None], metadata, known, present, prevalence)

    def answers(
        self,
        embeddings: np.ndarray,
        metadata: np.ndarray,
        known: np.ndarray,
        present: np.ndarray = SUBSETS[EVERYTHING],
        prevalence: np.ndarray | None = None,
    ) -> np.ndarray:
        """As `probabilities`, from what is already embedded and encoded.

        Args:
            embeddings: float32, of `FusionModel.pool`, N rows, or one for one photograph with N records.
            metadata: float32 (N, WIDTH), and
            known: bool (N, 3), of `MetadataEncoder.encode`.
            present, prevalence: see `probabilities`.

        Returns:
            float64 (N, 7).
        """
        logits = head_logits(self.model.head, embeddings, metadata, present)
        return self.config.calibration.probabilities(logits, self.inputs_read(present, known), prevalence)

    def inputs_read(self, present: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The inputs that an answer depends on: present, known and read by the model, which may read the image alone.

        Args:
            present: bool (4,) or (N, 4), which of image, age, sex and site the model may look at.
            known: bool (N, 3), of `MetadataEncoder.encode`.

        Returns:
            bool (N, 4).
        """
        return effective(present, known & self.config.metadata)

    @cached_property
    def encoded_grid(self) -> tuple[np.ndarray, np.ndarray]:
        """GRID encoded, as `MetadataEncoder.encode` gives it."""
        return self.config.encoder.encode(GRID)

    def predict(
        self, image: Image.Image | Features, metadata: Metadata | None = None, prior: str = "dataset"
    ) -> Prediction:
        """The answer for one photograph.

        Args:
            image: a PIL image, or its features.
            metadata: what is known; by default nothing.
            prior: one of PRIORS.

        Raises:
            UserError: an unknown prior.
        """
        if prior not in PRIORS:
            raise UserError(f"Prior {shown(prior)} is not known; choose {' or '.join(PRIORS)}.")
        features = image if isinstance(image, Features) else self.features(image)
        metadata = metadata or Metadata()
        prevalence = UNIFORM if prior == "uniform" else None
        row = self.probabilities(features, [metadata], prevalence=prevalence)[0]
        return Prediction(dict(zip(CODES, row.tolist(), strict=True)), metadata, prior)

    def prediction_set(self, prediction: Prediction) -> tuple[str, ...]:
        """The conformal set of an answer: codes that contain the true diagnosis for the share of photographs like
        those of the data set that `set_promises` gives.

        The thresholds hold at the data set's prevalence. A prediction at another prior is converted to it, so the same
        photograph and record have the same set whatever the prior.

        Args:
            prediction: of `predict`.

        Returns:
            The codes, the most probable first, as common as in the data set.
        """
        row = np.array([[prediction.probabilities[code] for code in CODES]])
        if prediction.prior == "uniform":
            row = reweight(row, UNIFORM, self.config.calibration.prevalence)
        members = self.config.prediction_sets.sets(row, self._inputs_of(prediction.metadata))[0]
        return tuple(CODES[k] for k in np.argsort(-row[0]) if members[k])

    def set_promises(self, metadata: Metadata) -> np.ndarray:
        """The share of the photographs of each diagnosis whose prediction set contains it, as promised for photographs
        of which this is known; float (7,)."""
        return self.config.prediction_sets.promised[subset_index(self._inputs_of(metadata))[0]]

    def _inputs_of(self, metadata: Metadata) -> np.ndarray:
        """`inputs_read` where nothing that is known is hidden, bool (1, 4)."""
        return self.inputs_read(SUBSETS[EVERYTHING], self.config.encoder.encode([metadata])[1])

    def is_out_of_distribution(self, features: Features) -> bool:
        """Whether the picture is unlike the photographs that the model was trained on."""
        return self.checkpoint.detector.is_out_of_distribution(one_an_image(features.embedding[None])[0])

    def activation_maps(
        self,
        features: Features,
        metadata: Metadata | None = None,
        method: str = "Grad-CAM",
        codes: Sequence[str] = CODES,
    ) -> np.ndarray:
        """Class activation maps on one scale.

        Args:
            features: of the photograph.
            metadata: what is known; by default nothing.
            method: one of `map_methods`.
            codes: K diagnoses.

        Returns:
            float32 (K, h, w) in [0, 1]; the largest value of all K maps is 1 (or all are 0).

        Raises:
            UserError: an unknown method, or one that is not available for this backbone.
        """
        if method not in self.map_methods:
            raise UserError(f"Heat map {shown(method)} is not known; choose {' or '.join(self.map_methods)}.")
        request, first = MapRequest(features, metadata or Metadata(), method, tuple(codes)), features.first_map
        if first and request[1:] == (first.metadata, self.map_methods[0], (first.code,)):
            return first.activation_map
        if METHODS[method].earlier:
            return self._queue.ask("maps", request)
        return self.run_maps([request])[0]  # of the head alone: waiting for a turn would take longer

    def run_maps(self, requests: Sequence[MapRequest]) -> list[np.ndarray]:
        """One pass through what the methods need, for several requests; each takes less time than in a pass of its own.

        Args:
            requests: N, of known methods and diagnoses.

        Returns:
            N arrays as `activation_maps` gives them.
        """
        maps = {}
        for method in {request.method for request in requests}:
            ours = [request for request in requests if request.method == method]
            rows = [(request, code) for request in ours for code in request.codes]
            earlier = METHODS[method].earlier
            stage_maps: list[Any] = [r.features.earlier_map if earlier else r.features.feature_map for r, _ in rows]
            metadata, _ = self.config.encoder.encode([r.metadata for r, _ in rows])
            unscaled = iter(unscaled_maps(self.model, stage_maps, metadata, method, [code for _, code in rows]))
            for request in ours:
                maps[id(request)] = on_one_scale(np.stack([next(unscaled) for _ in request.codes]))
        return [maps[id(request)] for request in requests]

    def enlarge(self, activation_map: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
        """A map of `activation_maps` at its place on the photograph."""
        input_size = self.config.transform.size
        covered = covered_share(self.model.backbone, method, input_size, activation_map.shape[0])
        left, top, right, bottom = self.config.transform.box(size)
        heat = np.zeros(size[::-1], np.float32)  # the network does not see what lies outside the box
        heat[top:bottom, left:right] = enlarge(activation_map, (right - left, bottom - top), covered)
        return heat

    def heat_map(
        self,
        features: Features,
        prediction: Prediction,
        code: str,
        size: tuple[int, int] | None = None,
        method: str | None = None,
    ) -> np.ndarray:
        """Where in a photograph the evidence for a diagnosis is, on one scale with the most probable diagnosis.

        Only these two maps are computed, since each costs a part of a pass where the method reads the earlier stage.

        Args:
            features: of the photograph.
            prediction: the answer to explain.
            code: the diagnosis.
            size: of the map, width and height in pixels; by default the photograph's.
            method: one of `map_methods`; by default the first.

        Returns:
            float32 (height, width) in [0, 1].

        Raises:
            UserError: an unknown diagnosis or method.
        """
        check_code(code)
        method = method or self.map_methods[0]
        codes = list(dict.fromkeys((code, prediction.diagnosis)))
        activation_map = self.activation_maps(features, prediction.metadata, method, codes)[0]
        return self.enlarge(activation_map, size or features.size, method)

    def grad_cam(
        self, image: Image.Image | Features, metadata: Metadata | None = None, target: str | None = None
    ) -> np.ndarray:
        """Grad-CAM of one diagnosis at the photograph's own size, on a scale common to all seven.

        Args:
            image: a PIL image, or its features.
            metadata: what is known; by default nothing.
            target: a diagnosis code; by default the most probable one.

        Returns:
            float32 (H, W) in [0, 1].

        Raises:
            UserError: an unknown target.
        """
        features = image if isinstance(image, Features) else self.features(image)
        target = target or self.predict(features, metadata).diagnosis
        check_code(target)
        return self.enlarge(self.activation_maps(features, metadata)[CODES.index(target)], features.size, "Grad-CAM")


def load_predictor(source: str | Path = "weights", device: str | torch.device = "auto") -> Predictor:
    """Loads a checkpoint: a folder, or "user/name" or "user/name@revision" on the Hugging Face Hub.

    Args:
        source: of the checkpoint.
        device: see `find_device`.

    Raises:
        UserError: it is missing, damaged or inconsistent, or there is no such device.
    """
    return Predictor(load_checkpoint(source), device=device)
