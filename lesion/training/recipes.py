"""The two recipes that make a checkpoint.

`frozen`, the reference recipe: the backbone never changes, so its embeddings are computed once and only the metadata
branch and the head are trained, with Adam, balanced class weights and early stopping on the validation loss.

`finetune`: the whole network is trained, see `lesion.training.finetune`, and its head trained on as in `frozen`.

Both train every subset of the inputs: the complete one and random others, on the same embeddings.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import Accelerator
from timm.data import resolve_model_data_config

from lesion.data.transforms import ImageTransform
from lesion.files import prepare_folder
from lesion.hardware import PRECISIONS, versions
from lesion.inference.agreement import check_answers
from lesion.inference.predictor import Predictor
from lesion.model.checkpoint import load_checkpoint, save_checkpoint
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.model.held_out import HeldOut
from lesion.model.seen import FILE, SeenPhotographs, hashed_ids, read_seen, together
from lesion.training.config import TrainingConfig
from lesion.training.curves import history_files
from lesion.training.data import TrainingData, prepare_data, working_size_of
from lesion.training.external import ExternalPhotographs, read_external
from lesion.training.finetune import describe_choice, finetune
from lesion.training.finish import fit_after_training, print_validation
from lesion.training.head import train_frozen
from lesion.training.start import commit, create_model, describe_start, read_start


def train(table: pd.DataFrame, config: TrainingConfig, output: Path, resume: bool = False) -> Path:
    """Trains, calibrates, writes a checkpoint folder, and checks that it answers as it was trained to.

    Args:
        table: of `lesion.data.ham10000.read_table`.
        config: everything else.
        output: the checkpoint folder. The resumable state and the running history.csv and curves.png are kept in its
            folder state/; a checkpoint that the folder already holds is replaced, with both, when the training is done.
        resume: go on from an interrupted run in `output`.

    Returns:
        `output`.

    Raises:
        UserError: the data, the start or the state cannot be used, a file cannot be written, or the written
            checkpoint does not answer as the trained network.
    """
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    made_by = commit()
    data = prepare_data(table, config.split, config.split_seed, config.class_weighting)
    start = describe_start(config.init)  # read before the training: the file may be another one when it ends
    external = read_external(config.external) if config.external else None
    seen = seen_photographs(data, config, external).content()
    model = create_model(config)
    backbone_data = resolve_model_data_config(model.backbone)
    working_size = working_size_of(table, config.evaluation_size)
    transform = ImageTransform(config.evaluation_size, working_size, backbone_data["mean"], backbone_data["std"])
    parts = {n: len(getattr(data.split, n)) for n in ("training", "validation", "test")}
    about = {**asdict(config), "images": parts, **versions(), "commit": made_by}
    accelerator.print("\n".join(f"  {k}: {v}" for k, v in about.items()))
    prepare_folder(output)
    prepare_folder(output / "state")
    provenance = {**asdict(config), "init": start, "images": parts, "commit": made_by}
    provenance["external"] = external.describe(config.external) if external else None
    if config.recipe == "frozen":
        history, embeddings = train_frozen(accelerator, model, data, transform, config, output)
    else:
        digest = start["sha256"] if isinstance(start, dict) else ""
        history = finetune(accelerator, model, data, transform, config, digest, external, output, resume)
        provenance["epoch_choice"] = describe_choice(history, data, output / "state")
        # Mixup and random crops leave the head behind the backbone: it is trained on, on the finished embeddings.
        _, embeddings = train_frozen(accelerator, model, data, transform, config, output)
    training, validation = embeddings[data.split.training], embeddings[data.split.validation]
    fitted = fit_after_training(model.head, training, validation, data, config.fusion != "none")
    if accelerator.is_main_process:
        provenance |= {
            "minutes": round(history[-1]["minutes"], 1),
            "mixed_precision": accelerator.mixed_precision,
            "versions": versions(),
            "validation": fitted.validation,
        }
        checkpoint = CheckpointConfig(
            config.backbone,
            config.fusion,
            transform,
            data.encoder,
            fitted.calibration,
            fitted.prediction_sets,
            PRECISIONS[accelerator.mixed_precision],
            provenance,
        )
        rows = np.union1d(data.split.validation, data.split.test)
        held_out = HeldOut(table.iloc[rows].assign(test=np.isin(rows, data.split.test)), embeddings[rows])
        beside = history_files(history) | {FILE: lambda path: path.write_bytes(seen)}
        save_checkpoint(output, model, checkpoint, held_out, fitted.detector, beside)
        check_answers(Predictor(load_checkpoint(output)), table.iloc[rows])
        print_validation(fitted.validation)
        print(f"Wrote {output}. The test part is opened by `python -m lesion.evaluate --checkpoint {output}`.")
    accelerator.wait_for_everyone()
    return output


def seen_photographs(
    data: TrainingData, config: TrainingConfig, external: ExternalPhotographs | None
) -> SeenPhotographs:
    """The photographs that a training's checkpoint will have seen: its own parts but the test part, those of another
    collection, and what its start and its teacher had seen.

    Raises:
        UserError: the start or what the teacher has seen cannot be read.
    """
    own = data.table.image_id.iloc[np.union1d(data.split.training, data.split.validation)]
    parts = [SeenPhotographs(hashed_ids(own))]
    if config.init not in ("imagenet", "scratch"):
        parts.append(read_start(Path(config.init)).seen)
    if config.teacher:
        of_teacher = read_seen(Path(config.teacher))
        parts.append(of_teacher if len(of_teacher.ids) else SeenPhotographs(unlisted=(Path(config.teacher).name,)))
    if external:
        parts.append(SeenPhotographs(hashed_ids(external.image_ids)))
    return together(*parts)
