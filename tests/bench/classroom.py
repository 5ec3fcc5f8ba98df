"""How fast the classroom answers: the numbers of every view, a whole tab over HTTP, the cohort, the lab, 20 students.

    python tests/bench/classroom.py [--checkpoint weights] [--seconds 30]

Starts app.py by itself and speaks to it as a browser does: upload, queue, stream of events.
"""

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx
import numpy as np

from conftest import EXAMPLES, start_app
from lesion.calibration import UNIFORM
from lesion.cohort import Cohort
from lesion.explain import OFFERED
from lesion.images import read_image
from lesion.influence import SCALES, Influence
from lesion.lab import Lab, LabSettings
from lesion.metadata import AGES, ALL_AGES, ALL_SEXES, ALL_SITES, SEXES, SITES, Metadata
from lesion.predictor import Predictor, load_predictor

PHOTOGRAPHS = sorted(EXAMPLES.glob("*.jpg"))
CONTROLS = ("dataset", 2, "probability", 20)  # prevalence, share of melanomas, scale, threshold
SWEEPERS, UPLOADERS, TRAINERS = 12, 5, 3


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


class Visitor:
    """A browser's side of Gradio's protocol.

    Args:
        url: of the app.
    """

    def __init__(self, url: str):
        self.url, self.session = url, f"{random.getrandbits(60):x}"
        self.client = httpx.Client(base_url=f"{url}/gradio_api", timeout=120)
        config = httpx.get(f"{url}/config", timeout=60).json()
        # The handler that fills the tabs about a photograph, the body map among them.
        body_map = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "body-map")
        self.show = next(d["id"] for d in config["dependencies"] if body_map in d["outputs"])
        self.train = next(d["id"] for d in config["dependencies"] if d["api_name"] == "train_head")
        self.photograph: dict | None = None

    def upload(self, path: Path) -> None:
        """Uploads a file and keeps it as the photograph."""
        answer = self.client.post("/upload", files={"files": (path.name, path.read_bytes())})
        self.photograph = {"path": answer.json()[0], "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def call(self, function: int, *values: object) -> list:
        """Runs a handler; the values of its outputs.

        Raises:
            RuntimeError: the handler failed.
        """
        payload = {"data": list(values), "fn_index": function, "session_hash": self.session}
        self.client.post("/queue/join", json=payload).raise_for_status()
        with self.client.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    if message["msg"] == "process_completed":
                        if not message["success"]:
                            raise RuntimeError(message["output"])
                        return message["output"]["data"]
        raise RuntimeError("the stream ended without an answer")

    def answer(self, age: str, sex: str, site: str) -> list:
        """The two tabs about the photograph."""
        return self.call(self.show, self.photograph, age, sex, site, "most probable", OFFERED[0], *CONTROLS)


def some_record(generator: random.Random) -> tuple[str, str, str]:
    """An age, a sex and a site."""
    return str(generator.choice(AGES)), generator.choice(SEXES), generator.choice(SITES)


def students(url: str, predictor: Predictor, seconds: float) -> dict[str, list[float]]:
    """A class at work: who uploads, who sweeps, who trains; each checks that the answer is its own.

    Returns:
        The times of each kind of request, seconds; and under "wrong" those of answers that were another's.

    Raises:
        RuntimeError: a request failed.
    """
    # Computed before the class begins, so that checking takes nothing from the server's cores.
    sweeps_of = [Influence(predictor, predictor.features(read_image(path)), Metadata()) for path in PHOTOGRAPHS]
    largest = [influence.sweep.max(-1) for influence in sweeps_of]
    times: dict[str, list[float]] = {"sweep": [], "upload": [], "train": [], "wrong": []}
    end, failures = time.perf_counter() + seconds, []

    def timed(kind: str, function: Callable) -> list:
        started = time.perf_counter()
        answer = function()
        times[kind].append(time.perf_counter() - started)
        return answer

    def check(answer: list, photograph: int, record: tuple[str, str, str]) -> None:
        age, sex, site = record
        place = ALL_AGES.index(float(age)), ALL_SEXES.index(sex), ALL_SITES.index(site)
        shown = float(re.search(r"width:([\d.]+)%", answer[0])[1])  # the longest bar stands first
        if abs(shown - 100 * largest[photograph][place]) > 0.02:
            times["wrong"].append(time.perf_counter())

    def sweeps(number: int, visitor: Visitor, generator: random.Random) -> None:
        photograph = number % len(PHOTOGRAPHS)
        visitor.upload(PHOTOGRAPHS[photograph])
        visitor.answer("unknown", "unknown", "unknown")
        while time.perf_counter() < end:
            record = some_record(generator)
            check(timed("sweep", lambda record=record: visitor.answer(*record)), photograph, record)
            time.sleep(generator.uniform(0.5, 1.5))  # a student looks at the answer

    def uploads(number: int, visitor: Visitor, generator: random.Random) -> None:
        while time.perf_counter() < end:
            photograph, record = generator.randrange(len(PHOTOGRAPHS)), some_record(generator)
            # A byte after the end makes another file of it, so that the backbone runs anew.
            with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
                file.write(PHOTOGRAPHS[photograph].read_bytes() + generator.randbytes(8))
                file.flush()

                def send(path: Path = Path(file.name), record: tuple = record) -> list:
                    visitor.upload(path)
                    return visitor.answer(*record)

                check(timed("upload", send), photograph, record)
            time.sleep(generator.uniform(1, 3))

    def trains(number: int, visitor: Visitor, generator: random.Random) -> None:
        while time.perf_counter() < end:
            settings = [["image", "age", "sex", "site"], "balanced", 20, 0.001, generator.randrange(1000)]
            timed("train", lambda settings=settings: visitor.call(visitor.train, *settings))

    def work(kind: Callable, number: int) -> None:
        try:
            kind(number, Visitor(url), random.Random(number))
        except Exception as error:
            failures.append(error)

    kinds = [sweeps] * SWEEPERS + [uploads] * UPLOADERS + [trains] * TRAINERS
    threads = [threading.Thread(target=work, args=(kind, number)) for number, kind in enumerate(kinds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} student(s) saw an error, the first: {failures[0]!r}")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", default=str(ROOT / "weights"))
    parser.add_argument("--seconds", type=float, default=30, help="that the class works (default %(default)s)")
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
            visitor = Visitor(url)
            visitor.upload(PHOTOGRAPHS[0])
            value, slowest = median_ms(lambda: visitor.answer(*some_record(generator)), 30)
            print(f"both tabs about a photograph, over HTTP   {value:7.0f} ms (slowest of 30: {slowest:.0f})")
            times = students(url, predictor, args.seconds)
            log = (Path(folder) / "log").read_text()
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
    print(f"20 students for {args.seconds:.0f} s: {SWEEPERS} sweep, {UPLOADERS} upload, {TRAINERS} train")
    for kind in ("sweep", "upload", "train"):
        of_kind = times[kind]
        print(
            f"  {kind:7} {len(of_kind):4} requests, median {statistics.median(of_kind):.2f} s, 95th percentile "
            f"{np.percentile(of_kind, 95):.2f} s"
        )
    print(f"  answers that were another's: {len(times['wrong'])}; errors: {log.count('Traceback')}")


if __name__ == "__main__":
    main()
