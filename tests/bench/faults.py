"""Does a training survive? `python tests/bench/faults.py` prints the table of faults in the README.

A tiny network is fine-tuned on a small synthetic HAM10000, once without interruption. Then the same training is killed
(SIGKILL to the whole process group, data-loading workers included) at random moments of every phase and resumed each
time, and its checkpoint compared with the uninterrupted one. The other faults are real too: a file size limit and a
full file system, a path that cannot be written, damaged and foreign files, a learning rate that overflows, two
processes under `accelerate launch`. Every row that cannot be shown stops the program.

So that a restart costs no import of PyTorch, the killed processes run train.py's `main` in a fork of an interpreter
that has imported it; the last one, which finishes the training, is `python train.py --resume` itself.
"""

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
import pandas as pd
import torch

import lesion.training.loop
import train
from conftest import TINY, make_ham10000
from lesion.data.diagnoses import CODES
from lesion.model.checkpoint import load_checkpoint
from lesion.training.finetune import TrainingFrames
from lesion.training.loop import all_finite
from lesion.training.state import read_state

CALLERS = [importlib.import_module(f"lesion.training.{name}") for name in ("recipes", "finetune", "head", "loop")]
PHASES = {
    "fit": "fine-tuning",
    "write_state": "saving the state",
    "embed_table": "the embedding pass",
    "fit_head": "training the head",
    "save_checkpoint": "writing the checkpoint",
}
"""The functions whose beginning and end a training announces, wherever CALLERS call them."""
KILLS = {"start": 3, "fit": 9, "write_state": 5, "embed_table": 3, "fit_head": 3, "save_checkpoint": 3}
FULL = 7_000_000
"""Bytes of a file system that holds the earlier checkpoint and the first state, but not the second one beside them."""
ON_CPU = {"ACCELERATE_USE_CPU": "true"}
"""Bit for bit is a promise on CPUs."""
TIMEOUT = 600


@dataclass
class Training:
    """A training to try faults on.

    Attributes:
        data: the data set's folder.
        folder: for everything that is written.
        epochs, workers: of the training.
        seconds: how long each phase of the uninterrupted one took.
    """

    data: Path
    folder: Path
    epochs: int
    workers: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> Path:
        """Where the uninterrupted training wrote."""
        return self.folder / "uninterrupted"

    def arguments(self, output: Path, *more) -> list[str]:
        """The command line of train.py."""
        fixed = f"--backbone {TINY} --init scratch --image-size 64:{self.epochs} --batch-size 16".split()
        given = ["--data", self.data, "--output", output, *fixed, "--workers", self.workers, *more]
        return [str(argument) for argument in given]

    def copy(self, name: str) -> Path:
        """A copy of the finished folder, to be damaged or written over."""
        return Path(shutil.copytree(self.finished, self.folder / name))


def announced(function: Callable, announcements: Connection) -> Callable:
    """`function`, which tells when it begins and ends."""

    def call(*arguments, **options):
        announcements.send((function.__name__, True))
        result = function(*arguments, **options)
        announcements.send((function.__name__, False))
        return result

    return call


def be_train(arguments: list[str], log: Path, announcements: Connection, file_limit: int | None) -> None:
    """What a child process does: train.py's main, in a process group of its own, its output in `log`."""
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # data-loading processes start as they do in train.py
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    os.environ.update(ON_CPU)
    lesion.training.loop.SECONDS_BETWEEN_SAVES = 0.7  # five minutes would be longer than the whole training
    for name in PHASES:
        callers = [module for module in CALLERS if hasattr(module, name)]
        assert callers, name
        told = announced(getattr(callers[0], name), announcements)
        for module in callers:
            setattr(module, name, told)
    sys.argv = ["train.py", *arguments]
    train.main()


class Child:
    """A training in a process of its own.

    Args:
        arguments: of train.py.
        log: file that its output is appended to.
        file_limit: bytes that it may write to one file.
    """

    def __init__(self, arguments: list[str], log: Path, file_limit: int | None = None):
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])  # where preloading looks
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["conftest", "train"])
        self.announcements, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=be_train, args=(arguments, log, theirs, file_limit))
        self.process.start()
        theirs.close()
        self.started = time.monotonic()
        self.phases: list[str] = []
        self.seconds: dict[str, float] = {}

    def follow(self) -> tuple[str, bool]:
        """Waits for the next announcement: a phase, and whether it begins.

        Raises:
            EOFError: the training has ended.
        """
        name, begins = self.announcements.recv()
        now = time.monotonic() - self.started
        if begins:
            self.seconds.setdefault("start", now)
            self.phases.append(name)
            self.seconds[name] = -now
        else:
            self.phases.remove(name)
            self.seconds[name] += now
        return name, begins

    def stay_in(self, phase: str | None, seconds: float) -> None:
        """Waits until a phase begins (None: it is the start), and then some seconds or to its end."""
        while phase is not None and self.follow() != (phase, True):
            pass
        end = time.monotonic() + seconds
        while self.announcements.poll(max(0, end - time.monotonic())):
            if self.follow() == (phase, False):
                return

    def kill(self) -> str:
        """Kills the training and its workers, and names the phase it was in."""
        assert self.process.is_alive(), "the training ended before it was to be killed: make it longer"
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it had not come to make its own group
            self.process.kill()
        self.finish()
        return self.phases[-1] if self.phases else "start"

    def finish(self) -> int:
        """Waits for the end and gives the exit status."""
        with contextlib.suppress(EOFError):
            while True:
                self.follow()
        self.process.join(TIMEOUT)
        return self.process.exitcode


def run(training: Training, output: Path, *more, file_limit: int | None = None) -> tuple[int, str]:
    """Runs a training to its end; gives the exit status and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        status = Child(training.arguments(output, *more), log, file_limit).finish()
        return status, log.read_text()


def command(*arguments, **environment) -> subprocess.CompletedProcess:
    """Runs a command in the repository, with as many threads as this process has."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # bits may depend on it
    environment = os.environ | ON_CPU | threads | environment
    return subprocess.run(
        [str(a) for a in arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT,
        check=False,
    )  # fmt: skip


def refusal(status: int, text: str, *words: str) -> str:
    """The one sentence that a command ended with; it must hold the words and be no traceback."""
    sentences = [line for line in text.splitlines() if line.startswith("error: ")]
    assert status == 1 and len(sentences) == 1 and "Traceback" not in text, text[-3000:]
    assert all(word in sentences[0] for word in words), sentences[0]
    return sentences[0]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a checkpoint folder, without the times of the training."""
    out = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    document = json.loads(out["config.json"])
    del document["training"]["minutes"]
    history = pd.read_csv(folder / "history.csv").drop(columns="minutes")
    return out | {"config.json": json.dumps(document).encode(), "history.csv": history.to_csv().encode()}


def check_equal(folder: Path, expected: Path) -> str:
    """Compares two checkpoint folders bit for bit, but for the times, and names what was compared."""
    ours, theirs = contents(folder), contents(expected)
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    different = [name for name in ours if ours[name] != theirs[name]]
    assert not different, different
    states = [sorted(path.name for path in (f / "state").iterdir()) for f in (folder, expected)]
    assert states[0] == states[1], states
    load_checkpoint(folder)
    return ", ".join(sorted(ours))


def check_untouched(folder: Path, expected: Path) -> None:
    """The earlier checkpoint must load, and every file of it be the same."""
    names = [path.name for path in expected.iterdir() if path.is_file()]
    assert sorted(names) == sorted(path.name for path in folder.iterdir() if path.is_file())
    assert all((folder / name).read_bytes() == (expected / name).read_bytes() for name in names)
    assert not list(folder.rglob("*.partial"))
    load_checkpoint(folder)


def train_uninterrupted(training: Training) -> None:
    """The training that the others are compared with; notes how long its phases take."""
    child = Child(training.arguments(training.finished), training.folder / "uninterrupted.log")
    assert child.finish() == 0, (training.folder / "uninterrupted.log").read_text()
    training.seconds = child.seconds


def moments(kills: dict[str, int], seconds: dict[str, float], generator: random.Random) -> list[list[tuple]]:
    """Random moments in the order of a training, each as steps of `Child.stay_in`.

    Fine-tuning is stopped at uniform random points of its whole length; those at which it is to be hit while it saves
    wait for the next saving from there on.
    """
    during = ["fit"] * kills["fit"] + ["write_state"] * kills["write_state"] + ["start"] * kills["start"]
    generator.shuffle(during)
    points = iter(sorted(generator.uniform(0, 0.85) for kind in during if kind != "start"))
    out, reached = [], 0.0
    for kind in during:
        if kind == "start":
            out.append([(None, generator.uniform(0, seconds["start"]))])
            continue
        point = next(points)
        steps = [("fit", (point - reached) * seconds["fit"])]
        if kind == "write_state":
            steps.append((kind, generator.uniform(0, seconds[kind])))
        out.append(steps)
        reached = point
    for kind in ("embed_table", "fit_head", "save_checkpoint"):
        out += [[(kind, generator.uniform(0, seconds[kind]))] for _ in range(kills[kind])]
    return out


def killed(training: Training, kills: dict[str, int] = KILLS, seed: int = 0) -> str:
    """Kills a training at random moments, resumes it each time, and compares its checkpoint."""
    output, log = training.folder / "killed", training.folder / "killed.log"
    hit, halves = Counter(), 0
    for steps in moments(kills, training.seconds, random.Random(seed)):
        child = Child(training.arguments(output, "--resume"), log)
        for step in steps:
            child.stay_in(*step)
        hit[child.kill()] += 1
        halves += any(output.rglob("*.partial"))
    last = command(sys.executable, "train.py", *training.arguments(output, "--resume"))
    assert last.returncode == 0, last.stderr
    compared = check_equal(output, training.finished)
    names = {"start": "the start"} | PHASES
    where = ", ".join(f"{hit[name]} during {words}" for name, words in names.items() if hit[name])
    return (
        f"{hit.total()} kills: {where}; {halves} left half-written files. `--resume` went on every time and the final "
        f"folder equals the uninterrupted one bit for bit, but for the times in it ({compared})"
    )


def full_disk_at_the_state(training: Training) -> str:
    """A new training in the folder of a finished one, where the state finds no room."""
    folder = training.copy("full at the state")
    status, text = run(training, folder, "--seed", 1, file_limit=2_000_000)
    sentence = refusal(status, text, "last.pt cannot be written", "File too large")
    check_untouched(folder, training.finished)
    return sentence


def full_disk_at_the_checkpoint(training: Training) -> str:
    """A training whose checkpoint finds no room."""
    folder = training.copy("full at the checkpoint")
    status, text = run(training, folder, "--resume", file_limit=300_000)
    sentence = refusal(status, text, "model.safetensors cannot be written", "File too large")
    check_untouched(folder, training.finished)
    status, text = run(training, folder, "--resume")
    assert status == 0, text
    check_equal(folder, training.finished)
    return sentence


def in_private_mount(training: Training, name: str, mount: str, *more) -> tuple[int, str, Path]:
    """Runs train.py on a copy of the finished folder after `mount`, a shell command that only this process sees."""
    folder, after = training.copy(name), training.folder / f"after {name}"
    script = f'{mount} && "$@"; status=$?; cp -a "$OUTPUT" "$AFTER"; exit $status'
    done = command(
        "unshare", "-rm", "sh", "-c", script, "sh", sys.executable, ROOT / "train.py",
        *training.arguments(folder, *more), OUTPUT=str(folder), FINISHED=str(training.finished), AFTER=str(after),
    )  # fmt: skip
    return done.returncode, done.stderr, after


def full_file_system(training: Training) -> str:
    """A file system that fills up while the second state is written."""
    mount = f'mount -t tmpfs -o size={FULL} tmpfs "$OUTPUT" && cp "$FINISHED"/*.* "$OUTPUT"'
    status, text, after = in_private_mount(training, "full file system", mount, "--seed", 1)
    sentence = refusal(status, text, "cannot be written (No space left on device)")
    check_untouched(after, training.finished)
    assert read_state(after / "state" / "last.pt")["step"] == 0
    return sentence


def read_only_file_system(training: Training) -> str:
    """A folder that is mounted read-only."""
    mount = 'mount --bind "$OUTPUT" "$OUTPUT" && mount -o remount,bind,ro "$OUTPUT"'
    status, text, after = in_private_mount(training, "read-only file system", mount, "--seed", 1)
    sentence = refusal(status, text, "cannot be written (Read-only file system)")
    check_untouched(after, training.finished)
    return sentence


def output_that_cannot_be(training: Training) -> str:
    """An output folder under a file."""
    (training.folder / "a file").write_text("")
    status, text = run(training, training.folder / "a file" / "output")
    return refusal(status, text, "cannot be written", "choose another place")


def unreadable_cache(training: Training) -> str:
    """Embeddings of which half is missing."""
    folder = training.copy("unreadable cache")
    cache = next((folder / "state").glob("embeddings-*"))
    os.truncate(cache, cache.stat().st_size // 2)
    return computed_again(training, folder)


def cache_of_another_data_set(training: Training) -> str:
    """Embeddings of other images, copied to the name of these."""
    folder = training.copy("other cache")
    other = make_ham10000(training.folder / "other data", lesions=dict.fromkeys(CODES, 10), seed=1)
    frozen = Training(other, training.folder, 1, 0)
    status, text = run(frozen, training.folder / "frozen", "--recipe", "frozen")
    assert status == 0, text
    theirs = next((training.folder / "frozen" / "state").glob("embeddings-*"))
    shutil.copy(theirs, next((folder / "state").glob("embeddings-*")))
    return computed_again(training, folder)


def computed_again(training: Training, folder: Path) -> str:
    """The sentence on a cache that is not used; the checkpoint must come out the same."""
    status, text = run(training, folder, "--resume")
    assert status == 0, text
    sentences = [line for line in text.splitlines() if "computing the embeddings again" in line]
    assert len(sentences) == 1, text
    check_equal(folder, training.finished)
    return sentences[0]


def damaged_state(training: Training) -> str:
    """A state with one bit flipped, one cut short, one that is no state, and one of another data set."""
    folder = training.copy("damaged state")
    path = folder / "state" / "last.pt"
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = bytearray(whole)
    flipped[middle] ^= 1
    for damaged in (whole[:middle], b"nothing", bytes(flipped)):
        path.write_bytes(damaged)
        status, text = run(training, folder, "--resume")
        sentence = refusal(status, text, "last.pt cannot be read", "remove it")
        check_untouched(folder, training.finished)
    return sentence


def state_of_another_data_set(training: Training) -> str:
    """A training that is to go on with other images."""
    folder = training.copy("other state")
    data = make_ham10000(training.folder / "changed data", seed=2)
    status, text = run(Training(data, training.folder, training.epochs, 0), folder, "--resume")
    sentence = refusal(status, text, "belongs to a run with other settings: data set=", "--resume")
    check_untouched(folder, training.finished)
    return sentence


def loss_that_is_not_finite(training: Training) -> str:
    """Both recipes with a learning rate that overflows, in the second step or where the only one of an epoch ends."""
    for recipe, batch in (("frozen", 16), ("frozen", 128), ("finetune", 128), ("finetune", 16)):
        folder = training.copy(f"not finite {recipe} {batch}")
        options = ("--recipe", recipe, "--batch-size", batch, "--learning-rate", 1e30)
        status, text = run(training, folder, *options)
        sentence = refusal(status, text, " step ", "(learning rate ", "lower --learning-rate")
        check_untouched(folder, training.finished)
    state = read_state(folder / "state" / "last.pt")
    assert all(bool(tensor.isfinite().all()) for part in ("model", "ema") for tensor in state[part].values())
    return sentence


def observe(folder: Path, trainings: list[str]) -> None:
    """Runs trainings one after the other (their command lines parted by "+"), noting which examples each reads."""
    get = TrainingFrames.__getitem__

    def noted(self, index):
        with open(notes, "a") as file:
            print(index, file=file)
        return get(self, index)

    TrainingFrames.__getitem__ = noted
    for number, arguments in enumerate(" ".join(trainings).split(" + ")):
        notes = folder / f"{number}-{os.environ['RANK']}"
        sys.argv = ["train.py", *arguments.split()]
        train.main()


def two_processes(training: Training) -> str:
    """Two processes: what each trains on, what they evaluate to, and that both stop where the loss is not finite."""
    folder = training.folder / "two"
    notes = folder / "notes"
    notes.mkdir(parents=True)
    finished = Path(shutil.copytree(training.finished, folder / "finished"))
    next((finished / "state").glob("embeddings-*")).unlink()  # so that the two have to compute them
    (finished / "config.json").unlink()
    trained = training.arguments(folder / "trained", "--workers", 0)  # which read in the order of training
    evaluated = training.arguments(finished, "--resume")
    diverging = training.arguments(folder / "diverging", "--learning-rate", 1e30)
    # On CPUs `--cpu` starts two processes only through MPI, and one without it; `--multi_gpu` always starts them.
    done = command(
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1,
        "--main_process_port", 0, "--mixed_precision", "no", "--dynamo_backend", "no", __file__, "--observe", notes,
        *trained, "+", *evaluated, "+", *diverging,
    )  # fmt: skip
    assert done.stdout.count("Wrote ") == 2, f"one process speaks, of two trainings: {done.stdout} {done.stderr}"
    images = json.loads((folder / "trained" / "config.json").read_text())["training"]["images"]["training"]
    shares = [np.loadtxt(notes / f"0-{rank}", dtype=int).reshape(training.epochs, -1) for rank in (0, 1)]
    for epoch in range(training.epochs):
        read = np.sort(np.concatenate([share[epoch] for share in shares]))
        assert np.array_equal(read, np.arange(images)), f"epoch {epoch}"
    assert not list(notes.glob("1-*")), "nothing is left to train in a finished training"
    assert all_finite(load_checkpoint(folder / "trained").model)
    compared = check_equal(finished, training.finished)
    stops = [line for line in done.stderr.splitlines() if "error: " in line and "learning rate" in line]
    assert done.returncode != 0 and stops, done.stderr[-3000:]
    assert not (folder / "diverging" / "config.json").exists()
    return (
        f"each of the {images} training images was read once in each of {training.epochs} epochs "
        f"({len(shares[0][-1])} and {len(shares[1][-1])} in the last); validation metrics and embeddings of a finished "
        f"training equal the single process's bit for bit ({compared}); not finite stops both: {stops[0]}"
    )


FAULTS = {
    "the state finds no room (largest file 2 MB), an earlier checkpoint in the folder": full_disk_at_the_state,
    "the checkpoint finds no room (0.3 MB), an earlier one in the folder; then resumed": full_disk_at_the_checkpoint,
    "`--output` under a file": output_that_cannot_be,
    "cached embeddings cut in half": unreadable_cache,
    "cached embeddings of another data set under the right name": cache_of_another_data_set,
    "`--resume` from a state cut in half, of other bytes, or with one bit flipped": damaged_state,
    "`--resume` with another data set": state_of_another_data_set,
    "`--learning-rate 1e30`, both recipes": loss_that_is_not_finite,
}
"""What is done to a finished training's folder, and what must come out; the tests go through them too."""
MOUNTED = {
    "file system full at the second saving (tmpfs), an earlier checkpoint in it": full_file_system,
    "output mounted read-only, an earlier checkpoint in it": read_only_file_system,
}
"""The same on file systems of their own, where the system lets anyone mount them (Linux, `unshare`)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--epochs", type=int, default=8, help="of the training (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default %(default)s)")
    parser.add_argument("--observe", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.observe:
        observe(Path(args.observe[0]), args.observe[1:])
        return
    with tempfile.TemporaryDirectory() as folder:
        training = Training(make_ham10000(Path(folder) / "data"), Path(folder), args.epochs, workers=2)
        train_uninterrupted(training)
        faults = {"killed at random moments, resumed": lambda training: killed(training, seed=args.seed), **FAULTS}
        if shutil.which("unshare") and command("unshare", "-rm", "true").returncode == 0:
            faults |= MOUNTED
        faults["two processes (`accelerate launch`)"] = two_processes
        print("| what was done | what came out |\n| --- | --- |", flush=True)
        for what, fault in faults.items():
            print(f"| {what} | {fault(training).replace(folder, '…')} |", flush=True)


if __name__ == "__main__":
    main()
