"""Errors that callers can act on; every message says what to do."""


class VljepaError(Exception):
    """Base of the errors that this package raises on purpose."""


class InputError(VljepaError, ValueError):
    """An image, an embedding or a text that cannot be used as given."""


class DivergedError(InputError):
    """Training whose gradient is not finite: it learns too fast, or in too little precision."""


class CheckpointError(VljepaError):
    """Weights or a configuration that are missing, damaged or do not fit each other."""


class EngineError(VljepaError):
    """A library, a device or a precision with which a model cannot be run as asked."""
