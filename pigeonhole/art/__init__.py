"""Pictures made by way of a network: in the style of another picture, or of what the network sees in one.

`layered` lets the layers of any network be read and differentiated, `opening` finds the network that the user
names. What makes a picture is a generator that writes no files. It may import every room up to `evaluation`.
"""
