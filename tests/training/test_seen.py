"""What a training and `lesion.photographs` write about the photographs that a checkpoint has seen."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from conftest import TINY, make_ham10000, run_command
from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import read_table
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.perceptual_hash import perceptual_hash
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.photograph_store import PhotographStore
from lesion.inference.predictor import load_predictor
from lesion.model.checkpoint import HELD_OUT
from lesion.model.fusion import create_backbone
from lesion.model.held_out import read_held_out
from lesion.model.seen import FILE, SeenPhotographs, hashed_ids, read_seen, together
from lesion.teaching.cohort import Cohort
from lesion.teaching.recognition import Recognised, Recognition
from lesion.training.class_folders import ClassFolders
from lesion.training.pretraining import Classifier, Source, write_start
from lesion.training.seen import seen_by_recorded_start, seen_by_recorded_training, seen_in_folders, write_seen
from lesion.training.start import read_start


@pytest.fixture(scope="module")
def known(checkpoint, ham10000, tmp_path_factory):
    """A copy of the checkpoint whose photographs `lesion.photographs` has hashed."""
    folder = tmp_path_factory.mktemp("seen") / "checkpoint"
    shutil.copytree(checkpoint, folder)
    done = run_command("lesion.photographs", "--data", ham10000, "--checkpoint", folder)
    assert done.returncode == 0 and "Photographs are recognised by hashes" in done.stdout, done.stderr
    return folder


@pytest.fixture
def lesions(tmp_path):
    """A source of photographs of lesions, named by their ids."""
    for number, diagnosis in enumerate(("NV", "NV", "MEL")):
        path = tmp_path / "skin" / diagnosis / f"ISIC_900000{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (80 * number, 90, 90)).save(path)
    return tmp_path / "skin"


def parts(checkpoint, ham10000):
    """The data set's table, with the column "part": training, validation or test."""
    held_out = read_held_out(checkpoint / HELD_OUT).table.set_index("image_id")
    table = read_table(ham10000, verify=False)
    of_image = held_out.test.map({True: "test", False: "validation"})
    return table.assign(part=table.image_id.map(of_image).fillna("training"))


def test_a_training_lists_what_it_read(checkpoint, ham10000):
    seen, table = read_seen(checkpoint), parts(checkpoint, ham10000)
    assert len(seen.ids) == (table.part != "test").sum() and not seen.unlisted
    for row in table.itertuples():
        assert seen.contains_id(row.image_id) == (row.part != "test"), row.image_id


def test_the_command_lists_the_same_for_a_checkpoint_without(checkpoint, ham10000, known, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(known, folder)
    (folder / FILE).unlink()
    write_seen(ham10000, [folder], [])
    assert (folder / FILE).read_bytes() == (known / FILE).read_bytes()
    assert np.array_equal(read_seen(folder).ids, read_seen(checkpoint).ids)


def test_every_photograph_is_recognised_as_of_its_part(ham10000, known):
    """At another size and JPEG quality; a picture of something else is not."""
    predictor = load_predictor(known)
    cohort = Cohort(predictor, rounds=10)
    recognition, store = Recognition(cohort, HeldOutPhotographs(known), {}), PhotographStore(predictor)
    table = parts(known, ham10000)
    for part in ("training", "validation", "test"):
        for row in table[table.part == part].iloc[::12].itertuples():
            copy = known / f"{row.image_id}-copy.jpg"
            read_image(row.path).resize((200, 150), Image.Resampling.BICUBIC).save(copy, quality=70)
            trained_on = part == "training"
            expected = Recognised(trained_on=True) if trained_on else Recognised(row.image_id, CODES[row.label])
            assert recognition.of(store.get(copy)) == expected, (part, row.image_id)
    other = known / "other.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (90, 90, 3), np.uint8)).save(other)
    assert recognition.of(store.get(other)) == Recognised()


def test_without_hashes_only_files_are_recognised(checkpoint, ham10000, tmp_path):
    predictor = load_predictor(checkpoint)
    recognition = Recognition(Cohort(predictor, rounds=10), HeldOutPhotographs(checkpoint), {b"key": ("ISIC_1", "mel")})
    path = next(ham10000.rglob("*.jpg"))
    photograph = PhotographStore(predictor).get(path)
    assert recognition.of(photograph) == Recognised()
    assert recognition.of(replace(photograph, key=b"key")) == Recognised(truth="mel")


def test_hashes_of_another_checkpoint_are_refused(known, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(known, folder)
    (folder / FILE).write_bytes(replace(read_seen(known), held_out_ids="0").content())
    with pytest.raises(UserError, match=r"is of another checkpoint.*lesion\.photographs"):
        Recognition(Cohort(load_predictor(folder), rounds=10), HeldOutPhotographs(folder), {})


def test_the_nearest_photograph_is_found_within_the_threshold():
    hashes = np.random.default_rng(0).integers(0, 255, (30, 16), np.uint8)
    seen = SeenPhotographs(training=hashes[:20], held_out=hashes[20:], threshold=3)
    assert seen.find(hashes[4]).row is None and seen.find(hashes[25]).row == 5
    for flipped, row in ((3, 5), (4, "none")):
        bits = np.unpackbits(hashes[25])
        bits[:flipped] ^= 1
        found = seen.find(np.packbits(bits))
        assert found is None if row == "none" else found.row == row
    assert SeenPhotographs().find(hashes[0]) is None


def test_a_start_says_what_it_has_seen(lesions, tmp_path):
    before = SeenPhotographs(hashed_ids(["ISIC_1"]), ("old.zip",))
    sources = [Source(ClassFolders(lesions), True, 1)]
    stage = {"backbone": TINY, "image_size": 64, "epochs": 1, "sources": [{"images": 3, "classes": 2}]}
    torch.manual_seed(0)
    model = Classifier(create_backbone(TINY), [2], None)
    seen = together(before, seen_in_folders(s.folders for s in sources))
    write_start(tmp_path / "start.safetensors", model, sources, [stage], seen)
    start = read_start(tmp_path / "start.safetensors")
    assert np.array_equal(start.seen.ids, hashed_ids(["ISIC_1", "ISIC_9000000", "ISIC_9000001", "ISIC_9000002"]))
    assert start.seen.unlisted == ("old.zip",) and "unlisted" not in start.description
    model.backbone.load_state_dict(start.backbone)


def test_a_start_of_an_earlier_version_names_its_sources(tmp_path):
    stages = [{"sources": [{"name": "world.zip", "rotated": False}, {"name": "skin.zip", "rotated": True}]}, {}]
    assert seen_by_recorded_start({"stages": stages}).unlisted == ("skin.zip",)
    assert seen_by_recorded_start({"file": "start.safetensors"}).unlisted == ("start.safetensors",)
    assert not seen_by_recorded_start("imagenet").unlisted and not seen_by_recorded_start("scratch").unlisted
    save_file({"weight": torch.ones(1)}, tmp_path / "old.safetensors")
    assert read_start(tmp_path / "old.safetensors").seen.unlisted == ("old.safetensors",)


def test_sources_that_a_checkpoint_does_not_list_can_be_given(known, ham10000, lesions, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(known, folder)
    seen = read_seen(known)
    (folder / FILE).write_bytes(replace(seen, unlisted=("skin", "more.zip")).content())
    write_seen(ham10000, [folder], [lesions])
    listed = read_seen(folder)
    assert listed.unlisted == ("more.zip",) and listed.contains_id("ISIC_9000002")
    assert len(listed.ids) == len(seen.ids) + 3 and np.array_equal(listed.training, seen.training)
    with pytest.raises(UserError, match=r"skin is not among .* Unlisted now: more\.zip"):
        write_seen(ham10000, [folder], [lesions])


def test_what_a_recorded_training_read_beside_the_data_set(checkpoint, ham10000):
    table = read_table(ham10000, verify=False)
    training = {"init": "scratch", "external": {"images": ["skin.zip"]}, "teacher": "weights/small"}
    seen = seen_by_recorded_training(training, table, list(table.image_id[:5]))
    assert seen.unlisted == ("skin.zip", "the start of the teacher small")
    assert len(seen.ids) == len(table) - 5


def test_another_data_set_is_refused(known, ham10000, tmp_path):
    other = make_ham10000(tmp_path / "other", {code: 130 if code == "nv" else 12 for code in CODES})
    with pytest.raises(UserError, match="give the data set that it was trained on"):
        write_seen(other, [known], [])


def test_the_hash_is_of_the_centre_square():
    wide = Image.new("RGB", (300, 200), "pink")
    square = Image.fromarray(np.random.default_rng(3).integers(0, 255, (20, 20, 3), np.uint8)).resize((200, 200))
    wide.paste(square, (50, 0))
    file = io.BytesIO()
    wide.save(file, "PNG")
    assert np.array_equal(perceptual_hash(read_image(file.getvalue())), perceptual_hash(square))
