"""Pipelines for data frames with columns of mixed types, and export of pipelines to ONNX."""
