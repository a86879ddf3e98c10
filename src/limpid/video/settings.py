"""How videos are written and kept from flickering."""

from __future__ import annotations

from dataclasses import dataclass

from limpid.errors import UserError, nearest
from limpid.ranges import NonNegativeFloat, PositiveFloat, Share

#: What x264 trades between time and size.
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_MOST_CRF = 51  # x264's


@dataclass(frozen=True)
class VideoSettings:
    """The settings of `conf/video`, which has the values.

    Attributes:
        crf: x264's constant rate factor, 0 to 51: lower is better and larger.
        preset: x264's trade between time and size, ``ultrafast`` to ``placebo``.
        lossless: whether the file holds exactly the restored frames, which few players show.
        smoothing: time constant in seconds over which what a method finds about a whole frame is smoothed; 0 treats
            every frame alone.
        cut: how far the brightness of two consecutive frames lies apart, from 0 to 1, where smoothing starts anew.
        segment: seconds that are restored and kept at once; an interruption loses at most so much.

    Raises:
        UserError: a value is out of its range.
    """

    crf: NonNegativeFloat
    preset: str
    lossless: bool
    smoothing: NonNegativeFloat
    cut: Share
    segment: PositiveFloat

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= _MOST_CRF:
            raise UserError(f"video.crf={self.crf:g} is not in 0 to {_MOST_CRF}; 18 is nearly like the original.")
        if self.preset not in PRESETS:
            hint = nearest(self.preset, PRESETS) or "."
            raise UserError(f"video.preset={self.preset} is none of {', '.join(PRESETS)}{hint}")
        for name in ("smoothing", "cut"):
            if getattr(self, name) < 0:
                raise UserError(f"video.{name}={getattr(self, name):g} is negative; give 0 or more.")
        if self.segment <= 0:
            raise UserError(f"video.segment={self.segment:g} must be above 0 seconds; give 10, for instance.")


def usual_settings() -> VideoSettings:
    """The settings of conf/video/default.yaml."""
    from limpid.config.instantiate import construct
    from limpid.config.recipes import option

    settings: VideoSettings = construct(option("video", "default"), "video")
    return settings
