"""The one error a user is meant to read."""


class UserError(Exception):
    """A mistake in input or settings, told in one clear line; shown without a traceback."""


class NotEnoughDataError(UserError):
    """There is too little data for a model family: it is skipped with this reason, and nothing else fails."""
