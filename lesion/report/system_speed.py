"""Parameters and times of the reference systems."""

import statistics
import time

import torch

from lesion.data.metadata import WIDTH
from lesion.model.fusion import FusionModel, create_backbone
from lesion.report.systems import System
from lesion.training.loop import keep_depthwise_in_float32
from lesion.training.subsets import random_subsets


def measure_speed(systems: list[System], image_size: int, repeats: int = 20) -> dict[str, dict[str, float]]:
    """Parameters, and times measured in turns so that whatever slows the machine slows all of them.

    Args:
        systems: to measure; their weights do not matter.
        image_size: pixels.
        repeats: of which the median counts.

    Returns:
        By key: "parameters", "latency_ms" (one image, float32, the backbone and the head on one record, on this CPU)
        and "training_ms" (an image of a step with 32, bfloat16, without reading images).
    """
    batch, out, models = 32, {}, {}
    for system in systems:
        model = FusionModel(create_backbone(system.backbone), system.fusion).to(memory_format=torch.channels_last)
        keep_depthwise_in_float32(model)
        models[system.key] = model
        parameters = sum(p.numel() for p in model.parameters())
        out[system.key] = {"parameters": parameters, "latency_ms": [], "training_ms": []}
    images = torch.randn(batch, 3, image_size, image_size).to(memory_format=torch.channels_last)
    metadata, present = torch.zeros(batch, WIDTH), random_subsets(batch)
    for turn in range(repeats + 2):
        for key, model in models.items():
            model.eval()
            started = time.perf_counter()
            with torch.inference_mode():
                model(images[:1], metadata[:1], present[:1, :1])
            answered = time.perf_counter()
            model.train()
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(images, metadata, present).float().square().mean()
            loss.backward()
            model.zero_grad()
            trained = time.perf_counter()
            if turn > 1:  # the first turns choose kernels
                out[key]["latency_ms"].append(1000 * (answered - started))
                out[key]["training_ms"].append(1000 * (trained - answered) / batch)
    return {
        key: {"parameters": row["parameters"], **{n: statistics.median(row[n]) for n in ("latency_ms", "training_ms")}}
        for key, row in out.items()
    }
