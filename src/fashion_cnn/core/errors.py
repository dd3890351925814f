"""The one exception that speaks to the person at the keyboard."""


class UserError(Exception):
    """A mistake or a condition that a person can mend.

    Its message is one line: what is wrong, where, what is allowed, what to do. It is printed without a traceback.
    """
