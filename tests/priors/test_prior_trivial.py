"""The two trivial rows by hand."""

import numpy as np
import pytest
import torch

from limpid.priors.trivial import Gamma, PercentileStretch


def test_gamma_is_a_power():
    assert Gamma(2.5)(torch.tensor([0, 0.25, 1]).view(1, 3, 1, 1)).flatten().tolist() == [0, 0.25**2.5, 1]


@pytest.mark.parametrize("per_channel", [False, True])
def test_stretch_maps_the_percentiles_to_black_and_white(per_channel):
    x = 0.3 + 0.4 * torch.rand((1, 3, 30, 41), generator=torch.Generator().manual_seed(0))
    values = x[0].double().numpy()
    axis = (1, 2) if per_channel else None
    low, high = (np.percentile(values, percent, axis=axis, keepdims=True) for percent in (2, 95))
    expected = ((values - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(PercentileStretch(2, 95, per_channel)(x)[0].numpy(), expected, atol=1e-5)


def test_stretch_of_the_whole_range_keeps_zero_and_one():
    x = torch.linspace(0, 1, 48).view(1, 3, 4, 4)
    torch.testing.assert_close(PercentileStretch(0, 100)(x), x)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7)])
def test_an_image_without_contrast_is_returned(shape):
    x = torch.full((2, 3, *shape), 0.6)
    assert torch.equal(PercentileStretch()(x), x)


def test_a_batch_is_its_images_alone():
    x = torch.rand((3, 3, 8, 9), generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 0.5, 0.1]).view(
        3, 1, 1, 1
    )
    assert torch.equal(PercentileStretch()(x), torch.cat([PercentileStretch()(image[None]) for image in x]))
