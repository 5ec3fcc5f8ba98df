"""What the packages of requirements.txt take on disk, and how much of it only serves a GPU.

`python tests/bench/installed_size.py` reads the environment that runs it; nothing is installed.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FOR_GPU = ("nvidia", "cuda", "triton")
"""What the names of the packages begin with that PyTorch's CPU build does not need."""
LIBRARIES = ("libtorch_cuda", "libtorch_nvshmem")
"""What the names of the files begin with that PyTorch itself holds for a GPU."""


def needed(requirements: list[Requirement]) -> dict[str, list[tuple[str, int]]]:
    """The files of the required packages and of those that they require: by package, name and bytes of each."""
    files, waiting, done = {}, list(requirements), set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), {"", *requirement.extras}
        if (name, *sorted(extras)) in done:
            continue
        done.add((name, *sorted(extras)))
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of another platform or Python
            continue
        paths = {file: Path(found.locate_file(file)) for file in found.files or []}
        files[name] = [(file.name, path.stat().st_size) for file, path in paths.items() if path.is_file()]
        further = map(Requirement, found.requires or [])
        waiting += [r for r in further if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)]
    return files


def main() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    files = needed([Requirement(line) for line in lines])
    everything = sum(size for of_package in files.values() for _, size in of_package)
    gpu = sum(
        size
        for package, of_package in files.items()
        for name, size in of_package
        if package.startswith(FOR_GPU) or name.startswith(LIBRARIES)
    )
    print(f"{len(files)} packages, {everything / 1e9:.2f} GB; {gpu / 1e9:.2f} GB of it for a GPU only.")
    print(f"Without it: {(everything - gpu) / 1e9:.2f} GB.")


if __name__ == "__main__":
    main()
