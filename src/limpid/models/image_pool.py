"""A pool of images that were restored before, for a discriminator that is not to follow the newest alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limpid.errors import UserError


class ImagePool(nn.Module):
    """Gives the discriminator restored images of this step and of steps before (Shrivastava et al., CVPR 2017).

    Until it is full, images pass and are kept. Then each passes with a chance of one half; otherwise it takes the place
    of a kept one, which is given in its stead. What is kept is part of the state dict, and draws are PyTorch's own, so
    that a run that goes on gives what an uninterrupted one gives; of several processes, each keeps its own images, of
    which a checkpoint holds those of the first.

    Args:
        size: how many images are kept; 0 lets all pass.

    Raises:
        UserError: the size is below 0.
    """

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise UserError(f"The discriminator's pool is to keep {size} images, but it keeps 0 or more.")
        self.size = size
        self._kept: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """Images of the shape of `images` `(N, C, H, W)`, detached.

        Raises:
            UserError: images of another size are kept.
        """
        if self.size == 0:
            return images.detach()
        if self._kept and self._kept[0].shape != images.shape[1:]:
            kept, new = ("x".join(map(str, shape)) for shape in (self._kept[0].shape, images.shape[1:]))
            raise UserError(
                f"The discriminator's pool keeps images of {kept} and is given one of {new}; train on crops of one "
                "size (data.crop)."
            )
        return torch.stack([self._exchanged(image) for image in images.detach()])

    def _exchanged(self, image: Tensor) -> Tensor:
        """One image: the given one, or a kept one whose place it takes."""
        image = image.contiguous()
        if len(self._kept) < self.size:
            self._kept.append(image.clone())
            return image
        if torch.rand(()) < 0.5:
            return image
        place = int(torch.randint(self.size, ()))
        before = self._kept[place].to(image)
        self._kept[place] = image.clone()
        return before

    # Not buffers: an average of weights, and processes that share buffers, would want them in one shape from the start.
    def get_extra_state(self) -> Tensor:
        """The kept images, `(n, C, H, W)`."""
        return torch.stack(self._kept) if self._kept else torch.empty(0)

    def set_extra_state(self, state: Tensor) -> None:
        """Keep the images in `state`, `(n, C, H, W)`."""
        self._kept = [image.clone() for image in state]
