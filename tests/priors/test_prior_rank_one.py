"""ROP and ROP+: the uint8 values of another implementation, their parts by definition, and that they are off."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import limpid
from limpid.config.compose import compose, settle_permissions
from limpid.errors import CannotRun, UserError
from limpid.priors.cbcs import CBCS
from limpid.priors.nonfree.rank_one import directions, light_of, likeness
from limpid.priors.nonfree.rop import ROP
from limpid.priors.nonfree.rop_plus import ROPPlus
from limpid.priors.nonfree.smooth_map import Smoothing, _add_adjoint, _differences, _shrink, _spectrum
from limpid.priors.nonfree.tone import toned


def levels_of(restored):
    levels = restored * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    return levels.round().int()


def near(found, expected, tolerance=1e-6):
    torch.testing.assert_close(found, torch.as_tensor(expected).to(found), atol=tolerance, rtol=0)


def test_rop_has_the_values_of_another_implementation(sandy):
    prior = ROP(allow_nonfree=True)
    image = prior.precise(sandy)
    found = prior.haze(image)
    near(found["airlight"], [0.958101, 0.757276, 0.466460])
    near(found["threshold"], 2.168576)
    restored = levels_of(prior(sandy[None])[0])
    assert restored[:, 0, 0].tolist() == [153, 166, 175]
    assert restored[:, 59, 79].tolist() == [163, 165, 166]
    near(restored.double().mean((1, 2)), [143.2332, 141.5226, 140.6066], 5e-5)


def test_the_pixel_that_is_the_threshold_is_not_reflected():
    """Only pixels with more light are: two ways to compute one amount once differed by a rounding."""
    for seed in range(20):
        image = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        found = ROP(allow_nonfree=True, airlight_share=0.005).haze(image)
        amount = light_of(image, found["scattered"])
        assert (amount > found["threshold"]).sum() == 9
        assert (amount == found["threshold"]).sum() == 1


def test_the_map_of_rop_before_it_is_shrunk(sandy):
    image = ROP(allow_nonfree=True).precise(sandy)
    found = ROP(allow_nonfree=True).haze(image)
    whole = ROP(allow_nonfree=True, sizes=(), shrinkings=(1.0,)).transmission(image, found)
    near((1 - whole).mean((1, 2)), [0.455336, 0.360485, 0.226183])


def test_rop_plus_has_the_values_of_another_implementation(sandy):
    prior = ROPPlus(allow_nonfree=True)
    image = prior.precise(sandy)
    found = prior.haze(image)
    near(found["scattered"], [0.437215, 0.345982, 0.216803])
    near(found["airlight"], [0.929616, 0.734926, 0.453084])
    near(prior.transmission(image, found)[0, 59, 79], 0.169387)
    restored = levels_of(prior(sandy[None])[0])
    assert restored[:, 0, 0].tolist() == [196, 194, 192]
    assert restored[:, 59, 79].tolist() == [204, 204, 202]
    near(restored.double().mean((1, 2)), [175.4279, 175.4016, 175.3522], 5e-5)


@pytest.mark.parametrize("name", ["rop", "rop_plus"])
def test_they_are_off_until_it_is_said_that_they_may_be_used(name):
    with pytest.raises(CannotRun, match=r"patented in China \(ZL 202011281893.3\).*non-commercial.*allow_nonfree=true"):
        limpid.build(name)
    with pytest.raises(CannotRun, match="allow_nonfree=true"):
        limpid.restore(np.zeros((8, 8, 3), np.uint8), name)
    assert limpid.build(name, allow_nonfree=True) is not None


def test_a_file_cannot_say_that_they_may_be_used(tmp_path, monkeypatch):
    own = tmp_path / "conf" / "network" / "own.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("_target_: limpid.priors.nonfree.rop.ROP\nallow_nonfree: true\nomega: 0.5\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotRun, match="allow_nonfree=true"):
        limpid.build("own")
    assert limpid.build("own", allow_nonfree=True).omega == 0.5
    for file in (
        {"allow_nonfree": True},
        {"network": {"allow_nonfree": True}},
        {"model": {"x": [{"allow_nonfree": 1}]}},
    ):
        config = OmegaConf.create({"allow_targets": [], "allow_nonfree": False, "network": {}} | file)
        with pytest.raises(UserError, match="A file in conf/ or experiments/ sets allow_nonfree"):
            settle_permissions(config, ["model=own"])
        settle_permissions(config, ["model=own", "allow_nonfree=true"])


def test_what_is_typed_reaches_a_network_that_is_chosen_by_itself():
    words = ("network=rop", "allow_nonfree=true", "data=scenes", "budget=smoke")
    assert compose(words, "test").config["network"]["allow_nonfree"] is True
    referring = OmegaConf.create(
        {"allow_targets": [], "allow_nonfree": False, "network": {"allow_nonfree": "${allow_nonfree}"}}
    )
    settle_permissions(referring, [])
    assert referring.network.allow_nonfree is False
    settle_permissions(referring, ["allow_nonfree=true", "network.allow_nonfree=false"])
    assert referring.network.allow_nonfree is False


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ROP(True, airlight_share=2), "network.airlight_share is 2, but it must be from 0 to 1"),
        (lambda: ROP(True, low=99, high=1), "network.high is 1, but it must be from 99 to 100"),
        (lambda: ROP(True, gamma=0), "network.gamma is 0, but it must be from 0.01 to 100"),
        (lambda: ROP(True, shrinkings=(0.02, 0.01, 0.0)), "network.shrinkings is 0, but it must be from 0.0001 to 1"),
        (lambda: ROPPlus(True, rounds=-1), "network.rounds is -1, but it must be 0 or more"),
        (lambda: Smoothing(penalty=0), "network.smoothing.penalty is 0, but it must be 1e-06 or more"),
        (lambda: CBCS(tiles=0), "network.tiles is 0, but it must be 1 or more"),
        (lambda: CBCS(clip=float("nan")), "network.clip is nan, but it must be from 0 to 1"),
    ],
)
def test_numbers_out_of_their_range_are_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()


@pytest.mark.parametrize("kind", [ROP, ROPPlus])
def test_single_precision_differs_at_few_values(kind, sandy):
    precise = levels_of(kind(allow_nonfree=True)(sandy[None]))
    single = levels_of(kind(allow_nonfree=True, double_megapixels=0)(sandy[None]))
    apart = (precise - single).abs()
    assert apart.amax() <= 3  # a level of the luma or of a colour difference
    assert (apart > 0).float().mean() < 0.002


@pytest.mark.parametrize("kind", [ROP, ROPPlus])
def test_statistics_are_what_the_estimate_uses(kind, scene):
    image = scene.clamp(0, 1)
    prior = kind(allow_nonfree=True)
    given = prior.estimate_image(image, prior.statistics(image))
    for name, value in prior.estimate(image[None])._asdict().items():
        assert torch.equal(value[0], getattr(given, name)), name


@pytest.mark.parametrize("kind", [ROP, ROPPlus])
@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.7, 0.5, 0.2)])
@pytest.mark.parametrize("size", [(1, 1), (5, 9)])
def test_an_image_of_one_colour_stays_in_range(kind, colour, size):
    image = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, *size)
    estimate = kind(allow_nonfree=True).estimate(image)
    assert all(torch.isfinite(value).all() for value in estimate)
    assert estimate.restored.shape == image.shape
    assert 0 <= estimate.restored.amin() <= estimate.restored.amax() <= 1


def test_shrinkings_go_by_the_shorter_side():
    prior = ROP(allow_nonfree=True, sizes=(10, 20), shrinkings=(1.0, 0.5, 0.25))
    image = torch.rand((3, 12, 40), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = prior.haze(image)
    one = ROP(allow_nonfree=True, sizes=(), shrinkings=(0.5,))
    assert torch.equal(prior.transmission(image, found), one.transmission(image, found))
    with pytest.raises(UserError, match=r"network.shrinkings has 1 numbers, but it must have 3"):
        limpid.build("rop", allow_nonfree=True, shrinkings=[0.5])


def test_the_colour_is_the_commonest_whichever_way_the_search_begins():
    image = torch.tensor([0.6, 0.4, 0.2], dtype=torch.float64).view(3, 1, 1).repeat(1, 8, 8)
    image[:, :2, :2] = 0.5  # a grey corner, where the authors' program begins and stays
    grey = torch.full((3,), 1 / 3)
    near(ROPPlus(allow_nonfree=True).colour(image), grey)
    near(ROPPlus(allow_nonfree=True, start="image").colour(image), [0.5, 1 / 3, 1 / 6])
    with pytest.raises(UserError, match="start='middle' is not one of corner, image"):
        ROPPlus(allow_nonfree=True, start="middle")


def test_differences_have_their_adjoint_and_their_spectrum():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand((7, 10), generator=generator, dtype=torch.float64)
    steps = torch.rand((2, 7, 10), generator=generator, dtype=torch.float64)

    def adjoint(of):
        total = torch.zeros_like(values)
        _add_adjoint(total, of, 2.0)
        return total / 2

    slope = torch.stack([values.roll(-1, 0) - values, values.roll(-1, 1) - values])
    near(_differences(values), slope, 1e-15)
    near((slope * steps).sum(), (values * adjoint(steps)).sum(), 1e-12)
    laplacian = torch.fft.irfft2(torch.fft.rfft2(values) * _spectrum(values), s=values.shape)
    near(laplacian, adjoint(slope), 1e-12)
    vectors = torch.tensor([[[3.0, 0.3]], [[4.0, 0.4]]])
    _shrink(vectors, 1.0)
    near(vectors, [[[2.4, 0.0]], [[3.2, 0.0]]])


def test_the_smooth_map_minimises_what_it_says():
    """After many iterations no small change of the map lowers the sum."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((3, 6, 8), generator=generator, dtype=torch.float64)
    rough = torch.rand((6, 8), generator=generator, dtype=torch.float64) * 0.6 + 0.2
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    smoothing = Smoothing(edges=3, edge_weight=0.05, flatness=0.02, iterations=4000, tolerance=0)

    def cost(C):
        slope = _differences(C)
        total = smoothing.flatness * slope.norm(dim=0).sum()
        for channel, share in zip(image, shares, strict=True):
            steps = _differences(channel)
            weight = torch.exp(-smoothing.edges * steps.abs().sum(0))
            total += smoothing.edge_weight * (weight * (share * slope - steps).norm(dim=0)).sum()
        return total + smoothing.fidelity / 2 * (C - rough).square().sum()

    smooth = smoothing(image, rough, shares)
    least = cost(smooth)
    assert least < cost(rough)
    for _ in range(50):
        change = torch.randn(rough.shape, generator=generator, dtype=torch.float64)
        assert cost(smooth + 1e-3 * change) > least


def test_the_tone_of_a_grey_is_its_luma_brightened():
    grey = torch.full((3, 1, 1), 100 / 255, dtype=torch.float64)
    luma = round(16 + 219 * 100 / 255)
    brighter = round(256 * ((luma + 0.5) / 256) ** (5 / 6) - 0.5)
    expected = round((brighter - 16) * 255 / 219)
    assert levels_of(toned(grey, 5 / 6)).flatten().tolist() == [expected] * 3


def test_the_cosine_between_colours():
    image = torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 0.0]]).view(3, 1, 2)
    near(likeness(directions(image), torch.tensor([1.0, 1.0, 1.0])), [[1.0, 1 / 3**0.5]])
