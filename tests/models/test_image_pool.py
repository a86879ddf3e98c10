"""The pool of restored images: what it gives, and that its state continues it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.models.image_pool import ImagePool


def number(value: float) -> Tensor:
    """An image that is `value` everywhere."""
    return torch.full((1, 3, 2, 2), float(value))


def test_a_pool_is_filled_first_and_gives_old_images_half_of_the_time_then() -> None:
    torch.manual_seed(0)
    pool = ImagePool(5)
    assert [float(pool(number(i)).mean()) for i in range(5)] == [0, 1, 2, 3, 4]
    given = [float(pool(number(i)).mean()) for i in range(5, 1005)]
    passed = sum(value == i for i, value in enumerate(given, 5))
    assert 440 < passed < 560
    kept = pool.get_extra_state()[:, 0, 0, 0].tolist()
    # each exchanged image is given later or kept: nothing is given twice, nothing is lost
    exchanged = [value for i, value in enumerate(given, 5) if value != i]
    assert len(set(exchanged)) == len(exchanged)
    passing = {value for i, value in enumerate(given, 5) if value == i}
    assert set(exchanged) | set(kept) | passing == set(range(1005))


def test_what_is_given_has_no_gradient_and_is_a_copy() -> None:
    pool = ImagePool(2)
    image = torch.rand(2, 3, 4, 4, requires_grad=True)
    given = pool(image)
    assert not given.requires_grad
    assert torch.equal(given, image)
    given.zero_()
    assert torch.equal(pool.get_extra_state(), image)
    assert torch.equal(ImagePool(0)(image), image)


def test_a_pool_that_is_read_back_goes_on_as_if_it_had_not_stopped() -> None:
    pool, other = ImagePool(3), ImagePool(3)
    for i in range(7):
        pool(number(i))
    missing, unexpected = other.load_state_dict(pool.state_dict())
    assert not missing
    assert not unexpected
    torch.manual_seed(1)
    first = [pool(number(i)) for i in range(20)]
    torch.manual_seed(1)
    assert all(torch.equal(a, other(number(i))) for i, a in enumerate(first))
    assert torch.equal(pool.get_extra_state(), other.get_extra_state())
    empty = ImagePool(3)
    empty.load_state_dict(ImagePool(3).state_dict())
    assert len(empty.get_extra_state()) == 0


def test_images_of_another_size_are_refused() -> None:
    pool = ImagePool(3)
    pool(torch.rand(1, 3, 8, 8))
    with pytest.raises(UserError, match="keeps images of 3x8x8 and is given one of 3x8x9"):
        pool(torch.rand(1, 3, 8, 9))
    with pytest.raises(UserError, match="is to keep -1 images, but it keeps 0 or more"):
        ImagePool(-1)
