"""From bytes to pixels: the only place that decodes or resizes a picture. Imports no other room."""
