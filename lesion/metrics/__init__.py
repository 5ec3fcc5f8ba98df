"""Metrics with intervals by lesion, and differences between models."""
