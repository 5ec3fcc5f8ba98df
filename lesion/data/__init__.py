"""What is read: diagnoses, records, HAM10000 on disk, photographs and their transforms."""
