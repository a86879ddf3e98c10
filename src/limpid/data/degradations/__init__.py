"""Degradations: operators that turn a clean sample into a degraded one, drawing from a generator.

`limpid.data.degradations.operators` says what an operator is and how operators stack.
"""

from limpid.data.degradations.blur import Blur, gaussian_blur, gaussian_kernel
from limpid.data.degradations.haze import Haze, scatter, transmission_from_depth, wmcp_haze
from limpid.data.degradations.hybrid import DidHy, HybridDistortion, bin_combinations, distort, patch_corners
from limpid.data.degradations.jpeg import Jpeg, code_jpeg
from limpid.data.degradations.motion import CameraShake, FrameAverage, average_frames
from limpid.data.degradations.noise import HalfNormalNoise, Noise, add_gaussian_noise
from limpid.data.degradations.operators import Chain, Operator, current
from limpid.data.degradations.pseudo_depth import stand_in_depth
from limpid.data.degradations.quantize import EightBit, from_eight_bit, to_eight_bit
from limpid.data.degradations.rain import Rain, blend_rain, streak, streak_layer
from limpid.data.degradations.sand import Sand, integrated_variable, load_sand_colours, restored_from_phi, sand_scatter
from limpid.data.degradations.scaling import LowResolution, imresize
from limpid.data.degradations.tool_distortion import ToolDistortion

__all__ = [
    "Blur",
    "CameraShake",
    "Chain",
    "DidHy",
    "EightBit",
    "FrameAverage",
    "HalfNormalNoise",
    "Haze",
    "HybridDistortion",
    "Jpeg",
    "LowResolution",
    "Noise",
    "Operator",
    "Rain",
    "Sand",
    "ToolDistortion",
    "add_gaussian_noise",
    "average_frames",
    "bin_combinations",
    "blend_rain",
    "code_jpeg",
    "current",
    "distort",
    "from_eight_bit",
    "gaussian_blur",
    "gaussian_kernel",
    "imresize",
    "integrated_variable",
    "load_sand_colours",
    "patch_corners",
    "restored_from_phi",
    "sand_scatter",
    "scatter",
    "stand_in_depth",
    "streak",
    "streak_layer",
    "to_eight_bit",
    "transmission_from_depth",
    "wmcp_haze",
]
