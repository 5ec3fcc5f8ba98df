"""From a data set to a checkpoint."""
