"""Deeper networks from shallow ones, the function unchanged.

A ConvNeXt block adds its output, times a layer scale, to its input; with a layer scale of zero it changes nothing. So a
trained shallow ConvNeXt becomes a deep one by inserting such blocks, and goes on learning from where it was (Net2Net,
Chen et al., ICLR 2016). An inserted block starts with the weights of the block before it, as in stacking (Gong et al.,
"Efficient Training of BERT by Progressively Stacking", ICML 2019): its layer scale then has a gradient at the first
step, and its weights from the second on.
"""

import re

import torch

from lesion.errors import UserError

BLOCK = re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)")
LAYER_SCALE = "gamma"


def depths_of(state: dict[str, torch.Tensor]) -> tuple[int, ...]:
    """Blocks of each stage of a ConvNeXt's weights; empty for another network's."""
    blocks = {(int(m[1]), int(m[2])) for name in state if (m := BLOCK.fullmatch(name))}
    return tuple(sum(stage == s for s, _ in blocks) for stage in range(1 + max((s for s, _ in blocks), default=-1)))


def origins(shallow: int, deep: int) -> list[tuple[int, bool]]:
    """For each block of a deep stage the shallow block whose weights it starts with, and whether it is inserted.

    The inserted ones are spread evenly: each shallow block is followed by its copies.
    """
    groups = [(block * deep) // shallow for block in range(shallow + 1)]
    return [(block, k > groups[block]) for block in range(shallow) for k in range(groups[block], groups[block + 1])]


def grow(state: dict[str, torch.Tensor], depths: tuple[int, ...]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Weights of a ConvNeXt with more blocks that computes the same.

    Args:
        state: of a ConvNeXt of timm without its classifier.
        depths: blocks of each stage of the deep one, each at least as many as in `state`.

    Returns:
        Its weights, and the names of the inserted layer scales, all of them zero.

    Raises:
        UserError: it is no ConvNeXt, or a stage would lose blocks.
    """
    shallow = depths_of(state)
    if len(shallow) != len(depths) or any(new < old for old, new in zip(shallow, depths, strict=True)):
        has = ", ".join(map(str, shallow)) or "none (it is not a ConvNeXt)"
        raise UserError(
            f"A network with {has} blocks in its stages cannot grow to {', '.join(map(str, depths))}; give as many "
            "stages, none with fewer blocks."
        )
    grown = {name: tensor for name, tensor in state.items() if not BLOCK.fullmatch(name)}
    inserted = []
    for stage, (old, new) in enumerate(zip(shallow, depths, strict=True)):
        for place, (block, is_new) in enumerate(origins(old, new)):
            prefix = f"stages.{stage}.blocks.{block}."
            for name in [name for name in state if name.startswith(prefix)]:
                part = name.removeprefix(prefix)
                target = f"stages.{stage}.blocks.{place}.{part}"
                grown[target] = state[name].clone()
                if is_new and part == LAYER_SCALE:
                    grown[target].zero_()
                    inserted.append(target)
    return grown, inserted


def layer_scales(state: dict[str, torch.Tensor], names: list[str]) -> dict[str, float]:
    """Mean absolute layer scale of the named blocks and of all others."""
    sizes = {name: float(t.abs().mean()) for name, t in state.items() if name.endswith(f".{LAYER_SCALE}")}
    groups = {"inserted": [sizes[n] for n in names], "others": [s for n, s in sizes.items() if n not in names]}
    return {group: sum(values) / len(values) for group, values in groups.items() if values}
