"""What the machine offers: its cores and GPUs, and whether bfloat16 is fast on them."""

from __future__ import annotations

import functools
import os
import sys
import time
from typing import TYPE_CHECKING

import joblib

from lesion.errors import UserError, shown

if TYPE_CHECKING:
    import torch  # otherwise by the functions that need it, so that limit_threads, called before, takes effect on it

PRECISIONS = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""What a network computes in, by Accelerate's name of its mixed precision."""
DEVICES = ("auto", "cpu", "cuda", "mps")
"""Where a network may run: on the processor, on a GPU of NVIDIA's or AMD's, or on Apple's; or on the best of them."""
DEVICE_HELP = "where the network runs; auto is a GPU where there is one (default %(default)s)"


def available_cores() -> int:
    """The cores that the process may use, at least 1. joblib reads the container's CPU quota and the affinity; torch
    counts the host's cores."""
    return joblib.cpu_count()


def limit_threads() -> None:
    """Gives numerical libraries as many threads as there are available cores, unless the environment says otherwise.
    Libraries that are loaded already keep their number.

    On two of a host's 64 cores, 64 threads would wait for one another. A waiting thread should free its core for
    others, but not at once: to be woken for each of the hundreds of steps of a pass costs a quarter of its time. With
    GNU's OpenMP, which PyTorch uses on Linux, "active" with the spin count below means a wait of 0.2 ms, and a
    twentieth of that while more threads than cores are at work.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
    if sys.platform == "linux":
        os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    else:  # other OpenMPs have no such limit
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@functools.cache
def bfloat16_is_faster(rounds: int = 12) -> bool:
    """Whether the CPU multiplies matrices in bfloat16 in less than two thirds of the time of float32, by trying it.

    CPUs with instructions for bfloat16 (AVX512-BF16, AMX and others) take half of the time or less; without them it is
    emulated, several times slower. The matrices are those of a block of ConvNeXt-Small at 224 pixels.

    Args:
        rounds: measurements of each, in turn, after one to warm up; the shortest counts. With three, one after the
            other, a busy machine chose float32 now and then where bfloat16 is faster.
    """
    import torch

    times: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    matrices = {kind: (torch.ones(196, 384, dtype=kind), torch.ones(1536, 384, dtype=kind)) for kind in times}
    with torch.inference_mode():
        for _ in range(rounds + 1):
            for kind, (inputs, weight) in matrices.items():
                started = time.perf_counter()
                torch.nn.functional.linear(inputs, weight)
                times[kind].append(time.perf_counter() - started)
    return min(times[torch.bfloat16][1:]) < min(times[torch.float32][1:]) * 2 / 3


def find_device(name: str | torch.device = "auto") -> torch.device:
    """Where a network is to run.

    Args:
        name: one of DEVICES, or a device, which is given back.

    Raises:
        UserError: there is no such device.
    """
    import torch

    if isinstance(name, torch.device):
        return name
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    found = [device for device, is_there in there.items() if is_there]
    if name not in ("auto", *found):
        raise UserError(f"Device {shown(name)} is not available here; choose auto or {' or '.join(found)}.")
    return torch.device(found[0] if name == "auto" else name)


def prefers_bfloat16(device: torch.device) -> bool:
    """Whether a network answers faster in bfloat16 on a device: measured on a CPU, known of a GPU with CUDA. What
    Apple's GPUs gain is not known to us; they compute in float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bfloat16_is_faster()


def versions() -> dict[str, str]:
    """Versions that a result may depend on, and the number of threads."""
    import PIL
    import timm
    import torch

    names = {"torch": torch.__version__, "timm": timm.__version__, "pillow": PIL.__version__}
    return {**names, "threads": str(torch.get_num_threads())}
