"""Networks over REST, as Terraform's provider and gcloud speak: resources, operations, ranges, what is in use."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.cloud import Cloud
from local_cloud.compute import ranges
from local_cloud.errors import ApiError
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

HOME = "/compute/v1/projects/sluice-local"
REGION = f"{HOME}/regions/us-central1"
CONNECTIONS = "/v1/services/servicenetworking.googleapis.com/connections"
Insert = Callable[..., Awaitable[Any]]


@pytest.fixture
def insert(rest: Rest) -> Insert:
    """POSTs to a collection and polls the operation; its error, or the resource."""

    async def made(path: str, name: str, **body: Any) -> Any:
        operation = await rest.ok("POST", path, {"name": name} | body)
        scope = path.rpartition("/")[0]
        polled = await rest.ok("GET", f"{scope}/operations/{operation['name']}")
        assert polled["status"] == "DONE"
        return polled.get("error") or await rest.ok("GET", f"{path}/{name}")

    return made


async def network(insert: Insert, name: str = "vpc") -> Any:
    return await insert(f"{HOME}/global/networks", name, autoCreateSubnetworks=False)


def refusal(answer: tuple[int, Any]) -> tuple[int, str, str]:
    status, body = answer
    return status, body["error"]["errors"][0]["reason"], body["error"]["message"]


@pins("infrastructure", "Networks", "Inserts, patches and deletions answer with operations that are DONE when polled",
      documented="Compute v1")  # fmt: skip
async def test_a_network_with_a_subnetwork_is_made_read_and_deleted(rest: Rest, insert: Insert) -> None:
    made = await network(insert)
    assert made["routingConfig"]["routingMode"] == "REGIONAL"
    log = {"enable": True, "flowSampling": 0.25}
    subnet = await insert(
        f"{REGION}/subnetworks",
        "apps",
        network=made["selfLink"],
        ipCidrRange="10.10.0.0/20",
        privateIpGoogleAccess=True,
        logConfig=log,
        secondaryIpRanges=[{"rangeName": "pods", "ipCidrRange": "10.20.0.0/16"}],
    )
    assert subnet["gatewayAddress"] == "10.10.0.1"
    assert subnet["logConfig"].items() >= log.items()
    assert (await rest.ok("GET", f"{HOME}/global/networks/vpc"))["subnetworks"] == [subnet["selfLink"]]
    operation = await rest.ok("DELETE", f"{HOME}/global/networks/vpc")
    assert operation["error"]["errors"][0]["message"] == (
        "The network resource 'projects/sluice-local/global/networks/vpc' is already being used by "
        "'projects/sluice-local/regions/us-central1/subnetworks/apps'"
    )
    assert "error" not in await rest.ok("DELETE", f"{REGION}/subnetworks/apps")
    assert "error" not in await rest.ok("DELETE", f"{HOME}/global/networks/vpc")
    assert refusal(await rest("GET", f"{HOME}/global/networks/vpc")) == (
        404,
        "notFound",
        "The resource 'projects/sluice-local/global/networks/vpc' was not found",
    )
    assert (await rest.ok("GET", f"{HOME}/global/routes"))["items"] == []


@pins("infrastructure", "Networks", "A name that is taken: 409 alreadyExists", observed="public issues")
async def test_a_name_is_taken_once(rest: Rest, insert: Insert) -> None:
    await network(insert)
    answer = await rest("POST", f"{HOME}/global/networks", {"name": "vpc"})
    assert refusal(answer) == (
        409,
        "alreadyExists",
        "The resource 'projects/sluice-local/global/networks/vpc' already exists",
    )
    assert refusal(await rest("POST", f"{HOME}/global/networks", {"name": "Upper"}))[:2] == (400, "invalid")


@pins("infrastructure", "Networks", "Ranges of a network do not overlap; a conflict fails the operation",
      observed="public issues")  # fmt: skip
async def test_ranges_of_a_network_do_not_overlap(rest: Rest, insert: Insert) -> None:
    vpc, other = await network(insert), await network(insert, "other")
    await insert(f"{REGION}/subnetworks", "one", network=vpc["selfLink"], ipCidrRange="10.0.0.0/16")
    error = await insert(f"{REGION}/subnetworks", "two", network=vpc["selfLink"], ipCidrRange="10.0.128.0/20")
    assert error["errors"][0]["message"] == (
        "Invalid IPCidrRange: 10.0.128.0/20 conflicts with existing subnetwork 'one' in region 'us-central1'."
    )
    assert (await rest("GET", f"{REGION}/subnetworks/two"))[0] == 404
    made = await insert(f"{REGION}/subnetworks", "two", network=other["selfLink"], ipCidrRange="10.0.128.0/20")
    assert made["name"] == "two"
    for wrong in ("10.0.0.1/16", "300.0.0.0/8", "10.0.0.0/30", "127.0.0.0/16", "224.0.0.0/8"):
        body = {"name": "three", "network": vpc["selfLink"], "ipCidrRange": wrong}
        status, _, text = refusal(await rest("POST", f"{REGION}/subnetworks", body))
        assert status == 400
        assert text.startswith(f"Invalid value for field 'resource.ipCidrRange': '{wrong}'.")


async def test_a_range_grows_and_does_not_shrink(rest: Rest, insert: Insert) -> None:
    vpc = await network(insert)
    await insert(f"{REGION}/subnetworks", "one", network=vpc["selfLink"], ipCidrRange="10.0.0.0/20")
    path = f"{REGION}/subnetworks/one/expandIpCidrRange"
    assert (await rest("POST", path, {"ipCidrRange": "10.0.0.0/24"}))[0] == 400
    await rest.ok("POST", path, {"ipCidrRange": "10.0.0.0/16"})
    assert (await rest.ok("GET", f"{REGION}/subnetworks/one"))["ipCidrRange"] == "10.0.0.0/16"


@pins("infrastructure", "Networks", "A patch needs the fingerprint of what it changes; a stale one is a 412",
      documented="Compute v1, fingerprints")  # fmt: skip
async def test_a_patch_needs_the_current_fingerprint(rest: Rest, insert: Insert) -> None:
    vpc = await network(insert)
    made = await insert(f"{REGION}/subnetworks", "one", network=vpc["selfLink"], ipCidrRange="10.0.0.0/20")
    change = {"logConfig": {"enable": True}, "fingerprint": made["fingerprint"]}
    await rest.ok("PATCH", f"{REGION}/subnetworks/one", change)
    assert refusal(await rest("PATCH", f"{REGION}/subnetworks/one", change))[:2] == (412, "conditionNotMet")
    address = await insert(f"{HOME}/global/addresses", "ip")
    labels = {"labels": {"team": "pay"}, "labelFingerprint": address["labelFingerprint"]}
    await rest.ok("POST", f"{HOME}/global/addresses/ip/setLabels", labels)
    assert (await rest.ok("GET", f"{HOME}/global/addresses/ip"))["labels"] == {"team": "pay"}
    assert (await rest("POST", f"{HOME}/global/addresses/ip/setLabels", labels))[0] == 412


@pins("infrastructure", "Networks", "Auto mode has Google's range in every region", documented="VPC subnets")
async def test_auto_mode_makes_a_subnetwork_a_region_which_go_with_the_network(rest: Rest, insert: Insert) -> None:
    made = await insert(f"{HOME}/global/networks", "auto")
    assert len(made["subnetworks"]) == len((await rest.ok("GET", f"{HOME}/regions"))["items"])
    assert (await rest.ok("GET", f"{REGION}/subnetworks/auto"))["ipCidrRange"] == "10.128.0.0/20"
    assert "error" not in await rest.ok("DELETE", f"{HOME}/global/networks/auto")
    assert (await rest.ok("GET", f"{HOME}/aggregated/subnetworks"))["items"] == {}


async def test_default_routes_are_found_by_filter_and_deleted(rest: Rest, insert: Insert) -> None:
    made = await network(insert)
    query = f"?filter=(network=%22{made['selfLink']}%22)%20AND%20(destRange=%220.0.0.0/0%22)"
    (found,) = (await rest.ok("GET", f"{HOME}/global/routes{query}"))["items"]
    name = found["selfLink"].rpartition("/")[2]
    await rest.ok("DELETE", f"{HOME}/global/routes/{name}")
    assert (await rest.ok("GET", f"{HOME}/global/routes{query}"))["items"] == []


@pins(
    "infrastructure",
    "Networks",
    "A private connection needs a range that was reserved for it in its network, and keeps the network in use",
    documented="Service Networking v1",
)
async def test_a_private_connection_rests_on_a_reserved_range(rest: Rest, insert: Insert) -> None:
    await network(insert)
    vpc = "projects/sluice-local/global/networks/vpc"
    sent = {"network": vpc, "reservedPeeringRanges": ["google"]}
    assert (await rest("POST", CONNECTIONS, sent))[0] == 400
    reserved = {"addressType": "INTERNAL", "purpose": "VPC_PEERING", "prefixLength": 16, "network": vpc}
    made = await insert(f"{HOME}/global/addresses", "google", **reserved)
    assert ranges.Network(f"{made['address']}/16").subnet_of(ranges.PRIVATE)
    assert (await rest.ok("POST", CONNECTIONS, sent))["done"]
    (found,) = (await rest.ok("GET", f"{CONNECTIONS}?network={vpc}"))["connections"]
    assert found["peering"] == "servicenetworking-googleapis-com"
    assert found["reservedPeeringRanges"] == ["google"]
    assert (await rest("POST", CONNECTIONS, sent))[0] == 409
    await insert(f"{HOME}/global/addresses", "more", **reserved)
    both = {"network": vpc, "reservedPeeringRanges": ["more"]}
    assert (await rest("PATCH", f"{CONNECTIONS}/-", both))[0] == 400
    await rest.ok("PATCH", f"{CONNECTIONS}/-?force=true", both)
    for name in ("google", "more"):
        await rest.ok("DELETE", f"{HOME}/global/addresses/{name}")
    used = (await rest.ok("DELETE", f"{HOME}/global/networks/vpc"))["error"]["errors"][0]
    assert used["code"] == "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
    path = f"{CONNECTIONS}/servicenetworking-googleapis-com"
    await rest.ok("DELETE", path, {"consumerNetwork": vpc})
    assert await rest.ok("GET", f"{CONNECTIONS}?network={vpc}") == {}
    assert "error" not in await rest.ok("DELETE", f"{HOME}/global/networks/vpc")


@pins("infrastructure", "Networks", "A NAT is a field of its router and names subnetworks of its network",
      documented="Compute v1, routers")  # fmt: skip
async def test_a_nat_is_patched_into_its_router(rest: Rest, insert: Insert) -> None:
    vpc = await network(insert)
    made = await insert(f"{REGION}/subnetworks", "one", network=vpc["selfLink"], ipCidrRange="10.0.0.0/20")
    await insert(f"{REGION}/routers", "router", network=vpc["selfLink"], bgp={"asn": 64514})
    nat = {
        "name": "nat",
        "natIpAllocateOption": "AUTO_ONLY",
        "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
        "subnetworks": [{"name": made["selfLink"], "sourceIpRangesToNat": ["ALL_IP_RANGES"]}],
    }
    await rest.ok("PATCH", f"{REGION}/routers/router", {"nats": [nat]})
    assert (await rest.ok("GET", f"{REGION}/routers/router"))["nats"][0].items() >= nat.items()
    in_use = (await rest.ok("DELETE", f"{REGION}/subnetworks/one"))["error"]["errors"][0]["message"]
    assert "is already being used by 'projects/sluice-local/regions/us-central1/routers/router'" in in_use
    wrong = [
        nat | {"subnetworks": []},
        nat | {"natIpAllocateOption": "MANUAL_ONLY"},
        nat | {"subnetworks": [{"name": f"{made['selfLink']}-no"}]},
    ]
    for one in wrong:
        assert (await rest("PATCH", f"{REGION}/routers/router", {"nats": [one]}))[0] in (400, 404)
    await rest.ok("PATCH", f"{REGION}/routers/router", {"nats": []})
    assert "nats" not in await rest.ok("GET", f"{REGION}/routers/router")
    assert "error" not in await rest.ok("DELETE", f"{REGION}/subnetworks/one")


async def test_permissions_are_asked_for(cloud: Cloud, as_account: Callable[[str], Rest]) -> None:
    status, answer = await as_account("nobody-here")("GET", f"{HOME}/global/networks")
    assert status == 403
    assert "compute.networks.list" in answer["error"]["message"]


async def test_lists_come_in_pages(rest: Rest, insert: Insert) -> None:
    for name in ("a", "b", "c"):
        await network(insert, name)
    first = await rest.ok("GET", f"{HOME}/global/networks?maxResults=2")
    rest_of = await rest.ok("GET", f"{HOME}/global/networks?maxResults=2&pageToken={first['nextPageToken']}")
    assert [one["name"] for one in first["items"] + rest_of["items"]] == ["a", "b", "c"]


@settings(deadline=None)
@given(st.lists(st.integers(9, 29), max_size=20), st.integers(9, 29))
def test_a_free_range_is_free(lengths: list[int], wanted: int) -> None:
    taken: list[ranges.Network] = []
    for length in lengths:
        found = ranges.free(length, taken)
        if found is not None:
            assert not any(found.overlaps(one) for one in [*taken, ranges.AUTO])
            taken.append(found)
    found = ranges.free(wanted, taken)
    assert found is None or not any(found.overlaps(one) for one in taken)


@settings(deadline=None)
@given(st.text(max_size=20) | st.ip_addresses(v=4).map(lambda ip: f"{ip}/16"))
def test_what_is_no_range_is_refused_and_never_an_error_of_ours(text: str) -> None:
    with suppress(ApiError):
        assert ranges.parse(text, "ipCidrRange").prefixlen == 16
