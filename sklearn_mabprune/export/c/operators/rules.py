"""The rule of each operator that has a C form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ....exceptions import UnsupportedModuleError
from ....graph.program import Operation
from . import attention, bags, choices, functions, moves, recurrent, sums
from .formulas import FORMULAS, LAYERS
from .reading import Reading

#: Adds the node of an operation, and returns where its elements are.
Rule = Callable[[Reading, Operation], Any]


def read(reading: Reading, operation: Operation) -> None:
    """Add what an operation computes.

    Raises
    ------
    UnsupportedModuleError
        If it has no C form.
    """
    rule = RULES.get(operation.packet)
    operation = reading.with_constants(operation)
    if rule is not recurrent.zeros and reading.fold(operation):
        return
    if rule is None:
        raise reading.refused(operation)
    try:
        reading.values[operation.value] = rule(reading, operation)
    except UnsupportedModuleError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A form of the operator that its rule does not know.
        raise reading.refused(operation, " with these arguments") from error


#: Rule of each operator.
RULES: dict[str, Rule] = {
    **dict.fromkeys(FORMULAS, functions.formula),
    **dict.fromkeys(LAYERS, functions.each),
    **dict.fromkeys(
        ("dropout", "feature_dropout", "alpha_dropout", "contiguous", "clone", "detach", "alias",
         "lift_fresh_copy"),
        moves.same,
    ),
    **dict.fromkeys(("to", "_to_copy", "type_as", "float"), choices.converted),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or",
                     "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
                     "__and__", "__or__", "__xor__"),
                    choices.pair),
    **dict.fromkeys(("logical_not", "bitwise_not"), choices.negated),
    "masked_fill": choices.filled,
    "where": choices.where,
    **dict.fromkeys(("embedding_bag", "_embedding_bag"), bags.embedding_bag),
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "flatten", "unflatten", "permute", "transpose", "t",
         "numpy_T", "mT", "movedim", "swapaxes", "squeeze", "unsqueeze", "expand", "expand_as",
         "repeat", "tile", "repeat_interleave", "chunk", "split", "split_with_sizes", "unbind",
         "select", "slice", "narrow", "flip", "roll", "pixel_shuffle", "pixel_unshuffle",
         "channel_shuffle", "diagonal", "pad", "constant_pad_nd"),
        moves.moved,
    ),
    "getitem": moves.item,
    **dict.fromkeys(("cat", "concat", "concatenate", "stack", "hstack", "vstack"), moves.together),
    "linear": sums.linear,
    **dict.fromkeys(("matmul", "mm"), sums.matmul),
    "addmm": sums.addmm,
    **dict.fromkeys(("conv1d", "conv2d"), sums.convolution),
    "embedding": sums.embedding,
    **dict.fromkeys(("max_pool1d", "max_pool2d"), sums.max_pool),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), sums.avg_pool),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), sums.adaptive),
    **dict.fromkeys(("mean", "sum", "amax"), sums.reduced),
    "max": sums.largest,
    "glu": functions.halves,
    "batch_norm": functions.batch_norm,
    "layer_norm": functions.layer_norm,
    "group_norm": functions.group_norm,
    "rms_norm": functions.rms_norm,
    **dict.fromkeys(("clamp", "clip"), functions.clamp),
    "prelu": functions.prelu,
    **dict.fromkeys(("add", "mul"), choices.pair),
    **dict.fromkeys(("sub", "div", "maximum", "minimum"), functions.joined),
    "softmax": partial(functions.whole, "softmax"),
    "log_softmax": partial(functions.whole, "log_softmax"),
    **dict.fromkeys(("lstm_steps", "gru_steps", "rnn_tanh_steps", "rnn_relu_steps"),
                    recurrent.steps),
    "scaled_dot_product_attention": attention.attention,
    "offsets": recurrent.offsets,
    "hidden_sums": recurrent.nothing,
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like"), recurrent.zeros),
}  # fmt: skip
