"""Baselines, tables and figures."""
