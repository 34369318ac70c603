"""Fitted estimators as plain torch, scikit-learn, ONNX and files."""
