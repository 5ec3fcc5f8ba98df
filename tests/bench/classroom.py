"""How fast the classroom answers: the numbers of every view, whole tabs over HTTP, the cohort, the lab.

    python tests/bench/classroom.py [--checkpoint weights]

A class at once is measured in load.py.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx

from conftest import EXAMPLES, start_app
from lesion.data.metadata import ALL_AGES, Metadata
from lesion.data.reading import read_image
from lesion.inference.predictor import Predictor, load_predictor
from lesion.model.calibration import UNIFORM
from lesion.report.similar_cases import NEAREST
from lesion.teaching.cohort import Cohort
from lesion.teaching.influence import SCALES, Influence
from lesion.teaching.lab import Lab, LabSettings
from lesion.teaching.similar import AMONG
from load import Observed, Visitor, some_record, stop

PHOTOGRAPHS = sorted(EXAMPLES.glob("*.jpg"))


def median_ms(function: Callable, rounds: int) -> tuple[float, float]:
    """Median and slowest of a call's times, ms, after one that does not count."""
    function()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times), max(times)


def every_number(predictor: Predictor, features, metadata: Metadata) -> None:
    """What the Metadata influence tab computes when age, sex or site changed."""
    influence = Influence(predictor, features, metadata)
    code = max(influence.three_answers["both"], key=influence.three_answers["both"].get)
    for scale in SCALES:
        influence.shapley(code, scale)
    _ = influence.age_curve, influence.switches, influence.smallest_change
    influence.by_site(code), influence.by_site_and_sex(code)
    influence.at_prevalences({"dataset": None, "uniform": UNIFORM}, "mel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", default=str(ROOT / "weights"))
    parser.add_argument("--rounds", type=int, default=30, help="changes over HTTP (default %(default)s)")
    args = parser.parse_args()
    predictor = load_predictor(args.checkpoint)
    features, generator = predictor.features(read_image(PHOTOGRAPHS[0])), random.Random(0)

    def record() -> Metadata:
        return Metadata(*some_record(generator))

    value, slowest = median_ms(lambda: every_number(predictor, features, record()), 50)
    print(f"numbers of every view on the server       {value:7.1f} ms (slowest of 50: {slowest:.1f})")
    value, slowest = median_ms(lambda: Influence(predictor, features, record()).sweep, 50)
    print(f"of which {len(ALL_AGES)} ages x 3 sexes x 15 sites      {value:7.1f} ms (slowest of 50: {slowest:.1f})")

    def cohort_view() -> None:
        cohort = Cohort(predictor)
        cohort.compare(["image"])
        cohort.importance()

    value, slowest = median_ms(cohort_view, 5)
    print(f"cohort view, 1,000 bootstrap rounds       {value / 1000:7.2f} s  (slowest of 5: {slowest / 1000:.2f})")
    lab = Lab(predictor.checkpoint.held_out(), predictor.config.encoder)
    runs = []
    for seed in range(3):
        started = time.perf_counter()
        for _ in lab.train(LabSettings(seed=seed)):
            pass
        runs.append(time.perf_counter() - started)
    print(
        f"lab run, 20 epochs of five folds          {statistics.median(runs):7.2f} s  (slowest of 3: {max(runs):.2f})"
    )

    with tempfile.TemporaryDirectory() as folder:
        server, url = start_app(args.checkpoint, Path(folder) / "log")
        try:
            found = {tab: asyncio.run(changes(url, args.rounds, tab)) for tab in ("answer", "influence")}
            similar = asyncio.run(similar_cases(url, 4 * args.rounds))
        finally:
            stop(server)
    for tab, times in found.items():
        value, slowest = 1000 * statistics.median(times), 1000 * max(times)
        print(f"{f'tab {tab}, over HTTP':41} {value:7.0f} ms (slowest of {args.rounds}: {slowest:.0f})")
    value, high = 1000 * statistics.median(similar), 1000 * statistics.quantiles(similar, n=20)[-1]
    print(f"similar cases, over HTTP                  {value:7.1f} ms (95th percentile of {len(similar)}: {high:.1f})")


async def changes(url: str, rounds: int, tab: str) -> list[float]:
    """Seconds from another age, sex and site to what a tab then shows."""
    observed, generator = Observed(), random.Random(0)
    photographs = {path.name: path.read_bytes() for path in PHOTOGRAPHS}
    visitor = Visitor(url, httpx.get(f"{url}/config", timeout=60).json(), photographs, observed)
    await visitor.upload(PHOTOGRAPHS[0].name, generator)
    for _ in range(rounds):
        await visitor.timed("change", lambda: visitor.change(generator, tab))
    await visitor.client.aclose()
    if observed.errors:
        raise RuntimeError(observed.errors[0])
    return [seconds for _, seconds in observed.times["change"]]


async def similar_cases(url: str, rounds: int) -> list[float]:
    """Seconds from asking for the cases like a photograph in use, among any or some diagnoses, to having them."""
    observed, generator, times = Observed(), random.Random(0), []
    photographs = {path.name: path.read_bytes() for path in PHOTOGRAPHS}
    visitor = Visitor(url, httpx.get(f"{url}/config", timeout=60).json(), photographs, observed)
    files = []
    for name in photographs:
        await visitor.upload(name, generator)
        files.append(visitor.file)
    for number in range(rounds):
        asked = (files[number % len(files)], *some_record(generator), generator.choice(AMONG))
        started = time.perf_counter()
        answer = await visitor.call(visitor.named["similar_cases"], *asked)
        times.append(time.perf_counter() - started)
        if len(answer[0]["cases"]) != NEAREST:
            raise RuntimeError(answer)
    await visitor.client.aclose()
    return times


if __name__ == "__main__":
    main()
