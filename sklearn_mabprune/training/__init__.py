"""skorch nets: initial training, fine-tuning, predicting, scoring."""
