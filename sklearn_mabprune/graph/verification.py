"""The rule of the house: a smaller module equals the network whose units are masked."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.sparse import as_columns
from ..utils.memory import out_of_memory
from ..utils.randomness import global_generators
from .module_network import ModuleNetwork
from .program import Samples, called, tensorwise
from .refusals import weights_as_numbers
from .source_lines import where_raised

Masks = Sequence[NDArray[np.bool_]]

#: Largest difference, times the larger of 1 and the largest output.
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}
_COARSE = 1e-2
#: Differences that are no fault: this fraction of what masks change, and so many times what
#: rounding changes of the outputs.
_OF_EFFECT, _ROUNDINGS = 1e-5, 1e3


def verified(network: ModuleNetwork, x: Samples) -> ModuleNetwork:
    """The network with only those groups for which smaller modules equal masked networks.

    Random parts of all groups are removed, of networks with weights drawn beside their own (an
    initial weight of zero hides what is wrong).  Groups that fail are in `kept_whole`.

    Parameters
    ----------
    network : ModuleNetwork
    x : samples
        Real samples.

    Raises
    ------
    UnsupportedModuleError
        If outputs do not follow the weights, as where a forward reads one as a Python number.
    """
    rng = np.random.default_rng(0)
    trial = _Trial(network, x)
    if trial.reads_numbers():
        raise weights_as_numbers(network.module)
    reasons: dict[int, str] = {}
    structure = network.structure

    def other_counts(number: int) -> bool:
        """Take the next way to count the units of a group."""
        found = trial.network.structure.other_counts(number)
        if found is not None:
            trial.network = trial.network.with_structure(found)
        return found is not None

    def fault(numbers: list[int]) -> str | None:
        first = _parts(network, numbers, rng)
        several = [first, _others(first, numbers, rng), *_ties_apart(network, numbers, rng)]
        return next((found for found in map(trial.fault, several) if found), None)

    def passing(numbers: list[int]) -> list[int]:
        found = fault(numbers) if numbers else None
        if found is None:
            return numbers
        if len(numbers) == 1:
            while found is not None and other_counts(numbers[0]):
                found = fault(numbers)
            if found is None:
                return numbers
            reasons[numbers[0]] = network.structure.fixed_sizes.get(numbers[0], found)
            return []
        middle = len(numbers) // 2
        return [*passing(numbers[:middle]), *passing(numbers[middle:])]

    # Groups of a kind fail together, as heads that a forward counts in another way.
    kinds = [group.unit_kind for group in network.groups]
    numbers = sorted(passing(sorted(range(len(kinds)), key=kinds.__getitem__)))
    network = network.with_structure(trial.network.structure)
    if not reasons and network.structure is structure:
        return network
    if fault(numbers) is not None:
        # Right by themselves and wrong together: one after the other joins.
        candidates, numbers = numbers, []
        for number in candidates:
            found = fault([*numbers, number])
            if found is None:
                numbers.append(number)
            else:
                reasons[number] = found
    return network.with_groups(numbers, {network.groups[k].name: reasons[k] for k in reasons})


def uneven_modules(network: ModuleNetwork, x: Samples) -> Iterator[tuple[str, bool]]:
    """Recurrent modules whose layers and directions may have to have as many units.

    Yields
    ------
    module : str
    fails : bool
        Whether the smaller module fails where they have not; else some layers are kept whole.
    """
    weights, trial = network.program.recurrent, None
    for module in sorted(set(weights.values())):
        own = {weight for weight, name in weights.items() if name == module}
        groups = {
            number: {reader.weight for reader in group.readers} & own
            for number, group in enumerate(network.groups)
        }
        numbers = [number for number, some in groups.items() if some]
        if len(own) > 1 and set().union(*groups.values()) != own:
            yield module, False
        elif len(numbers) > 1:
            trial = trial or _Trial(network, x)
            masks = [np.ones(group.size, dtype=bool) for group in network.groups]
            masks[numbers[0]][0] = False
            if trial.fault(masks) is not None:
                yield module, True


def difference(network: ModuleNetwork, x: Samples) -> float:
    """Largest difference between the smaller module and the network as it stands, relative."""
    with torch.no_grad():
        wanted = network.forward(x)
        got = as_columns(called(network.narrowed().eval(), x))
    return _relative(got, wanted)


def _relative(got: Any, wanted: Tensor) -> float:
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        return float("inf")
    if not wanted.is_floating_point():
        return 0.0 if torch.equal(got, wanted) else float("inf")
    scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
    gap = (got - wanted).abs().max() / scale if wanted.numel() else torch.tensor(0.0)
    return float(gap) if bool(torch.isfinite(gap)) else float("inf")


class _Trial:
    """Smaller modules of one network, compared with the network under the same masks."""

    def __init__(self, network: ModuleNetwork, x: Samples):
        self.network, self.x = _shaken(network), x
        wide = _in_float64(self.network, x)
        self.compared = wide is not None
        if wide is not None:
            self.network, self.x = wide
        self.learning = _learning(self.network.narrowed(), self.x)
        self.outputs = self.network.forward(self.x)

    def reads_numbers(self) -> bool:
        """Whether other weights change the module's outputs and not those of its operators."""
        if self.compared:
            return False  # they were the same in float64
        try:
            outputs = as_columns(called_eval(self.network.narrowed(), self.x))
        except Exception:
            return False  # `fault` tells why
        tolerance = _TOLERANCES.get(self.network.dtype, _COARSE)
        return _relative(outputs, self.outputs) > tolerance

    def fault(self, masks: Masks) -> str | None:
        """What is wrong with the smaller module; None: nothing."""
        masked = self.network.masked(masks)
        try:
            smaller, wanted = masked.narrowed(), masked.forward(self.x)
            gap = _relative(as_columns(called_eval(smaller, self.x)), wanted)
        except Exception as error:
            if out_of_memory(error):
                raise
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            return f"the smaller module fails {where_raised(error)}: {what}"
        if gap > self._allowed(wanted):
            return "the smaller module returns other outputs than the masked one"
        if self.learning and _learning(smaller, self.x) != self.learning:
            return "not all parameters of the smaller module learn"
        return None

    def _allowed(self, wanted: Tensor) -> float:
        """Largest difference, times the larger of 1 and the largest output.

        Outputs of an untrained network may be as small as the tolerance; then a fraction of what
        the masks change is allowed, or what rounding makes of the outputs.
        """
        tolerance = _TOLERANCES.get(self.network.dtype, _COARSE)
        if not wanted.is_floating_point() or not wanted.numel():
            return tolerance
        largest = float(wanted.abs().max())
        moved = float((wanted - self.outputs).abs().max())
        rounding = _ROUNDINGS * torch.finfo(wanted.dtype).eps * largest
        return min(tolerance, max(_OF_EFFECT * moved, rounding) / max(1.0, largest))


def called_eval(module: nn.Module, x: Samples) -> Any:
    """What a module returns in evaluation mode."""
    with torch.no_grad():
        return called(module.eval(), x)


def _spans(size: int) -> tuple[int, int]:
    """How many units may be removed of a group: the least, and how many numbers there are."""
    least = max(1, size // 3)
    return least, max(1, min(2 * size // 3, size - 1) - least + 1)


def _places(network: ModuleNetwork, numbers: Sequence[int]) -> dict[int, int]:
    """Of each of these groups, how many groups of the same size come before it."""
    seen: Counter[int] = Counter()
    places = {}
    for number in numbers:
        size = network.groups[number].size
        places[number] = seen[size]
        seen[size] += 1
    return places


def _parts(
    network: ModuleNetwork, numbers: Sequence[int], rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Masks that remove a random part of each of these groups, and nothing of the others.

    Groups of one size lose different numbers of units: where a forward takes the width of one for
    that of another, the same number of both would pass.
    """
    masks = [np.ones(group.size, dtype=bool) for group in network.groups]
    turn = int(rng.integers(1 << 16))
    for number, place in _places(network, numbers).items():
        size = network.groups[number].size
        least, several = _spans(size)
        n_gone = least + (turn + place) % several
        masks[number][rng.permutation(size)[: min(n_gone, size - 1)]] = False
    return masks


def _ties_apart(
    network: ModuleNetwork, numbers: Sequence[int], rng: np.random.Generator
) -> Iterator[list[NDArray[np.bool_]]]:
    """Masks among which any two groups that lose the same number in `_parts` differ once."""
    ties = {
        number: place // _spans(network.groups[number].size)[1]
        for number, place in _places(network, numbers).items()
    }
    for bit in range(max(ties.values(), default=0).bit_length()):
        yield _parts(network, [number for number in numbers if ties[number] >> bit & 1], rng)


def _others(
    masks: Sequence[NDArray[np.bool_]], numbers: Sequence[int], rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Masks that remove the other units of each of these groups, so that each is removed once.

    Their number is odd where that of the masks is even: what needs an even number would pass.
    """
    changed = [mask.copy() for mask in masks]
    for number in numbers:
        mask = ~masks[number]
        if (int(mask.sum()) - int(masks[number].sum())) % 2 == 0:
            flipped = np.flatnonzero(mask) if mask.sum() > 1 else np.flatnonzero(~mask)
            mask[rng.choice(flipped)] ^= True
        changed[number] = mask
    return changed


def _shaken(network: ModuleNetwork) -> ModuleNetwork:
    """The network with weights near its own of which none is zero or one."""
    generator = torch.Generator().manual_seed(0)
    changed = {}
    for name, parameter in network.module.named_parameters():
        if parameter.is_floating_point():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            spread = float(parameter.detach().float().std()) if parameter.numel() > 1 else 0.0
            changed[name] = network.weights[name] + noise * max(spread, 0.05) / 4
    return network.with_weights(changed)


def _in_float64(network: ModuleNetwork, x: Samples) -> tuple[ModuleNetwork, Samples] | None:
    """Network and samples in float64, where rounding hides nothing; None: it cannot be."""
    try:
        wide, samples = network.to(torch.float64), _as_float64(x)
        outputs = wide.forward(samples)
        gap = _relative(as_columns(called_eval(wide.narrowed(), samples)), outputs)
    except Exception:
        # A forward of fixed dtype is compared in its own.
        return None
    return (wide, samples) if gap <= _TOLERANCES[torch.float64] else None


def _as_float64(x: Samples) -> Samples:
    return tensorwise(x, lambda part: part.double() if part.is_floating_point() else part)


def _learning(module: nn.Module, x: Samples) -> list[str]:
    """Parameters that get a gradient in training mode; none where training mode fails."""
    module = copy.deepcopy(module)
    module.train()
    first = next(iter(module.parameters()))
    with (
        global_generators(0, first.device),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        try:
            outputs = called(module, x)
            outputs.float().square().sum().backward()
        except Exception as error:
            if out_of_memory(error):
                raise
            return []
    return [name for name, parameter in module.named_parameters() if parameter.grad is not None]
