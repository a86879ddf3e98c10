"""JPEG coding: grey levels, sides, subsampling and the effect of quality."""

import io

import numpy as np
import pytest
from PIL import Image

from limpid.data.degradations import Jpeg, code_jpeg, gaussian_blur, to_eight_bit


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    return np.clip(gaussian_blur(rng.random((70, 85, 3), dtype=np.float32), 2.0) * 2 - 0.5, 0, 1)


@pytest.mark.parametrize(("subsampling", "of_pillow"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
@pytest.mark.parametrize("quality", [10, 47, 95])
def test_another_library_codes_alike(picture, quality, subsampling, of_pillow):
    file = io.BytesIO()
    Image.fromarray(to_eight_bit(picture)).save(file, "JPEG", quality=quality, subsampling=of_pillow)
    expected = np.asarray(Image.open(file), np.int16)
    coded = to_eight_bit(code_jpeg(picture, quality, subsampling)).astype(np.int16)
    # Both libraries follow libjpeg; versions may round the transform and the colours differently.
    assert np.abs(coded - expected).mean() < 0.5
    assert np.abs(coded - expected).max() <= 8


def test_less_quality_is_further_away(picture):
    errors = [np.square(code_jpeg(picture, quality) - picture).mean() for quality in (95, 60, 30, 10)]
    assert errors == sorted(errors)
    # At quality 100 all steps are 1: what is left is rounding, of the transform, the colours and the levels.
    assert np.sqrt(np.square(code_jpeg(picture, 100, "4:4:4") - picture).mean()) < 1 / 255


def test_flat_blocks_stay_flat_and_channels_in_order():
    colour = np.float32([0.8, 0.4, 0.2])
    coded = code_jpeg(np.broadcast_to(colour, (24, 40, 3)).astype(np.float32), 50)
    assert np.ptp(coded, axis=(0, 1)).max() == 0
    np.testing.assert_allclose(coded[0, 0], colour, atol=4 / 255)


def test_quality_is_a_whole_number_within_its_range(picture):
    rng = np.random.default_rng(0)
    drawn = [Jpeg((20, 23))({"target": picture[:8, :8]}, rng)["jpeg_quality"] for _ in range(200)]
    assert set(drawn) == {20, 21, 22, 23}
