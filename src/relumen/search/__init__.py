"""Regularized latent search: the high-resolution image of a prior that a low-resolution one fits."""

from typing import Final

METHOD: Final = "rls-annealed"
"""The method where none is named. It stands here so that the command line knows it without loading the search."""
FORM: Final = "restarts"
"""How several solutions are found where it isn't said: a search that comes to rest finds one solution many times by the
paper's form."""
