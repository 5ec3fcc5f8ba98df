"""Open the test part, once, at the end: `python -m lesion.evaluate --data PATH_TO_HAM10000 --checkpoint weights`.

Runs the checkpoint over its test images as the app would, prints every metric with a 95 % interval (bootstrap by
lesion) under both decision rules, and writes report.json, its figures, and the checkpoint's model card. With
--readme FILE the results table between that file's markers is written anew from the report.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix
from tqdm.auto import tqdm

from lesion.calibration import NOTHING, SUBSETS, VIEWS
from lesion.checkpoint import CONFIG, HELD_OUT, REPORT, read_held_out, sha256, write_atomically
from lesion.diagnoses import CODES, DIAGNOSES
from lesion.errors import UserError
from lesion.evaluation import CLASSES, RULES, Scores, bootstrap_weights, decide, per_class_metrics, per_class_table
from lesion.ham10000 import ATTRIBUTION, read_table, records_of
from lesion.images import read_image
from lesion.metadata import Metadata
from lesion.predictor import Predictor, load_predictor

ROUNDS, SEED = 1000, 0
METRICS = {
    "dataset.accuracy": "accuracy",
    "dataset.weighted_f1": "weighted F1",
    "uniform.balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "macro_auroc": "macro AUROC",
}
"""The figures of the README's table; the decision rule is in the name."""
BEGIN, END = "<!-- results: begin, written by lesion.evaluate -->", "<!-- results: end -->"


def evaluate(predictor: Predictor, data: Path) -> tuple[dict, dict[str, Scores]]:
    """Scores a checkpoint on its test part.

    Args:
        predictor: of a checkpoint; its held-out table names the test images.
        data: the data set's folder.

    Returns:
        The report, and the scores it was made from, by view.

    Raises:
        UserError: test images are not in the data set.
    """
    held_out = read_held_out(predictor.checkpoint.folder / HELD_OUT).table
    table = read_table(data, verify=False).set_index("image_id", drop=False)
    test = held_out.image_id[held_out.test]
    missing = sorted(set(test) - set(table.index))
    if missing:
        raise UserError(f"{data} lacks {len(missing)} of the checkpoint's {len(test)} test images: {missing[0]}, …")
    table = table.loc[test]
    labels, records = table.label.to_numpy(), records_of(table)
    probabilities = {name: np.empty((len(table), len(CODES))) for name in VIEWS}
    masks = np.stack([SUBSETS[index] for index in VIEWS.values()])
    for i, path in enumerate(tqdm(table.path, desc="Test images", unit="image")):
        features = predictor.features(read_image(path))
        rows = predictor.probabilities(features, [records[i]] * len(VIEWS), masks)
        for name, row in zip(VIEWS, rows, strict=True):
            probabilities[name][i] = row
    weights = bootstrap_weights(table.lesion_id, ROUNDS, SEED)
    prevalence = predictor.config.calibration.prevalence
    names = VIEWS if predictor.config.metadata else ["image alone"]
    scores = {name: Scores(labels, probabilities[name], prevalence, weights) for name in names}
    report = {
        "part": "test",
        "split": predictor.config.training["split"],
        "images": len(table),
        "lesions": int(table.lesion_id.nunique()),
        "bootstrap": {"unit": "lesion", "rounds": ROUNDS, "seed": SEED, "interval": "95 % percentile"},
        "rules": RULES,
        "checkpoint": sha256(predictor.checkpoint.folder / CONFIG),
        "note": "The data name no patients: different lesions of one patient may be on both sides of the split.",
        "metrics": {name: s.with_intervals() for name, s in scores.items()},
    }
    if len(scores) > 1:
        report["fused minus image alone"] = scores["fused"].minus(scores["image alone"])
        nothing = predictor.probabilities(features, [Metadata()], SUBSETS[NOTHING])[0]
        report["nothing known"] = {
            code: {"probability": float(p), "training prevalence": float(q)}
            for code, p, q in zip(CODES, nothing, prevalence, strict=True)
        }
    best = scores.get("fused", scores["image alone"])
    for rule in RULES:
        decisions = decide(best.probabilities, prevalence, rule)
        report[f"per class, {RULES[rule]}"] = per_class_metrics(labels, decisions)
        report[f"confusion matrix, {RULES[rule]}"] = confusion_matrix(labels, decisions, labels=CLASSES).tolist()
    return report, scores


def draw_confusion(report: dict, path: Path) -> None:
    """Confusion matrices under both rules: counts, coloured by the share of the true diagnosis."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, (rule, name) in zip(figure.subplots(1, 2), RULES.items(), strict=True):
        counts = np.array(report[f"confusion matrix, {name}"])
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, count, ha="center", va="center", color="white" if shares[row, column] > 0.5 else "k")
        value = report["metrics"][next(iter(report["metrics"]))][f"{rule}.balanced_accuracy"]["value"]
        axes.set(
            xticks=CLASSES, xticklabels=CODES, yticks=CLASSES, yticklabels=CODES, xlabel="decided", ylabel="true",
            title=f"{name}, balanced accuracy {value:.3f}",
        )  # fmt: skip
    write_atomically(path, lambda partial: figure.savefig(partial, dpi=110, format="png"))


def draw_reliability(scores: Scores, path: Path) -> None:
    """Shown probability against observed frequency, all diagnoses together, in twenty equally filled bins."""
    shown = scores.probabilities.ravel()
    true = (scores.labels[:, None] == CLASSES).ravel()
    edges = np.unique(np.quantile(shown, np.linspace(0, 1, 21)))
    bins = np.clip(np.digitize(shown, edges[1:-1]), 0, len(edges) - 2)
    points = [(shown[bins == b].mean(), true[bins == b].mean()) for b in np.unique(bins)]
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    axes.plot(*zip(*points, strict=True), marker="o", color=DIAGNOSES[1].colour)
    axes.set(xlabel="probability shown", ylabel="share that was true", title="All diagnoses, test part", aspect=1)
    write_atomically(path, lambda partial: figure.savefig(partial, dpi=110, format="png"))


def value_in_words(entry: dict) -> str:
    """ "0.771 (0.752 to 0.790)"."""
    low, high = entry["interval"]
    return f"{entry['value']:.3f} ({low:.3f} to {high:.3f})"


def results_table(report: dict) -> str:
    """The report's headline figures as a Markdown table."""
    views = dict(report["metrics"])
    if "fused minus image alone" in report:
        views["fused − image alone"] = report["fused minus image alone"]
    lines = [
        f"Test part: {report['images']} images of {report['lesions']} lesions, split by {report['split']}; 95 % "
        f"intervals from {report['bootstrap']['rounds']} bootstrap resamplings of lesions. Accuracy and weighted F1 "
        "are decided under data-set prevalence, balanced accuracy under equal prevalence.",
        "",
        "| inputs | " + " | ".join(METRICS.values()) + " |",
        "| --- |" + " --- |" * len(METRICS),
    ]
    for name, metrics in views.items():
        lines.append(f"| {name} | " + " | ".join(value_in_words(metrics[m]) for m in METRICS) + " |")
    return "\n".join(lines)


def write_between_markers(path: Path, text: str) -> None:
    """Replaces what stands between BEGIN and END in a file.

    Raises:
        UserError: the file lacks the markers.
    """
    document = path.read_text(encoding="utf-8")
    if BEGIN not in document or END not in document:
        raise UserError(f"{path} lacks the lines {BEGIN} and {END}.")
    before, rest = document.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    result = f"{before}{BEGIN}\n{text}\n{END}{after}"
    write_atomically(path, lambda partial: partial.write_text(result, encoding="utf-8"))


def model_card(predictor: Predictor, report: dict) -> str:
    """A model card in the Hub's form."""
    training, transform = predictor.config.training, predictor.config.transform
    start = training["init"]
    if isinstance(start, dict):
        start = "our own pretraining: " + ", ".join(f"{k} {v}" for k, v in start.items())
    stages = ", then ".join(f"{epochs} epochs at {size} px" for size, epochs in training["image_sizes"])
    images = ", ".join(f"{count} {part}" for part, count in training["images"].items())
    return f"""---
license: cc-by-nc-4.0
library_name: timm
pipeline_tag: image-classification
tags: [dermoscopy, skin-lesion, multimodal, education]
---

# {predictor.config.backbone.split(".")[0]} with age, sex and body site, on HAM10000

For research and teaching. Not a medical device: it must not be used to diagnose anyone.

- **Reads** a dermoscopic photograph ({transform.size} × {transform.size} pixels, shrunk to {transform.working_size} on
  its longer side first), age, sex and body site, each of which may be unknown.
- **Answers** probabilities of seven diagnoses: {", ".join(d.name for d in DIAGNOSES)}.
- **Start**: {start}.
- **Recipe**: {training["recipe"]}, {stages}, {training["class_weighting"]} class weights,
  seed {training["seed"]}, {training["minutes"]} minutes.
- **Data**: {ATTRIBUTION}. Split by {training["split"]}, seed {training["split_seed"]}: {images}.

## Results

{results_table(report)}

{report["note"]}

![Confusion matrix](confusion.png)
![Reliability](reliability.png)

## Limits

Photographs of one collection, mostly of light skin, from two centres; associations in it are not causes. What the
metadata say about a diagnosis is how this collection was made as much as how disease is spread.

## Licence

The weights derive from HAM10000 (CC BY-NC 4.0): non-commercial use with attribution. Where the start was pretrained on
ImageNet images, ImageNet's terms (non-commercial research and teaching) apply too.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.evaluate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of HAM10000")
    parser.add_argument("--checkpoint", default="weights", help="folder or Hub id (default %(default)s)")
    parser.add_argument("--output", type=Path, help="folder of the report (default: the checkpoint's)")
    parser.add_argument("--readme", type=Path, help="file whose results table is written anew")
    args = parser.parse_args()
    try:
        predictor = load_predictor(args.checkpoint)
        report, scores = evaluate(predictor, args.data)
        output = args.output or predictor.checkpoint.folder
        output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=2) + "\n"
        write_atomically(output / REPORT, lambda path: path.write_text(text, encoding="utf-8"))
        draw_confusion(report, output / "confusion.png")
        draw_reliability(scores.get("fused", scores["image alone"]), output / "reliability.png")
        card = model_card(predictor, report)
        write_atomically(output / "README.md", lambda path: path.write_text(card, encoding="utf-8"))
        if args.readme:
            write_between_markers(args.readme, results_table(report))
    except UserError as error:
        sys.exit(f"error: {error}")
    for name, metrics in report["metrics"].items():
        print(f"\n{name}")
        for metric, entry in metrics.items():
            print(f"  {metric:28} {value_in_words(entry)}")
    if "fused minus image alone" in report:
        print("\nfused minus image alone, paired")
        for metric, entry in report["fused minus image alone"].items():
            print(f"  {metric:28} {value_in_words(entry)}")
    for rule in RULES.values():
        table = per_class_table(report[f"per class, {rule}"], report[f"confusion matrix, {rule}"])
        print(f"\nper class, {rule}\n{table}")
    print(f"\nWrote {output / REPORT}, its figures and the model card.")


if __name__ == "__main__":
    main()
