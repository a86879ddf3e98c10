"""Image-quality metrics, one value per image: `psnr(restored, reference) -> (N,)`.

Images are `(N, 3, H, W)` tensors, floating point in [0, 1] or uint8; everything is computed in float64.
"""

from limpid.metrics.psnr import psnr
from limpid.metrics.ssim import PRESETS as SSIM_PRESETS
from limpid.metrics.ssim import SSIMPreset, ssim

__all__ = ["SSIM_PRESETS", "SSIMPreset", "psnr", "ssim"]
