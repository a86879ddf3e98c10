"""WMCP-EM: the patch rule, closed forms of the whole chain, and the six cases of its table 3."""

import math

import pytest
import torch

from limpid.errors import UserError
from limpid.priors.base import recover
from limpid.priors.wmcp import WMCP, patch_size

CASES = {
    "case_1": {},
    "case_2": {"channel": "dark"},
    "case_2_equation_11": {"channel": "dark_channel_prior"},
    "case_3": {"guided": False},
    "case_4": {"airlight_discard": 0.0},
    "case_5": {"exponent": 1.0},
    "case_6": {"edge_gain": 0.0},
}


@pytest.mark.parametrize("divisor", [1, 2, 3, 4, 7])
def test_patch_size_is_equation_15_made_odd_and_held_in_range(divisor):
    for quarter in range(4 * 128):
        sigma = quarter / 4  # exact in binary, so that multiples of the divisor are met exactly
        size = math.ceil(sigma / divisor) + (1 if sigma % divisor == 0 else 0)
        odd = size if size % 2 else size + 1
        assert patch_size(sigma, divisor) == min(max(odd, 3), 31)


@pytest.mark.parametrize(
    ("sigma", "expected"), [(0, 3), (36, 13), (38.9, 13), (39, 15), (41, 15), (48, 17), (127.5, 31)]
)
def test_patch_size_by_hand(sigma, expected):
    assert patch_size(sigma, 3) == expected


def test_patch_size_keeps_odd_limits():
    assert patch_size(100, 3, smallest=5, largest=9) == 9
    assert patch_size(1, 3, smallest=5, largest=9) == 5


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0.9, 0.4, 0.6)])
@pytest.mark.parametrize("case", CASES)
def test_a_constant_image_is_all_airlight_and_comes_back(colour, case):
    image = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 9, 12)
    estimate = WMCP(**CASES[case]).estimate(image)
    torch.testing.assert_close(estimate.restored, image, atol=1e-6, rtol=0)
    assert estimate.airlight[0].tolist() == pytest.approx(colour)
    if case not in ("case_2_equation_11",):
        torch.testing.assert_close(estimate.scene_depth, torch.full((1, 1, 9, 12), min(colour)))
        transmission = torch.full((1, 1, 9, 12), math.exp(-1.8 * min(colour)))
        torch.testing.assert_close(estimate.transmission, transmission)


@pytest.mark.parametrize("case", [case for case in CASES if case != "case_2_equation_11"])
def test_transmission_stays_between_that_of_white_and_of_black(scene, case):
    checks = torch.zeros(3, 40, 40)
    checks[:, ::2, 1::2] = 1
    for image in (scene, checks, torch.rand(3, 33, 20, generator=torch.Generator().manual_seed(0))):
        estimate = WMCP(**CASES[case]).estimate(image[None])
        assert estimate.transmission.min() >= math.exp(-1.8) - 1e-6
        assert estimate.transmission.max() <= 1
        assert estimate.scene_depth.min() >= 0
        assert estimate.scene_depth.max() <= 1


def test_recovery_inverts_the_haze_model(scene):
    airlight, transmission = torch.tensor([0.8, 0.85, 0.9]), torch.linspace(0.2, 1, 46).expand(1, 37, 46)
    hazy = scene * transmission + airlight.view(3, 1, 1) * (1 - transmission)
    torch.testing.assert_close(recover(hazy, airlight, transmission, floor=0.001), scene, atol=1e-5, rtol=0)


def test_recovery_with_the_exponent_and_the_floor_by_hand():
    image, airlight = torch.full((3, 1, 2), 0.5), torch.full((3,), 0.6)
    result = recover(image, airlight, torch.tensor([[[0.5, 0.01]]]), floor=0.25, exponent=0.5)
    expected = [0.6 - 0.1 / math.sqrt(0.5), 0.6 - 0.1 / math.sqrt(0.25)]
    assert result[0, 0].tolist() == pytest.approx(expected)


def test_a_batch_is_its_images_alone(scene):
    batch = torch.stack([scene, scene.flip(2), scene**2])  # different sigmas, hence different patches
    singles = [WMCP().estimate(image[None]) for image in batch]
    for name, together in WMCP().estimate(batch)._asdict().items():
        assert torch.equal(together, torch.cat([getattr(single, name) for single in singles])), name


def test_the_same_image_gives_the_same_bits(scene):
    prior = WMCP()
    assert torch.equal(prior(scene[None]), prior(scene[None]))


def test_forward_is_the_restored_image_of_the_estimate(scene):
    estimate = WMCP().estimate(scene[None])
    assert torch.equal(WMCP()(scene[None]), estimate.restored)
    assert estimate.scene_depth.shape == estimate.transmission.shape == (1, 1, 37, 46)
    assert estimate.airlight.shape == (1, 3)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (7, 5), (16, 33)])
def test_any_size_works_and_stays_in_range(shape, case):
    image = torch.rand((2, 3, *shape), generator=torch.Generator().manual_seed(0))
    restored = WMCP(**CASES[case])(image)
    assert restored.shape == image.shape
    assert restored.isfinite().all()
    assert 0 <= restored.min() <= restored.max() <= 1


@pytest.mark.parametrize("case", CASES)
def test_a_grey_image_stays_grey(scene, case):
    grey = scene.mean(0, keepdim=True).expand(1, 3, 37, 46)
    restored = WMCP(**CASES[case])(grey)
    torch.testing.assert_close(restored[:, 0], restored[:, 2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("keyword", ["channel", "statistic", "neighbours", "airlight_rank"])
def test_an_unknown_choice_is_named(keyword):
    with pytest.raises(UserError, match=f"{keyword}='medain'"):
        WMCP(**{keyword: "medain"})


def test_every_case_switches_something_on_a_real_hazy_image(photograph):
    hazy = photograph("haze_real/airlight_gt/images/train.png")[None, :, 60:260, 60:330]
    complete = WMCP().estimate(hazy)
    found = {case: WMCP(**CASES[case]).estimate(hazy) for case in CASES if case != "case_1"}
    for case, estimate in found.items():
        assert (estimate.restored - complete.restored).abs().mean() > 1e-3, case
    # ... and nothing else: what comes before the switched part is untouched.
    assert torch.equal(found["case_2"].airlight, complete.airlight)
    assert torch.equal(found["case_3"].scene_depth, complete.scene_depth)
    assert torch.equal(found["case_4"].transmission, complete.transmission)
    for case in ("case_5", "case_6"):
        assert torch.equal(found[case].transmission, complete.transmission)
        assert torch.equal(found[case].airlight, complete.airlight)


def test_real_haze_of_a_known_pair_is_reduced(data_root, photograph):
    folder = "RESIDE/SOTS/indoor"
    names = sorted(file.stem for file in data_root.glob(f"{folder}/hazy/*.png"))
    name = names[0] if names else "absent"
    hazy, clear = photograph(f"{folder}/hazy/{name}.png"), photograph(f"{folder}/gt/{name.split('_')[0]}.png")
    before, after = ((image - clear).square().mean() for image in (hazy, WMCP()(hazy[None])[0]))
    assert after < before / 2
