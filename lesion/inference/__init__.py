"""From a photograph and a record to an answer."""
