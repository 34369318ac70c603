"""Plots of fitted estimators, drawn from their fitted attributes alone.

They follow the display API of scikit-learn: a display stores the arrays that it draws,
``from_estimator`` creates a display from a fitted estimator and draws it, and ``plot`` draws
it again.  matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

from .comparison import PolicyComparisonDisplay
from .neuron_map import NeuronMapDisplay
from .path import PruningPathDisplay
from .pulls import PullsDisplay

__all__ = ["NeuronMapDisplay", "PolicyComparisonDisplay", "PruningPathDisplay", "PullsDisplay"]
