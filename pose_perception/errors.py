"""Errors of the package. Catch `PosePerceptionError` to catch them all."""


class PosePerceptionError(Exception):
    """Base class: something that the user can understand and correct."""


class InvalidInputError(PosePerceptionError):
    """An image, camera, file or message that cannot be used; the message says why."""


class ConfigurationError(PosePerceptionError):
    """A parameter outside its range or a combination that makes no sense."""


class WeightsError(PosePerceptionError):
    """A weight file is missing, altered or unreadable; the message names the command that gets it."""


class UnsupportedNetworkError(PosePerceptionError):
    """A network file uses an operator or a layout that the importer does not know."""


class DeviceError(PosePerceptionError):
    """The requested compute device is not available."""
