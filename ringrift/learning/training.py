"""Training one network: plain AdamW over a window, exactly resumable.

Batches are a function of seed and step, the learning rate of step and steps; weights and optimizer
state are in the checkpoint. A training that is killed and resumed therefore ends with the same bits
as an uninterrupted one (on the same machine with the same number of threads)."""

import copy
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ringrift.events.settings import TrainingSettings
from ringrift.learning import training_state
from ringrift.learning.batches import Sampled, Sampler
from ringrift.learning.distillation import soften
from ringrift.learning.loss import Losses
from ringrift.learning.training_state import Progress, State, TrainingError
from ringrift.learning.window import Window
from ringrift.nets import checkpoint as networks
from ringrift.nets.architectures import Tower
from ringrift.nets.shapes import canonical

WARM_UP_SHARE: Final = 0.05  # of the steps, until Adam's second moments settle
RATE_FLOOR: Final = 0.02  # last learning rate as a share of the full one
GRADIENT_NORM_MAX: Final = 4.0  # ten times the usual norm; limits the effect of an outlier batch
VALIDATION_SAMPLES_MAX: Final = 2048
VALIDATION_BATCH: Final = 256
REPORT_STEPS: Final = 20


def steps_for(settings: TrainingSettings, samples: int) -> int:
    """Return the number of gradient steps of a training on `samples` samples, at least 1."""
    return max(1, round(settings.epochs * samples / settings.batch))


def learning_rate(settings: TrainingSettings, step: int, steps: int) -> float:
    """Return the learning rate: linear warm-up, then half a cosine down to `RATE_FLOOR` of the full
    rate."""
    warm = max(1.0, WARM_UP_SHARE * steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    share = (step - warm) / max(1.0, steps - warm)
    return settings.learning_rate * (
        RATE_FLOOR + (1 - RATE_FLOOR) * 0.5 * (1 + math.cos(math.pi * share))
    )


class Trainer:
    """One training, from start weights or a training checkpoint to the last step."""

    ROOT_VALUE_MIX: ClassVar[float] = 0.0
    """Default share of the search's root value in the value target."""

    def __init__(
        self,
        window: Window,
        settings: TrainingSettings,
        *,
        seed: int,
        steps: int | None = None,
        start: bytes | None = None,
        teacher: bytes | None = None,
        resume: bytes | None = None,
        device: str | torch.device = "cpu",
        root_value_mix: float | None = None,
        replicas: int = 1,
    ) -> None:
        """Prepare a training.

        `start` is the checkpoint of a network to start from (fresh weights if None), `resume` the
        result of `checkpoint()` of a training with the same arguments. `teacher` is the checkpoint
        of a network of the same config and any architecture, which provides the share
        `settings.distill_weight` of the targets. `root_value_mix` in 0..1 is the share of the
        search's root value in the value target; the default is `ROOT_VALUE_MIX`.

        Each of several `replicas` computes a share of every batch in its own thread. They
        synchronise once per step, torch's own threads at every layer: 1,700 to 2,100 samples per
        second on two cores against 1,600, and far more under other load.

        If GPU memory is exhausted, steps are computed in halves, quarters and so on, whose
        gradients add up to the same step. Raises TrainingError, CheckpointError,
        UnknownArchitecture."""
        settings = msgspec.structs.replace(settings, architecture=canonical(settings.architecture))
        self.window, self.settings, self.seed = window, settings, seed
        self.device = torch.device(device)
        self.steps = steps or steps_for(settings, len(window))
        self.step = 0
        self._parent = networks.digest_of(start) if start is not None else None
        self._teacher_digest = networks.digest_of(teacher) if teacher is not None else None
        self._pieces = 1  # batches are split into this many pieces to fit into GPU memory
        self._validation_batch = VALIDATION_BATCH
        self._fingerprint = window.fingerprint()
        self.progress: Progress | None = None
        self._validation_loss: float | None = None
        validating = window.validating(settings.validation_fraction)
        training = np.flatnonzero(~validating)
        if not len(training):
            raise TrainingError(
                f"all {len(window)} samples are of validation games; play more games or lower "
                "training.validation_fraction"
            )
        self.network = self._new_network()
        self._teacher = self._load_teacher(teacher) if teacher is not None else None
        mix = self.ROOT_VALUE_MIX if root_value_mix is None else root_value_mix
        samplers = [self._new_sampler(training, mix) for _ in range(replicas)]
        self._sampler, self._samplers = samplers[0], samplers
        self._validation = np.flatnonzero(validating)[:VALIDATION_SAMPLES_MAX]
        if start is not None:
            self._load_start(start)
        self.network.to(self.device)
        self._optimizer = self._make_optimizer()
        if resume is not None:
            self._restore(resume)
        self._replicas = [self.network, *(copy.deepcopy(self.network) for _ in range(replicas - 1))]
        self._threads = ThreadPoolExecutor(replicas, thread_name_prefix="replica")

    def _new_network(self) -> nn.Module:
        """Return a network with fresh weights. Raises TrainingError, UnknownArchitecture."""
        raise NotImplementedError

    def _new_sampler(self, chosen: NDArray[np.int64], root_value_mix: float) -> Sampler:
        """Return a sampler of the samples `chosen`, encoded as the network's input."""
        raise NotImplementedError

    def _losses(self, network: nn.Module, sampled: Sampled) -> Losses:
        """Return the losses of `network` on a batch."""
        raise NotImplementedError

    def _load_start(self, start: bytes) -> None:
        """Copy the weights of a parent. Raises TrainingError, CheckpointError."""
        raise NotImplementedError

    def _load_teacher(self, data: bytes) -> Tower:
        """Return the teacher for distillation. Raises TrainingError, CheckpointError."""
        raise NotImplementedError

    def model(self, *, notes: dict[str, str] | None = None) -> bytes:
        """Return the current network as the bytes of a checkpoint that names its parents."""
        raise NotImplementedError

    def _after_step(self) -> None:
        """Restore invariants of the weights after every step; by default there are none."""

    def _make_optimizer(self) -> torch.optim.AdamW:
        """Return AdamW with decay of matrices and kernels, but not of biases and move kinds, which
        are few and sampled unevenly."""
        decayed = [
            p for name, p in self.network.named_parameters() if p.dim() > 1 and "kind" not in name
        ]
        others = [
            p for name, p in self.network.named_parameters() if p.dim() <= 1 or "kind" in name
        ]
        groups = [
            {"params": decayed, "weight_decay": self.settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=True)

    def run(
        self,
        *,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        on_checkpoint: Callable[[bytes], None] = lambda data: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Progress | None:
        """Train to the last step, or until `stop()` returns true between two steps; return the last
        report, None if there is none yet.

        Reports every `REPORT_STEPS` and at the end, checkpoints every `settings.checkpoint_steps`.
        Raises TrainingError if the loss is not finite."""
        self.network.train()
        sums = torch.zeros(3, dtype=torch.float64)
        since, started = self.step, time.perf_counter()
        while self.step < self.steps and not stop():
            sums += self._train_step()
            self.step += 1
            last = self.step == self.steps
            checkpointing = last or self.step % self.settings.checkpoint_steps == 0
            if checkpointing:
                self._validation_loss = self.validate()
            if last or self.step % REPORT_STEPS == 0:
                count = self.step - since
                speed = count * self._sampler.batch / (time.perf_counter() - started)
                self.progress = self._report((sums / count).tolist(), speed)
                on_progress(self.progress)
                since, started = self.step, time.perf_counter()
                sums.zero_()
            if checkpointing:
                on_checkpoint(self.checkpoint())
        return self.progress

    def _report(self, means: list[float], speed: float) -> Progress:
        if not all(math.isfinite(mean) for mean in means):
            raise TrainingError(
                f"the loss became {means[0]} before step {self.step}; lower training.learning_rate"
            )
        loss, policy, value = means
        return Progress(
            step=self.step,
            steps=self.steps,
            loss=loss,
            policy_loss=policy,
            value_loss=value,
            validation_loss=self._validation_loss,
            samples_per_second=speed,
        )

    def _train_step(self) -> Tensor:
        """Take one gradient step; return loss, policy loss and value loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step, self.steps)
        shares = list(self._threads.map(self._gradient, range(len(self._replicas))))
        weight = sum(share for share, _ in shares)
        parameters = [list(replica.parameters()) for replica in self._replicas]
        for copies in zip(*parameters, strict=True):
            # In place: the fused optimizer reads gradients in the memory order of the weights,
            # which a new tensor would not have.
            for twin, (share, _) in zip(copies, shares, strict=True):
                twin.grad.mul_(share / weight)
            for twin in copies[1:]:
                copies[0].grad.add_(twin.grad)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM_MAX)
        self._optimizer.step()
        self._after_step()
        with torch.no_grad():
            for own in parameters[1:]:
                for mine, first in zip(own, parameters[0], strict=True):
                    mine.copy_(first)
        return torch.stack([(share / weight) * result for share, result in shares]).sum(0)

    def _gradient(self, part: int) -> tuple[float, Tensor]:
        """Compute the gradient of one replica's share of a step; return the weight of its samples,
        and its loss, policy loss and value loss."""
        while True:
            pieces = self._pieces
            try:
                return self._gradient_in(pieces, part)
            except torch.cuda.OutOfMemoryError:
                if pieces * len(self._replicas) >= self._sampler.batch:
                    raise
            # Outside of the handler, which keeps the tensors of the failed attempt alive.
            self._pieces = 2 * pieces
            torch.cuda.empty_cache()

    def _gradient_in(self, pieces: int, part: int) -> tuple[float, Tensor]:
        """Compute `_gradient` in `pieces` consecutive batches."""
        replica, parts = self._replicas[part], len(self._replicas)
        replica.zero_grad(set_to_none=True)
        weight, sums = 0.0, torch.zeros(3, dtype=torch.float64)
        for piece in range(pieces):
            sampled = self._sampled(part, part + piece * parts, pieces * parts)
            share = float(sampled.weight.sum())
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"
            ):
                result = self._losses(replica, sampled)
            (result.total * share).backward()  # type: ignore[no-untyped-call]
            weight += share
            sums += (
                share
                * torch.stack((result.total, result.policy, result.value)).detach().double().cpu()
            )
        for parameter in replica.parameters():
            parameter.grad.div_(weight)  # type: ignore[union-attr]
        return weight, sums / weight

    def _sampled(self, sampler: int, part: int, parts: int) -> Sampled:
        """Return a part of this step's batch on the device, with the teacher's targets mixed in."""
        sampled = self._samplers[sampler].at(self.step, part, parts).to(self.device)
        return (
            soften(sampled, self._teacher, self.settings.distill_weight)
            if self._teacher
            else sampled
        )

    def validate(self) -> float | None:
        """Return the loss on validation games, without symmetries; None if there are none."""
        if not len(self._validation):
            return None
        self.network.eval()
        first, total, weight = 0, 0.0, 0.0
        while first < len(self._validation):
            samples = self._validation[first : first + self._validation_batch]
            try:
                loss = self._validation_loss_of(samples)
                share = float(self.window.weight[samples].sum())
                first, total, weight = first + len(samples), total + loss * share, weight + share
                continue
            except torch.cuda.OutOfMemoryError:
                if len(samples) == 1:
                    raise
            self._validation_batch = len(samples) // 2
            torch.cuda.empty_cache()
        self.network.train()
        return total / weight

    def _validation_loss_of(self, samples: NDArray[np.int64]) -> float:
        """Return policy and value loss only, so that trainings with and without auxiliary heads or
        a teacher can be compared."""
        with torch.inference_mode():
            result = self._losses(self.network, self._sampler.take(samples).to(self.device))
            return float(result.policy + self.settings.value_weight * result.value)

    def checkpoint(self) -> bytes:
        """Return the state of the training as bytes, for `resume`."""
        return training_state.write(self._state(), self.network, self._optimizer)

    def _state(self) -> State:
        return State(
            format=training_state.FORMAT,
            step=self.step,
            steps=self.steps,
            seed=self.seed,
            window=self._fingerprint,
            settings=self.settings,
            parent=self._parent,
            teacher=self._teacher_digest,
            progress=self.progress,
        )

    def _restore(self, data: bytes) -> None:
        state = training_state.read(data, self._state(), self.network, self._optimizer)
        self.step, self.progress = state.step, state.progress
        self._validation_loss = state.progress.validation_loss if state.progress else None
