"""What a checkpoint has seen: seen_photographs.safetensors."""

import hashlib

import numpy as np
import pytest

from lesion.errors import UserError
from lesion.model.seen import FILE, SeenPhotographs, hashed_id, hashed_ids, read_seen


def test_ids_are_kept_as_parts_of_their_hash(tmp_path):
    ids = ["ISIC_0000007", "ISIC_0000001", "ISIC_0000001_downsampled"]
    (tmp_path / FILE).write_bytes(SeenPhotographs(hashed_ids(ids), ("old.zip",)).content())
    seen = read_seen(tmp_path)
    assert seen.unlisted == ("old.zip",) and len(seen.ids) == 2
    assert hashed_id("ISIC_0000007") == int(hashlib.sha256(b"ISIC_0000007").hexdigest()[:16], 16)
    assert all(seen.contains_id(image_id) for image_id in (*ids, "ISIC_0000007_downsampled"))
    assert not any(seen.contains_id(image_id) for image_id in ("ISIC_0000002", "isic_0000001", ""))
    assert b"ISIC_" not in (tmp_path / FILE).read_bytes()


def test_a_checkpoint_that_does_not_say_and_a_damaged_file(tmp_path):
    assert not read_seen(tmp_path).contains_id("ISIC_0000001") and not len(read_seen(tmp_path).ids)
    content = SeenPhotographs(hashed_ids(["a"])).content()
    wrong = SeenPhotographs(np.array([0.5])).content()
    for bad in (b"", content[:-4], wrong, content.replace(b'"ids"', b'"xyz"'), content.replace(b'"[]"', b'"[1"')):
        (tmp_path / FILE).write_bytes(bad)
        with pytest.raises(UserError, match=r"cannot be read .* lesion\.photographs"):
            read_seen(tmp_path)
