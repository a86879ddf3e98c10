"""A decoded frame as RGB, and RGB as a frame to encode, by the matrix and range that the video says it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from limpid.errors import UserError

if TYPE_CHECKING:
    from av import VideoFrame

#: Values of ITU-T H.273: the matrix of BT.709, one that is not said, and the full and limited ranges of FFmpeg.
BT709, UNSAID = 1, 2
LIMITED, FULL = 1, 2
_BT601 = 5
#: H.273's matrix coefficients and swscale's number for the same matrix.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
#: Larger frames whose matrix is not said are taken for BT.709, as players do; smaller ones for BT.601.
_SD_WIDTH, _SD_HEIGHT = 1280, 576
#: The names of pixel formats by how many pixels share a colour value, across and down.
_SUBSAMPLED = {(1, 1): "yuv444p", (2, 1): "yuv422p", (2, 2): "yuv420p"}


@dataclass(frozen=True)
class Colours:
    """How a video stores colours.

    Attributes:
        matrix: swscale's number of the matrix between RGB and luma and chroma.
        range: 1 for limited (16 to 235), 2 for full.
        deep: whether samples have more than 8 bits.
        rgb: whether the video has no luma and chroma but RGB.
        alpha: whether it has transparency.
        subsampling: how many pixels share a colour value, across and down.
        tags: what the video says of range, matrix, primaries and transfer, and so what the result says.
    """

    matrix: int
    range: int
    deep: bool
    rgb: bool
    alpha: bool
    subsampling: tuple[int, int]
    tags: tuple[int, int, int, int]

    def pixel_format(self, width: int, height: int) -> str:
        """FFmpeg's name of the format that keeps the most of it: as many bits (8 or 10) and as much colour.

        Odd sides cannot share colour values between two pixels, so that they are written without subsampling.
        """
        name = _SUBSAMPLED.get(self.subsampling, "yuv444p")
        if (name != "yuv444p" and width % 2) or (name == "yuv420p" and height % 2):
            name = "yuv444p"
        return f"{name}10le" if self.deep else name


def colours_of(frame: VideoFrame) -> Colours:
    """How the video of which `frame` is one stores colours.

    Raises:
        UserError: its matrix is none that can be read.
    """
    form = frame.format
    said = int(frame.colorspace)
    rgb = form.is_rgb or form.has_palette
    if rgb:
        return Colours(
            BT709, LIMITED, _bits(frame) > 8, True, _has_alpha(frame), (1, 1), (LIMITED, BT709, UNSAID, UNSAID)
        )
    large = frame.width >= _SD_WIDTH or frame.height > _SD_HEIGHT
    unsaid = BT709 if large else _BT601
    matrix = unsaid if said in (0, UNSAID) else _MATRICES.get(said)
    if matrix is None:
        raise UserError(f"its colours have matrix {said} of H.273, which cannot be read; convert it to BT.709.")
    full = frame.color_range == FULL or form.name.startswith("yuvj")
    tags = (
        FULL if full else int(frame.color_range),
        said or UNSAID,
        int(frame.color_primaries) or UNSAID,
        int(frame.color_trc) or UNSAID,
    )
    return Colours(
        matrix, FULL if full else LIMITED, _bits(frame) > 8, False, _has_alpha(frame), _subsampling(frame), tags
    )


def _bits(frame: VideoFrame) -> int:
    return max(component.bits for component in frame.format.components)


def _has_alpha(frame: VideoFrame) -> bool:
    return len(frame.format.components) in (2, 4) and not frame.format.has_palette and frame.format.name != "rgb0"


def _subsampling(frame: VideoFrame) -> tuple[int, int]:
    if len(frame.format.components) < 3:  # grey: colour takes no room
        return 2, 2
    return 16 // frame.format.chroma_width(16), 16 // frame.format.chroma_height(16)


def pixels_of(frame: VideoFrame, colours: Colours, size: tuple[int, int]) -> NDArray[np.float32]:
    """RGB `(H, W, 3)` in [0, 1], as stored, not yet turned.

    Args:
        frame: decoded.
        colours: of its video.
        size: the width and height it is scaled to where it has others, as videos that change midway do.
    """
    width, height = size
    rgb = frame.reformat(
        width=width,
        height=height,
        format="rgb48le" if colours.deep else "rgb24",
        src_colorspace=None if colours.rgb else colours.matrix,
        src_color_range=FULL if colours.rgb else colours.range,
        dst_color_range=FULL,
        interpolation=_interpolation(),
        threads=1,
    )
    pixels = rgb.to_ndarray().astype(np.float32)
    pixels /= np.float32(65535 if colours.deep else 255)
    return pixels


def frame_of(pixels: NDArray[np.float32], colours: Colours, pixel_format: str) -> VideoFrame:
    """The frame of RGB `pixels` `(H, W, 3)` in [0, 1] in `pixel_format`; halves round up."""
    import av

    levels = 65535 if colours.deep else 255
    samples = np.floor(np.clip(pixels, 0, 1) * np.float32(levels) + np.float32(0.5))
    rgb = np.ascontiguousarray(samples.astype(np.uint16 if colours.deep else np.uint8))
    frame = av.VideoFrame.from_ndarray(rgb, "rgb48le" if colours.deep else "rgb24")
    if pixel_format == "rgb24":
        return frame
    return frame.reformat(
        format=pixel_format,
        src_color_range=FULL,
        dst_colorspace=colours.matrix,
        dst_color_range=colours.range,
        interpolation=_interpolation(),
        threads=1,
    )


def _interpolation() -> int:
    """How colour is scaled: by the exact ways of swscale, whose fast ones are off by some levels."""
    from av.video.reformatter import Interpolation

    exact = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    return int(Interpolation.BICUBIC | exact)
