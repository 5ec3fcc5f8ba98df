"""The network, what turns its output into answers, and the checkpoint folder that holds both."""
