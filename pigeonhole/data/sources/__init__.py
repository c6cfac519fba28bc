"""From published archives to class folders: CIFAR, MNIST and the bundled sample.

Imports `data` and `pictures`.
"""
