"""Networks only: what a paper draws."""

from . import esrgan

__all__ = ["esrgan"]
