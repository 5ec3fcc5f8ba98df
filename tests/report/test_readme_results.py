"""The headline figures in Markdown."""

from lesion.report.readme_results import results_table, systems_table


def test_sets_pictures_and_systems_are_told(report):
    entry = {"value": 0.7, "interval": [0.6, 0.8], "seeds": [0.7]}
    metrics = {m: entry for m in ("dataset.accuracy", "dataset.weighted_f1", "uniform.balanced_accuracy")}
    system = {"name": "one", "split": "lesion", "parameters": 2_500_000, "training_ms": 1.24, "latency_ms": 3,
              "metrics": metrics}  # fmt: skip
    difference = {m: {"value": 0.031, "interval": [0.01, 0.05]} for m in metrics}
    budget = {"epochs": 6, "image_size": 64, "seeds": [0, 1], "start": "random weights"}
    published = [{"name": "theirs", "accuracy": 0.7179}]
    systems = [system, {**system, "name": "two", "first minus this": difference}]
    table = results_table({**report, "systems": {"budget": budget, "systems": systems, "published": published}})
    assert "seed 0, 1, from random weights" in table and "| theirs, as published | image | 0.7179 | – |" in table
    assert "| two | lesion | 0.700 (0.600 to 0.800) |" in table and "| 0.031 (0.010 to 0.050) |" in table
    named = {**systems[0], "start": "ImageNet weights"}, {**systems[1], "start": "random weights"}
    table_of_starts = "\n".join(systems_table({"budget": budget, "systems": named, "published": published}))
    assert "| one | ImageNet weights | lesion |" in table_of_starts, "each row says its own start"
    assert "| two | random weights | lesion |" in table_of_starts and "from random weights" not in table_of_starts
    sets = report["conformal"]["all metadata"]
    assert f"{sets['coverage']['value']:.3f}" in table
    akiec = sets["per class"]["akiec"]
    assert f"akiec {akiec['promised']:g} → {akiec['value']:.3f}" in table
    assert report["novelty"]["families"].keys() > {"noise", "blurred lesions"} and "blurred lesions" in table


def test_headline_and_calibration_per_class(report):
    table = results_table(report)
    header = next(line for line in table.splitlines() if line.startswith("| inputs | accuracy"))
    assert "| macro F1 |" in header and "| malignant AUROC |" in header
    mel = report["calibration per class"]["all metadata"]["mel"]
    assert f"- **Calibration error per class**, against the rest (all metadata): mel {mel['value']:.3f}" in table


def test_a_report_of_an_earlier_version_is_shown(report):
    old = {key: value for key, value in report.items() if key not in ("calibration per class", "fresh pass")}
    per_class = {code: {"value": 0.9, "interval": [0.8, 1.0], "images": 9, "pooled": False} for code in ("mel", "nv")}
    sets = {name: {**entry, "promised": 0.9, "per class": per_class} for name, entry in report["conformal"].items()}
    table = results_table({**old, "conformal": sets})
    assert "Calibration error per class" not in table and table.count("(90% promised)") == 2 and "| macro F1 |" in table
