"""`sluice ci`: the names that a pipeline's job needs to become an account of a stack, as `name=value` lines.

They follow from the stack's config alone, so that nothing is set by hand in the pipeline. No call is made.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ops import specs
from ops.errors import OpsError
from ops.output import Output
from spec import names


class Who(StrEnum):
    """Who a job may become."""

    PREVIEWER = "previewer"
    DEPLOYER = "deployer"


ACCOUNTS = {Who.PREVIEWER: names.PREVIEWER_ACCOUNT_ID, Who.DEPLOYER: names.DEPLOYER_ACCOUNT_ID}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ci", help="Print the names by which a pipeline's job becomes an account.")(ci)


def ci(
    *,
    stack: Annotated[str, typer.Option("--stack", help="dev, staging or prod.")],
    who: Annotated[Who, typer.Option("--as", help="Who looks, or who applies.")],
    if_configured: Annotated[
        bool, typer.Option("--if-configured", help="Print nothing, and exit 0, where the stack has no sluice:ci.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Print provider, account, project and where Pulumi's state is."""
    specs.environment(stack)
    below = specs.config_of(f"foundation-{stack}")
    out = Output(as_json=as_json)
    if below.ci is None and if_configured:
        typer.echo(
            f"no job may become an account of {stack}: its foundation has no sluice:ci (docs/deploy.md)", err=True
        )
        out.result({})
        return
    if below.ci is None:
        raise OpsError(
            f"stacks/Pulumi.foundation-{stack}.yaml has no sluice:ci",
            why="no pipeline's job may become an account there",
            fix="write sluice:ci: {repository: owner/name, state_bucket: BUCKET} there, and apply it (docs/deploy.md)",
        )
    if below.ci.state_bucket is None:
        raise OpsError(
            f"sluice:ci of stacks/Pulumi.foundation-{stack}.yaml names no state_bucket",
            why="a job would not find Pulumi's state",
            fix="add state_bucket: the bucket of `pulumi login`, without gs://",
        )
    found = {
        "provider": names.ci_provider(below.project_number),
        "account": names.account_email(ACCOUNTS[who], below.project),
        "project": below.project,
        "region": below.region,
        "state": f"gs://{below.ci.state_bucket}",
        "images": names.images(below.region, below.project),
    }
    for name, value in found.items():
        out.plain(f"{name}={value}")
    out.result(found)
