"""Data: sets as publishers lay them out, degradations, and the datamodule that makes batches of them.

A batch is a dict: `input` and `target` `(N, 3, H, W)` float32 in [0, 1] (`target` absent for unpaired sets), `name`,
`domain`, `index`, and what a task adds, such as `depth` `(N, 1, H, W)`. Sets can be asked whether they are there
without importing torch, so nothing is imported here.
"""
