"""The command `submit`: a script as a job of a Ray cluster."""

from __future__ import annotations

import sys

import click

from .options import (
    pairs,
)


@click.command(
    epilog="Example: headrace submit my_backtest.py --address http://head:8265",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("script", type=click.Path(), metavar="SCRIPT")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT...]")
@click.option("--address", envvar="RAY_API_SERVER_ADDRESS", show_envvar=True, required=True, metavar="URL",
              help="The cluster's dashboard, such as http://head:8265.")  # fmt: skip
@click.option("--working-dir", type=click.Path(), metavar="FOLDER",
              help="The folder that travels with the script; default: the script's own.")  # fmt: skip
@click.option("--exclude", multiple=True, metavar="NAME",
              help="A file or folder that stays here, or a pattern of such. Repeatable.")  # fmt: skip
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE",
              help="An environment variable of the job. Repeatable.")  # fmt: skip
@click.option("--token-file", type=click.Path(), metavar="FILE",
              help="The cluster's token; default: where Ray looks, RAY_AUTH_TOKEN first.")  # fmt: skip
@click.option("--wheel", type=click.Path(), metavar="FILE",
              help="A wheel of headrace to run; default: the code installed here.")  # fmt: skip
@click.option("--install-dependencies", "dependencies", is_flag=True,
              help="Install what headrace needs on the cluster too, for clusters made without it.")  # fmt: skip
@click.option("--entrypoint-cpus", type=click.FloatRange(min=0), default=0, metavar="N",
              help="CPUs kept for the script itself, on any node; default: none, and it runs on the head.")  # fmt: skip
@click.option("--entrypoint-resource", "resources", multiple=True, metavar="NAME=AMOUNT",
              help="A resource of the node that is to run the script itself. Repeatable.")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Send the job, print its id, and leave.")
def submit(
    script: str,
    arguments: tuple[str, ...],
    address: str,
    working_dir: str | None,
    exclude: tuple[str, ...],
    environment: tuple[str, ...],
    token_file: str | None,
    wheel: str | None,
    dependencies: bool,
    entrypoint_cpus: float,
    resources: tuple[str, ...],
    no_wait: bool,
) -> None:
    """Run a script on a Ray cluster as a job, and show its log.

    SCRIPT is what runs locally too; put -- before arguments of its own that are named like the options below. Its
    folder and this version of headrace travel with it. The exit code is the script's: 0, 1 where it failed, 2 where it
    was called wrongly; also 2 if there is no such script or cluster, and nothing was sent.
    """
    from ..cluster.dashboard import find_token
    from ..cluster.following import follow, write_out
    from ..cluster.submission import Submission
    from ..cluster.submission import submit as send
    from ..strategies.errors import InputError

    try:
        amounts = {name: float(text) for name, text in pairs(resources, "--entrypoint-resource").items()}
    except ValueError as error:
        raise InputError(f"--entrypoint-resource: {error}") from None

    def say(line: str) -> None:
        click.echo(f"headrace: {line}", err=True)

    submission = Submission(
        script=script,
        arguments=arguments,
        address=address,
        working_dir=working_dir,
        environment=pairs(environment, "--env"),
        token=find_token(token_file),
        wheel=wheel,
        entrypoint_cpus=entrypoint_cpus,
        entrypoint_resources=amounts,
        dependencies=dependencies,
        exclude=exclude,
    )
    job = send(submission, say)
    if no_wait:
        click.echo(job.job_id)
        say(f"its log: {job.command('logs')}")
        return
    sys.exit(follow(job, write_out, say))
