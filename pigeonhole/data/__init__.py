"""From a folder of class folders to batches of pixels. Imports `pictures` alone."""
