"""The front matter of a model card, which the Hub reads: what the model is, what it was trained on, its test results.

The fields are those of the Hub's specification of model cards, written by huggingface_hub's own classes.
"""

import timm
from huggingface_hub import EvalResult, ModelCardData

from lesion.model.checkpoint_config import CheckpointConfig

LIBRARY = "lesion-metadata-demo"
"""The name of this package: timm builds the backbone, but cannot load the folder, whose heads are ours."""
HUB_DATASET = "marmal88/skin_cancer"
"""A copy of HAM10000 on the Hub. Checkpoints are trained on the original, from Kaggle or the Harvard Dataverse."""
RESULTS = {
    "dataset.accuracy": ("accuracy", "accuracy, decided under data-set prevalence", None),
    "dataset.weighted_f1": ("f1", "weighted F1, decided under data-set prevalence", {"average": "weighted"}),
    "dataset.macro_f1": ("f1", "macro F1, decided under data-set prevalence", {"average": "macro"}),
    "uniform.balanced_accuracy": (
        "recall", "balanced accuracy (macro recall), decided under equal prevalence", {"average": "macro"},
    ),
    "macro_auroc": ("roc_auc", "macro AUROC, one diagnosis against the rest", {"average": "macro"}),
    "malignant_auroc": ("roc_auc", "AUROC of malignant or pre-malignant (mel, bcc, akiec)", None),
    "melanoma_sensitivity_at_90_specificity": ("recall", "sensitivity for melanoma at 90 % specificity", None),
}  # fmt: skip
"""Of each figure of a report that the Hub shows: the Hub's metric, its name there, its settings."""
INPUTS = {"fused": "photograph, age, sex and site", "image alone": "photograph alone"}
"""The views of a report whose figures the Hub shows, in words."""


def card_title(config: CheckpointConfig) -> str:
    """The title of the card."""
    reads = "with age, sex and body site" if config.metadata else "on the image alone"
    return f"{config.backbone.split('.')[0]} {reads}, on HAM10000"


def eval_results(config: CheckpointConfig, report: dict) -> list[EvalResult]:
    """The test results of a report, for the Hub's model-index."""
    split = f"held out by {report['split']}, seed {config.training['split_seed']}"
    name = f"HAM10000, {report['images']} photographs of {report['lesions']} lesions, {split}"
    return [
        EvalResult(
            task_type="image-classification",
            task_name=f"Seven skin-lesion diagnoses, from {inputs}",
            dataset_type="ham10000",  # not HUB_DATASET, which has a test part of its own
            dataset_name=name,
            dataset_config=view,
            dataset_split="test",
            metric_type=kind,
            metric_name=words,
            metric_value=round(report["metrics"][view][metric]["value"], 4),
            metric_args=settings,
        )
        for view, inputs in INPUTS.items()
        if view in report["metrics"]
        for metric, (kind, words, settings) in RESULTS.items()
    ]


def card_metadata(config: CheckpointConfig, report: dict | None) -> ModelCardData:
    """The front matter.

    Args:
        config: of the checkpoint.
        report: of `lesion.evaluate`; None for a checkpoint that it has not scored, which has no results to show.
    """
    from_timm = config.training["init"] == "imagenet"
    return ModelCardData(
        license="cc-by-nc-4.0",
        language="en",
        library_name=LIBRARY,
        pipeline_tag="image-classification",
        tags=["dermoscopy", "skin-lesion", "multimodal", "education", "timm"],
        datasets=[HUB_DATASET],
        # A start that was not taken from the Hub has no name there.
        base_model=timm.get_pretrained_cfg(config.backbone).hf_hub_id if from_timm else None,
        metrics=sorted({kind for kind, _, _ in RESULTS.values()}),
        model_name=card_title(config) if report is not None else None,  # it names the results
        eval_results=eval_results(config, report) if report is not None else None,
    )
