"""From pixels to logits: the networks, their layers and recipes. Knows no files."""
