"""Numbers in words."""


def percent(probability: float) -> str:
    """A probability in words that fit a class: "47 %", "0.3 %", "99.6 %"; near certainty "less than 0.1 %" and "more
    than 99.9 %", since a model is never certain."""
    if probability < 0.001:
        return "less than 0.1 %"
    if probability > 0.999:
        return "more than 99.9 %"
    digits = 0 if 0.01 <= probability <= 0.99 else 1
    return f"{100 * probability:.{digits}f} %"
