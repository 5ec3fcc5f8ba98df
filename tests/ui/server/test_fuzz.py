"""A fuzzer of everything that comes from outside: image files, values of the API, checkpoint folders. What it is given
is either accepted, and then makes sense, or refused with a UserError; any other exception is a bug.

Its examples are the same in every run; with FUZZ set in the environment they are new ones.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from PIL import Image

from conftest import EXAMPLES, check_sentence
from hostile_values import PARSERS
from image_files import DISPLAY_P3, encoded, small, turned
from lesion.data.metadata import Metadata, MetadataEncoder
from lesion.data.reading import FORMATS, KEPT_PIXELS, read_image
from lesion.errors import UserError
from lesion.files import sha256
from lesion.inference.predictor import Predictor
from lesion.model.checkpoint import DETECTOR, HELD_OUT, MODEL, load_checkpoint

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")  # by default, in the working directory
settings.register_profile(
    "bounded",
    deadline=None,
    database=None,
    derandomize="FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("bounded")

IMAGES = [encoded(small().resize((40, 30)), kind, icc_profile=DISPLAY_P3) for kind in FORMATS]
IMAGES += [turned(small(), 6, kind) for kind in ("JPEG", "TIFF", "WEBP", "AVIF")]
IMAGES += [encoded(small().convert("P"), "PNG"), encoded(small(), "JPEG", progressive=True), encoded(small(), "MPO")]
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, -1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), True])
)
WORDS = st.one_of(
    st.text(max_size=20), st.sampled_from(["unknown", "nan", "55", " Female ", "mel", "own", "x" * 100_000])
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(["set", "insert", "remove", "end"]),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])),
    ),
    min_size=1,
    max_size=6,
)


def edited(content: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    """The content after some changes, each at a share of its length."""
    for share, kind, data in edits:
        at = int(share * len(content))
        behind = {"set": at + len(data), "insert": at, "remove": at + len(data), "end": len(content)}[kind]
        content = content[:at] + (data if kind in ("set", "insert") else b"") + content[behind:]
    return content


@settings(max_examples=800)
@given(st.sampled_from(IMAGES), EDITS)
def test_images(content, edits):
    try:
        image = read_image(edited(content, edits))
    except UserError as error:
        check_sentence(str(error), "an edited image")
    else:
        assert image.mode == "RGB" and image.width * image.height <= KEPT_PIXELS


@settings(max_examples=150)
@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0\x08\0\0\0"]), st.binary())
def test_noise(magic, noise):
    with pytest.raises(UserError):
        read_image(magic + noise)


@settings(max_examples=300)
@given(JSON, JSON, JSON)
def test_records(age, sex, site):
    try:
        record = Metadata(age, sex, site)
    except UserError as error:
        check_sentence(str(error), "a record")
    else:
        encoded_record, _ = MetadataEncoder(50.0, 20.0).encode([record])
        assert np.isfinite(encoded_record).all() and len(record.describe()) < 100


@settings(max_examples=200)
@given(st.sampled_from(sorted(PARSERS)), JSON, JSON, JSON)
def test_values(name, first, second, third):
    try:
        PARSERS[name](first, second, third)
    except UserError as error:
        check_sentence(str(error), name)


@pytest.fixture(scope="module")
def folder(checkpoint, tmp_path_factory):
    """A copy, into which each example puts back the files that the one before it changed."""
    return shutil.copytree(checkpoint, tmp_path_factory.mktemp("fuzz") / "copy", ignore=shutil.ignore_patterns("state"))


PHOTOGRAPH = Image.open(EXAMPLES / "ISIC_0024329.jpg")


def check_folder(folder: Path) -> None:
    """Reads a checkpoint whose config.json names whatever files there are, as one made to deceive would."""
    config = folder / "config.json"
    try:
        document = json.loads(config.read_text())
        document["sha256"] = {name: sha256(folder / name) for name in (MODEL, HELD_OUT, DETECTOR)}
        config.write_text(json.dumps(document))
    except (ValueError, TypeError):
        pass
    try:
        checkpoint = load_checkpoint(folder)
        held_out = checkpoint.held_out()
    except UserError as error:
        assert str(error).rstrip().endswith("."), error
        return
    assert np.isfinite(held_out.embeddings).all() and held_out.table.label.between(0, 6).all()
    predictor = Predictor(checkpoint, bfloat16=False)  # which is not to be measured for each
    features = predictor.features(PHOTOGRAPH)
    prediction = predictor.predict(features, Metadata(55, "male", "back"))
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    predictor.is_out_of_distribution(features)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Where in a JSON document something stands; of a long list, only its beginning."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@settings(max_examples=200)
@given(st.data())
def test_config(folder, checkpoint, data):
    document = json.loads((checkpoint / "config.json").read_text())
    document["training"] = {}
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from(places(document)[1:]))
        owner = document
        for key in path:
            owner = owner[key]
        if isinstance(owner, dict) and data.draw(st.booleans()):
            del owner[last]
        else:
            owner[last] = data.draw(JSON)
    (folder / "config.json").write_text(json.dumps(document))
    check_folder(folder)


@settings(max_examples=80)
@given(st.sampled_from([MODEL, HELD_OUT, DETECTOR, "config.json"]), EDITS)
def test_files(folder, checkpoint, name, edits):
    for file in (MODEL, HELD_OUT, DETECTOR, "config.json"):
        shutil.copyfile(checkpoint / file, folder / file)
    (folder / name).write_bytes(edited((checkpoint / name).read_bytes(), edits))
    check_folder(folder)


@settings(max_examples=80)
@given(st.sampled_from([MODEL, HELD_OUT, DETECTOR]), st.data())
def test_headers_of_tensor_files(folder, checkpoint, name, data):
    """The JSON in front of the tensors, changed so that it is JSON still."""
    for file in (MODEL, HELD_OUT, DETECTOR, "config.json"):
        shutil.copyfile(checkpoint / file, folder / file)
    content = (checkpoint / name).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    place = data.draw(st.sampled_from(places(header)[1:]))
    owner = header
    for key in place[:-1]:
        owner = owner[key]
    types = st.sampled_from(["F64", "F32", "F16", "BF16", "F8_E4M3", "I64", "I8", "U8", "BOOL", "C64"])
    owner[place[-1]] = data.draw(st.one_of(JSON, types, st.lists(st.integers(0, 3000), max_size=3)))
    changed = json.dumps(header).encode()
    (folder / name).write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + length :])
    check_folder(folder)
