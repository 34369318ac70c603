"""Neural networks for tabular data, made small by multi-armed bandits."""

from __future__ import annotations

from . import criteria, policies
from .budget_cv import MABPrunedClassifierCV, MABPrunedRegressorCV
from .estimators import MABPrunedClassifier, MABPrunedRegressor
from .exceptions import PruningWarning, UnsupportedModuleError
from .networks import MLP, MLPNetClassifier, MLPNetRegressor
from .report import PruningPath, PruningReport
from .self_sizing import WeightedLossMixin

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "MABPrunedClassifier",
    "MABPrunedClassifierCV",
    "MABPrunedRegressor",
    "MABPrunedRegressorCV",
    "MLPNetClassifier",
    "MLPNetRegressor",
    "PruningPath",
    "PruningReport",
    "PruningWarning",
    "UnsupportedModuleError",
    "WeightedLossMixin",
    "criteria",
    "policies",
]
