"""`python -m bench._preview_side FOLDER [rest]`: run FOLDER/by_hand.py as Pulumi's own tests run a program.

The SDK's mocks answer each resource with its inputs, so that nothing is checked, compared or shown. With `rest` the
cyclic collector rests meanwhile, as it does in `sluice preview`.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from typing import Any

import pulumi
from pulumi.runtime.stack import run_pulumi_func


class Answers(pulumi.runtime.Mocks):
    """The least that a program can do with: a resource is what it was declared as."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Its id and its outputs."""
        outputs = dict(args.inputs)
        if args.typ == "gcp:serviceaccount/account:Account":
            email = f"{outputs['accountId']}@sluice-prod.iam.gserviceaccount.com"
            outputs |= {"email": email, "member": f"serviceAccount:{email}", "name": email}
        return f"{args.name}_id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """No program of ours calls functions."""
        raise NotImplementedError(args.token)


def main(folder: str, *, rest: bool) -> None:
    """Import the program inside of a stack."""
    sys.path.insert(0, folder)
    if rest:
        gc.disable()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # before the mocks, which make the stack's resource in it
    pulumi.runtime.set_mocks(Answers(), "sluice", "prod", preview=True)
    loop.run_until_complete(run_pulumi_func(_declare))


def _declare() -> None:
    importlib.import_module("by_hand")


if __name__ == "__main__":
    main(sys.argv[1], rest="rest" in sys.argv[2:])
