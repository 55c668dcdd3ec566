"""The version of the program, which runs, records of runs and clusters are held to."""

__all__ = ["__version__"]

__version__ = "0.1.0"
