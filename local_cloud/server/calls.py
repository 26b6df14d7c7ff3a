"""What every call goes through, whichever door and wire it came by: credentials, permission, handler, disk.

Owns the order of these and the wording of refusals for credentials (as Google's front end gives them).
"""

import traceback
from collections.abc import Awaitable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError, error_info
from local_cloud.identity import AccessToken
from local_cloud.registry import Binding, Call, Door, Principal

MISSING = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
INVALID = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


def authenticate(cloud: Cloud, door: Door, metadata: Mapping[str, str], api: str = "") -> Principal:
    """Who calls. At the owner's door, what is no token of ours is the owner's; an expired one of ours is refused."""
    kind, _, token = metadata.get("authorization", "").partition(" ")
    found = cloud.identity.verify_access_token(token.strip()) if kind.lower() == "bearer" else None
    if found is None and token.count(".") == 2 and kind.lower() == "bearer":
        found = _self_signed(cloud, token.strip())
    if found is None:
        if door is Door.OWNER:
            return cloud.owner
        reason = "ACCESS_TOKEN_TYPE_UNSUPPORTED" if token else "CREDENTIALS_MISSING"
        raise _unauthenticated(INVALID if token else MISSING, reason, api)
    if found.expires <= cloud.now():
        raise _unauthenticated(INVALID, "ACCESS_TOKEN_EXPIRED", api)
    if found.member == cloud.owner.member:
        return cloud.owner
    email = found.member.partition(":")[2]
    if email.endswith(f"@{cloud.iam.accounts.domain}"):
        account = cloud.iam.accounts.find(email)
        if account is None or account.disabled:
            state = "was deleted" if account is None else "is disabled"
            raise _unauthenticated(f"{INVALID} The service account {email} {state}.", "ACCOUNT_STATE_INVALID", api)
    if found.member.startswith("principal://") and not _trusted(cloud, found.member):
        text = f"{INVALID} The workload identity pool of {found.member} is disabled or was deleted."
        raise _unauthenticated(text, "ACCOUNT_STATE_INVALID", api)
    return Principal(found.member, sets=found.sets)


def _trusted(cloud: Cloud, member: str) -> bool:
    from local_cloud.iam.pools import Pools  # what few clouds use is not loaded at their start

    return cloud.use(Pools).trusts(member)


def _self_signed(cloud: Cloud, token: str) -> AccessToken | None:
    """A JWT that a service account's key has signed counts as its access token (google.auth does so for gRPC)."""
    from local_cloud.iam.keys import timely, verify_assertion

    claims = verify_assertion(cloud, token)
    if claims is None or "sub" not in claims or not timely(cloud, claims):
        return None
    return AccessToken(f"serviceAccount:{claims['iss']}", cloud.now() + 1, ())


def _unauthenticated(text: str, reason: str, api: str) -> ApiError:
    metadata = {"service": api} if api else {}
    return ApiError("UNAUTHENTICATED", text, error_info(reason, "googleapis.com", metadata))


def admit(cloud: Cloud, door: Door, binding: Binding, request: Any, metadata: Mapping[str, str]) -> Call:
    """Checks a call before its handler sees it."""
    if binding.handler is None:
        raise unimplemented(binding)
    if binding.owner_only and door is not Door.OWNER:
        raise ApiError("NOT_FOUND", f"{binding.name} is served at the owner's door only.")
    principal = Principal("") if binding.public else authenticate(cloud, door, metadata, binding.api.host)
    if binding.api.host in cloud.disabled:
        raise cloud.disabled[binding.api.host]()
    if cloud.refuses is not None:
        cloud.refuses(binding, metadata)
    streamed = binding.method is not None and binding.method.client_streaming
    if binding.resource is not None and not streamed:  # a stream's handler asks for itself, on its first message
        resource = binding.resource(request)
        if binding.names is not None and not binding.names.fullmatch(resource):
            metadata_of = {"service": binding.api.host, "method": binding.name}
            info = error_info("RESOURCE_PROJECT_INVALID", "googleapis.com", metadata_of)
            raise ApiError("INVALID_ARGUMENT", "Invalid resource field value in the request.", info)
        canonical = cloud.canonical(resource)
        if resource != canonical and binding.method is not None and not resource.startswith("projects/-/"):
            _rename(request, resource, canonical)
        if binding.permission is not None:
            cloud.iam.require(principal, binding.permission, canonical, binding.api.refusal(binding, canonical))
    return Call(principal, door, binding.name, metadata, cloud.now())


def _rename(request: Any, old: str, new: str) -> None:
    """Puts the project's id where the caller gave its number, in the message's own name fields."""
    for field, value in request.ListFields():
        if value == old:
            setattr(request, field.name, new)
        elif field.message_type is not None and not field.is_repeated and getattr(value, "name", None) == old:
            value.name = new


class Unary:
    """One unary call: what its handler changes may go to disk together with what others change.

    First `handle`, then the wait for the disk, then `end`, which tells the API's observer and lets the clock move on.
    """

    __slots__ = ("_binding", "_busy", "_cloud", "_request")

    def __init__(self, cloud: Cloud, binding: Binding, request: Any) -> None:
        self._cloud = cloud
        self._binding = binding
        self._request = request
        self._busy: AbstractContextManager[None] | None = None

    async def handle(self, door: Door, metadata: Mapping[str, str]) -> Any:
        """The handler's answer, which nobody may see before `on_disk`."""
        cloud, binding = self._cloud, self._binding
        call = admit(cloud, door, binding, self._request, metadata)
        assert binding.handler is not None
        if not binding.owner_only and not binding.waits:
            busy = self._busy = cloud.clock.busy(binding.name)
            busy.__enter__()
        return await binding.handler(cloud, call, self._request)

    def end(self, code: str) -> None:
        """It is over, with this code."""
        if self._busy is not None:
            self._busy.__exit__(None, None, None)
        if self._binding.api.observer is not None:
            self._binding.api.observer(self._cloud, self._binding, self._request, code)


def on_disk(cloud: Cloud) -> Awaitable[None] | None:
    """What is to be waited for before an answer; None when all that was changed is on disk."""
    return cloud.store.committed() if cloud.store.pending else None


async def invoke(cloud: Cloud, door: Door, binding: Binding, request: Any, metadata: Mapping[str, str]) -> Any:
    """Answers a unary call; the answer is not given before all that was changed is on disk."""
    unary, code = Unary(cloud, binding, request), "INTERNAL"
    try:
        result = await unary.handle(door, metadata)
        if (wait := on_disk(cloud)) is not None:
            await wait
        code = "OK"
    except ApiError as error:
        code = error.code
        raise
    finally:
        unary.end(code)
    return result


def unimplemented(binding: Binding) -> ApiError:
    """Names the method and the file to add it to."""
    api = binding.api
    method = binding.method.name if binding.method else binding.name
    return ApiError(
        "UNIMPLEMENTED",
        f"{binding.name} is not emulated by the local cloud. To add it, declare "
        f'@API.rpc("{method}") in local_cloud/apis/{api.module or api.name}.py.',
    )


def internal(cloud: Cloud, binding: Binding, error: Exception) -> ApiError:
    """An error of our own: logged with its trace, told without."""
    cloud.log.event("ERROR", f"{binding.name} failed: {error!r}", trace="".join(traceback.format_exception(error)))
    return ApiError("INTERNAL", "Internal error encountered.")
