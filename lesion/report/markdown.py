"""The report in Markdown: the README's tables of results, and the model card of a checkpoint."""


def value_in_words(entry: dict) -> str:
    """ "0.771 (0.752 to 0.790)"."""
    low, high = entry["interval"]
    return f"{entry['value']:.3f} ({low:.3f} to {high:.3f})"
