"""Neural networks for tabular data, made small by multi-armed bandits."""

from __future__ import annotations

from . import criteria, displays, policies
from .budget_cv import MABPrunedClassifierCV, MABPrunedRegressorCV
from .estimators import MABPrunedClassifier, MABPrunedRegressor
from .exceptions import ModelFileError, PruningWarning, UnsupportedModuleError
from .loading import load
from .networks import MLP, MLPNetClassifier, MLPNetRegressor
from .onnx_pipelines import pipeline_to_onnx, register_onnx_converters
from .report import PruningPath, PruningReport
from .self_sizing import WeightedLossMixin
from .tabular import make_tabular_pipeline
from .version import __version__

__all__ = [
    "MLP",
    "MABPrunedClassifier",
    "MABPrunedClassifierCV",
    "MABPrunedRegressor",
    "MABPrunedRegressorCV",
    "MLPNetClassifier",
    "MLPNetRegressor",
    "ModelFileError",
    "PruningPath",
    "PruningReport",
    "PruningWarning",
    "UnsupportedModuleError",
    "WeightedLossMixin",
    "__version__",
    "criteria",
    "displays",
    "load",
    "make_tabular_pipeline",
    "pipeline_to_onnx",
    "policies",
    "register_onnx_converters",
]
