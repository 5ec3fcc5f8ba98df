"""Open the test part, at the end: `python -m lesion.evaluate --data PATH_TO_HAM10000 --checkpoint weights`.

Runs the checkpoint over its test images as the app would, prints every metric with a 95 % interval (bootstrap by
lesion) under both decision rules, and writes report.json, its figures, and the checkpoint's model card. With
--readme FILE the results tables between that file's markers are written anew from the report; with --against CHECKPOINT
another one is run over the same images and compared with, paired.
"""

import argparse
import json
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.files import write_atomically
from lesion.inference.predictor import load_predictor
from lesion.model.checkpoint import REPORT
from lesion.model.hub import CHECKPOINT_HELP
from lesion.report.against import check_same_test_part, compare_checkpoints
from lesion.report.answers import answer_test_part, photographs_of
from lesion.report.build import build_report, check_fresh_pass, photographs_report
from lesion.report.explanations import explanation_report
from lesion.report.figures import figures_of
from lesion.report.localisation import MASKS, has_masks
from lesion.report.model_card import model_card
from lesion.report.out_of_distribution_images import scikit_image_samples
from lesion.report.printing import print_report
from lesion.report.reading import read_systems, split_at_markers
from lesion.report.readme_results import results_table
from lesion.report.writing import without_nan, write_between_markers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.evaluate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of HAM10000")
    parser.add_argument("--checkpoint", default="weights", help=f"{CHECKPOINT_HELP} (default %(default)s)")
    parser.add_argument("--systems", type=Path, help="results of lesion.compare, to be shown in the report")
    parser.add_argument("--against", help="another checkpoint, to compare with on the same images")
    parser.add_argument("--output", type=Path, help="folder of the report (default: the checkpoint's)")
    parser.add_argument("--readme", type=Path, help="file whose results tables are written anew")
    args = parser.parse_args()
    try:
        # What can be wrong is looked at before the long part.
        systems = read_systems(args.systems) if args.systems else None
        if args.readme:
            split_at_markers(args.readme)
        scikit_image_samples()
        predictor = load_predictor(args.checkpoint)
        other = load_predictor(args.against) if args.against else None
        answers = answer_test_part(predictor)
        photographs = photographs_of(answers, args.data)
        other_answers = answer_test_part(other) if other else None
        if other_answers:
            check_same_test_part(answers, other_answers)
        report = build_report(answers) | photographs_report(answers, photographs)
        if has_masks(args.data):
            report["explanations"] = explanation_report(predictor, answers.table.assign(path=photographs), args.data)
        else:
            print(f"{args.data} holds no lesion masks ({MASKS}): the heat maps are not measured.")
        if systems:
            report["systems"] = systems
        if other_answers:
            check_fresh_pass(other_answers, photographs_of(other_answers, args.data))
            report["against"] = compare_checkpoints(answers, other_answers)
        output = args.output or predictor.checkpoint.folder
        output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(without_nan(report), indent=2, allow_nan=False) + "\n"
        write_atomically(output / REPORT, lambda path: path.write_text(text, encoding="utf-8"))
        for name, figure in figures_of(report).items():
            figure.draw(report, output / name)
        card = model_card(predictor.config, report)
        write_atomically(output / "README.md", lambda path: path.write_text(card, encoding="utf-8"))
        if args.readme:
            write_between_markers(args.readme, results_table(report))
    except UserError as error:
        sys.exit(f"error: {error}")
    print_report(report)
    print(f"\nWrote {output / REPORT}, its figures and the model card.")


if __name__ == "__main__":
    main()
