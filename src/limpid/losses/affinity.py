"""Feature affinity: a student's picture of which positions resemble each other is drawn to its teacher's (rfd, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.step import LossTerm, Step
from limpid.networks.feature_hooks import OUTPUT
from limpid.ranges import Pixels, PositiveFloat

#: How two affinities may be compared; see `affinity_distance`.
DISTANCES = ("l2", "l1", "kl", "fro_over_n2")


def pooled(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """`features` `(N, C, H, W)` averaged over cells to a `grid` of positions, flattened: `(N, C, P)` (equations 7, 8).

    The cells are squares of as many whole pixels as fit; what is left at the right and lower edge is not looked at.

    Raises:
        UserError: the features are smaller than the grid.
    """
    height, width = features.shape[-2] // grid[0], features.shape[-1] // grid[1]
    if min(height, width) < 1:
        raise UserError(
            f"Features of {features.shape[-1]}x{features.shape[-2]} cannot be pooled to the {grid[1]}x{grid[0]} "
            "positions of the affinity; take a larger one, or set the term's pool higher."
        )
    return F.avg_pool2d(features, (height, width))[..., : grid[0], : grid[1]].flatten(2)


def affinity_distance(student: Tensor, teacher: Tensor, distance: str = "l2", memory_mb: float = 4.0) -> Tensor:
    """How far the spatial affinities ``H = S^T S`` and ``C = T^T T`` `(P, P)` of each image are apart, over the batch.

    ============  ==========================================================================================
    ``l2``        the mean of ``(H - C)^2`` over all pairs of positions (rfd, equation 12)
    ``l1``        the mean of ``|H - C|``
    ``kl``        ``sum_j H log(H / C)`` of rows made distributions by a softmax, the student's first as
                  equation 11 prints it; the mean over rows
    fro_over_n2   ``||H - C||_F / P^2`` over the whole batch, not squared: the authors' released code
    ============  ==========================================================================================

    `l2` and `fro_over_n2` never make a P x P matrix, because exactly
    ``||S^T S - T^T T||^2 = ||S S^T||^2 + ||T T^T||^2 - 2 ||S T^T||^2``, with matrices of the channels alone. That is
    computed in float64 where the device has it: nearly equal terms are subtracted. `l1` and `kl` go through P x P in
    blocks of rows.

    Args:
        student: S, `(N, C, P)`; the number of channels may differ from the teacher's.
        teacher: T, `(N, C', P)`; no gradient reaches it.
        distance: one of `DISTANCES`.
        memory_mb: what `l1` and `kl` may take for blocks of rows, in MiB, forward and backward; one row at least is
            taken. Blocks that fit into a CPU's cache are the fastest there. (A whole 460x620 image has P = 17,825
            positions at a quarter: 1.2 GiB for one matrix.)

    Returns:
        One number, float32, or float64 where `student` is.
    """
    with torch.autocast(student.device.type, enabled=False):
        kind = torch.promote_types(student.dtype, torch.float32)
        student, teacher = student.to(kind), teacher.detach().to(kind)
        if distance in ("l2", "fro_over_n2"):
            squares = _squared_differences(student, teacher)
            positions = student.shape[-1]
            if distance == "l2":
                return (squares.mean() / positions**2).to(kind)
            # The root has no slope at 0; a sum that is only rounding has none here.
            return (squares.sum().clamp_min(torch.finfo(squares.dtype).tiny).sqrt() / positions**2).to(kind)
        distances: Tensor = _ByRows.apply(student, teacher, distance, memory_mb)
        return distances.mean()


def _squared_differences(student: Tensor, teacher: Tensor) -> Tensor:
    """``||S^T S - T^T T||_F^2`` of each image, `(N,)`."""
    fine = torch.float32 if student.device.type == "mps" else torch.float64
    s, t = student.to(fine), teacher.to(fine)

    def square(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.mT).square().sum((1, 2))

    return (square(s, s) + square(t, t) - 2 * square(s, t)).clamp_min(0)


class _ByRows(torch.autograd.Function):
    """`l1` and `kl` of each image, in blocks of rows that share their buffers; the gradient is found on the way.

    Automatic differentiation would keep a graph of every block: small objects between large ones, so that the memory of
    one block is not fit for the next, and the process grows by the size of whole matrices.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, student: Tensor, teacher: Tensor, distance: str, memory_mb: float) -> Tensor:
        """The distances; `student` `(N, C, P)`, `teacher` `(N, C', P)`."""
        positions = student.shape[-1]
        slopes, buffers = (_l1_slopes, 1) if distance == "l1" else (_kl_slopes, 2)
        fitting = int(memory_mb * 2**20 / (buffers * student.element_size() * positions))
        rows = max(1, min(fitting, positions))
        blocks = student.new_empty(buffers, rows, positions)
        gradient = torch.zeros_like(student)
        totals = student.new_zeros(len(student), dtype=torch.float32 if student.device.type == "mps" else torch.float64)
        for n, (s, t) in enumerate(zip(student, teacher, strict=True)):
            for start in range(0, positions, rows):
                block = slice(start, min(start + rows, positions))
                parts = slopes(s, t, block, gradient[n], *blocks[:, : block.stop - start])
                totals[n] += parts.sum(dtype=totals.dtype)
        scale = positions**2 if distance == "l1" else positions
        ctx.save_for_backward(gradient.div_(scale))
        return totals.div_(scale).to(student.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient found in `forward`, times that of each distance."""
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0][:, None, None], None, None, None


def _l1_slopes(s: Tensor, t: Tensor, block: slice, gradient: Tensor, difference: Tensor) -> Tensor:
    """``|H - C|`` summed over each row of `block`; what they add to the slope by `s` goes into `gradient`."""
    torch.mm(s[:, block].mT, s, out=difference).addmm_(t[:, block].mT, t, alpha=-1)
    parts = torch.linalg.vector_norm(difference, ord=1, dim=1)
    gradient.addmm_(s[:, block], difference.sign_(), alpha=2)  # H - C is symmetric: columns add what rows do
    return parts


def _kl_slopes(s: Tensor, t: Tensor, block: slice, gradient: Tensor, share: Tensor, difference: Tensor) -> Tensor:
    """The divergence of each row of `block`; what they add to the slope by `s` goes into `gradient`."""
    torch.mm(t[:, block].mT, t, out=difference)
    _, teacher_logarithm = _softmax_(difference)
    torch.mm(s[:, block].mT, s, out=share)
    torch.mm(s[:, block].mT, s, out=difference).addmm_(t[:, block].mT, t, alpha=-1)
    share, student_logarithm = _softmax_(share)
    parts = difference.mul_(share).sum(1, keepdim=True)
    difference.addcmul_(share, parts, value=-1)
    gradient[:, block].add_(s @ difference.mT)
    gradient.addmm_(s[:, block], difference)
    return parts - student_logarithm + teacher_logarithm


def _softmax_(rows: Tensor) -> tuple[Tensor, Tensor]:
    """`rows` made distributions in place, and the logarithm of each one's sum of exponentials, `(rows, 1)`."""
    largest = rows.amax(1, keepdim=True)
    total = rows.sub_(largest).exp_().sum(1, keepdim=True)
    return rows.div_(total), total.log() + largest


class FeatureAffinity(LossTerm):
    """The feature affinity loss of Rich Feature Distillation (section 3.3, equations 7 to 12), a mean over layers.

    Both networks' features are averaged to a grid of a quarter of the input's sides, so that features of any size and
    number of channels can be compared. The released code compares the two outputs; the paper speaks of "intermediate
    multi-scale features" without naming them.

    Args:
        taps: pairs ``{student: ..., teacher: ...}`` of names of layers, or ``output``
            (`limpid.networks.feature_hooks`).
        distance: one of `DISTANCES`.
        pool: side of a cell, in pixels of the input.
        normalise: bring each position's features to length 1 first, so that the affinity is a cosine and neither
            scale nor number of channels plays a part (as the paper's source, Wang et al., CVPR 2020); the paper and its
            code do not.
        memory_mb: see `affinity_distance`.

    Raises:
        UserError: the distance is unknown, or there is no pair of layers or it lacks a side.
    """

    requires = frozenset({"features", "teacher"})

    def __init__(
        self,
        taps: Sequence[Mapping[str, str]] = ({"student": OUTPUT, "teacher": OUTPUT},),
        distance: str = "l2",
        pool: Pixels = 4,
        normalise: bool = False,
        memory_mb: PositiveFloat = 4.0,
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise UserError(f"The affinity's distance is {distance!r}; choose one of {', '.join(DISTANCES)}.")
        if not taps or any(set(tap) != {"student", "teacher"} for tap in taps):
            raise UserError(
                "The affinity's taps must be a list of pairs such as {student: output, teacher: output}, at least one."
            )
        self.pairs = [(tap["student"], tap["teacher"]) for tap in taps]
        self.network_layers = tuple(dict.fromkeys(student for student, _ in self.pairs))
        self.teacher_layers = tuple(dict.fromkeys(teacher for _, teacher in self.pairs))
        self.distance = distance
        self.pool = pool
        self.normalise = normalise
        self.memory_mb = memory_mb

    def forward(self, step: Step) -> Tensor:
        """One number, in float32 or float64; gradients reach the student alone."""
        assert step.features is not None
        assert step.teacher is not None
        students, teachers = step.features, step.teacher.features
        height, width = step.input.shape[-2:]
        grid = (height // self.pool, width // self.pool)
        distances = [
            affinity_distance(
                self._positions(students[student], grid),
                self._positions(teachers[teacher].detach(), grid),
                self.distance,
                self.memory_mb,
            )
            for student, teacher in self.pairs
        ]
        return torch.stack(distances).mean()

    def _positions(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        features = pooled(features.to(torch.promote_types(features.dtype, torch.float32)), grid)
        return F.normalize(features, dim=1) if self.normalise else features
