"""Google Cloud as whoever has logged in: their own credentials, and ID tokens of accounts that they may impersonate.

Nothing of a credential is kept on disk by us, and nothing of it is shown.
"""

from __future__ import annotations

import time

from ops import rest
from ops.errors import OpsError

#: Where Google makes tokens of service accounts.
CREDENTIALS = "https://iamcredentials.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
#: An ID token is asked for anew when it is this old (they live for an hour).
TOKEN_FOR = 1800.0
LOG_IN = "gcloud auth application-default login"


class Login:
    """The caller's own credentials; OpsError where there are none, with `why` they are needed."""

    def __init__(self, stack: str, *, why: str) -> None:
        import google.auth
        import google.auth.exceptions

        try:
            self._credentials, _ = google.auth.default(scopes=[SCOPE])
        except google.auth.exceptions.DefaultCredentialsError as error:
            raise OpsError(f"there are no credentials for the stack {stack}", why=why, fix=LOG_IN) from error
        self._tokens: dict[tuple[str, str], tuple[float, str]] = {}

    def headers(self) -> dict[str, str]:
        """What shows Google's APIs who calls."""
        import google.auth.exceptions
        import google.auth.transport.requests

        if not self._credentials.valid:
            try:
                self._credentials.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
            except google.auth.exceptions.GoogleAuthError as error:
                raise OpsError(f"Google gives no token: {error}", fix=LOG_IN) from error
        return {"Authorization": f"Bearer {self._credentials.token}"}

    def id_token(self, account: str, audience: str) -> str:
        """An ID token of this account for a service."""
        kept, token = self._tokens.get((account, audience), (0.0, ""))
        if not token or time.monotonic() - kept > TOKEN_FOR:
            url = f"{CREDENTIALS}/v1/projects/-/serviceAccounts/{account}:generateIdToken"
            body = {"audience": audience, "includeEmail": True}
            token = str(rest.call("POST", url, body, headers=self.headers())["token"])
            self._tokens[account, audience] = (time.monotonic(), token)
        return token
