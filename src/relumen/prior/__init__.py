"""A prior: a trained generator with its normalizing flow, as a folder; and the import of official checkpoints."""
