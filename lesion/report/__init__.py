"""What is measured on the test part, and how it is written down."""
