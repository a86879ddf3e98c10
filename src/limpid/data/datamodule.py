"""Sets become batches: cropping, augmentation, and the loaders of training, validation and test."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Mapping

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from limpid.data.balanced_sampler import BalancedSampler
from limpid.data.cache import cached
from limpid.data.cropping import Resize, ResizedCrop, in_unit_range, random_crop, random_resized_crop, resized
from limpid.data.datasets import ImageSet, Sample
from limpid.data.degradations import Operator
from limpid.data.sampling import EpochSampler, SharedLoader, SharedSampler, StepSampler, StridedSampler, share
from limpid.errors import CannotRun, UserError
from limpid.paths import leads_out
from limpid.ranges import Count, CountOrNone, Pixels, PositiveFloat, PositiveInt, Seed
from limpid.surroundings import allow_workers

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its newest version on import


def to_tensors(sample: Sample) -> Sample:
    """The arrays of a sample as float32 tensors: images `(3, H, W)`, maps `(1, H, W)`, vectors as they are."""
    tensors: Sample = {}
    for key, value in sample.items():
        if isinstance(value, np.ndarray):
            array = value[..., None] if value.ndim == 2 else value
            array = array.transpose(2, 0, 1) if array.ndim == 3 else array
            tensors[key] = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        else:
            tensors[key] = value
    return tensors


class TrainingView(Dataset[Sample]):
    """A set as training sees it: addressed by (epoch, index), all randomness seeded by (seed, epoch, index).

    Where it is `unpaired`, the reference makes way for `clear`, that of another image, with a window of its own.
    """

    def __init__(
        self,
        images: ImageSet,
        crop: int | None,
        augment: object | None,
        seed: int,
        resized_crop: ResizedCrop | None = None,
        input_noise: Operator | None = None,
        resize: Resize | None = None,
        unpaired: bool = False,
    ) -> None:
        self.images = images
        self.crop = crop
        self.augment = augment
        self.seed = seed
        self.resized_crop = resized_crop
        self.input_noise = input_noise
        self.resize = resize
        self.unpaired = unpaired

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        sample = self._window(index, rng)
        if self.unpaired and "clear" not in sample:
            other = self._window(int(rng.integers(len(self.images))), rng)
            sample = {key: sample[key] for key in ("input", "name", "domain") if key in sample}
            if "target" in other:
                sample["clear"] = other["target"]
        if self.input_noise is not None:
            sample = self.input_noise(sample, rng)
        return {"domain": self.images.domain} | to_tensors(sample) | {"epoch": epoch, "index": index}

    def __len__(self) -> int:
        return len(self.images)

    def _window(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index` at its size, cut and augmented."""
        sample = self.images.load(index, rng)
        if self.resize is not None:
            sample = resized(in_unit_range(sample), self.resize)
        if self.crop is not None and self.resized_crop is not None:
            sample = random_resized_crop(in_unit_range(sample), self.crop, self.resized_crop, rng)
        elif self.crop is not None:
            sample = random_crop(sample, self.crop, rng)
        sample = in_unit_range(sample)
        if self.augment is not None:
            sample = self._augmented(sample, int(rng.integers(2**31)))
        return sample

    def _augmented(self, sample: Sample, seed: int) -> Sample:
        from albumentations import Compose

        maps = {k: v for k, v in sample.items() if isinstance(v, np.ndarray) and v.ndim >= 2 and k != "input"}
        if not hasattr(self, "_compose"):
            kinds = {k: "image" if v.ndim == 3 else "mask" for k, v in maps.items()}
            self._compose = Compose([self.augment], additional_targets=kinds)
        self._compose.set_random_seed(seed)
        turned = self._compose(image=sample["input"], **maps)
        return sample | {"input": turned["image"]} | {k: turned[k] for k in maps}


class EvaluationView(Dataset[Sample]):
    """A set as validation and test see it: whole images, the same degradation in every run."""

    def __init__(self, images: ImageSet, count: int | None) -> None:
        self.images, self.count = images, count

    def __getitem__(self, index: int) -> Sample:
        position = max(index, 0)  # -1 does not count; see StridedSampler
        sample = self.images.load(position, np.random.default_rng([position]))
        _refuse_outside("image", str(sample["name"]))
        return {"domain": self.images.domain} | to_tensors(sample) | {"index": index}

    def __len__(self) -> int:
        return len(self.images) if self.count is None else min(len(self.images), self.count)


class RestorationData(LightningDataModule):
    """A recipe: what to train on, what to validate on, and the test sets by name.

    Args:
        train: the training set, or None where there is nothing to train.
        val: the validation set, held out of training; None validates on nothing.
        test: the test sets, by the name they have in tables.
        root: the data root, for messages.
        batch_size: images per step; several processes share them.
        crop: side of the random training window in pixels; None trains on whole images.
        augment: an albumentations transform applied to all images and maps of a sample alike, or None.
        resized_crop: draws windows of other sizes and resizes them to `crop`; None cuts windows of `crop` itself.
        input_noise: an operator (`limpid.data.degradations`) on the input alone, after all else, or None.
        resize: brings whole images to another size before windows are cut; None leaves them.
        unpaired: train without references: beside each degraded image stands `clear`, the reference of another.
        workers: processes that load training images; the images do not depend on it.
        seed: of the run.
        test_images: test on at most so many images of each set, from 1 on; None on all.
        epoch_steps: how many steps count as one epoch; None for as many as it takes to see every training image once.
        monitor_on_test: validate on the first test set instead of `val`. The checkpoint is then chosen on the test
            images, so that a result is no fair one; `monitored` tells.
        cache: folder for decoded training images (see `limpid.data.cache`); None decodes every time. The images do
            not depend on it.
        cache_gb: how much the cache may take on disk, in GB.

    Raises:
        UserError: `test_images` is below 1, or the name of a set leads out of a run's folder.
    """

    def __init__(
        self,
        train: ImageSet | None = None,
        val: ImageSet | None = None,
        test: Mapping[str, ImageSet] | None = None,
        root: str = "data",
        batch_size: Count = 8,
        crop: Pixels | None = None,
        augment: object | None = None,
        workers: CountOrNone = 0,
        seed: Seed = 0,
        test_images: PositiveInt | None = None,
        epoch_steps: PositiveInt | None = None,
        monitor_on_test: bool = False,
        cache: str | None = None,
        cache_gb: PositiveFloat = 20.0,
        resized_crop: ResizedCrop | None = None,
        input_noise: Operator | None = None,
        resize: Resize | None = None,
        unpaired: bool | None = None,
    ) -> None:
        super().__init__()
        if test_images is not None and test_images < 1:
            raise UserError(
                f"data.test_images is {test_images}, but at least 1 image of each set is tested; give a larger number, "
                "or null (None in Python) for all images."
            )
        self.train = train if cache is None else cached(train, cache, cache_gb)
        self.val, self.test = val, dict(test or {})
        for name in [*self.test, *([] if val is None else [val.name])]:
            _refuse_outside("set", name)
        self.epoch_steps, self.monitor_on_test = epoch_steps, monitor_on_test
        self.root = root
        self.batch_size = batch_size
        self.crop = crop
        self.augment = augment
        self.workers = workers
        self.seed = seed
        self.test_images = test_images
        self.resized_crop, self.input_noise = resized_crop, input_noise
        self.resize, self.unpaired = resize, bool(unpaired)
        self.steps = 0  # of the whole run, as one epoch; see `plan`
        self.batches_done = 0  # by the run that is resumed

    def require(self, training: bool) -> list[str]:
        """Keep the test sets that are present; return a sentence for each that is not.

        Args:
            training: whether the training set is needed too.

        Raises:
            CannotRun: the training set is missing, or every test set is.
        """
        hint = (
            " Made scenes need no files: add data=scenes to the command, or use limpid.data.Recipe('scenes') in Python."
        )
        if training and self.train is None:
            raise CannotRun("This data recipe has nothing to train on; choose another, such as data=scenes.")
        if training and self.train is not None and (why := self.train.why_missing()):
            raise CannotRun(why + hint)
        absent = {name: why for name, images in self.test.items() if (why := images.why_missing())}
        if not training and self.test and len(absent) == len(self.test):
            raise CannotRun(" ".join(dict.fromkeys(absent.values())) + hint)  # several may be made of one
        self.test = {name: images for name, images in self.test.items() if name not in absent}
        if self.monitor_on_test and self.test:
            self.val = next(iter(self.test.values()))
        if self.val is not None and (self.val.why_missing() or len(self.val) == 0):
            self.val = None
        return list(absent.values())

    @property
    def monitored(self) -> str:
        """What the checkpoint is chosen on, for the record: ``held out``, ``test``, or ``nothing``."""
        if self.val is None:
            return "nothing"
        return "test" if self.monitor_on_test else "held out"

    def plan(self, max_steps: int | None, max_epochs: int | None, world: int = 1) -> int:
        """How many steps the run takes: `max_steps`, or `max_epochs` over the training set, whichever ends first.

        The number of processes, `world`, does not change it.

        Raises:
            UserError: neither is given, or the processes cannot share a step's images equally.
        """
        assert self.train is not None
        share(self.batch_size, world)
        limits = [max_steps] if max_steps is not None and max_steps > 0 else []
        if max_epochs is not None and max_epochs > 0:
            images = max_epochs * len(self.train)
            limits.append(max_epochs * self.epoch_steps if self.epoch_steps else math.ceil(images / self.batch_size))
        if not limits:
            raise UserError("Nothing says how long to train; set trainer.max_steps or trainer.max_epochs.")
        self.steps = min(limits)
        return self.steps

    def _place(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches from the first step that is not done yet to the last of the run."""
        assert self.train is not None
        allow_workers(self.workers)
        rank, world = self._place()
        sampler = self._sampler(rank, world)
        view = TrainingView(
            self.train,
            self.crop,
            self.augment,
            self.seed,
            self.resized_crop,
            self.input_noise,
            self.resize,
            self.unpaired,
        )
        # In a process of joblib's the start method is its own, by which a loader's processes cannot be started.
        of_joblib = self.workers > 0 and multiprocessing.get_start_method(allow_none=True) == "loky"
        return SharedLoader(
            view,
            sampler,
            num_workers=self.workers,
            collate_fn=_collate,
            multiprocessing_context="fork" if of_joblib else None,
        )

    def _sampler(self, rank: int, world: int) -> SharedSampler:
        """The training order, of a mixture equal shares of its sets; epoch by epoch where `plan` was not asked."""
        assert self.train is not None
        clock = (self.batch_size, self.steps, self.batches_done, self.seed, rank, world)
        sizes = getattr(self.train, "sizes", None)
        order = StepSampler(len(self.train), *clock) if sizes is None else BalancedSampler(sizes, *clock)
        if self.steps:
            return order
        return EpochSampler(order, self.epoch_steps or math.ceil(len(self.train) / self.batch_size))

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """The validation images one by one, or nothing."""
        return [] if self.val is None else self._evaluation_loader(self.val, None)

    def test_dataloader(self) -> list[DataLoader[Sample]]:
        """One loader per test set, in the order of `self.test`, its images one by one."""
        return [self._evaluation_loader(images, self.test_images) for images in self.test.values()]

    def _evaluation_loader(self, images: ImageSet, count: int | None) -> DataLoader[Sample]:
        rank, world = self._place()
        view = EvaluationView(images, count)
        return DataLoader(view, batch_size=1, sampler=StridedSampler(len(view), rank, world))

    def state_dict(self) -> dict[str, int]:
        """How many batches are done, for a run that continues from here."""
        assert self.trainer is not None
        return {"batches_done": self.trainer.fit_loop.epoch_loop.batch_progress.total.completed}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue after the batches that are done."""
        self.batches_done = state_dict["batches_done"]


def _refuse_outside(what: str, name: str) -> None:
    """Refuse a name that would lead a picture of a run out of the run's folder."""
    if leads_out(name):
        raise UserError(f"The name {name!r} of a test {what} leads out of a run's folder; give it another.")


def _collate(samples: list[Sample]) -> Sample:
    """Stack a batch; whole images of different sizes cannot be stacked, and the sentence says so.

    Raises:
        UserError: the images differ in size.
    """
    sizes = {tuple(sample["input"].shape[1:]) for sample in samples}
    if len(sizes) > 1:
        listed = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise UserError(f"A batch holds images of different sizes ({listed}); set data.crop or data.batch_size=1.")
    batch: Sample = torch.utils.data.default_collate(samples)
    return batch
