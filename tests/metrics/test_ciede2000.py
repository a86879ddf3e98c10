"""CIEDE2000 on the 34 pairs that Sharma, Wu and Dalal published for checking implementations (2005, table 1)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from limpid.errors import UserError
from limpid.metrics import ciede2000
from limpid.metrics.ciede2000 import delta_e, lab

# L*, a*, b* of one colour and of the other, and their difference
SHARMA = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def test_sharmas_pairs() -> None:
    table = torch.from_numpy(np.loadtxt(SHARMA.strip().splitlines(), dtype=float))
    first, second, expected = table[:, :3].T, table[:, 3:6].T, table[:, 6]
    assert len(expected) == 34
    torch.testing.assert_close(delta_e(first, second), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(delta_e(second, first), expected, rtol=0, atol=1e-4)
    oracle = deltaE_ciede2000(first.T.numpy(), second.T.numpy())
    np.testing.assert_allclose(delta_e(first, second).numpy(), oracle, rtol=0, atol=1e-10)


def test_random_colours_against_scikit_image() -> None:
    generator = np.random.default_rng(3)
    images = generator.random((2, 40, 50, 3))
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)
    np.testing.assert_allclose(lab(tensors[0]).permute(1, 2, 0).numpy(), rgb2lab(images[0]), rtol=0, atol=1e-9)
    expected = deltaE_ciede2000(rgb2lab(images[0]), rgb2lab(images[1])).mean()
    assert ciede2000(tensors[:1], tensors[1:]).item() == pytest.approx(expected, abs=1e-9)


def test_greys_differ_in_lightness_only() -> None:
    black, white = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert ciede2000(black, white).item() == pytest.approx(100, abs=1e-2)
    assert ciede2000(white, white).item() == 0


def test_one_channel_is_refused() -> None:
    with pytest.raises(UserError, match="compares colours"):
        ciede2000(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
