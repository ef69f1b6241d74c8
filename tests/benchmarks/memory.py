"""Peak resident memory of three training steps, ours and PyTorch's, each in its own process.

    python tests/benchmarks/memory.py vqnp|PyTorch K|none THREADS

prints two numbers in MB: the peak of the process, and how far it exceeds what the process held
before its first step. They come from an account that only Linux keeps.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

STEPS = 3
MODELS = {"autoencoder": None, "VQ-VAE, K = 512": 512, "VQ-VAE, K = 16,384": 16_384}


def rows(number: int, repeats: int) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Yield a case's name and the contestants' MB.

    Ours runs once before, so that nothing is compiled where it is measured.
    """
    for name, k in MODELS.items():
        in_a_process("vqnp", k, number)
        measured = {who: in_a_process(who, k, number) for who in ("vqnp", "PyTorch")}
        yield f"{name}: the process", {who: [whole] for who, (whole, _) in measured.items()}
        yield f"{name}: its steps", {who: [steps] for who, (_, steps) in measured.items()}


def in_a_process(who: str, k: int | None, number: int) -> tuple[float, float]:
    """Return what a process of its own prints."""
    command = [sys.executable, __file__, who, str(k).lower(), str(number)]
    whole, steps = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.split()
    return float(whole), float(steps)


def ours(k: int | None, number: int) -> Callable[[], object]:
    """Return our step."""
    from benchmarks.our_step import our_step, problem
    from vqnp import threads

    return threads.limit(number)(our_step(*problem(k), k))


def theirs(k: int | None, number: int) -> Callable[[], object]:
    """Return PyTorch's, of the same sizes."""
    import torch
    import torch_conv

    from benchmarks.torch_step import torch_step

    torch.set_num_threads(number)
    model = torch_conv.ConvVQVAE(64, (128, 64), (128, 64))
    images = torch.rand(256, 32, 32, 3) - 0.5
    if k is None:
        return torch_step(model, [], images, rate=3e-4, variance=1.0)
    codebook = [torch.randn(k, 64), torch.ones(k), torch.randn(k, 64)]
    return torch_step(model, codebook, images, rate=3e-4, variance=1.0, beta=0.25, decay=0.99)


def resident(which: str) -> float:
    """Return a line of the kernel's account of this process in MB.

    ``which`` is ``"VmHWM"``, the peak, or ``"VmRSS"``, the present.
    """
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[which].split()[0]) / 1024


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    who, k, number = sys.argv[1:]
    step = (ours if who == "vqnp" else theirs)(None if k == "none" else int(k), int(number))
    # Forget the peak so far, because choosing a search needed memory, too.
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    for _ in range(STEPS):
        step()
    print(resident("VmHWM"), resident("VmHWM") - before)
