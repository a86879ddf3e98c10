"""Motion blur: the mean of frames in the sensor's light, against closed forms and a published blurred image."""

import cv2
import numpy as np
import pytest

from limpid.data.degradations import CameraShake, FrameAverage, average_frames, imresize
from limpid.data.image_io import list_images, read_image
from limpid.errors import UserError


def test_the_mean_is_taken_in_linear_light():
    black_and_white = [np.zeros((2, 2, 3), np.float32), np.ones((2, 2, 3), np.float32)]
    np.testing.assert_allclose(average_frames(black_and_white, 2.2), 0.5 ** (1 / 2.2), rtol=1e-6)
    np.testing.assert_allclose(average_frames(black_and_white, 1), 0.5, rtol=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 2.2])
def test_still_frames_stay_and_order_does_not_matter(gamma):
    frames = np.random.default_rng(0).random((5, 6, 7, 3), dtype=np.float32)
    np.testing.assert_allclose(average_frames([frames[0]] * 4, gamma), frames[0], atol=1e-6)
    np.testing.assert_allclose(average_frames(frames, gamma), average_frames(frames[::-1], gamma), atol=1e-6)
    expected = (np.mean(frames.astype(np.float64) ** gamma, axis=0)) ** (1 / gamma)
    np.testing.assert_allclose(average_frames(iter(frames), gamma), expected, atol=1e-6)


def test_no_frames_are_refused():
    with pytest.raises(UserError, match="at least one frame"):
        average_frames([])
    with pytest.raises(UserError, match="frames of a video"):
        FrameAverage()({"target": np.zeros((4, 4, 3), np.float32), "name": "x"}, np.random.default_rng(0))


@pytest.mark.parametrize(("count", "middle"), [(7, 3), (8, 4)])
def test_the_middle_frame_is_the_target(count, middle):
    frames = np.random.default_rng(1).random((count, 5, 5, 3), dtype=np.float32)
    sample = FrameAverage(1.0)({"frames": frames, "name": "x"}, np.random.default_rng(0))
    np.testing.assert_array_equal(sample["target"], frames[middle])
    np.testing.assert_allclose(sample["input"], frames.mean(axis=0), atol=1e-6)
    assert "frames" not in sample


def test_a_published_blurred_image_is_the_mean_of_its_eight_frames(real_data):
    """Within one grey level: the publisher's file is cut, not rounded, to whole levels, and gamma is 2.2."""
    folder = real_data / "GOPRO_240fps_avg"
    files = list_images(folder / "videos" / "GOPR0477_11_00")
    if len(files) != 8:
        pytest.skip("needs GOPRO_240fps_avg")
    window = (slice(200, 456), slice(400, 784))
    frames = [read_image(file)[window] for file in files]
    published = read_image(folder / "saved_images" / "GOPR0477_11_00_st_frame-165_n_avg-8.png")[window]
    difference = average_frames(frames, 2.2) * 255 - published * 255
    assert difference.min() > -1e-3
    assert difference.max() < 1 + 1e-3
    assert np.abs(average_frames(frames, 1.0) * 255 - published * 255).max() > 5


def test_a_straight_path_smears_a_point_into_a_line():
    image = np.zeros((61, 61, 3), np.float32)
    image[30, 30] = 1
    shake = CameraShake(length=(20, 20), bend=0, roll=0, frames=81, gamma=1)
    shaken = shake({"target": image}, np.random.default_rng(3))
    light = shaken["input"][..., 0].astype(np.float64)
    assert light.sum() == pytest.approx(1, rel=1e-3)
    y, x = np.mgrid[:61, :61] - 30
    assert (light * x).sum() == pytest.approx(0, abs=1e-3)  # the middle of the path is where the point was
    assert (light * y).sum() == pytest.approx(0, abs=1e-3)
    angle = np.radians(shaken["shake_angle"])
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    assert (light * along**2).sum() == pytest.approx(20**2 / 12, rel=0.06)  # variance of a uniform line
    assert (light * across**2).sum() < 0.5


def test_no_movement_is_no_blur():
    image = np.clip(imresize(np.random.default_rng(0).random((8, 10, 3), dtype=np.float32), 6), 0, 1)
    still = CameraShake(length=(0, 0), bend=0, roll=0, frames=9)({"target": image}, np.random.default_rng(0))
    np.testing.assert_allclose(still["input"], image, atol=1e-5)
    one = CameraShake(frames=1)({"target": image}, np.random.default_rng(0))
    np.testing.assert_allclose(one["input"], image, atol=1e-5)


def test_longer_paths_blur_more_and_the_target_stays_aligned():
    image = np.clip(imresize(np.random.default_rng(0).random((16, 20, 3), dtype=np.float32), 8), 0, 1)
    sharpness, shift = [], []
    for length in (2, 8, 20):
        blurred = CameraShake((length, length))({"target": image}, np.random.default_rng(1))["input"]
        sharpness.append(np.abs(np.diff(blurred, axis=1)).mean())
        shift.append(cv2.phaseCorrelate(image[..., 1].astype(float), blurred[..., 1].astype(float))[0])
    assert sharpness == sorted(sharpness, reverse=True)
    assert np.abs(shift).max() < 1.5


def test_a_thing_that_moves_on_its_own_is_blurred_where_the_camera_is_still():
    image = np.kron(np.indices((16, 20)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2).astype(np.float32)
    shake = CameraShake(length=(12, 12), bend=0, roll=0, objects=2)
    changed = []
    for seed in range(20):
        blurred = _with_still_camera(shake, image, np.random.default_rng(seed))
        changed.append((np.abs(blurred - image).max(2) > 0.02).mean())
    still, moving = [share for share in changed if share == 0], [share for share in changed if share > 0]
    assert len(still) == pytest.approx(20 / 3, abs=5)  # 0, 1 or 2 things, with equal chances
    assert 0.01 < np.mean(moving) < 0.6  # what lies outside of them stays


def _with_still_camera(shake, image, rng):
    """The image in which all but the first motion, the camera's, is made."""
    drawn = shake._motion
    motions = []

    def motion(rng):
        motions.append(drawn(rng))
        return motions[-1] if len(motions) > 1 else motions[0]._replace(length=0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shake, "_motion", motion)
        return shake({"target": image}, rng)["input"]


def test_without_things_nothing_else_is_drawn():
    image = np.random.default_rng(0).random((24, 24, 3), dtype=np.float32)
    rng = np.random.default_rng(5)
    CameraShake(frames=3)({"target": image}, rng)
    other = np.random.default_rng(5)
    other.uniform(size=4)  # length, angle, bend, roll
    assert rng.random() == other.random()
