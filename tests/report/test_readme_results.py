"""The headline figures in Markdown."""

from lesion.report.readme_results import results_table


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
    sets = report["conformal"]["all metadata"]
    assert f"{sets['coverage']['value']:.3f}" in table and "(90% promised)" in table
    assert report["novelty"]["families"].keys() > {"noise", "blurred lesions"} and "blurred lesions" in table
