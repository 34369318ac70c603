"""scikit-learn estimators whose neural networks are pruned by multi-armed bandits."""

from __future__ import annotations

from . import criteria, displays, policies
from .estimators.classifier import MABPrunedClassifier
from .estimators.cv import MABPrunedClassifierCV, MABPrunedRegressorCV
from .estimators.loading import load
from .estimators.regressor import MABPrunedRegressor
from .exceptions import ModelFileError, NotKeptError, PruningWarning, UnsupportedModuleError
from .graph.kinds.embeddings import PiecewiseLinearEmbedding
from .pipelines.c import pipeline_to_c
from .pipelines.onnx import pipeline_to_onnx, register_onnx_converters
from .pipelines.tabular import make_tabular_pipeline
from .reports.inputs import InputsReport
from .reports.path_record import PruningPath
from .reports.report import PruningReport
from .reports.teaching import TeacherReport
from .training.mlp import MLP
from .training.nets import MLPNetClassifier, MLPNetRegressor
from .training.weighted_loss import WeightedLossMixin
from .version import __version__

__all__ = [
    "MLP",
    "InputsReport",
    "MABPrunedClassifier",
    "MABPrunedClassifierCV",
    "MABPrunedRegressor",
    "MABPrunedRegressorCV",
    "MLPNetClassifier",
    "MLPNetRegressor",
    "ModelFileError",
    "NotKeptError",
    "PiecewiseLinearEmbedding",
    "PruningPath",
    "PruningReport",
    "PruningWarning",
    "TeacherReport",
    "UnsupportedModuleError",
    "WeightedLossMixin",
    "__version__",
    "criteria",
    "displays",
    "load",
    "make_tabular_pipeline",
    "pipeline_to_c",
    "pipeline_to_onnx",
    "policies",
    "register_onnx_converters",
]


def __dir__() -> list[str]:
    """Public names and public subpackages; the inside is found by its path."""
    return sorted(__all__)
