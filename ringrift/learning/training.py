"""Training one network: plain AdamW over a window, exactly resumable. Several configs take turns.

Batches are a function of seed and step, the learning rate of step and steps; weights and optimizer
state are in the checkpoint. A training that is killed and resumed therefore ends with the same bits
as an uninterrupted one (on the same machine with the same number of threads)."""

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from ringrift.events.settings import TrainingSettings
from ringrift.learning import training_state
from ringrift.learning.batches import Sampled, Sampler
from ringrift.learning.loss import Losses, soften
from ringrift.learning.schedule import evenly, learning_rate, steps_for, turns
from ringrift.learning.tally import Tally
from ringrift.learning.training_state import Part, Progress, State, TrainingError
from ringrift.learning.window import Window
from ringrift.nets.architectures import Tower
from ringrift.nets.arrays import Int64s
from ringrift.nets.batch import Batcher, NnueBatcher, to_device
from ringrift.nets.checkpoint import Checkpoint, load_weights
from ringrift.nets.evaluator import in_chunks
from ringrift.nets.header import CheckpointError, digest_of
from ringrift.nets.shapes import UnknownArchitecture, canonical
from ringrift.nets.tensors import Arrays
from ringrift.rules.config import Config

GRADIENT_NORM_MAX: Final = 4.0  # ten times the usual norm; limits the effect of an outlier batch
VALIDATION_SAMPLES_MAX: Final = 2048
VALIDATION_BATCH: Final = 256
REPORT_STEPS: Final = 20


class Trainer(ABC):
    """One training, from start weights or a training checkpoint to the last step."""

    CHECKPOINT: ClassVar[type[Checkpoint[Any]]]
    network: nn.Module
    ROOT_VALUE_MIX: ClassVar[float] = 0.0
    """Default share of the search's root value in the value target."""

    def __init__(
        self,
        window: Window,
        settings: TrainingSettings,
        *,
        seed: int,
        steps: int | Sequence[int] | None = None,
        start: bytes | None = None,
        teacher: bytes | None = None,
        others: Sequence[Window] = (),
        resume: bytes | None = None,
        device: str | torch.device = "cpu",
        root_value_mix: float | None = None,
        replicas: int = 1,
    ) -> None:
        """Prepare a training.

        `start` is the checkpoint of a network to start from (fresh weights if None), `resume` the
        result of `checkpoint()` of a training with the same arguments. `teacher` is the checkpoint
        of a tower, of any config, for the share `settings.distill_weight` of the targets.
        `root_value_mix` in 0..1 is the share of the search's root value in the value target.

        `others` are windows of other configs, whose network then plays all. `steps` are those of
        each window, or of all in equal parts; by default they follow from the settings.

        Each of several `replicas` computes a share of every batch in its own thread. They
        synchronise once per step, torch's own threads at every layer: 1,700 to 2,100 samples per
        second on two cores against 1,600, and far more under other load. Two of an NNUE take 0.9
        times the time of one, and 1.3 times its processor time.

        If GPU memory is exhausted, steps are computed in halves, quarters and so on. Raises
        TrainingError, CheckpointError, UnknownArchitecture."""
        settings = replace(settings, architecture=canonical(settings.architecture))
        self.window, self.settings, self.seed = window, settings, seed
        self.windows = (window, *others)
        self.device = torch.device(device)
        if steps is None or isinstance(steps, int):
            steps = steps or steps_for(settings, sum(map(len, self.windows)))
            steps = evenly(steps, len(self.windows))
        self._turns = turns(steps)
        self.steps, self.step = len(self._turns), 0
        self._pieces = 1  # batches are split into this many pieces to fit into GPU memory
        self._validation_batch = VALIDATION_BATCH
        self._state = State(
            format=training_state.FORMAT,
            step=0,
            steps=self.steps,
            seed=seed,
            window=" ".join(one.fingerprint() for one in self.windows),
            settings=settings,
            parent=digest_of(start) if start is not None else None,
            teacher=digest_of(teacher) if teacher is not None else None,
            progress=None,
        )
        self.progress: Progress | None = None
        self._validation_loss: float | None = None
        self._tally = Tally(self.windows, self._turns)
        self.network = self._new_network()
        self._teacher = self._load_teacher(teacher) if teacher is not None else None
        mix = self.ROOT_VALUE_MIX if root_value_mix is None else root_value_mix
        self.samplers = self._draw_from(window, replicas, mix)
        self._others = [self._draw_from(one, replicas, mix) for one in others]
        if start is not None:
            self._load_start(start)
        self.network.to(self.device)
        self._optimizer = self._make_optimizer()
        if resume is not None:
            self._restore(resume)
        self._replicas = [self.network, *(self._replica() for _ in range(replicas - 1))]
        self._threads = ThreadPoolExecutor(replicas, thread_name_prefix="replica")

    @abstractmethod
    def _new_network(self) -> nn.Module:
        """Return a network with fresh weights. Raises TrainingError, UnknownArchitecture."""

    @abstractmethod
    def _new_encoder(self, config: Config) -> Batcher | NnueBatcher:
        """Return an encoder of the network's input."""

    def _draw_from(self, window: Window, replicas: int, mix: float) -> list[Sampler]:
        """Return a sampler for each replica. Raises TrainingError."""
        settings, ends = self.settings, bool(self._auxiliary())
        training = np.flatnonzero(~window.validating(settings.validation_fraction))
        if not len(training):
            raise TrainingError(
                f"all {len(window)} samples are of validation games; play more games or lower "
                "training.validation_fraction"
            )
        encoders = [self._new_encoder(window.config) for _ in range(replicas)]
        draw = partial(Sampler, window, training, batch=settings.batch, seed=self.seed)
        return [draw(root_value_mix=mix, ends=ends, encoder=encoder) for encoder in encoders]

    @abstractmethod
    def _losses(self, network: Any, sampled: Sampled) -> Losses:
        """Return the losses of `network` on a batch."""

    def _load_teacher(self, data: bytes) -> Tower:
        """Return the teacher for distillation. Raises TrainingError, CheckpointError."""
        raise TrainingError(
            f"{self.settings.architecture} cannot be distilled; "
            "remove its config from training.distill_from"
        )

    def _auxiliary(self) -> list[str]:
        """Return the auxiliary heads that the settings weigh; by default there are none."""
        return []

    def _start_weights(self, parent: Checkpoint[Any]) -> Arrays:
        """Return the weights to start from. Raises UnknownArchitecture."""
        return parent.weights_on(self.window.config)

    def _load_start(self, start: bytes) -> None:
        """Copy the weights of a parent. Raises TrainingError."""
        own, config = self.settings.architecture, self.window.config
        what = f"cannot start {own} for {config.key} from"
        try:
            parent = self.CHECKPOINT.parse(start)
            weights = self._start_weights(parent)
        except (CheckpointError, UnknownArchitecture) as error:
            raise TrainingError(f"{what} the parent network: {error}") from error
        if parent.header.architecture != own:
            raise TrainingError(f"{what} a {parent.header.architecture}")
        load_weights(self.network, weights)

    def model(self, *, notes: dict[str, str] | None = None) -> bytes:
        """Return the current network as the bytes of a checkpoint that names its parents."""
        parent, teacher = self._state.parent, self._state.teacher
        if teacher:
            notes = {"distilled_from": teacher, **(notes or {})}
        return self.CHECKPOINT.save(
            self.network,
            architecture=self.settings.architecture,
            config=self.window.config,
            parents=tuple(dict.fromkeys(filter(None, (parent, teacher)))),
            notes=notes,
            configs=tuple(one.config.key for one in self.windows) if self._others else (),
        )

    def _make_optimizer(self) -> torch.optim.AdamW:
        """Return AdamW with decay of matrices and kernels, but not of biases and move kinds, which
        are few and sampled unevenly."""
        decayed, others = list[nn.Parameter](), list[nn.Parameter]()
        for name, parameter in self.network.named_parameters():
            decays = parameter.dim() > 1 and "kind" not in name
            (decayed if decays else others).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=True)

    def _replica(self) -> nn.Module:
        """Return a network with the same weights in memory and gradients of its own."""
        twin = copy.deepcopy(self.network)
        twin.load_state_dict(self.network.state_dict(), assign=True)
        return twin

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
        since, started = self.step, time.perf_counter()
        while self.step < self.steps and not stop():
            self._tally.add(self._turns[self.step][0], self._train_step())
            self.step += 1
            last = self.step == self.steps
            checkpointing = last or self.step % self.settings.checkpoint_steps == 0
            if checkpointing:
                self._validation_loss = self.validate()
            if last or self.step % REPORT_STEPS == 0:
                speed = (
                    (self.step - since) * self.samplers[0].batch / (time.perf_counter() - started)
                )
                self.progress = self._report(self._tally.report(), speed)
                on_progress(self.progress)
                since, started = self.step, time.perf_counter()
            if checkpointing:
                on_checkpoint(self.checkpoint())
        return self.progress

    def parts(self) -> dict[str, Part]:
        """Return what a training that has reported did on each config."""
        assert self.progress is not None
        return self._tally.parts(self.progress)

    def _report(self, means: list[float], speed: float) -> Progress:
        if not all(math.isfinite(mean) for mean in means):
            raise TrainingError(
                f"the loss became {means[0]} before step {self.step}; lower training.learning_rate"
            )
        return Progress(
            step=self.step,
            steps=self.steps,
            loss=means[0],
            policy_loss=means[1],
            value_loss=means[2],
            validation_loss=self._validation_loss,
            samples_per_second=speed,
        )

    def _train_step(self) -> Tensor:
        """Take one gradient step; return loss, policy loss and value loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step, self.steps)
        shares = list(self._threads.map(self._gradient, range(len(self._replicas))))
        weight = sum(share for share, _ in shares)
        for copies in zip(*(replica.parameters() for replica in self._replicas), strict=True):
            # In place: the fused optimizer reads gradients in the memory order of the weights,
            # which a new tensor would not have.
            for twin, (share, _) in zip(copies, shares, strict=True):
                twin.grad.mul_(share / weight)
            for twin in copies[1:]:
                copies[0].grad.add_(twin.grad)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM_MAX)
        self._optimizer.step()
        return torch.stack([(share / weight) * result for share, result in shares]).sum(0)

    def _gradient(self, part: int) -> tuple[float, Tensor]:
        """Compute the gradient of one replica's share of a step; return the weight of its samples,
        and its loss, policy loss and value loss."""
        while True:
            pieces = self._pieces
            try:
                return self._gradient_in(pieces, part)
            except torch.cuda.OutOfMemoryError:
                if pieces * len(self._replicas) >= self.samplers[0].batch:
                    raise
            # Outside of the handler, which keeps the tensors of the failed attempt alive.
            self._pieces = 2 * pieces
            torch.cuda.empty_cache()

    def _gradient_in(self, pieces: int, part: int) -> tuple[float, Tensor]:
        """Compute `_gradient` in `pieces` consecutive batches."""
        replica, parts = self._replicas[part], len(self._replicas)
        replica.zero_grad(set_to_none=True)
        weight, sums = 0.0, torch.zeros(3, dtype=torch.float64)
        turn, step = self._turns[self.step]
        sampler = (self.samplers, *self._others)[turn][part]
        for piece in range(pieces):
            sampled = sampler.at(step, part + piece * parts, pieces * parts)
            sampled = to_device(sampled, self.device)
            if self._teacher is not None:
                sampled = soften(sampled, self._teacher, self.settings.distill_weight)
            share = float(sampled.weight.sum())
            half = self.device.type != "cpu"
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                result = self._losses(replica, sampled)
            (result.total * share).backward()  # type: ignore[no-untyped-call]
            weight += share
            sums += share * torch.stack(result).detach().double().cpu()
        for parameter in replica.parameters():
            parameter.grad.div_(weight)  # type: ignore[union-attr]
        return weight, sums / weight

    def validate(self) -> float | None:
        """Return the loss on validation games, without symmetries; None if there are none.

        It is policy and value loss only, so that trainings with and without auxiliary heads or a
        teacher can be compared."""
        self.network.eval()
        found: list[list[tuple[float, float]]] = []

        def add(sampler: Sampler, chosen: Int64s, first: int, last: int) -> None:
            samples = chosen[first:last]
            with torch.inference_mode():
                sampled = to_device(sampler.take(samples), self.device)
                result = self._losses(self.network, sampled)
                loss = float(result.policy + self.settings.value_weight * result.value)
            weight = float(sampler.window.weight[samples].sum())
            found[-1].append((loss * weight, weight))

        for sampler, *_ in (self.samplers, *self._others):
            found.append([])
            validating = sampler.window.validating(self.settings.validation_fraction)
            chosen = np.flatnonzero(validating)[:VALIDATION_SAMPLES_MAX]
            check = partial(add, sampler, chosen)
            self._validation_batch = in_chunks(len(chosen), self._validation_batch, check)
        self.network.train()
        return self._tally.validated(found)

    def checkpoint(self) -> bytes:
        """Return the state of the training as bytes, for `resume`."""
        state = replace(self._state, step=self.step, progress=self.progress)
        return training_state.write(state, self.network, self._optimizer)

    def _restore(self, data: bytes) -> None:
        state = training_state.read(data, self._state, self.network, self._optimizer)
        self.step, self.progress = state.step, state.progress
        self._validation_loss = state.progress.validation_loss if state.progress else None
