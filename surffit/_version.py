"""The version, in the one place that packaging, documents and the shell read it from."""

__version__ = "0.1.0"
