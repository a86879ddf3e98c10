"""PatchGAN: a discriminator that judges every 70x70 patch of an image by itself."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.ranges import Channels, Layers, LayersOrNone, NonNegativeFloat

#: Normalisations by name; one with parameters of its own makes the convolution's bias needless.
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "instance": nn.InstanceNorm2d,
    "batch": nn.BatchNorm2d,
    "none": lambda channels: nn.Identity(),
}


def norm_layer(norm: str) -> tuple[Callable[[int], nn.Module], bool]:
    """The normalisation named `norm`, and whether a convolution before it has a bias.

    Raises:
        ValueError: there is none of that name.
    """
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}, but it must be one of {', '.join(NORMS)}.")
    return NORMS[norm], norm != "batch"


def gaussian_weights(module: nn.Module, std: float | None) -> None:
    """Draw the convolutions' weights from N(0, std) and batch norm's scales from N(1, std); biases become 0.

    With None all stay as they are: torch's own.
    """
    if std is None:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, std)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def refuse_small(image: Tensor, smallest: int) -> None:
    """Refuse images `(N, C, H, W)` that are too small for a discriminator of patches.

    Raises:
        UserError: a side is below `smallest`.
    """
    if min(image.shape[-2:]) < smallest:
        raise UserError(
            f"The discriminator needs images of at least {smallest} pixels a side, and this one is "
            f"{image.shape[-1]}x{image.shape[-2]}; train on larger ones (data.crop)."
        )


class PatchGAN(nn.Module):
    """The discriminator of pix2pix and CycleGAN (Isola et al., CVPR 2017, section 3.2.2): 2,764,737 parameters.

    With 6 channels (image and condition) and batch norm it has 2,768,705. Its scores have no sigmoid, as least-squares
    losses want them.

    Args:
        image_channels: of what it judges.
        channels: of the first convolution; they double up to eight times as many.
        layers: convolutions of stride 2; 3 see 70x70 pixels.
        norm: ``instance``, ``batch`` or ``none``.
        weight_std: deviation of the initial weights; None leaves them as torch draws them.
        padding: of every convolution; 2 is pix2pixHD's, and DeblurGAN's.

    Raises:
        ValueError: there is no normalisation of that name.
    """

    def __init__(
        self,
        image_channels: Channels = 3,
        channels: Channels = 64,
        layers: Layers = 3,
        norm: str = "instance",
        weight_std: NonNegativeFloat | None = 0.02,
        padding: LayersOrNone = 1,
    ) -> None:
        super().__init__()
        make_norm, bias = norm_layer(norm)
        widths = [channels * min(2**i, 8) for i in range(layers + 1)]
        body: list[nn.Module] = [nn.Conv2d(image_channels, channels, 4, 2, padding), nn.LeakyReLU(0.2)]
        for i in range(layers):
            stride = 2 if i < layers - 1 else 1
            body += [nn.Conv2d(widths[i], widths[i + 1], 4, stride, padding, bias=bias)]
            body += [make_norm(widths[i + 1]), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*body, nn.Conv2d(widths[-1], 1, 4, padding=padding))
        # With a padding of 2 a map of two positions a side stays one.
        self.smallest = 3 * 2**layers if padding < 2 else 2
        gaussian_weights(self, weight_std)

    def forward(self, image: Tensor) -> Tensor:
        """Scores `(N, 1, h, w)` of the patches of `image` `(N, C, H, W)` in [0, 1]; inside it is [-1, 1].

        Raises:
            UserError: a side of the image is so small that no patch is left: with a padding of 1, below 24 pixels (3 *
                2^layers).
        """
        refuse_small(image, self.smallest)
        scores: Tensor = self.body(2 * image - 1)
        return scores


class MultiScalePatchGAN(nn.Module):
    """Several `PatchGAN`s, each of which sees the image at half the size of the one before (pix2pixHD).

    Wang et al., CVPR 2018, section 3.2: 5,535,618 parameters with two scales of six channels.

    Args:
        scales: how many there are.
        image_channels: see `PatchGAN`, as all that follow.
        channels: of the first convolution.
        layers: convolutions of stride 2.
        norm: ``instance``, ``batch`` or ``none``.
        weight_std: deviation of the initial weights.
        padding: of every convolution.

    Raises:
        ValueError: there is no scale, or no normalisation of that name.
    """

    def __init__(
        self,
        scales: Layers = 2,
        image_channels: Channels = 3,
        channels: Channels = 64,
        layers: Layers = 3,
        norm: str = "instance",
        weight_std: NonNegativeFloat = 0.02,
        padding: LayersOrNone = 1,
    ) -> None:
        super().__init__()
        if scales < 1:
            raise ValueError(f"It has {scales} scales, but there is at least one")
        settings = (image_channels, channels, layers, norm, weight_std, padding)
        self.scales = nn.ModuleList([PatchGAN(*settings) for _ in range(scales)])
        #: At half the size, rounded up, each scale has at least what one needs.
        self.smallest = (3 * 2**layers - 1) * 2 ** (scales - 1) + 1

    def forward(self, image: Tensor) -> list[Tensor]:
        """The scores of each scale for `image` `(N, C, H, W)` in [0, 1].

        Raises:
            UserError: the image is too small for the last scale.
        """
        refuse_small(image, self.smallest)
        scores: list[Tensor] = []
        for discriminator in self.scales:
            scores.append(discriminator(image))
            image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
        return scores
