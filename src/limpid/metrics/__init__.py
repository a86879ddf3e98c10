"""Metrics: one value per image, each under its true name."""

from limpid.metrics.protocols import MetricProtocol
from limpid.metrics.psnr import psnr
from limpid.metrics.ssim import ssim

__all__ = ["MetricProtocol", "psnr", "ssim"]
