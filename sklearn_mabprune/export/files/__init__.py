"""Safetensors files of fitted estimators, which contain data and no code."""
