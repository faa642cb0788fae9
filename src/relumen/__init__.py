"""relumen: restore and super-resolve microscopy images, and carry the models into Fiji."""

from importlib.metadata import version

__version__ = version("relumen")
