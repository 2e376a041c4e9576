"""Commands for those who write a strategy: `new` and `check`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from .options import (
    asking,
    pairs,
)

if TYPE_CHECKING:
    from ..strategies.analysis.findings import Finding
    from ..strategies.strategy import Strategy


@click.command(epilog="Example: headrace new another_strategy.py")
@click.argument("file", type=click.Path(), metavar="FILE")
def new(file: str) -> None:
    """Write a first strategy, which runs as it is, to change into one of your own.

    FILE is a new Python file. What is there is never replaced.
    """
    from ..cluster.first_strategy import CLASS, write_first_strategy

    write_first_strategy(file)
    click.echo(f"the strategy {CLASS} in {file}; next, with made-up markets:")
    click.echo("  headrace generate --markets 40 --out markets")
    click.echo(f"  {shlex.join(['headrace', 'backtest', f'{file}:{CLASS}', '--markets', 'markets'])}")


@click.command(epilog="Example: headrace check strategy.py:BackTheFavourite -p stake=5")
@click.argument("strategies", nargs=-1, required=True, metavar="STRATEGY...")
@click.option("--parameter", "-p", "parameters", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the strategies, such as stake=5. Repeatable.")  # fmt: skip
def check(strategies: tuple[str, ...], parameters: tuple[str, ...]) -> None:
    """Warn of what makes the results of strategies depend on the machine or on how they are run.

    STRATEGY is file.py:Class or package.module:Class; several may be given. A line that ends in "# headrace: ok" is not
    reported. The exit code is 1 where something is found.
    """
    import ray.cloudpickle

    from ..cluster.parameter_sets import settable
    from ..loading import load_strategy, make_strategy
    from ..strategies.analysis.check import check_class, check_file, check_instance
    from ..strategies.errors import InputError
    from ..strategies.parameters import check_names, from_text

    found: set[Finding] = set()
    classes: list[tuple[type[Strategy], str | None, dict[str, Any]]] = []
    for spec in strategies:
        place, _, name = spec.rpartition(":")
        file = place if place.endswith(".py") else None
        try:
            cls = load_strategy(spec)
        except InputError:
            shown = check_file(place, name) if file else []
            if not any(finding.code == "parameter" for finding in shown):
                raise
            found.update(shown)  # why the class cannot be made
            continue
        found.update(check_class(cls, file))
        try:
            classes.append((cls, file, settable(cls)))
        except TypeError:  # a default that can change: the source has shown it, and no instance can be made
            continue
    texts = pairs(parameters, "-p")
    owners = " and ".join(cls.__name__ for cls, _, _ in classes)
    with asking():
        if classes:
            check_names(texts, {name for _, _, known in classes for name in known}, owners)
        for cls, file, known in classes:
            given = {name: from_text(known[name], text, cls.__name__) for name, text in texts.items() if name in known}
            try:
                strategy = make_strategy(cls, given)
            except (InputError, TypeError) as error:
                message = f"headrace: {error}; so it was not seen which of its attributes cannot be sent to workers"
                click.echo(message, err=True)
                continue
            found.update(check_instance(strategy, ray.cloudpickle.dumps, file))
    for finding in sorted(found):
        click.echo(str(finding))
    if found:
        sys.exit(1)
    click.echo("no findings")
