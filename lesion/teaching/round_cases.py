"""What a reader round shows of its cases, made once and kept while it is in use."""

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

from PIL import Image

from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.inference.activation_maps import heat_layer
from lesion.teaching.cohort import Cohort
from lesion.teaching.rounds import RoundCase, RoundSettings, draw_round, photograph_of

ROUNDS_KEPT, PICTURES_KEPT = 64, 256
"""Rounds, and photographs and heat maps, that are kept; the least recently used are dropped first."""
MOST_AHEAD = 16
"""Heat maps that are made ahead of their stage at most; beyond them each is made when it is asked for."""
WORKERS = 4
"""Heat maps made at once: they wait for the network's one thread, which takes several in one pass."""


class Heat(NamedTuple):
    """A heat map for the screen.

    Attributes:
        layer: of `lesion.inference.activation_maps.heat_layer`.
        method: how it was made.
        size: of the photograph, width and height, pixels.
        box: the part of the photograph that the model reads: left, top, right, bottom, pixels.
    """

    layer: Image.Image
    method: str
    size: tuple[int, int]
    box: tuple[int, int, int, int]


class Rounds:
    """The rounds of a checkpoint. Its methods may be called from several threads.

    Args:
        cohort: the held-out images.
        photographs: their small copies, as far as there are any; a round has only cases that have one.

    Attributes:
        identity: of the checkpoint.
        cases: `RoundSettings` to the cases of the round, see `draw_round`; may raise a UserError.
        photograph: row of the cohort's table to the photograph, see `photograph_of`.
    """

    def __init__(self, cohort: Cohort, photographs: HeldOutPhotographs):
        self.cohort, self.photographs = cohort, photographs
        self.identity = cohort.predictor.checkpoint.identity
        self.cases = lru_cache(ROUNDS_KEPT)(self._cases)
        self.photograph = lru_cache(PICTURES_KEPT)(self._photograph)
        self._heats: OrderedDict[tuple, Future[Heat]] = OrderedDict()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(WORKERS, "reader-rounds")

    def _cases(self, settings: RoundSettings) -> tuple[RoundCase, ...]:
        return draw_round(self.cohort, self.photographs, settings)

    def _photograph(self, row: int) -> bytes:
        return photograph_of(self.photographs, self.cohort.table.image_id.iloc[row])

    def record(self, case: RoundCase, settings: RoundSettings) -> Metadata:
        """What the model, and in the end the reader, knows of a case beside its photograph."""
        return self.cohort.records[case.row] if "metadata" in settings.stages else Metadata()

    def heat(self, case: RoundCase, settings: RoundSettings) -> Heat:
        """The heat map of the diagnosis that is shown as the most probable one, by the method that measured best.

        Its scale is its own, also where the answer is misleading: on a scale shared with the model's own answer the
        map of a false one would be faint and tell.
        """
        return self._heat(case, settings).result()

    def prepare(self, case: RoundCase, settings: RoundSettings) -> None:
        """Has the heat map made, without waiting for it; not where many are being made already."""
        with self._lock:
            ahead = sum(not heat.done() for heat in self._heats.values())
        if ahead < MOST_AHEAD:
            self._heat(case, settings)

    def _heat(self, case: RoundCase, settings: RoundSettings) -> Future[Heat]:
        record = self.record(case, settings)
        key = case.row, case.explained, record
        with self._lock:
            found = self._heats.get(key)
            if found is None or (found.done() and found.exception()):
                self._heats[key] = found = self._workers.submit(self._make_heat, *key)
            self._heats.move_to_end(key)
            while len(self._heats) > PICTURES_KEPT:
                self._heats.popitem(last=False)
        return found

    def _make_heat(self, row: int, code: str, record: Metadata) -> Heat:
        predictor = self.cohort.predictor
        image = read_image(self.photographs.read(self.cohort.table.image_id.iloc[row]))
        method = predictor.map_methods[0]
        activation_map = predictor.activation_maps(predictor.features(image), record, method, [code])[0]
        heat = predictor.enlarge(activation_map, image.size, method)[:, ::-1]  # as the photograph is shown
        left, top, right, bottom = predictor.config.transform.box(image.size)
        box = image.width - right, top, image.width - left, bottom
        return Heat(heat_layer(heat), method, image.size, box)
