"""Regularized latent search: the high-resolution image of a prior that a low-resolution one fits."""
