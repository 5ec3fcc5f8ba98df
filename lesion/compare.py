"""The reference systems side by side, on one split, with the same seeds and budget:
`python -m lesion.compare --data PATH_TO_HAM10000 --image-size 64 --epochs 6`.

Trains DenseNet121 and EfficientNet-B0 on the image alone (the reference work's baselines), ConvNeXt-Small on the image
alone, with metadata by concatenation and by MetaBlock, and the concatenation once more under the reference work's
split by image, which leaks lesions. Each training is a checkpoint of its own. An interrupted one is continued, and a
finished one is used again if its settings, start and data are those asked for; otherwise the command stops before it
trains anything. The epoch and the calibration are chosen on validation; the test part is scored at the end.

A figure is the mean over the seeds. Its interval resamples the same lesions for all seeds, so it covers the choice of
test lesions. The figures of the single seeds show what the luck of a training adds.
"""

import argparse
import json
import sys
from pathlib import Path

from lesion.data.ham10000 import read_table
from lesion.errors import UserError
from lesion.files import prepare_file, prepare_folder, write_atomically
from lesion.report.system_runs import Budget, check_runs, run
from lesion.report.system_scores import score_systems, systems_document
from lesion.report.system_speed import measure_speed
from lesion.report.systems import SYSTEMS, SYSTEMS_FILE


def parse_arguments(arguments: list[str] | None = None) -> tuple[argparse.Namespace, Budget]:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lesion.compare", description=__doc__.split("\n\n")[0])
    keys = [system.key for system in SYSTEMS]
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of HAM10000")
    add("--output", type=Path, default=Path("runs/compare"), help="folder of the trainings (default %(default)s)")
    add("--results", type=Path, help=f"file of the results (default {SYSTEMS_FILE} in --output)")
    add("--systems", nargs="+", choices=keys, default=keys, help="default: all; the first is always compared with")
    add("--seeds", nargs="+", type=int, default=[0], help="one training each (default 0)")
    add("--image-size", type=int, default=224, help="pixels (default %(default)s)")
    add("--epochs", type=int, default=20, help="default %(default)s")
    add("--batch-size", type=int, default=64, help="default %(default)s")
    add("--learning-rate", type=float, help="default 1e-4 from ImageNet, else 5e-4")
    add("--init", default="imagenet", help="imagenet (default), scratch, or a folder of files made by lesion.pretrain")
    add("--mixed-precision", choices=("no", "bf16", "fp16"), help="default: what accelerate launch was told, else no")
    add("--workers", type=int, default=2, help="processes that read images (default %(default)s)")
    args = parser.parse_args(arguments)
    rate = args.learning_rate or (1e-4 if args.init == "imagenet" else 5e-4)
    return args, Budget(
        args.image_size, args.epochs, args.batch_size, rate, args.workers, args.init, args.mixed_precision
    )


def main() -> None:
    args, budget = parse_arguments()
    chosen = [system for system in SYSTEMS if system.key in args.systems or system is SYSTEMS[0]]
    results = args.results or args.output / SYSTEMS_FILE
    try:
        # Whatever can be wrong is checked before the long part.
        prepare_folder(args.output)
        prepare_file(results)
        table = read_table(args.data)
        check_runs(table, chosen, budget, args.seeds, args.output)
        folders = {s.key: [] for s in chosen}
        for seed in args.seeds:
            for system in chosen:
                folders[system.key].append(run(table, system, budget, seed, args.output))
        scores = score_systems(folders)
        print("Measuring parameters and times …")
        document = systems_document(chosen, budget, folders, scores, measure_speed(chosen, budget.image_size))
        text = json.dumps(document, indent=2) + "\n"
        write_atomically(results, lambda path: path.write_text(text, encoding="utf-8"))
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {results}. `python -m lesion.evaluate --systems {results}` puts it into a checkpoint's report.")


if __name__ == "__main__":
    main()
