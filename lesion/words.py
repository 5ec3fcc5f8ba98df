"""Numbers in words."""


def percent(probability: float) -> str:
    """A probability in words that fit a class: "47 %", "0.3 %", "less than 0.1 %"."""
    if probability < 0.001:
        return "less than 0.1 %"
    return f"{probability:.0%}".replace("%", " %") if probability >= 0.01 else f"{probability:.1%}".replace("%", " %")
