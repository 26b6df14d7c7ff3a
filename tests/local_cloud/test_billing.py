"""Who pays for the project: the question that Terraform asks of each."""

from __future__ import annotations

from tests.fidelity import pins
from tests.local_cloud.conftest import Rest


@pins(
    "plain",
    "Control planes",
    "Cloud Billing v1: a project has no billing account, as Terraform's data source of a project wants to know",
    documented="ProjectBillingInfo",
)
async def test_a_project_has_no_billing_account(rest: Rest) -> None:
    found = await rest.ok("GET", "/v1/projects/sluice-local/billingInfo")
    assert found["projectId"] == "sluice-local"
    assert (found["billingAccountName"], found["billingEnabled"]) == ("", False)
    assert (await rest("GET", "/v1/projects/elsewhere/billingInfo"))[0] == 403
