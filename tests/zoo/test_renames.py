"""Tables of names: what publishers call the weights of each network, written out again, and the same image out of both."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import scipy.io
import torch
from torch import Tensor

import limpid
from limpid import checkpoint
from limpid.errors import UserError
from limpid.inference import restored_image
from limpid.zoo import renames
from limpid.zoo.create import published

WB = ("weight", "bias")


def both(*names: str) -> list[str]:
    """Weight and bias of each module."""
    return [f"{name}.{part}" for name in names for part in WB]


def weights(*names: str) -> list[str]:
    return [f"{name}.weight" for name in names]


def aod_net() -> list[str]:
    return both(*(f"e_conv{i}" for i in range(1, 6)))


def ffa_net(blocks: int = 1) -> list[str]:
    inside = ("conv1", "conv2", "calayer.ca.0", "calayer.ca.2", "palayer.pa.0", "palayer.pa.2")
    names = ["pre.0", "post.0", "post.1", "ca.1", "ca.3", "palayer.pa.0", "palayer.pa.2"]
    for g in (1, 2, 3):
        names += [f"g{g}.gp.{b}.{part}" for b in range(blocks) for part in inside] + [f"g{g}.gp.{blocks}"]
    return both(*names)


def gca_net() -> list[str]:
    names = weights("conv1", "conv2", "conv3")
    names += both("norm1", "norm2", "norm3", "norm4", "norm5", "gate", "deconv1", "deconv2", "deconv3")
    for r in range(1, 8):
        names += weights(f"res{r}.conv1", f"res{r}.conv2") + both(f"res{r}.norm1", f"res{r}.norm2")
        names += weights(f"res{r}.pre_conv1", f"res{r}.pre_conv2") if r < 7 else []
    return names


def grid_dehaze() -> list[str]:
    blocks = ["rdb_in", "rdb_out", *(f"rdb_module.{i}_{j}" for i in range(3) for j in range(5))]
    names = ["conv_in", "conv_out"]
    for block in blocks:
        names += [*(f"{block}.residual_dense_layers.{k}.conv" for k in range(4)), f"{block}.conv_1x1"]
    for i in range(2):
        names += [f"downsample_module.{i}_{j}.conv{k}" for j in range(3) for k in (1, 2)]
        names += [f"upsample_module.{i}_{j}.{part}" for j in range(3, 6) for part in ("deconv", "conv")]
    return ["coefficient", *both(*names)]


def msbdn(blocks: int = 2) -> list[str]:
    def residual(name: str) -> list[str]:
        return [*both(f"{name}.conv1.conv2d", f"{name}.conv2.conv2d"), f"{name}.relu.weight"]

    names = both(*(f"conv{part}.conv2d" for part in ("_input", "_output", "2x", "4x", "8x", "16x")))
    names += both(*(f"convd{part}x.conv2d" for part in (2, 4, 8, 16)))
    for level in [f"dense{i}" for i in range(4)] + [f"dense_{i}" for i in range(1, 5)]:
        names += [key for k in range(3) for key in residual(f"{level}.{k}")]
    names += [key for k in range(blocks) for key in residual(f"dehaze.res{k}")]
    for fusion, steps in [(f"fusion{i}", i) for i in range(1, 5)] + [(f"fusion_{i}", 5 - i) for i in range(1, 5)]:
        up, down = ("deconv", "conv")
        for k in range(steps):
            names += both(f"{fusion}.up_convs.{k}.{up}", f"{fusion}.down_convs.{k}.{down}")
            names += weights(f"{fusion}.up_convs.{k}.act", f"{fusion}.down_convs.{k}.act")
    return names


def dncnn(depth: int = 4) -> list[str]:
    names = both("dncnn.0")
    for k in range(1, depth - 1):
        names += [f"dncnn.{3 * k - 1}.weight", *both(f"dncnn.{3 * k}")]
        names += [f"dncnn.{3 * k}.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")]
    return [*names, f"dncnn.{3 * (depth - 1) - 1}.weight"]


def deep_deblur(blocks: int = 2) -> list[str]:
    names = ["conv_end_models.1.uppath.0", "conv_end_models.2.uppath.0"]
    for s in range(3):
        names += [f"body_models.{s}.body.0", f"body_models.{s}.body.{blocks + 1}"]
        names += [f"body_models.{s}.body.{k}.body.{part}" for k in range(1, blocks + 1) for part in (0, 2)]
    return both(*names)


def mprnet(orsnet_blocks: int = 3) -> list[str]:
    def block(name: str) -> list[str]:
        return [f"{name}.{part}" for part in ("body.0", "body.1", "body.2", "CA.conv_du.0", "CA.conv_du.2")]

    names = ["concat12", "concat23", "tail"]
    for i in (1, 2, 3):
        names += [f"shallow_feat{i}.0", *block(f"shallow_feat{i}.1")]
        names += [part for k in range(orsnet_blocks) for part in block(f"stage3_orsnet.orb{i}.body.{k}")]
        names += [f"stage3_orsnet.orb{i}.body.{orsnet_blocks}"]
        names += [f"stage3_orsnet.conv_enc{i}", f"stage3_orsnet.conv_dec{i}"]
    for way in ("enc", "dec"):
        names += [f"stage3_orsnet.up_{way}1.up.1", *(f"stage3_orsnet.up_{way}2.{k}.up.1" for k in (0, 1))]
    for stage in (1, 2):
        names += [f"sam{stage}{stage + 1}.conv{k}" for k in (1, 2, 3)]
        for level in (1, 2, 3):
            for k in (0, 1):
                names += block(f"stage{stage}_encoder.encoder_level{level}.{k}")
                names += block(f"stage{stage}_decoder.decoder_level{level}.{k}")
            names += [f"stage2_encoder.csff_{way}{level}" for way in ("enc", "dec")] if stage == 2 else []
        names += [f"stage{stage}_encoder.down{step}.down.1" for step in (12, 23)]
        names += [f"stage{stage}_decoder.up{step}.up.1" for step in (21, 32)]
        names += [part for k in (1, 2) for part in block(f"stage{stage}_decoder.skip_attn{k}")]
    return weights(*names)


def spanet() -> list[str]:
    names = weights("conv_in.0", "conv_out.0", *(f"SAM1.{part}" for part in ("conv_in", "conv2", "conv3", "conv_out")))
    names += weights(*(f"res_block{k}.group1.conv{c}" for k in range(1, 18) for c in (1, 2, 3)))
    names += both(*(f"SAM1.irnn{i}.{way}_weight" for i in (1, 2) for way in ("left", "right", "up", "down")))
    return names + both(*(f"SAM1.attention_layer.conv{c}" for c in (1, 2, 3)))


def rescan() -> list[str]:
    names = ["dec.0", "dec.1.fc.0", "dec.1.fc.2", "dec.3"]
    for k in range(5):
        names += [f"rnns.{k}.conv_{source}{gate}" for source in "xh" for gate in "zrn"]
        names += [f"rnns.{k}.se.fc.0", f"rnns.{k}.se.fc.2"]
    return both(*names)


def op_attention(groups: int = 2) -> list[str]:
    convolutions = {0: (0, 1, 3, 4), 1: (0, 1, 3, 4), 2: (0, 1, 3, 4), 3: (0, 1, 3, 4), 4: (0, 1), 5: (0, 1), 6: (0, 1)}
    names = weights("FEB.0", *(f"FEB.{i}.conv{c}" for i in range(1, 5) for c in (1, 2)), "conv2")
    for g in range(groups):
        names += both(f"layers.{2 * g}.ca_fc.0", f"layers.{2 * g}.ca_fc.2")
        group = f"layers.{2 * g + 1}"
        names += weights(f"{group}.preprocess.op.0", *(f"{group}._ops.{s}._out.0" for s in range(4)))
        for s in range(4):
            names += weights(*(f"{group}._ops.{s}._ops.{o}.op.{c}" for o, cs in convolutions.items() for c in cs))
    return names


def xydeblur() -> list[str]:
    names = ["Convs1_1.main.0", "Convs1_2.main.0", "Decoder1_4.main.0"]
    names += [f"Decoder1_{k}.layers.6.main.0" for k in (1, 2)] + [f"Encoder{k}.layers.0.main.0" for k in (1, 2, 3)]
    for k in (1, 2, 3):
        for b in range(6):
            names += [f"Encoder{k}.layers.{b + 1}.main.{c}.main.0" for c in (0, 1)]
            names += [f"Decoder1_{k}.layers.{b}.main.{c}.main.0" for c in (0, 1)]
    return both(*names)


def nlcl() -> list[str]:
    blocks = [f"gen.{b}.model.{c}.conv" for b in range(1, 17) for c in (0, 1)]
    return both("gen.0", *blocks, "gen.17.conv.0", "gen.17.conv.3", "gen.18")


def dehazenet() -> list[str]:
    layers = ("conv1", "conv3x3", "conv5x5", "conv7x7", "ip")
    return [f"{kind}_{layer}" for layer in layers for kind in ("weights", "biases")]


def fsrcnn() -> list[str]:
    names = both("first_part.0", "last_part", *(f"mid_part.{k}" for k in range(0, 12, 2)))
    return [*names, "first_part.1.weight", *(f"mid_part.{k}.weight" for k in range(1, 12, 2))]


def srresnet(blocks: int = 2) -> list[str]:
    names = weights("conv_input", "conv_mid", "upscale4x.0", "upscale4x.3", "conv_output") + both("bn_mid")
    for k in range(blocks):
        names += weights(f"residual.{k}.conv1", f"residual.{k}.conv2") + both(f"residual.{k}.in1", f"residual.{k}.in2")
    return names


def msbdn_rdff(blocks: int = 2) -> list[str]:
    dense = [f"conv{i}" for i in range(1, 5)] + [f"conv_{i}" for i in range(1, 5)]
    return msbdn(blocks) + weights(
        *(f"{name}.{part}" for name in dense for part in (*(f"dense_layers.{k}.conv" for k in range(4)), "conv_1x1"))
    )


def pix2pix_h() -> list[str]:
    """A block lies inside the other; the outermost and the innermost have other places for their parts."""
    names = ["model.model.0.weight", *both("model.model.3")]
    norms = []
    for level in range(1, 8):
        block = "model.model.1.model" + ".3.model" * (level - 1)
        names += weights(f"{block}.1", f"{block}.{5 if level < 7 else 3}")
        norms += [f"{block}.2", f"{block}.6"] if level < 7 else [f"{block}.4"]
    running = [f"{norm}.{part}" for norm in norms for part in ("running_mean", "running_var", "num_batches_tracked")]
    return names + both(*norms) + running


def drn_s(blocks: int = 30) -> list[str]:
    names = ["sub_mean", "add_mean", "head", "tail.0", "tail.1", "tail.2"]
    for level in (0, 1):
        for b in range(blocks):
            names += [f"up_blocks.{level}.{b}.body.{part}" for part in ("0", "2", "3.conv_du.0", "3.conv_du.2")]
        names += [f"up_blocks.{level}.{blocks}.0", f"up_blocks.{level}.{blocks + 1}"]
    return both(*names) + weights(*(f"down.{p}.dual_module.{part}" for p in (0, 1) for part in ("0.0", "1")))


def gfn() -> list[str]:
    groups = [f"{way}{number}" for way in "ed" for number in (1, 2, 3)]
    layers = [f"s{s}_{group}conv{k}" for s in (1, 2, 3) for group in groups for k in (1, 2, 3)]
    return both(*layers, "s2_up1", "s3_up2")


def dcpdn() -> list[str]:
    """With one layer in each of the encoder's blocks."""
    t = "tran_dense"
    names = [*weights(f"{t}.conv0"), *both(f"{t}.norm0")]
    for b in (1, 2, 3):
        inside = f"{t}.dense_block{b}.denselayer1"
        names += [*both(f"{inside}.norm.1", f"{inside}.norm.2"), *weights(f"{inside}.conv.1", f"{inside}.conv.2")]
        names += [*both(f"{t}.trans_block{b}.norm"), *weights(f"{t}.trans_block{b}.conv")]
    for b in range(4, 9):
        names += [*both(f"{t}.dense_block{b}.bn1", f"{t}.dense_block{b}.bn2"), *both(f"{t}.trans_block{b}.bn1")]
        names += weights(f"{t}.dense_block{b}.conv1", f"{t}.dense_block{b}.conv2", f"{t}.trans_block{b}.conv1")
    for k in range(1, 9):
        names += weights(f"atp_est.layer{k}.layer{k}.conv", f"atp_est.dlayer{k}.dlayer{k}.tconv")
        names += both(f"atp_est.layer{k}.layer{k}.bn") if k > 1 else []
        names += both(f"atp_est.dlayer{k}.dlayer{k}.bn") if 1 < k < 8 else []
    pyramid = [*(f"conv10{k}0" for k in (1, 2, 3, 4)), "refine3"]
    return [*names, *both(f"{t}.conv_refin", "refine1", "refine2", *pyramid, *(f"{t}.{part}" for part in pyramid))]


def did_mdn() -> list[str]:
    """Its three files, with layers and statistics that are left out."""
    streams: list[str] = []
    for k, b in product(range(3), range(1, 7)):
        block, transition = f"dense{k}.dense_block{b}", f"dense{k}.trans_block{b}"
        streams += both(f"{block}.bn1", f"{block}.bn2", f"{transition}.bn1")
        streams += weights(f"{block}.conv1", f"{block}.conv2", f"{transition}.conv1")
        streams += [f"{block}.bn1.running_mean", f"{block}.bn1.num_batches_tracked"]
    streams += both(*(f"dense{k}.{layer}" for k in range(3) for layer in ("conv11", "conv_refin", "batchnorm20")))
    pyramid = both("conv_refin", *(f"conv10{k}0" for k in (1, 2, 3, 4)), "refine3", "batchnorm1")
    clear = both("refineclean1", "refineclean2")
    classifier = both("feature.0", "feature.1", "feature.3", "conv16", "dense_classifier", "dense_classifier1")
    files = {"netG_epoch_9": [*streams, *pyramid, *clear], "residual_heavy": [*streams, *pyramid, *clear]}
    files["classification"] = classifier
    return [f"{stem}/{name}" for stem, names in files.items() for name in names]


def famed_net() -> list[str]:
    names = both("conv5-fusion-all")
    for scale in ("", "-ds2", "-ds4"):
        names += both(*(f"conv{k}{scale}" for k in range(1, 6)), *(f"scale_conv{k}{scale}" for k in range(1, 5)))
        running = ("running_mean", "running_var", "num_batches_tracked")
        names += [f"bn_conv{k}{scale}.{part}" for k in range(1, 5) for part in running]
    return names


def mscnn() -> list[str]:
    return [
        f"MSCNNDehazing_{net}/net.layers.{k}.{part}"
        for net in ("CL", "FL")
        for k in (1, 6, 11, 15)
        for part in ("filters", "biases")
    ]


def resnet(name: str, first: tuple[int, ...], blocks: range, last: tuple[int, ...]) -> list[str]:
    """CycleGAN's generator, or a part of it: convolutions, residual blocks, convolutions."""
    inside = [f"{name}.{k}.conv_block.{part}" for k in blocks for part in (1, 5)]
    return [*(f"{name}.{k}" for k in first), *inside, *(f"{name}.{k}" for k in last)]


def refinednet() -> list[str]:
    """Two files together; a block of the U-Net lies inside the other."""
    names = ["model.model.0", "model.model.3"]
    for level in range(1, 8):
        block = "model.model.1.model" + ".3.model" * (level - 1)
        names += [f"{block}.1", f"{block}.{5 if level < 7 else 3}"]
    image = resnet("model", (1, 4, 7), range(10, 19), (19, 22, 26))
    return both(
        *(f"latest_net_Refiner_T/{name}" for name in names),
        *(f"latest_net_Refiner_J/{name}" for name in image),
    )


def epdn() -> list[str]:
    names = resnet("model", (1, 4, 7, 10, 13), range(16, 19), (19, 22, 25, 28))
    names += ["model1_1.1", "model1_1.4", *resnet("model1_2", (), range(3), (3, 7))]
    parts = ("refine1", "refine2", "refine3", "conv1010", "conv1020", "conv1030", "conv1040")
    return both(*names, *(f"{enhancer}.{part}" for enhancer in ("dehaze", "dehaze2") for part in parts))


def dehaze_flow(blocks: int = 2) -> list[str]:
    """What it does not use is left out: HRconv, conv_last and f."""
    names = ["conv_first", "trunk_conv", "upconv1", "upconv2"]
    names += [f"RRDB_trunk.{b}.RDB{d}.conv{c}" for b in range(blocks) for d in (1, 2, 3) for c in range(1, 6)]
    found = both(*(f"RRDB.{name}" for name in names))
    flow = "flowUpsamplerNet.layers"
    for first in (1, 21, 40):
        for step in range(first, first + 18):
            found += [f"{flow}.{step}.{part}" for part in ("actnorm.bias", "actnorm.logs", "invconv.weight")]
            if step >= first + 2:
                found += [*coupling(f"{flow}.{step}.affine.fAffine"), *coupling(f"{flow}.{step}.affine.fFeatures")]
    return [*found, *(f"{flow}.19.conv.{part}" for part in (*WB, "logs"))]


def coupling(name: str) -> list[str]:
    normed = [f"{name}.{i}.{part}" for i in (0, 2) for part in ("weight", "actnorm.bias", "actnorm.logs")]
    attention = [f"{name}.4.{part}" for part in both("ChannelGate.mlp.1", "ChannelGate.mlp.3")]
    return [*normed, *attention, f"{name}.4.SpatialGate.spatial.conv.weight", *(f"{name}.5.{p}" for p in (*WB, "logs"))]


def deblurgan() -> list[str]:
    """With dropout in its blocks."""
    blocks = [f"model.{k}.conv_block.{part}" for k in range(10, 19) for part in (1, 6)]
    return both("model.1", "model.4", "model.7", *blocks, "model.19", "model.22", "model.26")


def deblurgan_v2_top() -> list[str]:
    names = weights(*(f"fpn.lateral{k}" for k in range(5)))
    names += weights(*(f"head{k}.block{part}" for k in (1, 2, 3, 4) for part in (0, 1)))
    names += [f"fpn.td1.1.{part}" for part in ("running_mean", "running_var", "num_batches_tracked")]
    return names + both(*(f"fpn.td{k}.0" for k in (1, 2, 3)), "smooth.0", "smooth2.0", "final")


def deblurgan_v2() -> list[str]:
    """With one residual block of either kind."""
    convolutions = ["conv2d_1a", "conv2d_2a", "conv2d_2b", "conv2d_3b", "conv2d_4a", "mixed_5b.branch0"]
    convolutions += [f"mixed_5b.{part}" for part in ("branch1.0", "branch1.1", "branch2.0", "branch2.1", "branch2.2")]
    convolutions += ["mixed_5b.branch3.1", "repeat.0.branch0", "repeat.0.branch1.0", "repeat.0.branch1.1"]
    convolutions += [*(f"repeat.0.branch2.{k}" for k in (0, 1, 2)), "mixed_6a.branch0", "repeat_1.0.branch0"]
    convolutions += [f"{block}.branch1.{k}" for block in ("mixed_6a", "repeat_1.0") for k in (0, 1, 2)]
    convolutions += [f"mixed_7a.branch{b}.{k}" for b in (0, 1) for k in (0, 1)]
    convolutions += [f"mixed_7a.branch2.{k}" for k in (0, 1, 2)]
    inception = weights(*(f"{name}.conv" for name in convolutions)) + both(*(f"{name}.bn" for name in convolutions))
    inception += [f"{name}.bn.running_var" for name in convolutions]
    inception += both("repeat.0.conv2d", "repeat_1.0.conv2d", "block8.conv2d", "last_linear")
    aliased = ["fpn.enc0.conv.weight", "fpn.enc3.0.branch0.bn.bias"]
    return [f"fpn.inception.{name}" for name in inception] + aliased + deblurgan_v2_top()


def deblurgan_v2_mobilenet() -> list[str]:
    names = weights("features.0.0") + both("features.0.1")
    for layer in range(1, 19):
        convolutions, norms = ((0, 3), (1, 4)) if layer == 1 else ((0, 3, 6), (1, 4, 7))
        if layer == 18:  # the last one is plain
            convolutions, norms = (0,), (1,)
        names += weights(*(f"features.{layer}.conv.{k}" for k in convolutions))
        names += both(*(f"features.{layer}.conv.{k}" for k in norms))
        names += [f"features.{layer}.conv.{k}.running_mean" for k in norms]
    return [f"fpn.{name}" for name in names] + ["fpn.enc1.0.conv.0.weight"] + deblurgan_v2_top()


def derain_cycle_gan() -> list[str]:
    attention = ["det_conv0.0", *(f"conv_{gate}.0" for gate in "ifgo"), "det_conv_mask.0"]
    attention += [f"det_conv{k}.{part}" for k in range(1, 6) for part in (0, 2)]
    generator = [f"conv{k}" for k in range(1, 11)] + [f"diconv{k}" for k in range(1, 5)]
    generator += ["deconv1", "deconv2", "outframe1", "outframe2", "output"]
    return both(*(f"atten.{name}" for name in attention), *(f"genA.{name}.0" for name in generator))


#: By network: all published names, the settings that go with them, and by hand what a few of them become.
RELEASES: dict[str, tuple[list[str], dict[str, Any], dict[str, str]]] = {
    "aod_net": (aod_net(), {}, {"e_conv3.weight": "conv3.weight"}),
    "ffa_net": (
        ffa_net(),
        {"blocks": 1, "mean": [0.64, 0.6, 0.58], "std": [0.14, 0.15, 0.152]},
        {
            "g2.gp.0.conv2.bias": "groups.1.blocks.0.conv2.bias",
            "g3.gp.1.weight": "groups.2.conv.weight",
            "g1.gp.0.calayer.ca.2.weight": "groups.0.blocks.0.channel_attention.weight.3.weight",
            "g1.gp.0.palayer.pa.2.bias": "groups.0.blocks.0.pixel_attention.weight.2.bias",
            "ca.1.weight": "fusion.weight.1.weight",
            "palayer.pa.0.bias": "pixel_attention.weight.0.bias",
            "post.1.bias": "tail.1.bias",
        },
    ),
    "gca_net": (
        gca_net(),
        {},
        {
            "conv3.weight": "encoder.6.weight",
            "res4.pre_conv2.weight": "blocks.3.smooth2.weight",
            "res7.norm1.bias": "blocks.6.norm1.bias",
            "deconv3.weight": "decoder.0.weight",
            "norm5.weight": "decoder.4.weight",
            "deconv1.bias": "decoder.6.bias",
        },
    ),
    "grid_dehaze": (
        grid_dehaze(),
        {},
        {
            "coefficient": "attention",
            "rdb_module.2_4.residual_dense_layers.3.conv.bias": "along.2_4.layers.3.bias",
            "downsample_module.1_2.conv2.weight": "across.1_2.conv2.weight",
            "upsample_module.0_3.deconv.weight": "across.0_3.deconv.weight",
            "rdb_out.conv_1x1.weight": "post.fusion.weight",
        },
    ),
    "msbdn": (
        msbdn(),
        {"blocks": 2, "channels": 4},
        {
            "dense_4.2.conv1.conv2d.weight": "decode.0.blocks.2.conv1.weight",
            "dense3.0.relu.weight": "encode.3.blocks.0.activation.weight",
            "fusion3.up_convs.2.deconv.weight": "encoder_fusion.2.away.2.0.weight",
            "fusion3.down_convs.0.act.weight": "encoder_fusion.2.back.0.1.weight",
            "fusion_1.down_convs.3.conv.bias": "decoder_fusion.3.away.3.0.bias",
            "fusion_4.up_convs.0.deconv.bias": "decoder_fusion.0.back.0.0.bias",
            "convd16x.conv2d.weight": "up.0.weight",
            "dehaze.res1.conv2.conv2d.bias": "blocks.blocks.1.conv2.bias",
        },
    ),
    "dncnn": (
        dncnn(),
        {"depth": 4},
        {"dncnn.3.running_var": "layers.3.running_var", "dncnn.8.weight": "layers.8.weight"},
    ),
    "deep_deblur": (
        deep_deblur(),
        {"blocks": 2},
        {
            "body_models.2.body.0.weight": "scales.0.0.weight",
            "body_models.0.body.2.body.2.bias": "scales.2.2.conv2.bias",
            "conv_end_models.1.uppath.0.weight": "enlarge.1.0.weight",
        },
    ),
    "mprnet": (
        mprnet(),
        {"orsnet_blocks": 3, "channels": 12, "level_step": 4, "orsnet_step": 4},
        {
            "shallow_feat3.1.body.1.weight": "slope",
            "stage3_orsnet.orb2.body.1.body.1.weight": "slope",
            "stage3_orsnet.orb2.body.1.body.2.weight": "orsnet.groups.1.1.conv2.weight",
            "stage3_orsnet.orb2.body.3.weight": "orsnet.convs.1.weight",
            "stage3_orsnet.up_dec2.0.up.1.weight": "orsnet.from_decoder.2.convs.0.weight",
            "stage3_orsnet.conv_enc2.weight": "orsnet.from_encoder.1.convs.1.weight",
            "stage2_encoder.csff_dec3.weight": "encoders.1.from_decoder.2.weight",
            "stage1_encoder.down23.down.1.weight": "encoders.0.down.1.weight",
            "stage1_decoder.up32.up.1.weight": "decoders.0.up.1.weight",
            "stage2_decoder.skip_attn1.CA.conv_du.2.weight": "decoders.1.skips.0.attention.3.weight",
            "sam23.conv3.weight": "attentions.1.to_attention.weight",
            "concat23.weight": "fusions.1.weight",
        },
    ),
    "spanet": (
        spanet(),
        {"directional": False},
        {
            "res_block3.group1.conv2.weight": "before.2.conv2.weight",
            "res_block4.group1.conv1.weight": "guided.0.0.conv1.weight",
            "res_block12.group1.conv3.weight": "guided.2.2.conv3.weight",
            "res_block17.group1.conv1.weight": "after.1.conv1.weight",
            "SAM1.conv3.weight": "attention.mixes.1.weight",
        },
    ),
    "rescan": (
        rescan(),
        {},
        {
            "rnns.4.conv_hr.bias": "units.4.reset_memory.bias",
            "rnns.0.se.fc.2.weight": "units.0.attention.weight.3.weight",
            "dec.1.fc.0.bias": "decoder.1.weight.1.bias",
        },
    ),
    "op_attention": (
        op_attention(),
        {"groups": 2},
        {
            "layers.2.ca_fc.2.bias": "groups.1.attention.2.bias",
            "layers.3._ops.1._ops.6.op.1.weight": "groups.1.layers.1.operations.6.1.weight",
            "layers.1._ops.3._out.0.weight": "groups.0.layers.3.mix.weight",
            "FEB.4.conv2.weight": "head.4.conv2.weight",
        },
    ),
    "xydeblur": (
        xydeblur(),
        {"channels": 8},
        {
            "Encoder2.layers.0.main.0.bias": "convs.1.bias",
            "Encoder2.layers.6.main.1.main.0.bias": "blocks.1.5.conv2.bias",
            "Decoder1_3.layers.0.main.0.main.0.weight": "decoder.blocks.2.0.conv1.weight",
            "Decoder1_2.layers.6.main.0.weight": "decoder.up.1.weight",
            "Convs1_2.main.0.weight": "decoder.merge.1.weight",
        },
    ),
    "nlcl": (
        nlcl(),
        {},
        {
            "gen.0.weight": "head.weight",
            "gen.1.model.0.conv.weight": "blocks.0.body.0.weight",
            "gen.16.model.1.conv.bias": "blocks.15.body.3.bias",
            "gen.17.conv.3.weight": "tail.3.weight",
            "gen.18.bias": "tail.4.bias",
        },
    ),
    "dehazenet": (
        dehazenet(),
        {},
        {"weights_conv1": "extract.weight", "biases_conv5x5": "map5.bias", "weights_ip": "regress.weight"},
    ),
    "fsrcnn": (
        fsrcnn(),
        {},
        {
            "first_part.1.weight": "extract.1.weight",
            "mid_part.1.weight": "shrink.1.weight",
            "mid_part.2.bias": "mapping.0.0.bias",
            "mid_part.9.weight": "mapping.3.1.weight",
            "mid_part.10.weight": "expand.0.weight",
            "mid_part.11.weight": "expand.1.weight",
            "last_part.bias": "upsample.0.bias",
        },
    ),
    "srresnet": (
        srresnet(),
        {"blocks": 2},
        {
            "conv_input.weight": "head.0.weight",
            "residual.1.in2.bias": "blocks.1.norm2.bias",
            "bn_mid.weight": "middle.1.weight",
            "upscale4x.3.weight": "upsample.3.weight",
        },
    ),
    "msbdn_rdff": (
        msbdn_rdff(),
        {"blocks": 2, "channels": 4},
        {
            "conv1.dense_layers.3.conv.weight": "encoder_fusion.0.dense.dense.3.weight",
            "conv_4.conv_1x1.weight": "decoder_fusion.0.dense.join.weight",
            "fusion4.down_convs.3.conv.bias": "encoder_fusion.3.fusion.back.3.0.bias",
            "fusion_1.up_convs.0.act.weight": "decoder_fusion.3.fusion.back.0.1.weight",
            "conv16x.conv2d.weight": "down.3.weight",
        },
    ),
    "pix2pix_h": (
        pix2pix_h(),
        {"channels": 4},
        {
            "model.model.0.weight": "down.0.0.weight",
            "model.model.1.model.1.weight": "down.1.1.weight",
            "model.model.1.model.6.bias": "up.6.2.bias",
            "model.model.1.model.3.model.3.model.2.running_var": "down.3.2.running_var",
            "model.model.1.model.3.model.3.model.3.model.3.model.3.model.5.weight": "up.1.1.weight",
            "model.model.1.model.3.model.3.model.3.model.3.model.3.model.3.model.1.weight": "down.7.1.weight",
            "model.model.1.model.3.model.3.model.3.model.3.model.3.model.3.model.3.weight": "up.0.1.weight",
            "model.model.1.model.3.model.3.model.3.model.3.model.3.model.3.model.4.bias": "up.0.2.bias",
            "model.model.3.bias": "tail.1.bias",
        },
    ),
    "refinednet": (
        refinednet(),
        {"channels": 4},
        {
            "latest_net_Refiner_T/model.model.0.weight": "transmission_refiner.down.0.weight",
            "latest_net_Refiner_T/model.model.3.bias": "transmission_refiner.up.0.bias",
            "latest_net_Refiner_T/model.model.1.model.5.weight": "transmission_refiner.up.1.weight",
            "10_net_Refiner_T/model.model.1.model.3.model.3.model.1.bias": "transmission_refiner.down.3.bias",
            "latest_net_Refiner_T/model.model.1.model.3.model.3.model.3.model.3.model.3.model.3.model.3.weight": (
                "transmission_refiner.up.7.weight"
            ),
            "latest_net_Refiner_J/model.1.weight": "image_refiner.body.1.weight",
            "latest_net_Refiner_J/model.18.conv_block.5.bias": "image_refiner.body.18.body.5.bias",
            "latest_net_Refiner_J/model.26.bias": "image_refiner.body.26.bias",
        },
    ),
    "epdn": (
        epdn(),
        {"channels": 4, "enhancer_channels": 4},
        {
            "model.13.weight": "coarse.13.weight",
            "model1_1.4.bias": "fine_down.4.bias",
            "model1_2.0.conv_block.5.weight": "fine_up.0.body.5.weight",
            "dehaze.refine1.weight": "enhancers.0.first.weight",
            "dehaze2.refine3.bias": "enhancers.1.pooling.refine.bias",
            "dehaze.conv1040.weight": "enhancers.0.pooling.scales.3.weight",
        },
    ),
    "dehaze_flow": (
        dehaze_flow(),
        {"channels": 4, "growth": 4, "blocks": 2, "kept": [0, 1], "hidden": 4, "attention": 2},
        {
            "RRDB.RRDB_trunk.1.RDB3.conv5.bias": "encoder.blocks.1.blocks.2.convolutions.4.bias",
            "RRDB.upconv2.weight": "encoder.to_quarter.weight",
            "flowUpsamplerNet.layers.1.invconv.weight": "levels.0.0.mix.weight",
            "flowUpsamplerNet.layers.18.actnorm.logs": "levels.0.17.norm.logs",
            "flowUpsamplerNet.layers.19.conv.weight": "split.conv.conv.weight",
            "flowUpsamplerNet.layers.23.affine.fFeatures.2.weight": "levels.1.2.coupling.by_condition.body.3.weight",
            "flowUpsamplerNet.layers.38.affine.fAffine.0.actnorm.bias": "levels.1.17.coupling.by_half.body.1.bias",
            "flowUpsamplerNet.layers.57.affine.fAffine.2.actnorm.logs": "levels.2.17.coupling.by_half.body.4.logs",
            "flowUpsamplerNet.layers.42.affine.fAffine.5.logs": "levels.2.2.coupling.by_half.body.7.logs",
            "flowUpsamplerNet.layers.42.affine.fAffine.5.weight": "levels.2.2.coupling.by_half.body.7.conv.weight",
            "flowUpsamplerNet.layers.42.affine.fFeatures.4.ChannelGate.mlp.3.bias": (
                "levels.2.2.coupling.by_condition.body.6.channels.2.bias"
            ),
            "flowUpsamplerNet.layers.42.affine.fFeatures.4.SpatialGate.spatial.conv.weight": (
                "levels.2.2.coupling.by_condition.body.6.pixels.weight"
            ),
        },
    ),
    "deblurgan": (
        deblurgan(),
        {"channels": 4},
        {
            "model.4.bias": "generator.body.4.bias",
            "model.10.conv_block.6.weight": "generator.body.10.body.5.weight",
            "model.18.conv_block.1.bias": "generator.body.18.body.1.bias",
            "model.12.conv_block.5.bias": "generator.body.12.body.5.bias",  # of a training without dropout
        },
    ),
    "deblurgan_v2": (
        deblurgan_v2(),
        {"width": 0.0625, "blocks": [1, 1], "pyramid_channels": 8, "head_channels": 4},
        {
            "fpn.inception.mixed_5b.branch3.1.bn.bias": "backbone.mixed_5b.branch3.1.bn.bias",
            "fpn.lateral4.weight": "pyramid.lateral.4.weight",
            "fpn.td3.0.bias": "pyramid.smooth.2.0.bias",
            "head4.block1.weight": "heads.3.2.weight",
            "smooth2.0.weight": "smooth2.0.weight",
            "final.bias": "tail.bias",
        },
    ),
    "deblurgan_v2_mobilenet": (
        deblurgan_v2_mobilenet(),
        {"width": 0.125, "pyramid_channels": 8, "head_channels": 4},
        {
            "fpn.features.1.conv.3.weight": "backbone.features.1.conv.3.weight",
            "fpn.features.15.conv.7.bias": "backbone.features.15.conv.7.bias",
            "head1.block0.weight": "heads.0.0.weight",
        },
    ),
    "derain_cycle_gan": (
        derain_cycle_gan(),
        {"channels": 4, "attention_channels": 4},
        {
            "atten.det_conv5.2.weight": "attention.blocks.4.2.weight",
            "atten.conv_g.0.bias": "attention.cell_gate.bias",
            "genA.conv3.0.weight": "generator.at_half.1.weight",
            "genA.diconv4.0.weight": "generator.at_quarter.6.weight",
            "genA.conv8.0.bias": "generator.at_quarter.8.bias",
            "genA.deconv2.0.weight": "generator.up_full.conv.weight",
        },
    ),
    "gfn": (
        gfn(),
        {"channels": 8, "widest": 16},
        {
            "s1_e2conv1.weight": "coarse.e2.0.weight",
            "s3_d3conv3.bias": "fine.gates.bias",
            "s2_d1conv3.weight": "middle.d1.2.weight",
            "s2_up1.weight": "to_middle.weight",
            "s3_up2.bias": "to_fine.bias",
        },
    ),
    "dcpdn": (
        dcpdn(),
        {"stem": 8, "growth": 4, "blocks": [1, 1, 1], "decoder": 2},
        {
            "tran_dense.dense_block2.denselayer1.norm.2.bias": "transmission.encoder.denseblock2.denselayer1.norm2.bias",
            "tran_dense.dense_block5.conv2.weight": "transmission.decoder.1.0.conv2.weight",
            "tran_dense.trans_block8.conv1.weight": "transmission.decoder.4.1.conv.weight",
            "tran_dense.conv1030.bias": "transmission.pyramid.scales.2.bias",
            "tran_dense.conv_refin.weight": "transmission.refine.weight",
            "refine3.bias": "pyramid.refine.bias",
            "atp_est.layer8.layer8.bn.weight": "airlight.down_norms.6.weight",
            "atp_est.layer1.layer1.weight": "airlight.down.0.weight",
            "atp_est.dlayer2.dlayer2.bn.bias": "airlight.up_norms.0.bias",
            "atp_est.dlayer8.dlayer8.tconv.weight": "airlight.up.7.weight",
        },
    ),
    "did_mdn": (
        did_mdn(),
        {"side": 32, "stem": 2, "classifier_channels": 2, "hidden": 2},
        {
            "netG_epoch_9/dense2.dense_block6.conv1.weight": "derain.streams.2.levels.5.0.conv1.weight",
            "netG_epoch_9/dense1.trans_block3.bn1.bias": "derain.streams.1.levels.2.1.norm.bias",
            "netG_epoch_9/dense0.conv11.weight": "derain.details.0.weight",
            "netG_epoch_9/conv1030.bias": "derain.pyramid.scales.2.bias",
            "netG_epoch_9/refineclean2.weight": "derain.refine_clear2.weight",
            "residual_heavy/conv_refin.weight": "density.residual.refine.weight",
            "residual_heavy/dense0.trans_block1.conv1.weight": "density.residual.streams.0.levels.0.1.conv.weight",
            "classification/feature.1.weight": "density.classifier.norm1.weight",
            "classification/dense_classifier1.bias": "density.classifier.linear2.bias",
        },
    ),
    "famed_net": (
        famed_net(),
        {"channels": 8},
        {
            "conv5-fusion-all.bias": "fuse.bias",
            "conv1.weight": "scales.0.conv1.weight",
            "bn_conv3-ds4.running_var": "scales.2.norm3.running_var",
            "scale_conv4-ds2.bias": "scales.1.norm4.bias",
            "conv5-ds2.weight": "scales.1.conv5.weight",
        },
    ),
    "mscnn": (
        mscnn(),
        {"form": "official"},
        {
            "MSCNNDehazing_CL/net.layers.1.filters": "coarse.stages.0.weight",
            "CL/net.layers.11.biases": "coarse.stages.2.bias",
            "mscnn_MSCNNDehazing_FL/net.layers.15.filters": "fine.head.weight",
        },
    ),
    "rfd_student": (
        ffa_net(6),
        {"mean": [0.64, 0.6, 0.58], "std": [0.14, 0.15, 0.152]},
        {"g2.gp.5.calayer.ca.0.weight": "groups.1.blocks.5.channel_attention.weight.1.weight"},
    ),
    "drn_s": (
        drn_s(),
        {},
        {
            "up_blocks.1.30.0.weight": "up.1.30.weight",
            "up_blocks.0.31.bias": "up.0.32.bias",
            "up_blocks.0.29.body.3.conv_du.2.bias": "up.0.29.weight.3.bias",
            "down.1.dual_module.1.weight": "down.1.2.weight",
        },
    ),
}


def test_every_table_is_tested() -> None:
    in_bundles = {"rl_restore"}  # of TensorFlow: tests/zoo/test_tensorflow.py
    assert sorted({*RELEASES, *in_bundles}) == renames.with_tables()


@pytest.mark.parametrize("network", sorted(RELEASES))
def test_all_published_names_become_ours_and_no_others(network: str) -> None:
    names, settings, by_hand = RELEASES[network]
    rules = renames.table(network)
    shapes = {key: value.shape for key, value in limpid.build(network, **settings).state_dict().items()}
    of = {name: torch.zeros(()) for name in names}
    assert len(of) == len(names)
    assert set(renames.renamed(of, {**rules, "stack": [], "add": [], "scale": []}, {})) >= set(by_hand.values())
    filled = {name for name, _ in rules.get("fill", ())}
    assert set(renames.renamed(of, rules, {})) == set(shapes) - filled
    for name, ours in by_hand.items():
        assert list(renames.renamed({name: torch.zeros(1)}, rules, {})) == [ours]


def released(network: str) -> tuple[dict[str, Tensor], torch.nn.Module]:
    """A network of ours with random weights, and the same weights as its publisher would store them."""
    names, settings, _ = RELEASES[network]
    rules = renames.table(network)
    torch.manual_seed(0)
    module = limpid.build(network, **settings).eval()
    with torch.no_grad():
        for value in module.state_dict().values():  # what begins as zeros and ones could be exchanged unseen
            if value.is_floating_point() and value.ndim <= 2:
                value.add_(0.05 * torch.rand_like(value))
    state = module.state_dict()
    plain = {k: v for k, v in rules.items() if k not in ("stack", "add", "scale")}
    theirs = {}
    for name in names:
        for ours in renames.renamed({name: torch.zeros(())}, plain, {}):
            theirs[name] = state.get(ours)
    return inverse(network, theirs, state), module


def matlab(filters: Tensor) -> Tensor:
    """`(output, input, row, column)` as MATLAB programs hold it: input, columns one after another, output."""
    outputs, inputs, size, _ = filters.shape
    laid = torch.empty(inputs, size * size, outputs)
    for row, column in product(range(size), repeat=2):
        laid[:, column * size + row] = filters[:, :, row, column].T
    return laid


def rows_first(filters: Tensor) -> Tensor:
    """`(output, input, row, column)` as MatConvNet holds it: row, column, input, output."""
    return filters.permute(2, 3, 1, 0)


def inverse(network: str, theirs: dict[str, Tensor | None], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What tables do besides renaming, undone by hand."""
    if network == "spanet":
        for i in (1, 2):
            for row, way in enumerate(("up", "right", "down", "left")):
                scan = f"attention.scans.{i - 1}"
                theirs[f"SAM1.irnn{i}.{way}_weight.weight"] = state[f"{scan}.weight"][row].reshape(32, 1, 1, 1)
                theirs[f"SAM1.irnn{i}.{way}_weight.bias"] = state[f"{scan}.bias"][row]
        theirs |= {
            "conv_in.0.weight": state["head.0.weight"].flip(1),
            "conv_out.0.weight": state["tail.weight"].flip(0),
        }
        theirs |= {f"SAM1.attention_layer.conv{c}.{part}": torch.rand(3) for c in (1, 2, 3) for part in WB}
    if network == "pix2pix_h":
        theirs |= {k: halves_exchanged(v) for k, v in theirs.items() if re.search(r"^model\.model\.3\.w|5\.weight$", k)}
    if network == "dehaze_flow":
        theirs |= of_bgr(state)
    if network in ("dehazenet", "mscnn"):
        layout = matlab if network == "dehazenet" else rows_first
        theirs = {k: layout(v) if v is not None and v.ndim == 4 else v for k, v in theirs.items()}
    if network == "rescan":
        theirs |= {
            k: v.flip(1) for k, v in theirs.items() if v is not None and re.match(r"rnns\.0\.conv_x.\.weight", k)
        }
        theirs |= {k: v.flip(0) for k, v in theirs.items() if v is not None and k.startswith("dec.3.")}
        theirs = {k: v.flatten(1) if v is not None and ".fc." in k and v.ndim == 4 else v for k, v in theirs.items()}
    given = {key: value for key, value in theirs.items() if value is not None}
    if network == "deep_deblur":
        given |= {k: v * 255 for k, v in given.items() if k.endswith("bias")}
    if network == "dncnn":
        given |= {k: v - 1e-4 + 1e-5 for k, v in given.items() if "running_var" in k}
    return given


def of_bgr(state: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """What DehazeFlow's release has otherwise, as it sees BGR: the four pixels of a colour stay in their order."""
    first, bgr = "flowUpsamplerNet.layers.1", [4 * colour + pixel for colour in (2, 1, 0) for pixel in range(4)]
    theirs: dict[str, Tensor | None] = {"RRDB.conv_first.weight": state["encoder.first.weight"].flip(1)}
    for part, ours in (("actnorm.bias", "norm.bias"), ("actnorm.logs", "norm.logs"), ("invconv.weight", "mix.weight")):
        theirs[f"{first}.{part}"] = state[f"levels.0.0.{ours}"][:, bgr]
    return {**theirs, "RRDB.HRconv.bias": torch.rand(3), "flowUpsamplerNet.f.0.weight": torch.rand(3)}


def halves_exchanged(value: Tensor | None) -> Tensor | None:
    """Of a transposed convolution, whose first axis is of what goes in."""
    return value if value is None else torch.cat(list(reversed(value.chunk(2))))


@pytest.mark.parametrize("network", sorted(set(RELEASES) - {"drn_s"}))
def test_an_imported_release_restores_what_ours_does(network: str, tmp_path: Path) -> None:
    state, module = released(network)
    torch.save(state, tmp_path / "published.pth")
    settings = {k: v for k, v in RELEASES[network][1].items() if k not in ("mean", "std", "directional")}  # the table's
    card = published(network, tmp_path / "published.pth", "imported", tmp_path / "zoo", settings)
    x = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = restored_image(module(x))
        found = restored_image(checkpoint.network(checkpoint.read(card.weights), card.weights)(x))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert card.source == f"published.pth of {renames.table(network)['source']}"


def test_a_release_that_holds_its_whole_training_gives_the_parts_that_restore(tmp_path: Path) -> None:
    state, module = released("derain_cycle_gan")
    parts: dict[str, Any] = {"disA": {"Diss.0.4.bias": torch.zeros(1)}, "genB": {}, "ep": 400, "total_it": 80_000}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    parts["genB"] = {name: torch.rand_like(value) for name, value in parts["genA"].items()}
    torch.save(parts, tmp_path / "published.pth")
    settings = RELEASES["derain_cycle_gan"][1]
    card = published("derain_cycle_gan", tmp_path / "published.pth", "imported", tmp_path / "zoo", settings)
    imported = checkpoint.network(checkpoint.read(card.weights), card.weights)
    x = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(imported(x), module(x))


@pytest.mark.parametrize("network", ["rescan", "spanet", "dehaze_flow"])
def test_a_release_that_sees_bgr_gives_on_rgb_what_it_gives_there(network: str, tmp_path: Path) -> None:
    """The imported network on an RGB image is the release's own order of weights on the BGR one."""
    theirs, module = released(network)
    unturned = {key: value for key, value in renames.table(network).items() if key != "reverse"}
    shapes = {key: value.shape for key, value in module.state_dict().items()}
    original = limpid.build(network, **RELEASES[network][1]).eval()
    original.load_state_dict(renames.renamed(theirs, unturned, shapes))  # the release's weights as they are
    torch.save(theirs, tmp_path / "published.pth")
    card = published(network, tmp_path / "published.pth", "imported", tmp_path / "zoo", RELEASES[network][1])
    imported = checkpoint.network(checkpoint.read(card.weights), card.weights)
    image = torch.rand(1, 3, 24, 32)
    with torch.no_grad():
        expected = restored_image(original(image.flip(1))).flip(1)
        torch.testing.assert_close(restored_image(imported(image)), expected)
        assert not torch.allclose(restored_image(imported(image)), restored_image(original(image)), atol=1e-3)


class ReleasedUNet(torch.nn.Module):
    """A level of pix2pix's generator as its release holds it: levels inside each other, `[given, from below]`."""

    def __init__(self, outer: int, widths: list[int], first: bool = False) -> None:
        super().__init__()
        nn = torch.nn
        inner, last = widths[0], len(widths) == 1
        down = nn.Conv2d(outer, inner, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(inner if last else 2 * inner, outer, 4, 2, 1, bias=first)
        below = [] if last else [ReleasedUNet(inner, widths[1:])]
        norm = [] if first or last else [nn.BatchNorm2d(inner)]
        before, after = ([], [nn.Tanh()]) if first else ([nn.LeakyReLU(0.2)], [nn.BatchNorm2d(outer)])
        self.first, self.model = first, nn.Sequential(*before, down, *norm, *below, nn.ReLU(), up, *after)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.first else torch.cat([x, self.model(x)], 1)


def test_pix2pix_imported_from_a_network_written_as_its_release_is(tmp_path: Path) -> None:
    """Which half of a concatenation is which is seen by an independent network alone."""
    torch.manual_seed(4)
    plain = torch.nn.ModuleDict({"model": ReleasedUNet(3, [4, 8, 16, 32, 32, 32, 32, 32], first=True)}).eval()
    with torch.no_grad():
        for name, value in plain.state_dict().items():
            if "running" in name or value.ndim == 1:
                value.uniform_(0.5, 1.5)
            elif value.ndim == 4:
                value.normal_(0, 0.2)
    assert set(plain.state_dict()) == set(pix2pix_h())
    torch.save(plain.state_dict(), tmp_path / "latest_net_G.pth")
    card = published("pix2pix_h", tmp_path / "latest_net_G.pth", "imported", tmp_path / "zoo", {"channels": 4})
    imported = checkpoint.network(checkpoint.read(card.weights), card.weights)
    image = torch.rand(1, 3, 256, 256).double()
    with torch.no_grad():
        expected = (plain.double()["model"](2 * image - 1) + 1) / 2
        torch.testing.assert_close(imported.double()(image), expected, rtol=1e-5, atol=1e-6)
        assert expected.std() > 0.05


def test_groups_of_channels_of_unequal_size_change_places() -> None:
    rules = {"rotate": [["^w", 1, 0.25], ["^b", 1, 0.25]]}
    found = renames.renamed({"w": torch.arange(8.0).view(1, 8), "b": torch.arange(8.0)}, rules, {})
    assert found["w"].tolist() == [[2, 3, 4, 5, 6, 7, 0, 1]]
    assert found["b"].tolist() == list(range(8))


def test_a_release_for_one_channel_enlarges_every_colour(tmp_path: Path) -> None:
    """FSRCNN's files are of one channel: each colour of the result is that network's on this colour."""
    torch.manual_seed(3)
    one = limpid.build("fsrcnn", multi_channel=True, scale=3)
    state = {key: value[: len(value) // 3].clone() for key, value in one.state_dict().items()}
    rules = renames.table("fsrcnn")
    theirs = {name: state[next(iter(renames.renamed({name: torch.zeros(())}, rules, {})))] for name in fsrcnn()}
    assert sum(value.numel() for value in theirs.values()) == 12_809
    torch.save(theirs, tmp_path / "fsrcnn_x3.pth")
    card = published("fsrcnn", tmp_path / "fsrcnn_x3.pth", "imported", tmp_path / "zoo", {"scale": 3})
    assert (card.parameters, card.network_config) == (38_427, {"multi_channel": True, "scale": 3})
    imported = checkpoint.network(checkpoint.read(card.weights), card.weights)
    grey = torch.rand(1, 1, 16, 20).expand(1, 3, 16, 20)
    with torch.no_grad():
        one.load_state_dict({key: torch.cat([value] * 3) for key, value in state.items()})
        enlarged = imported(grey)
        torch.testing.assert_close(enlarged, one(grey))
        torch.testing.assert_close(enlarged[:, 0], enlarged[:, 2])


def test_settings_of_a_known_file_are_found_and_may_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that only their values tell apart, such as GCANet's for rain; other files may ask for the setting."""
    state, _ = released("gca_net")
    torch.save({"state_dict": state}, tmp_path / "derain.pth")
    rules = renames.table("gca_net")
    assert list(rules["known"].values()) == [{"residual": False}]

    def imported(**settings: object) -> dict[str, Any]:
        return published("gca_net", tmp_path / "derain.pth", "x", tmp_path / "zoo", settings).network_config

    assert imported() == {}
    assert imported(residual=False) == {"residual": False}
    known = {checkpoint.weights_fingerprint(state): {"residual": False}}
    monkeypatch.setattr(renames, "table", lambda network: {**rules, "known": known})
    assert imported() == {"residual": False}
    assert imported(residual=True) == {"residual": True}


@pytest.mark.parametrize(
    ("network", "name", "parameters", "settings"),
    [
        ("nlcl", "nlcl_background.pth", 316_195, {}),
        ("nlcl", "nlcl_rain.pth", 316_195, {}),
        ("gca_net", "gca_net_dehaze.pth", 702_818, {}),
        ("gca_net", "gca_net_derain.pth", 702_818, {"residual": False}),
        ("dehazenet", "dehazenet.mat", 8_305, {}),
        ("op_attention", "op_attention.pth", 391_456, {}),
    ],
)
def test_published_files(
    network: str, name: str, parameters: int, settings: dict[str, Any], real_data: Path, tmp_path: Path
) -> None:
    """The publishers' own files, where they are at hand, beside the real images."""
    file = real_data.parent / "weights" / name
    if not file.is_file():
        pytest.skip(f"needs the publisher's {name}")
    card = published(network, file, "imported", tmp_path / "zoo")
    assert (card.parameters, card.network_config) == (parameters, settings)


def test_matlab_files(tmp_path: Path) -> None:
    """DehazeNet's weights in a .mat of its publisher's form; what is none, or holds other things, is refused."""
    state, module = released("dehazenet")
    assert (tuple(state["weights_conv7x7"].shape), tuple(state["weights_conv1"].shape)) == ((4, 49, 16), (3, 25, 16))
    arrays = {name: value.numpy() for name, value in state.items()}
    arrays["weights_ip"] = arrays["weights_ip"][..., 0]  # MATLAB has no last axis of length one
    arrays |= {name: value[:, None] for name, value in arrays.items() if name.startswith("biases")}
    scipy.io.savemat(tmp_path / "dehaze.mat", arrays)
    card = published("dehazenet", tmp_path / "dehaze.mat", "imported", tmp_path / "zoo")
    imported = checkpoint.network(checkpoint.read(card.weights), card.weights)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(imported.state_dict()[name], value, rtol=0, atol=0)
    (tmp_path / "no.mat").write_bytes(b"MATLAB 5.0 MAT-file, but not really")
    with pytest.raises(UserError, match="is not a MATLAB file up to version 7"):
        published("dehazenet", tmp_path / "no.mat", "x", tmp_path / "zoo")
    scipy.io.savemat(tmp_path / "words.mat", {"weights_conv1": "abc"})
    with pytest.raises(UserError, match=r"The entry weights_conv1 of .*words\.mat is not an array of numbers"):
        published("dehazenet", tmp_path / "words.mat", "x", tmp_path / "zoo")


def test_wrapped_weights_are_found(tmp_path: Path) -> None:
    state, _ = released("aod_net")
    parallel = {f"module.{name}": value for name, value in state.items()}
    for content in (
        state,
        {"state_dict": state, "epoch": 3},
        {"model": parallel, "psnrs": [1.0]},
        {"params": parallel},
    ):
        assert list(renames.unwrapped(content, renames.table("aod_net"), tmp_path)) == list(state)
    assert list(renames.unwrapped({"G": state, "D": {}}, renames.table("deep_deblur"), tmp_path)) == list(state)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    for content in ([1, 2], {"epoch": 3}, {"state_dict": {"a": "b"}}, {}):
        with pytest.raises(UserError, match="holds no weights by name"):
            renames.unwrapped(content, renames.table("aod_net"), tmp_path)


def test_a_shared_slope_must_be_one_number() -> None:
    state = {"a.body.1.weight": torch.ones(1), "b.body.1.weight": torch.full((1,), 2.0)}
    with pytest.raises(
        UserError, match=r"a\.body\.1\.weight and b\.body\.1\.weight both belong to slope, but they differ"
    ):
        renames.renamed(state, renames.table("mprnet"), {})


def test_numbers_in_replacements() -> None:
    rules = {"rename": [[r"^x(\d+)_(\d+)", r"y<1-3>_<2/2>_\1"]]}
    assert list(renames.renamed({"x13_7.w": torch.zeros(1)}, rules, {})) == ["y10_3_13.w"]


def test_only_axes_of_length_one_are_reshaped() -> None:
    shapes = {"a": torch.Size((2, 3, 1, 1)), "b": torch.Size((3, 2))}
    given = {"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(2, 3)}
    found = renames.renamed(given, {}, shapes)
    assert torch.equal(found["a"].view(2, 3), given["a"])
    assert renames.misfit(found, shapes) == "b is 2x3 in it and 3x2 in the network"


def test_what_does_not_fit_is_named() -> None:
    shapes = {name: torch.Size(()) for name in "abcde"}
    state = {"x": torch.zeros(()), "a": torch.zeros(2)}
    assert renames.misfit(state, shapes) == (
        "it lacks b, c, d and 1 more; it has x that the network has not; a is 2 in it and a single number in the network"
    )
