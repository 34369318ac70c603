"""Pipelines for frames of mixed columns, and whole pipelines as ONNX."""
