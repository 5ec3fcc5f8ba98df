"""Is every subset of the inputs a trained input? `python tests/bench/input_subsets.py --data PATH_TO_HAM10000`.

For each of the sixteen subsets of {image, age, sex, site}: the validation log-loss of the checkpoint's one head, and
that of a head trained for this subset alone on the same embeddings of the training part (Adam, the same class weights,
early stopping and the calibration on validation, as the checkpoint's own).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from scipy.special import softmax

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lesion.data.ham10000 import Ham10000, read_table, records_of
from lesion.data.metadata import INPUTS
from lesion.inference.predictor import load_predictor
from lesion.metrics.metrics import probability_metrics
from lesion.model.calibration import SUBSETS, Calibration, class_weights, effective, fit_calibration
from lesion.model.fusion import ConcatenationHead, head_logits
from lesion.training.examples import map_examples

EPOCHS, PATIENCE, LEARNING_RATES = 60, 8, (1e-3, 3e-4)


def train_alone(present, training, validation, weights, learning_rate) -> float:
    """Trains a head for one subset and gives its best validation log-loss."""
    torch.manual_seed(0)
    head = ConcatenationHead(training[0].shape[1])
    optimizer = torch.optim.Adam(head.parameters(), learning_rate, weight_decay=1e-4)
    embeddings, metadata, labels = (torch.from_numpy(x) for x in training)
    mask = torch.from_numpy(present)
    weight = torch.tensor(weights, dtype=torch.float32)
    best, since = np.inf, 0
    for _ in range(EPOCHS):
        head.train()
        for rows in torch.randperm(len(labels)).split(128):
            logits = head(embeddings[rows], metadata[rows], mask.expand(len(rows), 4))
            loss = torch.nn.functional.cross_entropy(logits, labels[rows], weight=weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        logits = head_logits(head, validation[0], validation[1], present)
        temperature, strength = fit_calibration(logits, validation[2], weights)
        probabilities = softmax((logits - strength * np.log(weights)) / temperature, axis=1)
        value = probability_metrics(validation[2], probabilities)["log_loss"]
        since = 0 if value < best else since + 1
        best = min(best, value)
        if since >= PATIENCE:
            break
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", default="weights")
    args = parser.parse_args()
    predictor = load_predictor(args.checkpoint)
    held_out = predictor.checkpoint.held_out()
    table = read_table(args.data, verify=False)
    table = table[~table.image_id.isin(held_out.table.image_id)]
    images = Ham10000(table, transform=predictor.config.transform)
    embeddings = map_examples(Accelerator(), predictor.model.embed, images, 64, 2, "Embedding the training part")
    encode = predictor.config.encoder.encode
    labels = table.label.to_numpy()
    training = embeddings, encode(records_of(table))[0], labels
    part = held_out.table[~held_out.table.test]
    metadata, known = encode(records_of(part))
    validation = held_out.embeddings[~held_out.table.test], metadata, part.label.to_numpy()
    weights = class_weights(labels, predictor.config.training["class_weighting"])
    calibration: Calibration = predictor.config.calibration
    print(f"{'inputs':24} {'one head':>9} {'alone':>9} {'excess':>8}")
    worst = -np.inf
    for present in SUBSETS:
        logits = head_logits(predictor.model.head, validation[0], metadata, present)
        shown = calibration.probabilities(logits, effective(present, known))
        ours = probability_metrics(validation[2], shown)["log_loss"]
        alone = min(train_alone(present, training, validation, weights, rate) for rate in LEARNING_RATES)
        worst = max(worst, ours - alone)
        name = " + ".join(n for n, there in zip(INPUTS, present, strict=True) if there) or "nothing"
        print(f"{name:24} {ours:9.4f} {alone:9.4f} {ours - alone:+8.4f}", flush=True)
    print(f"largest excess {worst:+.4f} nats")


if __name__ == "__main__":
    main()
