"""The sections of the model report, as HTML."""
