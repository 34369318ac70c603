"""Pictures of fitted estimators, drawn from their fitted attributes alone.

As in scikit-learn, a display keeps the arrays that it draws, ``from_estimator`` makes one
and draws it, and ``plot`` draws it again.  matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from .comparison import PolicyComparisonDisplay
from .neuron_map import NeuronMapDisplay
from .path import PruningPathDisplay
from .pulls import PullsDisplay

__all__ = ["NeuronMapDisplay", "PolicyComparisonDisplay", "PruningPathDisplay", "PullsDisplay"]
