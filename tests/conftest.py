"""A small HAM10000-like data set, and a checkpoint trained on it, shared by the tests."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.metadata import SITES

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "weights"
EXAMPLES = ROOT / "lesion" / "ui" / "examples"
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "runs" / "screenshots"))
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
TINY = "test_convnext"
expect.set_options(timeout=30_000)  # a busy machine takes its time


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_app(
    checkpoint, log, environment: dict[str, str] | None = None, no_arguments: bool = False
) -> tuple[subprocess.Popen, str]:
    """Starts app.py on a free port and waits until it answers; `no_arguments` says it all in the environment."""
    port, arguments = str(free_port()), []
    url = f"http://127.0.0.1:{port}"
    if no_arguments:
        environment = environment | {"LESION_CHECKPOINT": str(checkpoint), "GRADIO_SERVER_PORT": port}
    else:
        arguments = ["--checkpoint", str(checkpoint), "--port", port]
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


def running_app(checkpoint, log) -> Iterator[str]:
    """The address of a running app; at the end it must still run and must have logged no error."""
    process, url = start_app(checkpoint, log)
    yield url
    alive = process.poll() is None
    process.terminate()
    process.wait(20)
    assert alive, log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


def pick(page: Page, field: str, value: str) -> None:
    """Chooses from a dropdown as a person does."""
    page.click(f"#{field} input")
    page.get_by_role("option", name=value, exact=True).click()
