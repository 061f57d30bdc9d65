"""MetaJAX: few-shot medicine, benchmarked honestly."""

__version__ = "0.1.0"
