"""The group of all commands: errors become one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click


class CommandGroup(click.Group):
    """Turns errors into one line and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        from ..actors.failures import users_frames
        from ..config import ConfigError
        from ..results.display.option_names import in_options, speaking
        from ..strategies.errors import HeadraceError, InputError

        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal need not know every letter of a name
                stream.reconfigure(errors="backslashreplace")
        try:
            with speaking():
                return super().invoke(context)
        except click.exceptions.Exit:
            raise
        except KeyboardInterrupt:
            click.echo("headrace: stopped", err=True)
            context.exit(130)
        except Exception as error:
            asked_wrongly = isinstance(error, (InputError, ConfigError))
            if asked_wrongly or isinstance(error, HeadraceError):
                click.echo(f"headrace: {in_options(str(error))}", err=True)
            elif users_frames(error) or hasattr(error, "traceback_str"):
                _show_users_error(error)
            elif isinstance(error, OSError) and error.errno:
                why = os.strerror(error.errno)
                click.echo(f"headrace: {f'{error.filename}: ' if error.filename else ''}{why}", err=True)
            else:
                raise
            context.exit(2 if asked_wrongly else 1)


def _show_users_error(error: Exception) -> None:
    """An error of the user's code with the frames that are theirs; of a worker's error only its text is known."""
    import traceback

    from ..actors.failures import users_frames

    click.echo("".join(traceback.format_list(users_frames(error))), err=True, nl=False)
    click.echo(f"headrace: the strategy failed: {type(error).__name__}: {error}", err=True)
