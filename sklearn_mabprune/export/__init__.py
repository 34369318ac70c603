"""Export of fitted estimators to torch, scikit-learn, ONNX and safetensors files."""
