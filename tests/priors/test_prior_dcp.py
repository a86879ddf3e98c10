"""The dark channel prior on a scene that fulfils it, and soft matting against a dense solution."""

import numpy as np
import pytest
import torch

from limpid.errors import UserError
from limpid.priors.dcp import DCP, REFINEMENTS
from limpid.priors.matting import matting_laplacian, soft_matting

AIRLIGHT = torch.tensor([0.8, 0.9, 1.0])


def scene_with_a_dark_channel(transmission):
    """Clear and hazy `(3, 60, 60)`: random colours with black dots, and an open sky of airlight."""
    clear = torch.rand((3, 60, 60), generator=torch.Generator().manual_seed(0))
    clear[:, ::3, ::3] = 0
    hazy = clear * transmission + AIRLIGHT.view(3, 1, 1) * (1 - transmission)
    hazy[:, :20, :20] = AIRLIGHT.view(3, 1, 1)
    return clear, hazy


@pytest.mark.parametrize("transmission", [0.3, 0.6, 0.9])
def test_transmission_and_airlight_of_a_scene_that_fulfils_the_prior(transmission):
    clear, hazy = scene_with_a_dark_channel(transmission)
    estimate = DCP(patch=5, omega=1.0, refinement="none").estimate(hazy[None])
    torch.testing.assert_close(estimate.airlight[0], AIRLIGHT)
    far = (slice(None), slice(None), slice(30, None), slice(30, None))
    torch.testing.assert_close(estimate.transmission[far], torch.full((1, 1, 30, 30), transmission))
    torch.testing.assert_close(estimate.restored[far][0], clear[:, 30:, 30:], atol=1e-5, rtol=0)
    torch.testing.assert_close(estimate.scene_depth, -estimate.transmission.log())


def test_omega_keeps_a_share_of_the_haze():
    _, hazy = scene_with_a_dark_channel(0.6)
    estimate = DCP(patch=5, omega=0.95, refinement="none").estimate(hazy[None])
    assert estimate.transmission[0, 0, 50, 50].item() == pytest.approx(1 - 0.95 * 0.4, abs=1e-6)


def test_the_sky_is_divided_by_the_floor_at_the_least():
    _, hazy = scene_with_a_dark_channel(0.6)
    estimate = DCP(patch=5, omega=1.0, transmission_floor=0.2, refinement="none").estimate(hazy[None])
    assert estimate.transmission.min().item() == pytest.approx(0.2)
    torch.testing.assert_close(estimate.restored[0, :, 5, 5], AIRLIGHT)


@pytest.mark.parametrize("refinement", REFINEMENTS)
def test_a_constant_image_comes_back(refinement):
    image = torch.tensor([0.5, 0.6, 0.7]).view(1, 3, 1, 1).expand(2, 3, 8, 9)
    torch.testing.assert_close(DCP(refinement=refinement)(image), image, atol=1e-6, rtol=0)


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2), (17, 9)])
def test_any_size_works_and_stays_in_range(shape, refinement):
    image = torch.rand((2, 3, *shape), generator=torch.Generator().manual_seed(0))
    restored = DCP(refinement=refinement)(image)
    assert restored.shape == image.shape
    assert 0 <= restored.min() <= restored.max() <= 1


def test_a_black_image_stays_black():
    assert torch.equal(DCP()(torch.zeros(1, 3, 6, 6)), torch.zeros(1, 3, 6, 6))


def test_a_batch_is_its_images_alone(scene):
    batch = torch.stack([scene, scene.flip(1)])
    singles = [DCP().estimate(image[None]) for image in batch]
    for name, together in DCP().estimate(batch)._asdict().items():
        assert torch.equal(together, torch.cat([getattr(single, name) for single in singles])), name


def test_an_unknown_refinement_is_named():
    with pytest.raises(UserError, match="did you mean 'matting'"):
        DCP(refinement="mating")


def direct_laplacian(image, epsilon):
    """Levin et al.'s definition: a sum over windows and over pairs of their pixels."""
    height, width, _ = image.shape
    laplacian = np.zeros((height * width, height * width))
    for top in range(height - 2):
        for left in range(width - 2):
            cells = [(top + y, left + x) for y in range(3) for x in range(3)]
            colours = np.array([image[cell] for cell in cells])
            mean = colours.mean(0)
            inverse = np.linalg.inv(np.cov(colours.T, bias=True) + epsilon / 9 * np.eye(3))
            for i, one in enumerate(cells):
                for j, other in enumerate(cells):
                    affinity = (1 + (colours[i] - mean) @ inverse @ (colours[j] - mean)) / 9
                    place = one[0] * width + one[1], other[0] * width + other[1]
                    laplacian[place] += (i == j) - affinity
    return laplacian


def test_matting_laplacian_is_its_definition(scene):
    image = scene[:, :7, :6].double().permute(1, 2, 0).numpy()
    laplacian = matting_laplacian(image, 1e-5).toarray()
    np.testing.assert_allclose(laplacian, direct_laplacian(image, 1e-5), atol=1e-9)
    np.testing.assert_allclose(laplacian.sum(1), 0, atol=1e-9)  # a constant map costs nothing


def test_soft_matting_solves_its_equation(scene):
    image, rough = scene[:, :12, :10], torch.rand((1, 12, 10), generator=torch.Generator().manual_seed(1))
    system = direct_laplacian(image.double().permute(1, 2, 0).numpy(), 1e-4) + 1e-2 * np.eye(120)
    expected = np.linalg.solve(system, 1e-2 * rough.double().numpy().ravel())
    result = soft_matting(image, rough, weight=1e-2, epsilon=1e-4, tolerance=1e-9)
    np.testing.assert_allclose(result.numpy().ravel(), expected, atol=1e-6)
