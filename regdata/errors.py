"""The one error users see: a single clear line, never a traceback."""

import click


class RegdataError(click.ClickException):
    """Something a user can mend: says what was expected, what was given and what to do.

    On the command line it prints one line and exits with code 1; in Python it is an
    ordinary exception. The message names arguments as Python has them, between backquotes:
    `he_mpp=`, `overwrite=True`, `device="cpu"`; the command line writes options there.
    """
