"""The perceptual hash: near for copies of a photograph, far for others."""

import io

import numpy as np
from PIL import Image
from scipy.fft import dct

from conftest import EXAMPLES
from lesion.data.perceptual_hash import BYTES, distances, perceptual_hash, signs
from lesion.data.reading import read_image


def test_copies_are_near_and_other_photographs_far():
    images = [read_image(path) for path in sorted(EXAMPLES.glob("*.jpg"))]
    hashes = signs(np.stack([perceptual_hash(image) for image in images]))
    for row, image in enumerate(images):
        left = (image.width - image.height) // 2
        square = image.crop((left, 0, left + image.height, image.height))
        for side, quality in ((96, 60), (200, 80), (900, 40)):
            file = io.BytesIO()
            square.resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
            copy = signs(perceptual_hash(read_image(file.getvalue()))[None])
            found = distances(copy, hashes)[0]
            assert found[row] <= 10 and np.delete(found, row).min() > 20, (side, found)


def test_it_is_the_median_of_the_lowest_frequencies():
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
    found = perceptual_hash(Image.fromarray(pixels))
    low = dct(dct(pixels.astype(float), axis=0), axis=1)[:11, :11]
    assert found.shape == (BYTES,) and np.array_equal(np.unpackbits(found)[:121], (low > np.median(low)).ravel())
    assert not np.unpackbits(found)[121:].any()


def test_distances_count_bits():
    one, other = np.random.default_rng(1).integers(0, 255, (2, 5, BYTES), np.uint8)
    expected = [[int(np.unpackbits(a ^ b).sum()) for b in other] for a in one]
    assert distances(signs(one), signs(other)).tolist() == expected
