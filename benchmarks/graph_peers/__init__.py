"""Any `fastconv.Network` in the libraries next door, with the same parameters: `in_torch`, `in_onnx`.

They know the layers of the networks that are measured and raise KeyError for any other.
"""
