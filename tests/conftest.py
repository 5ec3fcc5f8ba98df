"""A small HAM10000-like data set, and a checkpoint trained on it, shared by the tests."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import contextlib
import importlib
import io
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.metadata import SITES

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "weights"
EXAMPLES = ROOT / "lesion" / "ui" / "examples"
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "runs" / "screenshots"))
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
TINY, SECOND = "test_convnext", "test_efficientnet"
"""Backbones of the two made checkpoints."""

try:
    from playwright.sync_api import Page, expect
except ImportError:  # `pytest -m "not browser and not process"` does without it
    Page = expect = None
else:
    expect.set_options(timeout=30_000)  # a busy machine takes its time


STARTERS = {"tiny_app", "two_models_app", "bundled_app", "app", "behind", "holder", "hub", "training", "wheel"}
"""Fixtures that start a program."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests whose fixtures start the browser or another program; those that start one themselves say so."""
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
        if STARTERS & set(item.fixturenames):
            item.add_marker(pytest.mark.process)


def draw_lesion(code: str, generator: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A blob in the diagnosis's colour on skin, with noise."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    centre = generator.uniform(0.35, 0.65, 2) * (width, height)
    inside = np.hypot(x - centre[0], y - centre[1]) < generator.uniform(0.2, 0.35) * height
    colour = np.array([int(DIAGNOSES[CODES.index(code)].colour[i : i + 2], 16) for i in (1, 3, 5)])
    pixels = np.where(inside[..., None], colour, (220, 180, 160)) + generator.normal(0, 25, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make_ham10000(folder: Path, lesions: dict[str, int] | None = None, size=(100, 75), seed=0) -> Path:
    """Writes a data set in Kaggle's layout: two images of every third lesion, some unknown metadata."""
    generator = np.random.default_rng(seed)
    lesions = lesions or {"nv": 60, **{code: 12 for code in CODES if code != "nv"}}
    rows = []
    for code, count in lesions.items():
        for i in range(count):
            age = "" if i % 11 == 0 else str(float(generator.choice(np.arange(30, 85, 5)) if code != "nv" else 30))
            sex = "unknown" if i % 11 == 0 else ("male", "female")[i % 2]
            site = "unknown" if i % 7 == 0 else str(generator.choice(SITES[:4] if code == "nv" else SITES[4:]))
            for _ in range(2 if i % 3 == 0 else 1):
                rows.append((f"HAM_{code}{i:04}", f"ISIC_{len(rows):07}", code, "histo", age, sex, site))
    columns = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    table = pd.DataFrame(rows, columns=columns)
    parts = [folder / "HAM10000_images_part_1", folder / "ham10000_images_part_2"]
    for part in parts:
        part.mkdir(parents=True)
    table.to_csv(folder / "HAM10000_metadata.csv", index=False)
    for index, row in enumerate(table.itertuples()):
        draw_lesion(row.dx, generator, size).save(parts[index % 2] / f"{row.image_id}.jpg")
    return folder


@pytest.fixture(scope="session")
def ham10000(tmp_path_factory) -> Path:
    """A data set of 180 images; do not change it."""
    return make_ham10000(tmp_path_factory.mktemp("data") / "ham10000")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, ham10000) -> Path:
    """A checkpoint of a tiny backbone, fine-tuned for two epochs by train.py; do not change it."""
    from lesion.data.ham10000 import read_table
    from lesion.training.recipes import train
    from train import parse_arguments

    output = tmp_path_factory.mktemp("checkpoint") / "tiny"
    arguments = f"--data {ham10000} --output {output} --backbone {TINY} --init scratch --image-size 64:2 --workers 0"
    args, config = parse_arguments(arguments.split())
    return train(read_table(args.data), config, args.output)


@pytest.fixture(scope="session")
def second_checkpoint(tmp_path_factory, ham10000) -> Path:
    """As `checkpoint`, of another backbone and after one epoch; do not change it."""
    from lesion.data.ham10000 import read_table
    from lesion.training.recipes import train
    from train import parse_arguments

    output = tmp_path_factory.mktemp("second") / "tiny"
    arguments = f"--data {ham10000} --output {output} --backbone {SECOND} --init scratch --image-size 64:1 --workers 0"
    args, config = parse_arguments(arguments.split())
    return train(read_table(args.data), config, args.output)


@pytest.fixture(scope="session")
def corpus() -> list:
    """Image files of every kind, right and wrong: see `image_files.corpus`."""
    from image_files import corpus

    return corpus()


def memory(process: int | str, field: str = "VmRSS") -> float:
    """Of a running process, megabytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def check_sentence(message: object, about: str) -> None:
    """What is said to a person is short, whole, and of our writing."""
    assert isinstance(message, str) and message.endswith(".") and "\n" not in message and len(message) < 500, about
    assert "Traceback" not in message and "object at 0x" not in message, about


def run_command(module: str, *arguments: object) -> subprocess.CompletedProcess:
    """`python -m module arguments`, in this process: a new one takes seconds to import what is here already."""
    main = importlib.import_module(module).main
    out, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(sys, "argv", [module, *map(str, arguments)])
        try:
            main()
        except SystemExit as end:  # as Python does: a message goes to stderr and means 1
            status = end.code or 0
            if isinstance(status, str):
                status = 1
                print(end.code, file=sys.stderr)
    return subprocess.CompletedProcess(sys.argv, status, out.getvalue(), errors.getvalue())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_app(
    checkpoint, log, environment: dict[str, str] | None = None, no_arguments: bool = False
) -> tuple[subprocess.Popen, str]:
    """Starts app.py with a checkpoint, or a tuple of them, on a free port and waits until it answers; `no_arguments`
    says it all in the environment."""
    port, arguments = str(free_port()), []
    url = f"http://127.0.0.1:{port}"
    if no_arguments:
        environment = environment | {"LESION_CHECKPOINT": str(checkpoint), "GRADIO_SERVER_PORT": port}
    else:
        arguments = ["--port", port]
        for folder in checkpoint if isinstance(checkpoint, tuple) else (checkpoint,):
            arguments += ["--checkpoint", str(folder)]
    with open(log, "w") as file:
        server = subprocess.Popen(
            [sys.executable, "app.py", *arguments], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    for _ in range(240):
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return server, url
        except OSError:
            assert server.poll() is None, Path(log).read_text()
            time.sleep(0.5)
    raise AssertionError(f"the app does not answer: {Path(log).read_text()}")


class App(NamedTuple):
    """A running app.py."""

    process: subprocess.Popen
    url: str
    log: Path

    def check(self) -> None:
        """It must still run and must have logged no error."""
        assert self.process.poll() is None, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def running_app(checkpoint, log) -> Iterator[str]:
    """The address of a running app; at the end it must still run and must have logged no error."""
    app = App(*start_app(checkpoint, log), log)
    try:
        yield app.url
        app.check()
    finally:
        app.stop()


@pytest.fixture(scope="session")
def running_tiny_app(checkpoint, tmp_path_factory) -> Iterator[App]:
    """Started once for all modules that ask the tiny checkpoint."""
    log = tmp_path_factory.mktemp("tiny-app") / "log"
    app = App(*start_app(checkpoint, log), log)
    yield app
    app.stop()


@pytest.fixture(scope="session")
def running_bundled_app(tmp_path_factory) -> Iterator[App]:
    """Started once for all modules that ask the bundled checkpoint."""
    log = tmp_path_factory.mktemp("bundled-app") / "log"
    app = App(*start_app(BUNDLED, log), log)
    yield app
    app.stop()


@pytest.fixture(scope="module")
def tiny_app(running_tiny_app) -> Iterator[App]:
    """The app with the tiny checkpoint; checked after each module that used it."""
    yield running_tiny_app
    running_tiny_app.check()


@pytest.fixture(scope="module")
def bundled_app(running_bundled_app) -> Iterator[App]:
    """The app with the bundled checkpoint; checked after each module that used it."""
    yield running_bundled_app
    running_bundled_app.check()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


def pick(page: Page, field: str, value: str) -> None:
    """Chooses from a dropdown as a person does."""
    page.click(f"#{field} input")
    page.get_by_role("option", name=value, exact=True).click()
