"""FSRCNN and the super-resolution teachers of Rich Feature Distillation, which are one network with options."""

from __future__ import annotations

from torch import Tensor, nn

from limpid.errors import UserError
from limpid.ranges import Channels, Layers


class Convolution(nn.Sequential):
    """A convolution over `groups` separate sets of channels, plain or depthwise separable, and its activation.

    The separable form is a depthwise and then a pointwise convolution (rfd section 3.1, Howard et al. 2017).
    With `normalised` it has no biases, batch normalisation stands behind each of the two, and an activation
    between them.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        *,
        groups: int,
        separable: bool,
        normalised: bool,
        activation: str,
    ) -> None:
        bias, padding = not (separable and normalised), kernel_size // 2

        def finish(channels: int) -> list[nn.Module]:
            """The layers behind a convolution with `channels`."""
            rest: list[nn.Module] = [nn.BatchNorm2d(channels)] if normalised else []
            return [*rest, nn.PReLU(channels) if activation == "prelu" else nn.ReLU()]

        parts: list[nn.Module]
        if separable:
            depthwise = nn.Conv2d(channels_in, channels_in, kernel_size, padding=padding, groups=channels_in, bias=bias)
            pointwise = nn.Conv2d(channels_in, channels_out, 1, groups=groups, bias=bias)
            parts = [depthwise, *(finish(channels_in) if normalised else []), pointwise]
        else:
            parts = [nn.Conv2d(channels_in, channels_out, kernel_size, padding=padding, groups=groups, bias=bias)]
        super().__init__(*parts, *finish(channels_out))


class FSRCNN(nn.Module):
    """Fast super-resolution CNN (Dong et al., ECCV 2016), and its multi-channel form (rfd section 3.1, figure 2).

    Features are found in the small image (`extract`, 5x5), narrowed (`shrink`, 1x1), transformed (`mapping`, 3x3
    each), widened (`expand`, 1x1) and enlarged by a learned 9x9 deconvolution (`upsample`). PReLU has one slope per
    channel. Parameters do not depend on the scale:

    ==================================  ==========  =======
    config                              parameters  printed
    ==================================  ==========  =======
    fsrcnn (one branch of 3 channels)   24,683      24.68K
    mc_fsrcnn (a branch per colour)     38,427      38.42K
    dsc_mc_fsrcnn (depthwise separable) 26,451      26.45K
    relu_mc_fsrcnn                      37,911      38.42K
    dscbn_mc_fsrcnn                     27,837      29.57K
    ==================================  ==========  =======

    The printed 38.42K of the ReLU variant is that of the PReLU one: the 516 slopes are gone. How the variant with batch
    normalisation is built is not said. The one taken here is the only one found that gives its figure, 29,571, and
    only when the 1,734 running statistics are counted as well: no biases in the separable convolutions, batch
    normalisation behind every convolution, the output included, and PReLU between depthwise and pointwise.

    The branches of `multi_channel` (equations 2 and 3) are groups of one set of convolutions, which is the same
    function: branch c has the c-th third of every layer's output channels, and every weight is the three branches'
    weights stacked along the first axis.

    Features can be read (`limpid.networks.feature_hooks`) behind `extract`, `shrink`, `mapping.0` ... `mapping.3` and
    `expand`: `(N, branches * C, H, W)` of the small image, C = 56, 12, 12, 56. In published weights these parts are
    called `first_part` (extract), `mid_part` (shrink, mapping, expand, each convolution and PReLU counted) and
    `last_part` (upsample).

    Args:
        scale: how many times the image is enlarged.
        multi_channel: one branch per colour channel in place of one for all three.
        features: channels of extraction and expansion, per branch (d of the paper).
        shrunk: channels in between, per branch (s).
        mappings: number of 3x3 layers (m).
        activation: ``prelu`` or ``relu``.
        separable: shrink, mapping and expand are depthwise separable; extraction and upsampling never are.
        batch_norm: see above.

    Raises:
        UserError: the activation is neither.
    """

    def __init__(
        self,
        scale: Layers = 2,
        multi_channel: bool = False,
        features: Channels = 56,
        shrunk: Channels = 12,
        mappings: Layers = 4,
        activation: str = "prelu",
        separable: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ("prelu", "relu"):
            raise UserError(f"activation={activation!r} is not one that FSRCNN knows; use prelu or relu.")
        branches = 3 if multi_channel else 1
        wide, narrow = branches * features, branches * shrunk

        def convolution(channels_in: int, channels_out: int, kernel_size: int, separable: bool) -> Convolution:
            return Convolution(
                channels_in,
                channels_out,
                kernel_size,
                groups=branches,
                separable=separable,
                normalised=batch_norm,
                activation=activation,
            )

        self.scale = scale
        self.extract = convolution(3, wide, 5, separable=False)
        self.shrink = convolution(wide, narrow, 1, separable)
        self.mapping = nn.Sequential(*[convolution(narrow, narrow, 3, separable) for _ in range(mappings)])
        self.expand = convolution(narrow, wide, 1, separable)
        deconvolution = nn.ConvTranspose2d(
            wide, 3, 9, stride=scale, padding=4, output_padding=scale - 1, groups=branches
        )
        # The deconvolution's is the paper's; the other layers keep the framework's initialisation.
        nn.init.normal_(deconvolution.weight, std=0.001)
        assert deconvolution.bias is not None
        nn.init.zeros_(deconvolution.bias)
        self.upsample = nn.Sequential(deconvolution, *([nn.BatchNorm2d(3)] if batch_norm else []))

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge `x`, `(N, 3, H, W)` in [0, 1], to `(N, 3, scale H, scale W)`, not clamped."""
        features = self.mapping(self.shrink(self.extract(x)))
        enlarged: Tensor = self.upsample(self.expand(features))
        return enlarged
