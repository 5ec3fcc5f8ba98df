"""Score a checkpoint on its test part: `python -m lesion.evaluate --data PATH_TO_HAM10000 --checkpoint weights`.

Do this once, at the end. Prints every metric with a 95 % interval (bootstrap by lesion) under both decision rules, and
writes report.json, its figures and the model card. The figures come from the embeddings stored with the checkpoint. The
network also runs over the test photographs as in the app, and has to give the same embeddings and answers. --readme
FILE replaces the results between that file's markers; --against CHECKPOINT compares with another checkpoint on the same
images, paired; --near-duplicates looks for test photographs that are nearly in the training part, for which the network
runs over the training photographs too; --originals and --others measure whether the app recognises photographs that the
model has seen.

`--external TABLE.csv --images DIR` scores photographs of another collection instead, and adds the figures to the report
that the checkpoint has. The table has the columns image_id and dx and, where known, age, sex, localization and
lesion_id; or --mapping says which collection's it is.
"""

import argparse
import sys
from pathlib import Path

from lesion.data.external_table import MAPPINGS
from lesion.errors import UserError
from lesion.files import prepare_folder
from lesion.hardware import DEVICE_HELP, DEVICES
from lesion.inference.predictor import load_predictor
from lesion.model.hub import CHECKPOINT_HELP
from lesion.report.against import check_same_test_part, compare_checkpoints
from lesion.report.answers import answer_test_part, photographs_of
from lesion.report.build import build_report, check_fresh_pass, photographs_report
from lesion.report.explanations import explanation_report
from lesion.report.external import evaluate_external
from lesion.report.localisation import MASKS, has_masks, read_masks
from lesion.report.near_duplicates import near_duplicates
from lesion.report.out_of_distribution_images import scikit_image_samples
from lesion.report.participants import participants
from lesion.report.printing import print_elsewhere, print_report
from lesion.report.reading import kept_elsewhere, read_systems, split_at_markers
from lesion.report.readme_results import results_table
from lesion.report.recognition import recognition_report
from lesion.report.writing import write_between_markers, write_elsewhere, write_report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.evaluate", description=__doc__.split("\n\n")[0])
    scored = parser.add_mutually_exclusive_group(required=True)
    scored.add_argument("--data", type=Path, help="folder of HAM10000")
    scored.add_argument("--external", type=Path, help="table of another collection, CSV")
    parser.add_argument("--images", type=Path, help="folder of that collection's photographs")
    parser.add_argument("--mapping", choices=MAPPINGS, default="ham10000", help="how its table is to be read")
    parser.add_argument("--name", help="of the collection, in the report (default: by the mapping)")
    parser.add_argument("--allow-seen", action="store_true", help="score photographs that the checkpoint has seen, too")
    parser.add_argument("--checkpoint", default="weights", help=f"{CHECKPOINT_HELP} (default %(default)s)")
    parser.add_argument("--systems", type=Path, help="results of lesion.compare, to be shown in the report")
    parser.add_argument("--against", help="another checkpoint, to compare with on the same images")
    parser.add_argument("--output", type=Path, help="folder of the report (default: the checkpoint's)")
    parser.add_argument("--readme", type=Path, help="file whose results tables are written anew")
    parser.add_argument("--near-duplicates", action="store_true", help="compare test and training photographs as well")
    parser.add_argument("--originals", type=Path, help="folder of full-size photographs of HAM10000, to be recognised")
    parser.add_argument("--others", type=Path, help="folder of photographs of another collection, not to be")
    parser.add_argument("--device", choices=DEVICES, default="auto", help=DEVICE_HELP)
    args = parser.parse_args()
    try:
        if args.external:
            evaluate_elsewhere(args)
        else:
            evaluate_test_part(args)
    except UserError as error:
        sys.exit(f"error: {error}")


def evaluate_elsewhere(args: argparse.Namespace) -> None:
    """Scores another collection, prints its figures and adds them to the checkpoint's report."""
    if not args.images:
        raise UserError("--external needs --images, the folder of the photographs.")
    if args.readme:
        split_at_markers(args.readme)
    predictor = load_predictor(args.checkpoint, args.device)
    output = args.output or predictor.checkpoint.folder
    prepare_folder(output)
    mapping = MAPPINGS[args.mapping]
    name = args.name or mapping.title
    entry = evaluate_external(predictor, args.external, args.images, mapping, name, args.allow_seen)
    print_elsewhere(entry)
    report = write_elsewhere(entry, predictor.checkpoint, output)
    if report is None:
        print(f"\nNothing was written: {output} has no report on this checkpoint, to which {name} could be added.")
        return
    if args.readme:
        write_between_markers(args.readme, results_table(report))
    print(f"\nAdded {name} to the report and the model card in {output}.")


def evaluate_test_part(args: argparse.Namespace) -> None:
    """Scores the test part, prints the figures and writes the report."""
    # Whatever can be wrong is checked before the long part.
    systems = read_systems(args.systems) if args.systems else None
    if args.readme:
        split_at_markers(args.readme)
    scikit_image_samples()
    predictor = load_predictor(args.checkpoint, args.device)
    output = args.output or predictor.checkpoint.folder
    prepare_folder(output)
    answers = answer_test_part(predictor)
    photographs = photographs_of(answers, args.data)
    masks = read_masks(args.data, list(answers.table.image_id)) if has_masks(args.data) else None
    other = answer_test_part(load_predictor(args.against, args.device)) if args.against else None
    if other:
        check_same_test_part(answers, other)
    recognition = None
    if args.originals or args.others:
        recognition = recognition_report(predictor.checkpoint, args.originals, args.others)
    report = build_report(answers) | photographs_report(answers, photographs)
    report |= kept_elsewhere(output, predictor.checkpoint)
    if parts := participants(answers, args.data):
        report["participants"] = parts
    else:
        print(f"{args.data} is not the table that the checkpoint was trained with: its parts are not described.")
    if masks:
        report["explanations"] = explanation_report(predictor, answers.table.assign(path=photographs), masks)
    else:
        print(f"{args.data} holds no lesion masks ({MASKS}): the heat maps are not measured.")
    if args.near_duplicates:
        report["near-duplicates"] = near_duplicates(answers, photographs, args.data)
    if recognition:
        report["recognition"] = recognition
    if systems:
        report["systems"] = systems
    if other:
        check_fresh_pass(other, photographs_of(other, args.data))
        report["against"] = compare_checkpoints(answers, other)
    path = write_report(report, predictor.config, output)
    if args.readme:
        write_between_markers(args.readme, results_table(report))
    print_report(report)
    print(f"\nWrote {path}, its figures and the model card.")


if __name__ == "__main__":
    main()
