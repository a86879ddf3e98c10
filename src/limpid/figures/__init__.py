"""Figures that papers draw, measured anew: each module has a `draw(settings) -> list of files` and says what it takes.

`limpid figure PAPER/NAME` runs the module that `FIGURES` names.
"""

#: By what a person types: the module, and what the figure shows.
FIGURES = {
    "fdr/correlation": (
        "limpid.figures.correlation",
        "FDR-Net's channels: correlations, and responses to distortions",
    ),
    "wmcp/patch_size": ("limpid.figures.patch_size", "PSNR against patch size, and deviation, by density of haze"),
}
