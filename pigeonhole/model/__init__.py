"""From trained weights to answers: the saved model, its engines and exports, calibration.

Imports `runs` and the rooms that `runs` may import.
"""
