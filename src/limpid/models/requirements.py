"""Whether a model provides what the terms of its loss require, and the message where it does not."""

from __future__ import annotations

from limpid.errors import UserError
from limpid.losses import WeightedLoss

#: The values of `model=` that provide an attribute of `limpid.losses.Step`, for the sentence.
_PROVIDED_BY = {
    "teacher": "rfd, uni_removal_transfer or mawr",
    "scores": "pix2pix_h, epdn, cycle_dehaze, derain_cycle_gan, refinednet, nlcl, deblurgan or uni_removal_adaptation",
    "reference_scores": "deblurgan_v2",
    "clear": "cycle_dehaze, derain_cycle_gan, refinednet or uni_removal_adaptation",
    "clear_output": "refinednet or uni_removal_adaptation",
    "clear_features": "uni_removal_adaptation",
    "rain": "nlcl",
    "background_features": "nlcl",
    "rain_features": "nlcl",
    "reapplications": "nlcl",
    "cycles": "cycle_dehaze, derain_cycle_gan, da_net_translators or da_net",
    "judged_features": "pix2pix_h or epdn",
    "reference_features": "pix2pix_h or epdn",
    "real_output": "ssid, da_net_dehazing or da_net",
    "identities": "da_net_translators or da_net",
    "feature_scores": "da_net",
    "branches": "da_net",
    "density": "did_mdn_classifier",
    "density_scores": "did_mdn_classifier",
    "log_likelihood": "dehaze_flow",
    "worsened": "derain_cycle_gan or cycle_dehaze",
    "temporal_differences": "rl_restore",
}


def refuse_unmet(loss: WeightedLoss, provided: frozenset[str], model: str) -> None:
    """Refuse terms that require more than a model provides.

    Args:
        loss: whose terms they are.
        provided: the attributes of `limpid.losses.Step` that the model provides.
        model: its name, for the sentence.

    Raises:
        UserError: naming the first such term.
    """
    for name, term in loss.named_terms().items():
        unmet = sorted(term.requires - provided)
        if unmet:
            models = _PROVIDED_BY.get(unmet[0])
            choose = f"choose model={models}" if models else "choose a model that does"
            raise UserError(
                f"The term {name} of the loss requires {' and '.join(unmet)}, which {model} does not provide; "
                f"{choose}, or leave the term out with loss.terms.{name}.weight=0."
            )
