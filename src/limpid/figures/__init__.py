"""Figures that papers draw, measured anew.

`limpid figure PAPER/NAME` runs the module that `FIGURES` names. Each has `add_arguments(parser)`, the flags it takes,
and `draw(...)`, which takes their values and gives the files that it wrote.
"""

#: By what a person types: the module, and what the figure shows.
FIGURES = {
    "fdr/correlation": (
        "limpid.figures.correlation",
        "FDR-Net's channels: correlations, and responses to distortions",
    ),
    "wmcp/patch_size": ("limpid.figures.patch_size", "PSNR against patch size, and deviation, by density of haze"),
}
