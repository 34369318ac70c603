"""What our nets add to skorch: sizes and precision from the data, batches from memory."""

from __future__ import annotations

import inspect
import sys
import warnings
from numbers import Integral, Real
from typing import Any

import torch
from skorch.callbacks import EarlyStopping, EpochTimer, PrintLog
from skorch.utils import is_dataset
from torch import Tensor

from ..data.batches import TensorBatches
from ..data.sparse import SparseRows, outputs_of
from ..exceptions import PruningWarning
from ..utils.compat import Interval, Options, StrOptions, set_training
from ..utils.progress import is_open
from ..utils.randomness import draw_seeds
from ..utils.torch_settings import no_autocast, own_settings
from ..utils.validation import check_parameters
from .inputs import DROPOUT, InputStage, stage_missing
from .mlp import MANY_OUTPUTS, MLP, SIZES_OF_MANY_OUTPUTS
from .net_inputs import read_features
from .net_parameters import check_net
from .optimizers import learning_rate, needs_closure
from .outside_module import check_batch_statistics, check_batches
from .packing import snapshot
from .parameter_names import suggestions
from .predicting import check_outputs
from .weighted_loss import WeightedLossMixin

# Up to so many samples and features, float64 input is trained in float64 on a CPU: exact, and
# still fast.
_FLOAT64_SAMPLES = _FLOAT64_FEATURES = 2000


class PrintedLog(PrintLog):
    """skorch's line per epoch, if the net is verbose and there is a stdout to write to."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Print the line; skorch flushes stdout even if it prints nothing."""
        if net.verbose > 0 and is_open(sys.stdout):
            super().on_epoch_end(net, **kwargs)


class StopEarly(EarlyStopping):
    """Stop when the validation loss no longer falls; keep the best weights.

    Without validation samples the training loss is monitored.
    """

    load_best: bool

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare this epoch's loss with the best one."""
        self.monitor = "valid_loss" if "valid_loss" in net.history[-1] else "train_loss"
        keeps, self.load_best = self.load_best, False  # else skorch makes a slow copy
        try:
            super().on_epoch_end(net, **kwargs)
        finally:
            self.load_best = keeps
        if keeps and self.best_epoch_ == net.history[-1, "epoch"]:
            self.best_model_weights_ = snapshot(net.module_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the best weights, if there was an epoch at all."""
        if net.history:
            super().on_train_end(net, **kwargs)


class SelfSizing(WeightedLossMixin):
    """Base of our nets: sizes and precision from the data, batches from memory, a short loop."""

    # Checked before the module is built.
    _parameter_constraints = {
        # Adam takes a tensor, too, and torch says what else it cannot use.
        "lr": [Interval(Real, 0, None, closed="left"), Tensor, StrOptions({"auto"})],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        # -1: all samples at once.
        "batch_size": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "inputs": [StrOptions({"auto", "piecewise_linear"}), None],
        "n_functions": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *args: Any,
        optimizer: Any = torch.optim.Adam,
        lr: float | str = "auto",
        max_epochs: int = 200,
        batch_size: int = 200,
        iterator_train: Any = TensorBatches,
        iterator_valid: Any = TensorBatches,
        early_stopping: bool = True,
        patience: int = 20,
        inputs: str | None = "auto",
        n_functions: int | str = "auto",
        dtype: str = "auto",
        random_state: int | None = None,
        verbose: int = 0,
        **kwargs: Any,
    ):
        super().__init__(
            *args,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            verbose=verbose,
            **kwargs,
        )
        self.early_stopping = early_stopping
        self.patience = patience
        self.inputs = inputs
        self.n_functions = n_functions
        self.dtype = dtype
        self.random_state = random_state

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            # All parameters with their defaults: what was set is told apart, as in a repr.
            cls.__init__.__signature__ = _whole_signature(cls)  # type: ignore[attr-defined]

    def _targets(self, y: Any) -> Any:
        """Targets as the criterion wants them."""
        return y

    def size_from(self, X: Any, y: Any = None) -> None:
        """Set the number of features and outputs, and the precision, from the data."""
        check_net(self)
        if is_dataset(X):
            raise ValueError("Pass arrays, not a Dataset: the net takes its sizes from X and y.")
        x = X["X"] if isinstance(X, dict) else X
        self.n_features_in_ = int(x.shape[1])
        self.n_outputs_ = self._count_outputs(y)
        small = x.shape[0] <= _FLOAT64_SAMPLES and x.shape[1] <= _FLOAT64_FEATURES
        small = small and torch.device(self.device).type == "cpu"
        wide = str(x.dtype).endswith("float64")
        self.auto_dtype_ = "float64" if small and wide else "float32"
        self.input_stage_ = None
        if "inputs" in inspect.signature(self.module).parameters:
            weights = X.get("sample_weight") if isinstance(X, dict) else None
            self.input_stage_ = InputStage.of(x, y, weights, self.inputs, self.n_functions)
        chosen = "dropout" in self.get_params_for("module")  # type: ignore[attr-defined]
        self.default_dropout_ = self.input_stage_ is not None and not chosen

    def initialize(self) -> Any:
        """As in skorch; an error about an unknown parameter says which one may be meant."""
        try:
            return super().initialize()  # type: ignore[misc]
        except (TypeError, ValueError) as error:
            meant = suggestions(self, error)
            if not meant:
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{meant} {type(self).__name__}: {error}") from error

    def get_params(self, deep: bool = True, **kwargs: Any) -> dict[str, Any]:
        """As in skorch, without what skorch keeps in attributes of private names."""
        params = super().get_params(deep=deep, **kwargs)  # type: ignore[misc]
        return {name: value for name, value in params.items() if not name.startswith("_")}

    def set_params(self, **params: Any) -> Any:
        """As in skorch; an error about an unknown parameter says which one may be meant."""
        try:
            return super().set_params(**params)  # type: ignore[misc]
        except ValueError as error:
            meant = suggestions(self, error, params)
            if not meant:
                raise
            raise ValueError(f"{meant} {error}") from error

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Any:
        """Fit from scratch; as in skorch, sized from the data."""
        X = read_features(self, X, fitting=True)
        self.size_from(X, y)
        self._warn()
        with own_settings():
            return super().fit(X, self._targets(y), **fit_params)  # type: ignore[misc]

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        """Go on training; as in skorch, sized from the data the first time."""
        X = read_features(self, X, fitting=not self.initialized_)
        if not self.initialized_:
            self.size_from(X, y)
            self._warn()
        with own_settings():
            return super().partial_fit(X, self._targets(y), classes, **fit_params)  # type: ignore[misc]

    def _warn(self) -> None:
        """Warn of parameters that the data left without effect."""
        for text in stage_missing(self):
            warnings.warn(text, PruningWarning, stacklevel=3)

    def initialize_module(self) -> Any:
        """Build the module with the sizes of the data; parameters of the user take precedence."""
        check_parameters(self)
        kwargs = self.get_params_for("module")
        stage = getattr(self, "input_stage_", None)
        if stage is not None and isinstance(kwargs.get("inputs"), tuple):
            # Sizes alone, of a net around a pruned network: those of the data come first.
            del kwargs["inputs"]
        if stage is not None:
            kwargs.setdefault("dropout", DROPOUT)
        found = {
            "n_features": getattr(self, "n_features_in_", None),
            "n_outputs": getattr(self, "n_outputs_", None),
            "dtype": getattr(self, "auto_dtype_", None) if self.dtype == "auto" else self.dtype,
            "random_state": draw_seeds(self.random_state, 1)[0],
            "inputs": None if stage is None else stage.layer(),
        }
        if self.module is MLP and getattr(self, "n_outputs_", 0) >= MANY_OUTPUTS:
            found["hidden_layer_sizes"] = SIZES_OF_MANY_OUTPUTS
        accepted = inspect.signature(self.module).parameters
        for name, value in found.items():
            if value is not None and name in accepted:
                kwargs.setdefault(name, value)
        self.module_ = self.initialized_instance(self.module, kwargs)
        return self

    def get_params_for_optimizer(self, prefix: str, named_parameters: Any) -> Any:
        """As in skorch; one fused kernel does the step where the optimizer has one."""
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)  # type: ignore[misc]
        if isinstance(kwargs.get("lr"), str):
            kwargs["lr"] = learning_rate(self)
        fusible = self.optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
        if fusible and not kwargs.get("foreach"):
            kwargs.setdefault("fused", True)
        return args, kwargs

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """As in skorch; refuses optimizers that need a closure, which this loop does not have."""
        super().initialize_optimizer(*args, **kwargs)  # type: ignore[misc]
        if needs_closure(self.optimizer_):
            name = type(self.optimizer_).__name__
            raise ValueError(
                f"optimizer={name} of {type(self).__name__} needs a closure in every step, which "
                "this net does not have. Pass optimizer=torch.optim.Adam, SGD or another one that "
                "takes one step per batch; or train your module in a plain skorch net."
            )
        return self

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        callbacks: list[tuple[str, Any]] = [("epoch_timer", EpochTimer())]
        if self.early_stopping:
            callbacks.append(("stop_early", StopEarly(patience=self.patience, load_best=True)))
        return [*callbacks, ("print_log", PrintedLog())]

    def infer(self, x: Any, **fit_params: Any) -> Tensor:
        """As in skorch; sparse samples are read by the first layer as they are."""
        features = x["X"] if isinstance(x, dict) and set(x) <= {"X", "sample_weight"} else x
        if isinstance(features, SparseRows):
            return outputs_of(self.module_, features)
        outputs = super().infer(x, **fit_params)
        return outputs if outputs.dim() > 1 else outputs.unsqueeze(1)

    def predict_proba(self, X: Any) -> Any:
        """As in skorch; raises ValueError for samples whose predictions are not finite."""
        X = read_features(self, X)
        with no_autocast():
            outputs = super().predict_proba(X)  # type: ignore[misc]
        samples = X["X"] if isinstance(X, dict) else X
        if not is_dataset(samples):
            check_outputs(outputs, samples, next(self.module_.parameters()).dtype)
        return outputs

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Batches from memory; for another class of iterator as in skorch."""
        side = "iterator_train" if training else "iterator_valid"
        if getattr(self, side) is not TensorBatches:
            return super().get_iterator(dataset, training)  # type: ignore[misc]
        check_batches(self, side)
        if training:
            check_batch_statistics(self, len(dataset))
        given = self.get_params_for(side)
        parameter = next(self.module_.parameters())
        size = self.batch_size if training else max(self.batch_size, 8192)
        batches = TensorBatches(
            dataset,
            batch_size=given.get("batch_size", size if self.batch_size != -1 else -1),
            shuffle=given.get("shuffle", training),
            seed=draw_seeds(self.random_state, 2)[1],
            device=self.device,
            dtype=parameter.dtype,
            module=self.module_,
            # Targets that are standardised are not rounded before.
            target_dtype=None if hasattr(self, "standardise") else parameter.dtype,
        )
        batches.per_epoch = getattr(self, "per_epoch_", None) if training else None
        return batches

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """One pass over the samples; losses are summed on the device, not batch by batch."""
        if iterator is None:
            return
        total: Tensor | float = 0.0
        n_samples = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            total = total + step["loss"].detach() * len(batch[1])
            n_samples += len(batch[1])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.history.record(f"{prefix}_loss", float(total) / n_samples)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Forward, backward, update; as in skorch where callbacks are to be notified."""
        if self.callbacks or fit_params:
            return super().train_step(batch, **fit_params)  # type: ignore[misc]
        x, y = batch
        if not self.module_.training:
            # Set once: doing it layer by layer in every step would take longer than small steps.
            set_training(self, True)
        self.optimizer_.zero_grad(set_to_none=True)
        y_pred = self.infer(x)
        loss = self.get_loss(y_pred, y, X=x, training=True)
        loss.backward()
        self.optimizer_.step()
        return {"loss": loss, "y_pred": y_pred}


def _whole_signature(cls: type) -> inspect.Signature:
    """Signature of a constructor with the keywords that it passes on, and their defaults."""
    own = inspect.signature(vars(cls)["__init__"])
    passed = {
        name: parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=parameter.empty)
        for base in reversed(cls.__mro__)
        if "__init__" in vars(base) and base is not object
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.default is not parameter.empty and name not in own.parameters
    }
    *first, keywords = own.parameters.values()
    return own.replace(parameters=[*first, *passed.values(), keywords])
