"""Drawn scenes: exact geometry, determinism, disjoint splits, ranges and statistics."""

import hashlib
import math
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from limpid.data.degradations import Haze
from limpid.data.scenes import PHOTOGRAPHS, Scenes, draw_scene, shading
from limpid.data.scenes.depth import invented_depth
from limpid.data.scenes.photographs import Photograph, crop_photograph, installed, read_photograph
from limpid.data.scenes.raster import Camera, Material, Solid, rasterise
from limpid.data.scenes.textures import KINDS, TILE, Atlas, draw_tile, fractal_noise
from limpid.errors import UserError

GREY = Material(0, (0.5, 0.5, 0.5))
SIZE = (61, 83)
NOISE = np.zeros((8, 8), np.float32)


def looking(yaw=0.3, pitch=-0.2, roll=0.1, position=(0.4, 1.5, -0.3), focal=70.0, size=SIZE):
    return Camera.looking(position, yaw, pitch, roll, focal, (size[1] / 2 - 3, size[0] / 2 + 5), size)


def rays_of(camera):
    """Each pixel's ray in world axes in float64, made without the camera's own rays; one unit ahead."""
    right, up, forward = camera.rotation.astype(np.float64)
    rows, columns = np.mgrid[: camera.size[0], : camera.size[1]] + 0.5
    across, above = (columns - camera.centre[0]) / camera.focal, (camera.centre[1] - rows) / camera.focal
    return across[..., None] * right + above[..., None] * up + forward


def test_camera_axes_are_orthonormal_and_upright():
    camera = looking()
    np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(Camera.looking((0, 0, 0), 0, 0, 0, 1, (0, 0), (1, 1)).rotation, np.eye(3))
    np.testing.assert_allclose(np.einsum("iyx,i->yx", camera.rays, camera.rotation[2]), 1, rtol=1e-5)
    np.testing.assert_allclose(np.moveaxis(camera.rays, 0, -1), rays_of(camera), atol=1e-6)


def test_projection_inverts_the_rays():
    camera = looking()
    depth = np.random.default_rng(0).uniform(1, 9, SIZE).astype(np.float32)
    seen = camera.project(np.moveaxis(camera.rays * depth, 0, -1) + camera.position)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    np.testing.assert_allclose(seen[..., 0], columns, atol=1e-3)
    np.testing.assert_allclose(seen[..., 1], rows, atol=1e-3)
    np.testing.assert_allclose(seen[..., 2], depth, rtol=1e-5)


def test_ground_plane_depth_is_its_closed_form():
    camera = looking()
    depth, surface = rasterise(camera, [Solid("box", (0, -0.5, 0), (1e4, 0.5, 1e4), GREY)], False, NOISE)
    down = rays_of(camera)[..., 1]
    below = down < -1e-3
    # A point at height 1.5 above the plane y = 0 meets it at 1.5 / -direction_y.
    np.testing.assert_allclose(depth[below], 1.5 / -down[below], rtol=1e-5)
    assert np.isinf(depth[down > 1e-3]).all()
    assert (surface[down > 1e-3] == 0).all()
    assert below.any()
    assert (down > 1e-3).any()


def test_slanted_wall_depth_is_its_closed_form():
    turn, tilt = 0.7, 0.4
    camera = looking(yaw=0, position=(0, 1, 0))
    wall = Solid("box", (0, 1, 6), (50, 50, 0.25), GREY, turn=turn, tilt=tilt)
    depth, _ = rasterise(camera, [wall], False, NOISE)
    normal = np.array([math.sin(turn), 0, math.cos(turn)])  # of the front face, 0.25 before the middle
    expected = (6 * normal[2] - 0.25) / (rays_of(camera) @ normal)
    np.testing.assert_allclose(depth, expected, rtol=1e-5)
    assert np.ptp(depth) > 1


def test_room_depth_is_the_nearest_of_its_six_planes():
    camera = looking(position=(1.0, 1.5, 0.5))
    low, high = np.zeros(3), np.array([4.0, 2.5, 6.0])
    room = Solid("box", tuple(high / 2), tuple(high / 2), GREY)
    depth, surface = rasterise(camera, [room], True, NOISE)
    rays = rays_of(camera)
    distances = np.where(rays > 0, high - camera.position, low - camera.position) / rays
    np.testing.assert_allclose(depth, distances.min(axis=-1), rtol=1e-5)
    axis = distances.argmin(axis=-1)
    side = np.take_along_axis(rays, axis[..., None], axis=-1)[..., 0] > 0
    assert (surface == 1 + axis + 3 * side).mean() > 0.999  # but for ties at the edges


def test_a_ray_along_the_walls_of_a_room_is_not_lost():
    camera = Camera.looking((1, 1, 1), 0, 0, 0, 20, (8.5, 8.5), (17, 17))
    assert (camera.rays[:2, 8, 8] == 0).all()
    depth, _ = rasterise(camera, [Solid("box", (1, 1, 2), (1, 1, 2), GREY)], True, NOISE)
    assert depth[8, 8] == 3
    assert (depth > 0).all()


def test_ball_depth_is_the_smaller_root():
    camera = looking(yaw=0, pitch=0, roll=0, position=(0, 0, 0))
    centre, half = np.array([0.3, -0.2, 5.0]), np.array([1.5, 1.0, 0.7])
    depth, _ = rasterise(camera, [Solid("ball", tuple(centre), tuple(half), GREY)], False, NOISE)
    rays = rays_of(camera) / half
    start = -centre / half
    a, b, c = (rays**2).sum(-1), rays @ start, start @ start - 1
    with np.errstate(invalid="ignore"):
        expected = (-b - np.sqrt(b * b - a * c)) / a
    hit = np.isfinite(expected)
    assert (np.isfinite(depth) == hit).mean() > 0.999
    both = hit & np.isfinite(depth)
    np.testing.assert_allclose(depth[both], expected[both], rtol=1e-4)
    assert 0.05 < hit.mean() < 0.95


@pytest.mark.parametrize("shape", ["box", "ball", "cylinder", "cone"])
def test_every_visible_point_lies_on_its_solid_and_none_is_in_front(shape):
    """March along each ray: outside the solid before the reported depth, on its surface there."""
    camera = looking(yaw=0.05, pitch=-0.35, roll=0.05, position=(0, 3, 0))
    solid = Solid(shape, (0.3, 1.0, 5.0), (1.2, 1.0, 0.8), GREY, turn=0.5)
    depth, _ = rasterise(camera, [solid], False, NOISE)
    turn = np.array([[math.cos(0.5), 0, -math.sin(0.5)], [0, 1, 0], [math.sin(0.5), 0, math.cos(0.5)]]) / np.array(
        solid.half
    ).reshape(3, 1)
    rays = rays_of(camera)

    def outside(at):
        """How far outside the solid each ray is at a depth; negative inside."""
        x, y, z = np.moveaxis((camera.position + rays * at[..., None] - solid.centre) @ turn.T, -1, 0)
        if shape == "box":
            return np.max(np.abs([x, y, z]), axis=0) - 1
        if shape == "ball":
            return x**2 + y**2 + z**2 - 1
        radius = np.ones_like(y) if shape == "cylinder" else (1 - y) / 2
        return np.maximum(np.hypot(x, z) - radius, np.abs(y) - 1)

    hit = np.isfinite(depth)
    assert 0.05 < hit.mean() < 0.95
    np.testing.assert_allclose(outside(np.where(hit, depth, 1))[hit], 0, atol=1e-4)
    for share in np.linspace(0.4, 0.999, 40):
        assert (outside(np.where(hit, depth * share, 1))[hit] > 0).all()
    for fixed in np.linspace(1, 10, 200):
        assert (outside(np.full(SIZE, fixed))[~hit] > -0.02).all()


def test_the_nearer_solid_hides_the_farther_whatever_the_order():
    camera = looking(yaw=0, pitch=0, roll=0, position=(0, 0, 0))
    solids = [Solid("box", (0.2 * i, 0, 3.0 + i), (1, 0.5, 0.3), GREY, turn=0.3 * i, tilt=0.2) for i in range(4)]
    alone = [rasterise(camera, [solid], False, NOISE)[0] for solid in solids]
    forward, _ = rasterise(camera, solids, False, NOISE)
    backward, _ = rasterise(camera, solids[::-1], False, NOISE)
    np.testing.assert_array_equal(forward, np.min(alone, axis=0))
    np.testing.assert_array_equal(forward, backward)


def test_noise_has_the_promised_spectrum():
    size, slopes = 128, (0.2, 0.8, 1.4)
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(size, 1 / size),) * 2))
    window = np.outer(np.hanning(size), np.hanning(size))
    bands = [(8, 11), (11, 16), (16, 23), (23, 32)]
    middles = np.log([math.sqrt(low * high) for low, high in bands])
    for slope in slopes:
        power = np.zeros((size, size))
        for seed in range(20):
            field = fractal_noise(np.random.default_rng(seed), size, slope=slope)
            assert field.min() == 0
            assert field.max() == pytest.approx(1)
            power += np.abs(np.fft.fft2((field - field.mean()) * window)) ** 2
        energy = [power[(frequency >= low) & (frequency < high)].mean() for low, high in bands]
        assert np.polyfit(middles, np.log(energy), 1)[0] == pytest.approx(-2 - 2 * slope, abs=0.4)


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_are_reflectances(kind):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tile = draw_tile(rng, kind, fractal_noise(rng, 2 * TILE))
        assert tile.shape == (TILE, TILE, 3)
        assert tile.dtype == np.float32
        assert tile.min() >= -1e-6
        assert tile.max() <= 1 + 1e-6
        assert tile.std() > 0.002


def test_atlas_gives_pixels_back_and_fades_to_the_mean():
    rng = np.random.default_rng(0)
    tiles = [rng.random((TILE, TILE, 3), dtype=np.float32) for _ in range(3)]
    atlas = Atlas([tiles[0], None, tiles[2]])
    v, u = np.mgrid[:TILE, :TILE].astype(np.float32)
    number, near, far = np.full_like(u, 2), np.full_like(u, 0.5), np.full_like(u, 1e6)
    np.testing.assert_allclose(atlas.sample(number, u, v, near), tiles[2], atol=1e-5)
    mirrored = atlas.sample(number, u + 2 * (TILE - 1), -v, near)
    np.testing.assert_allclose(mirrored, tiles[2], atol=1e-4)
    faded = atlas.sample(number, u, v, far)
    np.testing.assert_allclose(faded, np.broadcast_to(tiles[2].mean(axis=(0, 1)), faded.shape), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (61, 83), (96, 96), (16, 200), (300, 20)])
@pytest.mark.parametrize("indoor_share", [0.0, 1.0])
def test_any_size(size, indoor_share):
    for seed in range(4):
        image, depth = draw_scene(np.random.default_rng(seed), *size, indoor_share=indoor_share)
        assert image.shape == (*size, 3)
        assert depth.shape == size
        assert image.dtype == depth.dtype == np.float32
        for values in (image, depth):
            assert np.isfinite(values).all()
            assert values.min() >= 0
            assert values.max() <= 1
        assert depth.min() > 0


@pytest.mark.parametrize("indoor_share", [0.0, 1.0])
def test_shading_in_bands_changes_nothing(monkeypatch, indoor_share):
    whole = draw_scene(np.random.default_rng(1), 90, 70, indoor_share=indoor_share)
    monkeypatch.setattr(shading, "_BAND", 7 * 70)
    bands = draw_scene(np.random.default_rng(1), 90, 70, indoor_share=indoor_share)
    np.testing.assert_allclose(bands.image, whole.image, atol=1e-5)
    np.testing.assert_array_equal(bands.scene_depth, whole.scene_depth)


@pytest.mark.slow
def test_full_hd():
    for indoor_share in (0.0, 1.0):
        image, depth = draw_scene(np.random.default_rng(1), 1080, 1920, indoor_share=indoor_share)
        assert image.shape == (1080, 1920, 3)
        assert np.isfinite(image).all()
        assert 0 < depth.min() < depth.max() <= 1


@pytest.mark.parametrize(("height", "width"), [(1, 64), (15, 16), (64, 8)])
def test_sizes_under_16_are_refused(height, width):
    with pytest.raises(UserError, match="at least 16"):
        Scenes("train", 1, height, width)
    with pytest.raises(UserError, match="at least 16"):
        draw_scene(np.random.default_rng(0), height, width)


def test_no_value_is_lost_in_many_scenes():
    scenes = Scenes("train", 1000, 24, 24, photograph_share=0)
    with np.errstate(all="raise", under="ignore"):
        for index in range(300):
            sample = scenes.load(index)
            assert np.isfinite(sample["target"]).all()
            assert np.isfinite(sample["depth"]).all()


def digest(sample):
    joined = sample["target"].tobytes() + sample["depth"].tobytes() + sample["name"].encode()
    return hashlib.sha256(joined).hexdigest()


_OTHER_PROCESS = """
import cv2, hashlib
cv2.setNumThreads(3)
from limpid.data.scenes import Scenes
scenes = Scenes("val", 30, 70, 90, photograph_share=0.4, seed=3)
for index in reversed(range(12)):
    s = scenes.load(index)
    joined = s["target"].tobytes() + s["depth"].tobytes() + s["name"].encode()
    print(index, hashlib.sha256(joined).hexdigest())
"""


def test_same_bits_in_any_order_and_process():
    scenes = Scenes("val", 30, 70, 90, photograph_share=0.4, seed=3)
    here = [digest(scenes.load(index)) for index in range(12)]
    assert [digest(scenes.load(index)) for index in (7, 2, 7)] == [here[7], here[2], here[7]]
    environment = os.environ | {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    told = subprocess.run(
        [sys.executable, "-c", _OTHER_PROCESS], capture_output=True, text=True, check=True, env=environment
    ).stdout
    there = dict(line.split() for line in told.splitlines())
    assert [there[str(index)] for index in range(12)] == here


def test_an_image_does_not_depend_on_the_count():
    few, many = Scenes("train", 3, 32, 32), Scenes("train", 10**6, 32, 32)
    assert digest(few.load(2)) == digest(many.load(2))
    assert len(few) == 3
    assert len(many) == 10**6


def test_names_and_keys():
    sample = Scenes("train", 20, 32, 32).load(12)
    assert sample.keys() == {"target", "depth", "name"}
    assert sample["name"] == "train_000012"


def thumbnail(image):
    """24 x 24, without its slow parts, of unit length."""
    small = cv2.resize(image.mean(axis=2), (24, 24), interpolation=cv2.INTER_AREA)
    high = small - cv2.GaussianBlur(small, (0, 0), 3)
    high -= high.mean()
    return (high / np.linalg.norm(high)).ravel()


def test_splits_share_no_image_and_no_near_duplicate():
    count = 60
    images = {
        (split, seed): [Scenes(split, count, 96, 96, seed=seed).load(i)["target"] for i in range(count)]
        for split, seed in (("train", 0), ("val", 0), ("test", 0), ("train", 1))
    }
    everything = [image for some in images.values() for image in some]
    hashes = [hashlib.sha256(image.tobytes()).digest() for image in everything]
    assert len(set(hashes)) == len(hashes)
    thumbnails = {}
    for split in ("train", "val", "test"):
        either_way = [turned for image in images[split, 0] for turned in (image, image[:, ::-1])]
        thumbnails[split] = np.array([thumbnail(image) for image in either_way])
    for one, other in (("train", "test"), ("train", "val"), ("val", "test")):
        assert (thumbnails[one] @ thumbnails[other].T).max() < 0.85


def test_splits_share_no_photograph():
    listed = [photograph.path for split in PHOTOGRAPHS.values() for photograph in split]
    assert len(set(listed)) == len(listed)
    pictures = [thumbnail(read_photograph(photograph)[0]) for split in PHOTOGRAPHS for photograph in installed(split)]
    for place, picture in enumerate(pictures):
        assert all(abs(picture @ other) < 0.5 for other in pictures[:place])


def test_photographs_come_in_their_share():
    scenes = Scenes("test", 120, 16, 16, photograph_share=1.0)
    if not installed("test"):
        pytest.skip("the installed packages have none of the test photographs")
    drawn = Scenes("test", 120, 16, 16, photograph_share=0.0)
    mixed = Scenes("test", 120, 16, 16, photograph_share=0.3)
    same = [digest(mixed.load(i)) == digest(scenes.load(i)) for i in range(120)]
    others = [digest(mixed.load(i)) == digest(drawn.load(i)) for i in range(120)]
    assert all(one != other for one, other in zip(same, others, strict=True))
    assert abs(np.mean(same) - 0.3) < 3.3 * math.sqrt(0.3 * 0.7 / 120)


def test_missing_photographs_are_replaced_by_drawn_scenes(monkeypatch):
    drawn = digest(Scenes("test", 3, 32, 32, photograph_share=0.0).load(1))
    absent = (Photograph("no_such_package", "a.png"), Photograph("skimage", "b.png"))
    monkeypatch.setitem(PHOTOGRAPHS, "test", absent)
    installed.cache_clear()
    try:
        assert installed("test") == ()
        assert digest(Scenes("test", 3, 32, 32, photograph_share=1.0).load(1)) == drawn
    finally:
        monkeypatch.undo()
        installed.cache_clear()


@pytest.mark.parametrize("size", [(16, 16), (61, 83), (240, 320), (500, 40), (700, 900)])
def test_photographs_fill_any_size(size):
    for split in PHOTOGRAPHS:
        for number, photograph in enumerate(installed(split)):
            image, depth = crop_photograph(np.random.default_rng(number), photograph, *size)
            assert image.shape == (*size, 3)
            assert depth.shape == size
            assert image.dtype == depth.dtype == np.float32
            assert image.min() >= 0
            assert image.max() <= 1
            assert 0 < depth.min() <= depth.max() <= 1
            assert image.std() > 0.01


def test_the_motorcycle_has_its_measured_depth():
    motorcycle = next((p for p in installed("train") if p.disparity), None)
    if motorcycle is None:
        pytest.skip("this scikit-image has no motorcycle")
    image, depth = read_photograph(motorcycle)
    assert depth.shape == image.shape[:2]
    assert depth.max() == 1
    # The publisher's calibration: disparities from 7.19 to 59.91 pixels, offset 31.086.
    assert depth.min() == pytest.approx((7.1913557 + 31.086) / (59.90896 + 31.086), rel=1e-5)


def test_invented_depth_is_varied_and_in_range():
    for seed in range(30):
        depth = invented_depth(np.random.default_rng(seed), 40, 60, nearest=(0.2, 0.4))
        assert depth.dtype == np.float32
        assert 0.2 <= depth.min() <= 0.4
        assert depth.max() == pytest.approx(1)
        assert depth.std() > 0.02


def test_statistics_are_like_those_of_photographs():
    """Wide bands around what 128 x 128 crops of clean photographs have (330 of SOTS indoor; 240 of CBSD68).

    Mean luminance 0.41; 0.44, deviating by 0.20; 0.12. Its deviation within a crop 0.19; 0.19. Mean step from
    pixel to pixel 0.017; 0.045. Mean saturation 0.47; 0.33.
    """
    scenes = Scenes("train", 120, 128, 128, photograph_share=0.0)
    samples = [scenes.load(index) for index in range(120)]
    luminance = [s["target"] @ np.float32([0.299, 0.587, 0.114]) for s in samples]
    means, deviations = np.array([y.mean() for y in luminance]), np.array([y.std() for y in luminance])
    assert 0.35 < means.mean() < 0.52
    assert 0.08 < means.std() < 0.2
    assert 0.17 < deviations.mean() < 0.28
    assert np.percentile(deviations, 10) > 0.08
    steps = np.array([np.abs(np.diff(y, axis=1)).mean() for y in luminance])
    assert 0.015 < steps.mean() < 0.045
    depth = np.array([s["depth"] for s in samples])
    assert 0.4 < depth.mean() < 0.75
    assert np.median(np.ptp(depth, axis=(1, 2))) > 0.3
    colours = np.concatenate([s["target"][::8, ::8].reshape(-1, 3) for s in samples])
    saturation = (colours.max(axis=1) - colours.min(axis=1)) / (colours.max(axis=1) + 1e-3)
    assert 0.25 < saturation.mean() < 0.5
    assert (colours.min(axis=1) > 0.9).mean() > 0.01  # white things
    assert (colours.max(axis=1) < 0.1).mean() > 0.01  # black things


def test_haze_is_as_strong_as_in_sots_indoor():
    """22 pairs of SOTS indoor (airlight 1) lie at 12.1 dB on average, from 7.7 to 17.9."""
    scenes, haze = Scenes("train", 200, 96, 96), Haze()
    ratios = []
    for index in range(200):
        sample = haze(scenes.load(index), np.random.default_rng([0, index]))
        ratios.append(-10 * math.log10(np.mean((sample["input"] - sample["target"]) ** 2)))
    assert 11 < np.mean(ratios) < 14
    assert 2.5 < np.std(ratios) < 5
    assert np.percentile(ratios, 5) < 9
    assert np.percentile(ratios, 95) > 17


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": -1},
        {"seed": -1},
        {"photograph_share": 1.5},
        {"indoor_share": -0.5},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Scenes(**({"split": "train", "count": 1, "height": 32, "width": 32} | wrong))


def test_an_unknown_split_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'train'"):
        Scenes("trian", 1, 32, 32)


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(IndexError, match="has 3 images"):
        Scenes("train", 3, 32, 32).load(index)
