"""How far a model can be trusted: its answers for labelled pictures, and all figures made from them.

Imports `training` and the rooms that `training` may import.
"""
