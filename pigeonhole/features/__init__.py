"""What a pretrained network sees in a picture, as numbers. It imports data, networks, runs and model."""
