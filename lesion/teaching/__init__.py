"""What a class does with the model, without a page."""
