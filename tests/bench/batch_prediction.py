"""Batch prediction: speed, memory and kills. `python tests/bench/batch_prediction.py --images DIR_OF_PHOTOGRAPHS`.

speed: photographs a second of `lesion.predict`, beside bare batched passes with the data in memory and beside a loop
that reads and predicts one photograph at a time; by the clock and by processor time, which a busy machine changes less.
memory: of all its processes over thousands of files, at 32 pixels, so that it is quick; a page that several processes
share counts once (Linux's PSS). kills: `kill -9` at random moments, then --resume; the table must equal the
uninterrupted one byte for byte. Photographs are linked under as many names as are needed. Prints Markdown tables.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch
from accelerate import PartialState

from lesion.data.reading import read_image
from lesion.hardware import available_cores
from lesion.inference.batch_prediction import BATCHES_IN_A_PART, BatchSettings, predict_images
from lesion.inference.image_folder import find_images
from lesion.inference.predictor import load_predictor
from load import at_size

SMALL = 32
"""Pixels, where the network's time does not matter."""


def link(images: Path, count: int, folder: Path) -> Path:
    """A folder of `count` links to photographs."""
    folder.mkdir()
    paths, _ = find_images(images.resolve())
    for number, path in enumerate(islice(cycle(paths), count)):
        (folder / f"{number:07}{path.suffix}").symlink_to(path)
    return folder


def processor_time() -> float:
    """Of this process and of its children that have ended, seconds."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measure(work: Callable[[], object], photographs: int) -> tuple[float, float]:
    """Photographs a second, and milliseconds of processor time for one."""
    clock, processor = time.perf_counter(), processor_time()
    work()
    return photographs / (time.perf_counter() - clock), 1000 * (processor_time() - processor) / photographs


def speed(args: argparse.Namespace, folder: Path) -> None:
    """Prints the table of speeds."""
    paths, _ = find_images(link(args.images, args.count, folder / "speed"))
    predictor, settings = load_predictor(args.checkpoint), BatchSettings(workers=args.workers)
    transform, model = predictor.config.transform, predictor.model
    inputs = torch.stack([transform(read_image(path)) for path in paths[: settings.batch_size]])
    inputs = inputs.to(model.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(args.count // settings.batch_size // 2):
            with model.autocast():
                model.forward_features(inputs).float().cpu()

    def one_at_a_time() -> None:
        for path in paths[: args.count // 8]:
            predictor.predict(read_image(path))

    def batches() -> None:
        predict_images(PartialState(), args.checkpoint, paths, {}, folder / "speed.csv", settings)

    bare()  # the first pass chooses kernels
    halves = [measure(bare, args.count // 2)]
    found = {"lesion.predict": measure(batches, args.count), "one at a time": measure(one_at_a_time, args.count // 8)}
    halves.append(measure(bare, args.count // 2))
    reference = tuple(sum(pair) / 2 for pair in zip(*halves, strict=True))
    print(f"\n{args.count} photographs, {transform.size} pixels, {predictor.precision}, {available_cores()} cores, "
          f"{settings.workers} processes that read, load average {os.getloadavg()[0]:.1f}.\n")  # fmt: skip
    print("| what | photographs a second | of the bare passes | processor time, ms | of the bare passes |")
    print("| --- | --- | --- | --- | --- |")
    for what, (rate, cost) in {"bare batched passes": reference, **found}.items():
        print(f"| {what} | {rate:.1f} | {rate / reference[0]:.2f} | {cost:.1f} | {reference[1] / cost:.2f} |")


@contextmanager
def prediction(images: Path, output: Path, checkpoint: Path, *options: object) -> Iterator[subprocess.Popen]:
    """A running command, with its processes in a group of their own, all of which are killed at the end."""
    command = [sys.executable, "-m", "lesion.predict", "--images", images, "--output", output]
    command += ["--checkpoint", checkpoint, *options]
    with open(output.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def finished(process: subprocess.Popen, output: Path) -> bytes:
    """The table, when the command is done."""
    assert process.wait() == 0, output.with_suffix(".log").read_text()
    return output.read_bytes()


def finished_parts(output: Path) -> int:
    return len(list(output.with_name(output.name + ".parts").glob("part-*.parquet")))


def memory_of_group(group: int) -> dict[str, float]:
    """Proportional set size of each process of a group, by "main" and "reading", megabytes."""
    sizes = {"main": 0.0, "reading": 0.0}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getpgid(int(folder.name)) == group:
                    line = next(x for x in (folder / "smaps_rollup").read_text().splitlines() if x.startswith("Pss:"))
                    sizes["main" if int(folder.name) == group else "reading"] += int(line.split()[1]) / 1024
            except (OSError, StopIteration):  # it has ended
                pass
    return sizes


def memory(args: argparse.Namespace, folder: Path) -> None:
    """Prints how memory grows over many files."""
    images, output = link(args.images, args.files, folder / "memory"), folder / "memory.csv"
    checkpoint = at_size(args.checkpoint, SMALL, folder / "small")
    in_a_part, samples = BATCHES_IN_A_PART * BatchSettings.batch_size, []
    with prediction(images, output, checkpoint, "--workers", args.workers) as process:
        while process.poll() is None:
            done, sizes = finished_parts(output) * in_a_part, memory_of_group(process.pid)
            if done and sizes["reading"]:
                samples.append((done, sum(sizes.values()), *sizes.values()))
            time.sleep(0.5)
        finished(process, output)
    after = [sample for sample in samples if sample[0] >= 1000]
    print(f"\n{args.files} files, {SMALL} pixels, {args.workers} processes that read, load average "
          f"{os.getloadavg()[0]:.1f}. Memory of all processes, MB:\n")  # fmt: skip
    print("| files predicted | all | main process | processes that read |\n| --- | --- | --- | --- |")
    for sample in after[:: max(1, len(after) // 8)]:
        print(f"| {sample[0]} | {sample[1]:.0f} | {sample[2]:.0f} | {sample[3]:.0f} |")
    print(f"\nAfter the first thousand it grew by at most {max(s[1] for s in after) - after[0][1]:.1f} MB, and by "
          f"{after[-1][1] - after[0][1]:.1f} MB to the end.")  # fmt: skip


def kills(args: argparse.Namespace, folder: Path) -> None:
    """Prints what came of kills at random moments."""
    images, checkpoint = link(args.images, args.count, folder / "kills"), at_size(args.checkpoint, SMALL, folder / "s")
    options = ("--batch-size", 4, "--workers", args.workers)
    started = time.perf_counter()
    with prediction(images, folder / "whole.csv", checkpoint, *options) as process:
        expected = finished(process, folder / "whole.csv")
    seconds, generator, moments = time.perf_counter() - started, random.Random(args.seed), []
    parts = -(-args.count // (4 * BATCHES_IN_A_PART))
    for number in range(args.kills):
        output = folder / f"killed-{number}.csv"
        with prediction(images, output, checkpoint, *options) as process:
            time.sleep(generator.uniform(0, seconds))
        moments.append("finished" if output.exists() else finished_parts(output))
        with prediction(images, output, checkpoint, *options, "--resume") as process:
            assert finished(process, output) == expected, f"after kill {number}, at {moments[-1]} parts"
        assert not output.with_name(output.name + ".parts").exists()
    print(
        f"\n{args.kills} kills at random moments of {seconds:.0f} s, with {json.dumps(moments)} of {parts} parts "
        f"finished, then --resume: {args.kills} tables of {len(expected)} bytes equal the uninterrupted one."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add, every = parser.add_argument, {"speed": speed, "memory": memory, "kills": kills}
    add("what", nargs="*", choices=[*every, []], default=[], help="default: all")
    add("--images", type=Path, required=True, help="folder of photographs, as few as one likes")
    add("--checkpoint", type=Path, default=ROOT / "weights")
    add("--count", type=int, default=1024, help="photographs of speed and kills (default %(default)s)")
    add("--files", type=int, default=20_000, help="photographs of memory (default %(default)s)")
    add("--kills", type=int, default=10)
    add("--seed", type=int, default=0, help="of the moments of the kills (default %(default)s)")
    add("--workers", type=int, default=available_cores())
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for what in args.what or every:
            every[what](args, Path(folder))


if __name__ == "__main__":
    main()
