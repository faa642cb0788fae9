"""Macros for users, which `relumen fiji install` puts into Fiji."""
