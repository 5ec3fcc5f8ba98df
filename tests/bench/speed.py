"""How near the hardware's limit an answer is: `python tests/bench/speed.py [--image-size 224] [--checkpoint weights]`.

Measures, on the checkpoint's weights at the given input size, what an answer, its maps and a change of the metadata
cost beside one bare forward pass of the backbone and beside the stock way (float32, grad-cam on the whole network),
then an answer over HTTP and the start of the app. In each round everything is measured in turn, so that a busy moment
hits all alike; ratios are of medians. Prints a Markdown table.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx
import numpy as np
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from conftest import EXAMPLES, start_app
from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.hardware import available_cores
from lesion.inference.predictor import Predictor, load_checkpoint, load_predictor
from lesion.teaching.influence import Influence
from load import at_size, call_predict, stop, upload

PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"
RECORDS = [Metadata(age, sex, site) for age in (30, 55, 80) for sex in ("female", "male") for site in ("face", "back")]


class Stock(nn.Module):
    """Photograph to logits with the record fixed: what grad-cam is given when used as its documentation shows."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.model = predictor.model.requires_grad_()  # as a network is when it has been loaded
        self.record = torch.from_numpy(predictor.config.encoder.encode(RECORDS[:1])[0])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images, self.record, torch.ones(1, 1, 4, dtype=torch.bool))[:, 0]


def medians(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each function, ms; one round that does not count, then all in turn in every round."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for counted in [False] + [True] * rounds:
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if counted:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(of_name) for name, of_name in times.items()}


def in_process(folder: Path, rounds: int) -> dict[str, float]:
    """Times of everything that needs no server, ms."""
    predictor, stock = load_predictor(folder), Predictor(load_checkpoint(folder), bfloat16=False)
    network = Stock(stock)
    layer = [network.model.backbone.stages[-1]]
    photograph = read_image(PHOTOGRAPH)
    inputs = predictor.config.transform(photograph)[None].to(memory_format=torch.channels_last)
    features, records = predictor.features(photograph), iter(RECORDS * (2 * rounds + 2))

    @torch.inference_mode()
    def forward(model: nn.Module = predictor.model) -> None:
        with model.autocast():
            model.forward_features(inputs)

    def answer_and_maps() -> None:
        of_photograph = predictor.features(photograph)
        predictor.predict(of_photograph, RECORDS[0])
        predictor.activation_maps(of_photograph, RECORDS[0])

    def stock_maps(codes: int) -> None:
        with torch.inference_mode():
            network(inputs)
        with GradCAM(network, layer) as cam:
            for k in range(codes):
                cam(inputs, [ClassifierOutputTarget(k)])

    def change() -> None:
        record = next(records)
        predictor.predict(features, record)
        predictor.activation_maps(features, record)

    def first_map() -> None:
        prediction = predictor.predict(features, next(records))
        predictor.heat_map(features, prediction, prediction.diagnosis, (300, 225))

    times = medians(
        {
            "forward": forward,
            "float32 forward": lambda: forward(stock.model),
            "answer and maps": answer_and_maps,
            "stock, one": lambda: stock_maps(1),
            "stock, seven": lambda: stock_maps(len(CODES)),
        },
        rounds,
    )
    # Calls of milliseconds apart from those of seconds, which leave caches cold behind them.
    return times | medians(
        {
            "change": change,
            "sweep": lambda: Influence(predictor, features, RECORDS[0]).sweep,
            "first map": first_map,
        },
        10 * rounds,
    )


def photographs(count: int) -> list[bytes]:
    """600×450 JPEGs that no server has seen: the same photograph with one pixel changed."""
    photograph, files = read_image(PHOTOGRAPH), []
    assert photograph.size == (600, 450)
    for index in range(count):
        changed = photograph.copy()
        changed.putpixel((0, 0), tuple(np.random.default_rng(index).integers(0, 256, 3).tolist()))
        buffer = io.BytesIO()
        changed.save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def ask(client: httpx.Client, file: bytes) -> bytes:
    """Uploads a photograph, asks /predict as any program can, and fetches the overlay: a JPEG."""
    overlay = call_predict(client, upload(client, file))[1]
    return client.get(f"/file={overlay['path']}").raise_for_status().content


def over_http(folder: Path, rounds: int) -> dict[str, float]:
    """The start of the app, s; its peak memory, MB; an answer over HTTP, ms."""
    predictor, files = load_predictor(folder), photographs(rounds + 2)
    inputs = predictor.config.transform(read_image(files[0])).unsqueeze(0).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def forward() -> None:
        with predictor.model.autocast():
            predictor.model.forward_features(inputs)

    with tempfile.TemporaryDirectory() as logs:
        started = time.perf_counter()
        server, url = start_app(folder, Path(logs) / "log")
        try:
            client = httpx.Client(base_url=f"{url}/gradio_api", timeout=60)
            ask(client, files.pop())
            first = time.perf_counter() - started
            overlays = iter(files)
            times = medians({"forward beside it": forward, "http": lambda: ask(client, next(overlays))}, rounds)
            with Image.open(io.BytesIO(ask(client, files[0]))) as overlay:
                assert overlay.format == "JPEG" and overlay.size == (600, 450)
            peak = peak_memory(server.pid)
        finally:
            stop(server)
    return {"start": first, "peak": peak, **times}


def peak_memory(pid: int) -> float:
    """The most memory that a process has had resident, MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "weights")
    parser.add_argument("--image-size", type=int, default=224, help="input side, pixels (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        folder = at_size(args.checkpoint, args.image_size, Path(parent) / "checkpoint")
        t = in_process(folder, args.rounds)
        t |= over_http(folder, args.rounds)
        precision = load_predictor(folder).precision
    print(f"Input {args.image_size} px, {available_cores()} cores, {precision}, medians of {args.rounds} rounds.\n")
    print("| what | time | ratio |\n| --- | --- | --- |")
    rows = [
        ("bare forward pass of the backbone", f"{t['forward']:.0f} ms", "1"),
        ("the same in float32", f"{t['float32 forward']:.0f} ms", f"{t['float32 forward'] / t['forward']:.2f}"),
        (
            "answer and Grad-CAM of all seven diagnoses, from the photograph",
            f"{t['answer and maps']:.0f} ms",
            f"{t['answer and maps'] / t['forward']:.2f} of the pass",
        ),
        *(
            (
                f"the stock way, {words}",
                f"{t[key]:.0f} ms",
                f"{t[key] / t['answer and maps']:.1f} times our answer and seven maps",
            )
            for words, key in (("one diagnosis", "stock, one"), ("seven diagnoses", "stock, seven"))
        ),
        ("metadata change: answer and seven Grad-CAM maps", f"{t['change']:.1f} ms", ""),
        ("all 19 ages × 3 sexes × 15 sites", f"{t['sweep']:.1f} ms", ""),
        (
            "metadata change: answer and the map shown first (reruns the last stage)",
            f"{t['first map']:.1f} ms",
            f"{t['first map'] / t['forward']:.2f} of the pass",
        ),
        (
            "HTTP: upload of a 600×450 JPEG, answer, overlay fetched as JPEG",
            f"{t['http']:.0f} ms",
            f"the pass beside it ({t['forward beside it']:.0f} ms) and {t['http'] - t['forward beside it']:.0f} ms",
        ),
        ("start of the app to the first answer", f"{t['start']:.1f} s", ""),
        ("peak memory of the app", f"{t['peak']:.0f} MB", ""),
    ]
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
