"""Presets: the YAML values of the training configurations."""
