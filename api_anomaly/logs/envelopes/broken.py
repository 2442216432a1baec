"""The error of all envelopes."""


class EnvelopeBroken(ValueError):
    """A body that is not what its protocol says. The text is the reason, without values of the
    body."""
