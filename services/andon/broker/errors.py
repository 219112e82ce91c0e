"""What can go wrong with the embedded broker, each as one sentence that says what to do."""


class BrokerError(Exception):
    """A foreseeable failure of the embedded broker; its text is one sentence for the person at the terminal."""


class ChecksumError(BrokerError):
    """A fetched file is not the one that was pinned; nothing of it was kept."""


class FetchError(BrokerError):
    """A pinned file is neither in the cache nor to be had from the repository."""


class JavaError(BrokerError):
    """No Java of version 17 or later was found."""


class DiskFullError(BrokerError):
    """The disk under the data directory is too full for Kafka to run on safely."""


class PortError(BrokerError):
    """The port that was asked for is taken."""
