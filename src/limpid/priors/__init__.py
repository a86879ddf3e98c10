"""Methods that learn nothing: `Prior(**config)(x)` maps `(N, 3, H, W)` in [0, 1] to the same shape and range.

They keep the contract of `limpid.networks` (a `torch.nn.Module`, no Lightning, no Hydra, no files) and work
on any H, W >= 1. Every image of a batch is treated alone. Those that estimate the haze also say what they
found: `estimate(x)` returns the restored image with its scene depth, transmission and airlight.
"""
