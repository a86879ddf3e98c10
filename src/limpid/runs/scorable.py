"""Whether the validation and test sets can be scored, found before a training that would take days to come to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from limpid.data.datamodule import EvaluationView, RestorationData
from limpid.data.datasets import ImageSet
from limpid.data.datasets.base import FileSet
from limpid.data.image_io import SUFFIXES, cut_short, read_bytes
from limpid.data.photographs.reading import size_of
from limpid.errors import UserError

#: More images of a set are not looked at, but as many evenly spread over it: reading 1,000 files takes a second or two.
_MOST = 2000
#: A metric is tried on a corner of this many pixels a side first; a whole image can take it a minute.
_CORNER = 256

#: Width and height of each file of an image.
_Sizes = tuple[tuple[int, int], ...]


def refuse_unscorable(data: RestorationData, metrics: Mapping[str, Callable[..., Tensor]]) -> None:
    """Refuse sets that cannot be scored: the ends and sizes of all files are read, and a few images decoded.

    Of the images whose files differ in size alike, the smallest is decoded and given to every metric.

    Args:
        data: with the sets that are there.
        metrics: by name, as the run scores with them.

    Raises:
        UserError: a file is missing, damaged or too small for a metric, or the files of an image do not fit together.
    """
    sets = [(images, data.test_images, f"The test set {name}") for name, images in data.test.items()]
    if data.val is not None and not data.monitor_on_test:
        sets.append((data.val, None, f"The validation set {data.val.name}"))
    for images, count, what in sets:
        view = EvaluationView(images, count)
        try:
            for index in _telling(images, len(view)):
                _score(view, index, metrics)
        except UserError as error:
            raise UserError(f"{what} cannot be scored: {error}") from error


def _telling(images: ImageSet, count: int) -> Iterator[int]:
    """The indices of images to decode, once the files of all have been looked at."""
    if not isinstance(images, FileSet):
        yield from range(min(count, 1))  # made images are alike
        return
    smallest: dict[_Sizes, tuple[int, int]] = {}
    step = max(1, -(-count // _MOST))
    for index in range(0, count, step):
        sizes = _sizes(images.files_of(index))
        first = sizes[0] if sizes else (0, 0)
        alike = tuple((width - first[0], height - first[1]) for width, height in sizes)
        least = smallest.get(alike)
        if least is None or min(first) < least[0]:
            smallest[alike] = (min(first), index)
    yield from sorted(index for _, index in smallest.values())


def _sizes(files: tuple[str, ...]) -> _Sizes:
    """The sizes of an image's files, those of other kinds than images left out.

    Raises:
        UserError: one cannot be read, or its end is missing.
    """
    sizes = []
    for name in files:
        file = Path(name)
        if file.suffix.lower() not in SUFFIXES:
            continue
        data = read_bytes(file)
        if cut_short(data):
            raise UserError(f"{file} is cut short ({len(data)} bytes, and the end is missing); fetch it again.")
        sizes.append(size_of(file))
    return tuple(sizes)


def _score(view: EvaluationView, index: int, metrics: Mapping[str, Callable[..., Tensor]]) -> None:
    sample = view[index]
    target = sample["target"][None] if "target" in sample else None
    image = sample["input"][None] if target is None else target
    for name, metric in metrics.items():
        if target is None and getattr(metric, "needs_reference", True):
            continue
        try:
            _tried(metric, image, target)
        except UserError as error:
            raise UserError(f"image {sample['name']}, {name}: {error}") from error


def _tried(metric: Callable[..., Tensor], image: Tensor, target: Tensor | None) -> None:
    """Score a corner of the image, or all of it where the corner is refused."""
    corner = image[..., :_CORNER, :_CORNER]
    with torch.inference_mode():
        try:
            metric(corner, None if target is None else corner)
        except UserError:
            if corner.shape == image.shape:
                raise
            metric(image, target)
