"""A class at once: `python tests/bench/load.py [--users 30] [--seconds 60] [--soak 2000] [--image-size 224]`.

Starts app.py, speaks to it as a browser does (upload, queue, stream of events) and prints a Markdown table of

- a class: every ten seconds all users open their next photograph at the same moment; until then each changes age, sex
  and site or downloads the table of all 855 combinations, with pauses of one to three seconds;
- visitors: the same actions, uploads among them, each user at a pace of its own;
- a class with a training lab that runs without a pause beside it;
- many distinct uploads one after another, then as many calls of programs that name no session, of which Gradio makes a
  new one each time: to see whether memory grows.

Each answer is compared with what the same photograph and record give in a sequential run afterwards, so that one
visitor's answer to another would be seen. Uploads are compared with a queue that does nothing but bare forward passes
of the backbone, one after another, for requests that come at the very same moments.
"""

import argparse
import asyncio
import csv
import io
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx
import numpy as np
import torch

from conftest import start_app
from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import find_file
from lesion.data.metadata import AGES, SEXES, SITES, Metadata
from lesion.data.reading import read_image
from lesion.hardware import available_cores
from lesion.inference.predictor import Predictor, load_predictor
from lesion.model.checkpoint import CONFIG

CONTROLS = ("any", "dataset", 2, "probability", 20, "any field")
"""Similar cases among, prevalence, share of melanomas, scale, threshold, what a smallest change may change."""
LAB = (["image", "age", "sex", "site"], "balanced", 20, 0.001, 0)
WAVE = 10.0
"""Seconds between two photographs of a class."""
TOLERANCE = 2e-4
"""Of a probability: passes that several photographs share round differently, and bars have two digits of a percent."""

Record = tuple[str, str, str]


@dataclass
class Observed:
    """What happened: (start, seconds) of each kind of request, answers to compare, and what went wrong."""

    times: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    answers: list[tuple[str, Record, list[float]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def some_record(generator: random.Random) -> Record:
    """An age, a sex and a site, as the page sends them."""
    return str(generator.choice(AGES)), generator.choice(SEXES), generator.choice(SITES)


class Visitor:
    """A browser's side of Gradio's protocol.

    Args:
        url: of the app.
        config: the app's /config.
        photographs: name to file content.
        observed: where to note what happens.
    """

    def __init__(self, url: str, config: dict, photographs: dict[str, bytes], observed: Observed):
        self.client = httpx.AsyncClient(base_url=f"{url}/gradio_api", timeout=300)
        self.session, self.photographs, self.observed = f"{random.getrandbits(60):x}", photographs, observed
        body_map = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "body-map")
        self.show = next(d["id"] for d in config["dependencies"] if body_map in d["outputs"])
        self.named = {d["api_name"]: d["id"] for d in config["dependencies"] if d["api_name"]}
        self.method = next(c["props"]["value"] for c in config["components"] if c["props"].get("elem_id") == "method")
        self.name, self.file = "", {}

    async def call(self, function: int, *values: object) -> list:
        """Runs a handler; the values of its outputs.

        Raises:
            RuntimeError: the handler failed.
        """
        question = {"data": list(values), "fn_index": function, "session_hash": self.session}
        joined = await self.client.post("/queue/join", json=question)
        if joined.is_error:
            raise RuntimeError(joined.text)
        async with self.client.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            async for line in stream.aiter_lines():
                if '"process_completed"' in line:
                    message = json.loads(line.removeprefix("data:"))
                    if not message["success"]:
                        raise RuntimeError(message["output"])
                    return message["output"]["data"]
        raise RuntimeError("the stream ended without an answer")

    async def timed(self, kind: str, action: Callable[[], Awaitable[None]]) -> None:
        """Does something and notes how long it took, or that it failed."""
        began, started = time.time(), time.perf_counter()
        try:
            await action()
        except Exception as error:
            self.observed.errors.append(f"{kind}: {error!r}")
        else:
            self.observed.times.setdefault(kind, []).append((began, time.perf_counter() - started))

    async def change(self, generator: random.Random, tab: str | None = None) -> None:
        """Another age, sex and site of the same photograph: what the tab in view shows then, "answer" or "influence",
        by default either."""
        record, tab = some_record(generator), tab or generator.choice(["answer", "influence"])
        answer = await self.call(self.show, self.file, *record, "most probable", self.method, *CONTROLS, tab, False)
        # Of the three answers side by side the last is the one from everything.
        widths = re.findall(r"width:([\d.]+)%", answer[0]) or re.findall(r"width:([\d.]+)%", answer[5])[2::3]
        self.observed.answers.append((self.name, record, [float(width) / 100 for width in widths]))

    async def upload(self, name: str, generator: random.Random) -> None:
        """Another photograph, and its answer."""
        sent = await self.client.post("/upload", files={"files": (name, self.photographs[name])})
        self.name, self.file = name, {"path": sent.raise_for_status().json()[0], "meta": {"_type": "gradio.FileData"}}
        await self.change(generator, "answer")

    async def sweep(self, generator: random.Random) -> None:
        """The table of all combinations: a row of it is compared."""
        answer = await self.call(self.named["sweep"], self.file, "unknown", "unknown", "unknown", "dataset", 2)
        table = (await self.client.get(f"/file={answer[0]['path']}")).raise_for_status().text
        row = generator.choice(list(csv.DictReader(io.StringIO(table))))
        probabilities = [float(row[code.upper()]) for code in CODES]
        self.observed.answers.append((self.name, (row["age"], row["sex"], row["localization"]), probabilities))

    async def train(self) -> None:
        """A run of the training lab."""
        await self.call(self.named["train_head"], *LAB)


async def work(visitor: Visitor, names: list[str], generator: random.Random, end: float, together: bool) -> None:
    """A user until `end`: uploads with the class, or at a pace of its own; changes and sweeps in between."""
    started = time.time()
    await visitor.timed("upload", lambda: visitor.upload(names.pop(), generator))
    wave = 1
    while time.time() < end:
        pause, next_wave = generator.uniform(1, 3), started + wave * WAVE
        if together and time.time() + pause > next_wave:
            await asyncio.sleep(max(0.0, next_wave - time.time()))
            wave += 1
            action = "upload"
        else:
            await asyncio.sleep(pause)
            action = generator.choices(["upload", "change", "sweep"], [0 if together else 3, 6, 1])[0]
        if time.time() >= end or not names:
            return
        if action == "upload":
            await visitor.timed(action, lambda: visitor.upload(names.pop(), generator))
        elif visitor.file:
            await visitor.timed(action, lambda action=action: getattr(visitor, action)(generator))


async def run_class(
    url: str, config: dict, photographs: dict[str, bytes], shares: list[list[str]], seconds: float, together: bool,
    lab: bool,
) -> Observed:  # fmt: skip
    """Users at work at the same time, each of whom takes photographs off a share of them: none comes twice."""
    observed, end = Observed(), time.time() + seconds
    visitors = [Visitor(url, config, photographs, observed) for _ in range(len(shares) + lab)]
    tasks = [
        work(visitor, share, random.Random(number), end, together)
        for number, (visitor, share) in enumerate(zip(visitors, shares, strict=False))
    ]
    if lab:

        async def train() -> None:
            while time.time() < end:
                await visitors[-1].timed("train", visitors[-1].train)

        tasks.append(train())
    await asyncio.gather(*tasks)
    for visitor in visitors:
        await visitor.client.aclose()
    return observed


async def soak(url: str, config: dict, photographs: dict[str, bytes], pid: int) -> tuple[Observed, dict[int, float]]:
    """Every photograph once, two at a time; the server's memory after every eighth of them, MB."""
    observed, memory, names = Observed(), {}, list(photographs)
    marks = {round(len(photographs) * part / 8) for part in range(1, 9)}

    async def visit(number: int) -> None:
        visitor, generator = Visitor(url, config, photographs, observed), random.Random(number)
        while names:
            await visitor.timed("upload", lambda: visitor.upload(names.pop(), generator))
            done = len(photographs) - len(names)
            if done in marks:
                memory[done] = resident(pid)
        await visitor.client.aclose()

    await asyncio.gather(visit(0), visit(1))
    return observed, memory


def upload(client: httpx.Client, file: bytes) -> dict:
    """A photograph on the server, as an endpoint's input."""
    path = client.post("/upload", files={"files": ("photograph.jpg", file)}).raise_for_status().json()[0]
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def call_predict(client: httpx.Client, image: dict) -> list:
    """What /predict gives a program that names no session.

    Raises:
        RuntimeError: no answer.
    """
    asked = client.post("/call/predict", json={"data": [image, "55", "female", "back", "most probable"]})
    event = asked.raise_for_status().json()["event_id"]
    lines = client.get(f"/call/predict/{event}").raise_for_status().text.splitlines()
    if "event: complete" not in lines:
        raise RuntimeError(lines)
    return json.loads(lines[lines.index("event: complete") + 1].removeprefix("data: "))


def programs(url: str, photograph: bytes, calls: int, pid: int) -> dict[int, float]:
    """The same question again and again; the server's memory after every eighth of the calls, MB."""
    memory, marks = {}, {round(calls * part / 8) for part in range(1, 9)}
    with httpx.Client(base_url=f"{url}/gradio_api", timeout=300) as client:
        image = upload(client, photograph)
        for done in range(1, calls + 1):
            call_predict(client, image)
            if done in marks:
                memory[done] = resident(pid)
    return memory


def at_size(checkpoint: Path, image_size: int, folder: Path) -> Path:
    """A copy of a checkpoint that reads photographs at another size."""
    shutil.copytree(checkpoint, folder)
    document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    document["image"]["size"] = image_size
    (folder / CONFIG).write_text(json.dumps(document), encoding="utf-8")
    return folder


def stop(server: subprocess.Popen) -> None:
    """Ends the app, by force if need be."""
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()


def resident(pid: int) -> float:
    """Memory of a process, MB (Linux)."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def bare_passes(predictor: Predictor, photograph: bytes, rounds: int = 40) -> list[float]:
    """Times of forward passes of the backbone, s."""
    inputs = predictor.config.transform(read_image(photograph))[None].to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode(), predictor.model.autocast():
        for _ in range(rounds + 1):
            started = time.perf_counter()
            predictor.model.forward_features(inputs)
            times.append(time.perf_counter() - started)
    return times[1:]


def queue_of_passes(began: list[float], one: float) -> list[float]:
    """Seconds from coming to leaving a first-come queue whose every visit takes `one` second(s)."""
    free, waits = 0.0, []
    for start in sorted(began):
        free = max(free, start) + one
        waits.append(free - start)
    return waits


def wrong_answers(predictor: Predictor, photographs: dict[str, bytes], answers: list) -> int:
    """How many answers are not what the photograph and the record give by themselves."""
    wrong, features = 0, {}
    for name, record, probabilities in answers:
        if name not in features:
            features[name] = predictor.features(read_image(photographs[name]))
        expected = predictor.predict(features[name], Metadata(*record)).probabilities.values()
        wrong += not np.allclose(sorted(probabilities), sorted(expected), rtol=0, atol=TOLERANCE)
    return wrong


def spread(times: list[tuple[float, float]]) -> str:
    """Requests of a kind: how many, median and 95th percentile in seconds."""
    seconds = [s for _, s in times]
    return f"{len(seconds)}: {np.median(seconds):.2f}, {np.percentile(seconds, 95):.2f}" if seconds else "none"


def describe(name: str, observed: Observed, one: float, wrong: int) -> str:
    """A row of the table."""
    uploads = observed.times["upload"]
    queue = np.percentile(queue_of_passes([began for began, _ in uploads], one), 95)
    ratio = np.percentile([s for _, s in uploads], 95) / queue
    cells = [name, *(spread(observed.times.get(kind, [])) for kind in ("upload", "change", "sweep"))]
    cells += [f"{queue:.2f}", f"{ratio:.2f}", f"{wrong} of {len(observed.answers)}", str(len(observed.errors))]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "weights")
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60, help="of each run (default %(default)s)")
    parser.add_argument("--soak", type=int, default=2000, help="distinct uploads, at most 3,005 (default %(default)s)")
    parser.add_argument("--image-size", type=int, help="input side, pixels (default: the checkpoint's own)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.image_size:
            args.checkpoint = at_size(args.checkpoint, args.image_size, Path(folder) / "checkpoint")
        measure(args, Path(folder) / "log")


def measure(args: argparse.Namespace, log: Path) -> None:
    """Runs everything that the arguments say and prints the tables; the app writes to `log`."""
    predictor = load_predictor(args.checkpoint)
    with zipfile.ZipFile(find_file(args.checkpoint)) as archive:
        photographs = {name: archive.read(name) for name in archive.namelist()[: max(args.soak, 1200)]}
    first = next(iter(photographs.values()))
    passes = bare_passes(predictor, first)
    runs = {
        f"a class of {args.users}": {"together": True, "lab": False},
        f"{args.users} visitors": {"together": False, "lab": False},
        f"a class of {args.users}, a lab beside it": {"together": True, "lab": True},
    }
    found = {}
    server, url = start_app(args.checkpoint, log)
    try:
        config = httpx.get(f"{url}/config", timeout=60).json()
        shares = [list(photographs)[number :: args.users] for number in range(args.users)]
        # Two waves that do not count: libraries prepare for each size of a shared pass when it first comes.
        asyncio.run(run_class(url, config, photographs, shares, 1.5 * WAVE, together=True, lab=False))
        for name, options in runs.items():
            found[name] = asyncio.run(run_class(url, config, photographs, shares, args.seconds, **options))
            passes += bare_passes(predictor, first)  # the machine is not the same all the time
        distinct = dict(list(photographs.items())[: args.soak])
        soaked, memory = asyncio.run(soak(url, config, distinct, server.pid))
        of_programs = programs(url, first, args.soak, server.pid)
        alive, traces = server.poll() is None, log.read_text().count("Traceback")
    finally:
        stop(server)
    one, size = float(np.median(passes)), predictor.config.transform.size
    precision = predictor.precision
    low, high = (1000 * np.percentile(passes, part) for part in (10, 90))
    print(
        f"{available_cores()} cores, {precision}, {size} px: a bare forward pass takes {1000 * one:.0f} ms, the median "
        f"before, between and after the runs (a tenth took under {low:.0f}, a tenth over {high:.0f}).\n"
    )
    print("Each kind of request: how many, median and 95th percentile in seconds; the queue's 95th percentile.\n")
    print("| users | uploads | changes | sweeps | queue of bare passes | ratio | wrong answers | errors |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, observed in found.items():
        print(describe(name, observed, one, wrong_answers(predictor, photographs, observed.answers)))
    print()
    for name, observed in found.items():
        if "train" in observed.times:
            print(f"{name}: runs of the lab {spread(observed.times['train'])} s.")
    wrong = wrong_answers(predictor, photographs, soaked.answers)
    print(f"Distinct uploads, two at a time {spread(soaked.times['upload'])} s; wrong answers {wrong}.")
    for what, measured in (("uploads", memory), ("calls of programs after them", of_programs)):
        table = ", ".join(f"{count}: {mb:.0f} MB" for count, mb in sorted(measured.items()))
        print(f"Memory of the server after so many {what}: {table}.")
    for error in sorted({error for observed in (*found.values(), soaked) for error in observed.errors})[:9]:
        print(error)
    print(f"The server {'runs' if alive else 'has ended'}; tracebacks in its log: {traces}.")


if __name__ == "__main__":
    main()
