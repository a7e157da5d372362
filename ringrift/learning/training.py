"""Training one network: plain AdamW over a window, exactly resumable.

Batches are a function of seed and step, the learning rate of step and steps; weights and optimizer
state are in the checkpoint. So a training that is killed and resumed ends with the same bits as one
that was not (same machine, same number of threads)."""

import copy
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ringrift.events.settings import TrainingSettings
from ringrift.learning.batches import Sampled, Sampler
from ringrift.learning.distillation import soften
from ringrift.learning.loss import Losses, losses
from ringrift.learning.window import Window
from ringrift.nets import checkpoint as networks
from ringrift.nets.architectures import Tower, build
from ringrift.nets.shapes import AUXILIARY, canonical
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack

FORMAT: Final = 1
HEADER_KEY: Final = "ringrift-training"
WARM_UP_SHARE: Final = 0.05  # of the steps: Adam's second moments settle before the rate is full
RATE_FLOOR: Final = 0.02  # last learning rate as a share of the full one
GRADIENT_NORM_MAX: Final = 4.0  # ten times the usual norm; keeps one odd batch from undoing many
VALIDATION_SAMPLES_MAX: Final = 2048
VALIDATION_BATCH: Final = 256
REPORT_STEPS: Final = 20


class TrainingError(ValueError):
    """A training that cannot begin or go on; the text says why."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a training stands. Losses are means since the last report; `validation_loss` is policy
    + weight * value."""

    step: int
    steps: int
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None
    samples_per_second: float


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Header of a training checkpoint: it resumes only the training it came from."""

    format: int
    step: int
    steps: int
    seed: int
    window: str
    settings: TrainingSettings
    parent: str | None
    teacher: str | None = None
    progress: Progress | None


def steps_for(settings: TrainingSettings, samples: int) -> int:
    """Gradient steps of a training on `samples` samples, at least 1."""
    return max(1, round(settings.epochs * samples / settings.batch))


def learning_rate(settings: TrainingSettings, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to `RATE_FLOOR` of the full rate."""
    warm = max(1.0, WARM_UP_SHARE * steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    share = (step - warm) / max(1.0, steps - warm)
    return settings.learning_rate * (
        RATE_FLOOR + (1 - RATE_FLOOR) * 0.5 * (1 + math.cos(math.pi * share))
    )


class Trainer:
    """One training from its start weights, or from a training checkpoint, to its last step."""

    ROOT_VALUE_MIX: ClassVar[float] = 0.0
    """share of the search's root value in the value target, where nobody has chosen another"""

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
        """`start` is a network's checkpoint to begin from (fresh weights if None), `resume` the
        bytes `checkpoint()` gave to a training with the same arguments. `teacher` is the checkpoint
        of a network of the same config, of any architecture, that says a share
        `settings.distill_weight` of the targets. `root_value_mix` in 0..1 is the share of the
        search's root value in the value target; None: `ROOT_VALUE_MIX`.

        Each of several `replicas` takes a share of every batch in a thread of its own. They meet
        once a step, torch's own threads at every layer: on two cores 1,700 to 2,100 samples a
        second against 1,600, and far more beside other load.

        Out of GPU memory a step is done in halves, then quarters and so on, whose gradients add up
        to the same step.

        Raises TrainingError, CheckpointError, UnknownArchitecture."""
        settings = msgspec.structs.replace(settings, architecture=canonical(settings.architecture))
        self.window, self.settings, self.seed = window, settings, seed
        self.device = torch.device(device)
        self.steps = steps or steps_for(settings, len(window))
        self.step = 0
        self._parent = networks.digest_of(start) if start is not None else None
        self._teacher_digest = networks.digest_of(teacher) if teacher is not None else None
        self._pieces = 1  # a batch is taken in so many; more where the memory of a GPU asks for it
        self._validation_batch = VALIDATION_BATCH
        self._fingerprint = window.fingerprint()
        self.progress: Progress | None = None
        self._validation_loss: float | None = None
        validating = window.validating(settings.validation_fraction)
        training = np.flatnonzero(~validating)
        if not len(training):
            raise TrainingError(
                f"all {len(window)} samples are of validation games; play more games or lower the fraction"
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
        hex_board = self.window.config.shape.hex
        return build(
            self.settings.architecture,
            hex_board=hex_board,
            seed=self.seed,
            auxiliary=self._auxiliary(),
        )

    def _new_sampler(self, chosen: NDArray[np.int64], root_value_mix: float) -> Sampler:
        towers = (cast(Tower, self.network), self._teacher)
        return Sampler(
            self.window,
            chosen,
            batch=self.settings.batch,
            seed=self.seed,
            root_value_mix=root_value_mix,
            features=any(tower.shape.features for tower in towers if tower),
            ends=bool(self._auxiliary()),
        )

    def _auxiliary(self) -> list[str]:
        """The auxiliary heads that have a weight."""
        return [name for name in AUXILIARY if getattr(self.settings, f"{name}_weight")]

    def _losses(self, network: nn.Module, sampled: Sampled) -> Losses:
        return losses(cast(Tower, network), sampled, self.settings)

    def _after_step(self) -> None:
        """What has to hold of the weights after every step; a tower's may be any."""

    def _load_start(self, start: bytes) -> None:
        parent = networks.Checkpoint.parse(start)
        if (
            parent.header.architecture != self.settings.architecture
            or parent.header.config != self.window.config
        ):
            raise TrainingError(
                f"cannot start {self.settings.architecture} for {self.window.config.key} from a "
                f"{parent.header.architecture} for {parent.header.config_key}"
            )
        # auxiliary heads come and go with their weights in the settings; a new one begins afresh
        own = networks.weights_of(self.network)
        kept = {
            name: parent.weights.get(name, own[name])
            if _of_head(name)
            else parent.weights.get(name)
            for name in own
        }
        networks.load_weights(
            self.network, {name: array for name, array in kept.items() if array is not None}
        )

    def _load_teacher(self, data: bytes) -> Tower:
        teacher = networks.Checkpoint.parse(data)
        if teacher.header.config != self.window.config:
            raise TrainingError(
                f"a teacher for {teacher.header.config_key} cannot teach {self.window.config.key}"
            )
        return teacher.network().to(self.device).eval().requires_grad_(False)

    def _make_optimizer(self) -> torch.optim.AdamW:
        """AdamW that decays matrices and kernels but neither biases nor move kinds, which are few
        and seen unevenly."""
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
        """Train to the last step, or until `stop()` says so between two steps; gives the last
        report, None if there is none yet.

        Reports every `REPORT_STEPS` and at the end, checkpoints every `settings.checkpoint_steps`.
        Raises TrainingError if the loss is no longer a number."""
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
        """One gradient step; gives loss, policy loss and value loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step, self.steps)
        shares = list(self._threads.map(self._gradient, range(len(self._replicas))))
        weight = sum(share for share, _ in shares)
        parameters = [list(replica.parameters()) for replica in self._replicas]
        for copies in zip(*parameters, strict=True):
            # in place: the fused optimizer reads gradients in the memory order of the weights,
            # which a new tensor would not have
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
        """One replica's share of a step: the weight of its samples, and its loss, policy loss and
        value loss."""
        while True:
            pieces = self._pieces
            try:
                return self._gradient_in(pieces, part)
            except torch.cuda.OutOfMemoryError:
                if pieces * len(self._replicas) >= self._sampler.batch:
                    raise
            # out of the handler, which holds on to the tensors of the attempt
            self._pieces = 2 * pieces
            torch.cuda.empty_cache()

    def _gradient_in(self, pieces: int, part: int) -> tuple[float, Tensor]:
        """`_gradient`, the samples taken in so many batches, one after another."""
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
        """A part of this step's batch on the device, with what the teacher says of it."""
        sampled = self._samplers[sampler].at(self.step, part, parts).to(self.device)
        return (
            soften(sampled, self._teacher, self.settings.distill_weight)
            if self._teacher
            else sampled
        )

    def validate(self) -> float | None:
        """Loss on games that took no part in the gradient, without symmetries; None if there are
        none."""
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
        """Policy and value loss alone, so that trainings with and without auxiliary heads or a
        teacher can be compared."""
        with torch.inference_mode():
            result = self._losses(self.network, self._sampler.take(samples).to(self.device))
            return float(result.policy + self.settings.value_weight * result.value)

    def model(self, *, notes: dict[str, str] | None = None) -> bytes:
        """The network as it is now, as the bytes of a checkpoint with its parent's digest."""
        parents = tuple(
            dict.fromkeys(digest for digest in (self._parent, self._teacher_digest) if digest)
        )
        if self._teacher_digest:
            notes = {"distilled_from": self._teacher_digest, **(notes or {})}
        network = cast(Tower, self.network)
        return networks.save(
            network,
            architecture=self.settings.architecture,
            config=self.window.config,
            parents=parents,
            notes=notes,
        )

    def checkpoint(self) -> bytes:
        """All that `resume` needs."""
        state = self._state()
        arrays = {
            f"weights/{name}": array for name, array in networks.weights_of(self.network).items()
        }
        for name, parameter in self.network.named_parameters():
            for key, tensor in self._optimizer.state[parameter].items():
                arrays[f"optimizer/{key}/{name}"] = tensor.detach().cpu().numpy()
        return pack(arrays, {HEADER_KEY: msgspec.json.encode(state, order="sorted").decode()})

    def _state(self) -> _State:
        return _State(
            format=FORMAT,
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
        try:
            arrays, metadata = unpack(data)
            state = msgspec.json.decode(metadata.get(HEADER_KEY, ""), type=_State)
        except (TensorError, msgspec.DecodeError) as error:
            raise TrainingError(
                f"not a training checkpoint: {error}; start the training anew"
            ) from error
        own = self._state()
        for field in ("format", "steps", "seed", "window", "settings", "parent", "teacher"):
            if getattr(state, field) != getattr(own, field):
                raise TrainingError(
                    f"the checkpoint is of another training, {field} differs; start the training anew"
                )
        networks.load_weights(self.network, _group(arrays, "weights/"))
        for name, parameter in self.network.named_parameters():
            moments = _group(arrays, "optimizer/", f"/{name}")
            self._optimizer.state[parameter] = {
                key: _like(parameter, array) for key, array in moments.items()
            }
        self.step, self.progress = state.step, state.progress
        self._validation_loss = state.progress.validation_loss if state.progress else None


def _of_head(name: str) -> bool:
    """Whether a weight is of an auxiliary head."""
    return name.partition(".")[0] in AUXILIARY


def _like(parameter: Tensor, array: NDArray[Any]) -> Tensor:
    """`array` on the parameter's device, and in its memory order if it has its shape: the fused
    optimizer walks both in step."""
    tensor = torch.from_numpy(array.copy())
    if tensor.shape != parameter.shape:
        return tensor.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _group(arrays: Arrays, prefix: str, suffix: str = "") -> Arrays:
    """Arrays whose name has this prefix and suffix, by what stands between."""
    return {
        name[len(prefix) : len(name) - len(suffix)]: array
        for name, array in arrays.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }
