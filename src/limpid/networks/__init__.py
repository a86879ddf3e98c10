"""Networks in plain torch: `Net(**config)(x)` maps `(N, 3, H, W)` in [0, 1] to an image of the same shape.

They know no Lightning, no Hydra and no files. `conf/network/*.yaml` is the registry; `limpid.build` reads it.
"""
