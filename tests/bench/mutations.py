"""Would the tests notice? `python tests/bench/mutations.py` breaks the code in one place at a time, in a copy of the
repository, and runs the tests named for it: a mutation that they do not fail on has survived, and the program fails.

    python tests/bench/mutations.py [NAME …]      those whose name holds a word; by default all
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 600


@dataclass(frozen=True)
class Mutation:
    """A text of the product that is replaced by another, and the tests that must fail then.

    Attributes:
        name: what is broken, in words.
        path: of the file.
        old: stands in it once.
        new: in its place.
        tests: what pytest is given.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = [
    Mutation(
        "a picture of something else is taken for the nearest photograph",
        "lesion/model/seen.py",
        "if found[nearest] > self.threshold:",
        "if found[nearest] > 128:",
        ("tests/training/test_seen.py::test_the_nearest_photograph_is_found_within_the_threshold",),
    ),
    Mutation(
        "photographs of one lesion count as near-duplicates",
        "lesion/report/near_duplicates.py",
        "<= threshold) & ~same(b)).sum(1)",
        "<= threshold)).sum(1)",
        ("tests/report/test_near_duplicates.py::test_only_training_photographs_of_another_lesion_count",),
    ),
    Mutation(
        "the average of the weights is never updated",
        "lesion/training/loop.py",
        "        self.ema.update(self.model)\n",
        "",
        ("tests/training/test_loop.py::test_the_average_follows_the_weights_of_every_step",),
    ),
    Mutation(
        "the last head is kept and not the best",
        "lesion/training/head.py",
        "    head.load_state_dict(best_state)\n",
        "",
        ("tests/training/test_head.py::test_the_best_epoch_is_left",),
    ),
    Mutation(
        "the last epoch of fine-tuning is kept and not the best",
        "lesion/training/finetune.py",
        'if row["validation_loss"] <= min(last_stage, default=-math.inf):',
        "if True:",
        ("tests/training/test_finetune.py::test_the_epoch_with_the_least_log_loss_is_left_in_the_model",),
    ),
    Mutation(
        "every layer learns at the same rate",
        "lesion/training/finetune.py",
        'if config.init == "scratch" or config.layer_decay == 1:',
        "if True:",
        ("tests/training/test_finetune.py::test_the_optimiser_moves_the_first_layers_of_a_pretrained_backbone_less",),
    ),
    Mutation(
        "fine-tuning without class weights",
        "lesion/training/finetune.py",
        "subset_losses(logits, targets, self.weights)",
        "subset_losses(logits, targets, torch.ones_like(self.weights))",
        ("tests/training/test_finetune.py::test_rare_diagnoses_weigh_more_in_the_loss",),
    ),
    Mutation(
        "no gradient is clipped",
        "lesion/training/loop.py",
        "        accelerator.clip_grad_norm_(self.prepared.parameters(), self.config.clip_grad)\n",
        "",
        ("tests/training/test_loop.py::test_a_steep_loss_moves_the_optimiser_no_further_than_the_largest_norm",),
    ),
    Mutation(
        "augmentation is seeded without the epoch",
        "lesion/training/loop.py",
        "seed_from(self.config.seed, epoch, self.step, accelerator.process_index)",
        "seed_from(self.config.seed, self.step % self.sampler.steps[0], accelerator.process_index)",
        ("tests/training/test_loop.py::test_every_step_of_every_epoch_is_augmented_in_its_own_way",),
    ),
    Mutation(
        "validation and test part are swapped by the split",
        "lesion/data/ham10000.py",
        "rest[training], rest[validation], test)",
        "rest[training], test, rest[validation])",
        ("tests/data/test_ham10000.py::test_lesion_split_keeps_lesions_together_and_classes_everywhere",),
    ),
    Mutation(
        "validation and test part are swapped where epochs are judged",
        "lesion/training/head.py",
        "    rows = data.split.validation\n",
        "    rows = data.split.test\n",
        ("tests/training/test_head.py::test_nothing_is_learned_from_the_test_part",),
    ),
    Mutation(
        "validation and test part are swapped where answers are calibrated",
        "lesion/training/finish.py",
        "labels, known = data.labels[data.split.validation], data.known[data.split.validation]",
        "labels, known = data.labels[data.split.test], data.known[data.split.test]",
        ("tests/training/test_head.py::test_nothing_is_learned_from_the_test_part",),
    ),
    Mutation(
        "validation and test part are swapped where prediction sets are fitted",
        "lesion/training/finish.py",
        "    rows = data.split.validation\n",
        "    rows = data.split.test\n",
        ("tests/training/test_head.py::test_nothing_is_learned_from_the_test_part",),
    ),
    Mutation(
        "the bootstrap draws photographs and not lesions",
        "lesion/metrics/bootstrap.py",
        "pd.factorize(np.asarray(lesion_ids))",
        "pd.factorize(np.arange(len(lesion_ids)))",
        ("tests/metrics/test_metrics.py::test_bootstrap_draws_whole_lesions",),
    ),
    Mutation(
        "the report's intervals are by photograph and not by lesion",
        "lesion/report/build.py",
        "bootstrap_weights(table.lesion_id, ROUNDS, SEED)",
        "bootstrap_weights(table.image_id, ROUNDS, SEED)",
        ("tests/report/test_build.py::test_intervals_are_by_lesion",),
    ),
    Mutation(
        "prediction sets count n lesions and not n + 1",
        "lesion/model/conformal.py",
        "needed = coverage * (lesions + 1)",
        "needed = coverage * lesions",
        ("tests/model/test_conformal.py::test_a_new_lesion_is_counted_beside_those_seen",),
    ),
    Mutation(
        "confident prediction sets are no surer than the average",
        "lesion/model/conformal.py",
        "beta.sf(coverage, covered, lesions + 1 - covered) >= CONFIDENCE",
        "beta.sf(coverage, covered, lesions + 1 - covered) >= 0.5",
        (
            "tests/model/test_conformal.py::test_coverage_of_new_lesions",
            "tests/model/test_conformal.py::test_the_promise_is_what_the_lesions_support",
        ),
    ),
    Mutation(
        "a promise counts photographs and not lesions",
        "lesion/model/conformal.py",
        "promise(len(np.unique(lesion_ids[own])))",
        "promise(len(own))",
        ("tests/model/test_conformal.py::test_lesions_are_counted_and_not_photographs",),
    ),
    Mutation(
        "every order of the inputs has another weight than Shapley's",
        "lesion/teaching/influence.py",
        "weights = np.array([math.factorial(s) * math.factorial(3 - s) / math.factorial(4) for s in sizes])",
        "weights = np.full(8, 1 / 8)",
        ("tests/teaching/test_influence.py::test_shapley_values_equal_the_mean_over_all_orders",),
    ),
    Mutation(
        "an answer is made misleading where the model was wrong already",
        "lesion/teaching/rounds.py",
        "(answers.argmax(1) == labels) & (answers.max(1) > CONFIDENT)",
        "answers.max(1) > CONFIDENT",
        ("tests/teaching/test_rounds.py::test_over_a_thousand_seeds_the_stated_share_misleads_and_each_one_is_false",),
    ),
    Mutation(
        "a reader who agreed with the model before counts as following it",
        "lesion/teaching/round_result.py",
        "(group & ~agreed & (after == seen))",
        "(group & (after == seen))",
        ("tests/teaching/test_round_result.py::test_changes_and_following_are_counted_case_by_case",),
    ),
    Mutation(
        "a case shows the age, sex and site before their stage",
        "lesion/ui/html/round_steps.py",
        'if "metadata" in stages else ""',
        'if record else ""',
        ("tests/ui/tabs/test_round.py::test_each_stage_shows_what_it_should_and_no_more",),
    ),
    Mutation(
        "the class weights are applied twice instead of undone",
        "lesion/model/calibration.py",
        "logits.astype(np.float64) - self.prior_correction_exponents[subset]",
        "logits.astype(np.float64) + self.prior_correction_exponents[subset]",
        ("tests/model/test_calibration.py::test_class_weights_are_undone",),
    ),
    Mutation(
        "an answer takes a neighbouring subset's temperature",
        "lesion/model/calibration.py",
        "subset = subset_index(present)[..., None]",
        "subset = (subset_index(present)[..., None] + 1) % len(SUBSETS)",
        ("tests/model/test_calibration.py::test_each_subset_has_its_temperature",),
    ),
    Mutation(
        "a temperature is fitted to a neighbouring subset's answers",
        "lesion/training/finish.py",
        "fit_calibration(logits[index, of_subset]",
        "fit_calibration(logits[index ^ 1, of_subset]",
        ("tests/training/test_finish.py",),
    ),
    Mutation(
        "the null image stays at zero",
        "lesion/model/fusion.py",
        "self.null_image = nn.Parameter(torch.zeros(image_width))",
        "self.null_image = nn.Parameter(torch.zeros(image_width), requires_grad=False)",
        ("tests/training/test_head.py::test_the_null_image_is_learned",),
    ),
    Mutation(
        "the photograph store drops the newest",
        "lesion/inference/photograph_store.py",
        "popitem(last=False)",
        "popitem(last=True)",
        ("tests/inference/test_photograph_store.py",),
    ),
]


def copy_repository(folder: Path) -> None:
    """Everything that git tracks or would add; the checkpoint, which no mutation touches, by a link."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in listed.splitlines():
        if not name.startswith("weights/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "weights").symlink_to(ROOT / "weights")


def passes(folder: Path, tests: list[str]) -> bool:
    """Whether the tests pass.

    Raises:
        RuntimeError: pytest could not run them.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=folder, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False,
        timeout=TIMEOUT,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout + done.stderr)
    return done.returncode == 0


def survives(folder: Path, mutation: Mutation) -> bool:
    """Tries a mutation and takes it back."""
    path = folder / mutation.path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        return passes(folder, list(mutation.tests))
    finally:
        path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="words of the mutations to try (default: all)")
    words = parser.parse_args().names
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_repository(folder)
        if not passes(folder, sorted({test for mutation in chosen for test in mutation.tests})):
            sys.exit("error: The tests fail on the code as it is; mend that first.")
        survived = 0
        for mutation in chosen:
            alive = survives(folder, mutation)
            survived += alive
            print(f"{'SURVIVED' if alive else 'killed':9} {mutation.name} ({', '.join(mutation.tests)})", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutations killed.")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
