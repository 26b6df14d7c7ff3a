"""Service accounts as principals: what exists, what was deleted, and their tokens' identity.

The IAM API (apis/iam.py) speaks the wire; this is what IAM, the metadata server and Cloud Tasks ask.
"""

import secrets
from typing import TYPE_CHECKING

from local_cloud.descriptors import Message, message
from local_cloud.errors import not_found

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

KIND = "google.iam.admin.v1.ServiceAccount"
KEY = "google.iam.admin.v1.ServiceAccountKey"

#: A deleted account can be undeleted for 30 days.
UNDELETE_SECONDS = 30 * 86400


class Accounts:
    """The project's service accounts by e-mail."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self._kept = cloud.store.messages("iam.accounts", KIND)
        self._deleted = cloud.store.messages("iam.accounts.deleted", KIND)
        self._deleted_at = cloud.store.json("iam.accounts.deleted_at")
        self._keys = cloud.store.messages("iam.keys", KEY)
        #: Keys of deleted accounts, by unique id: a successor of the same name gets none of them.
        self._deleted_keys = cloud.store.messages("iam.keys.deleted", KEY)

    @property
    def domain(self) -> str:
        """What the project's account e-mails end with."""
        return f"{self._cloud.project}.iam.gserviceaccount.com"

    def name(self, email: str) -> str:
        """The resource name of an account."""
        return f"projects/{self._cloud.project}/serviceAccounts/{email}"

    def all(self) -> list[Message]:
        """Every account, in the order of creation."""
        return self._kept.values()

    def find(self, key: str) -> Message | None:
        """By e-mail, unique id, resource name or "serviceAccount:" member."""
        key = key.removeprefix("serviceAccount:").rpartition("/")[2]
        if found := self._kept.get(key):
            return found
        if key.isdigit():
            return next((a for a in self._kept.values() if a.unique_id == key), None)
        return None

    def get(self, key: str) -> Message:
        """As find, with the API's own NOT_FOUND."""
        found = self.find(key)
        if found is None:
            raise not_found(f"Not found; Gaia id not found for email {key.rpartition('/')[2]}")
        return found

    def create(self, account_id: str, given: Message) -> Message:
        """A new account; the API has checked its id."""
        email = f"{account_id}@{self.domain}"
        unique_id = "1" + "".join(secrets.choice("0123456789") for _ in range(20))
        account = message(KIND)(
            name=self.name(email),
            project_id=self._cloud.project,
            unique_id=unique_id,
            email=email,
            display_name=given.display_name,
            description=given.description,
            etag=b"01021920",
            oauth2_client_id=unique_id,
        )
        self._kept[email] = account
        self._cloud.iam.changed()
        return account

    def save(self, account: Message) -> None:
        """Keeps a change of an account's fields."""
        self._kept.save(account.email)
        self._cloud.iam.changed()

    def delete(self, key: str) -> None:
        """Removes an account; policies then name it as deleted, and a new one of its name gets nothing of it."""
        account = self.get(key)
        self._kept.pop(account.email)
        self._deleted[account.unique_id] = account
        self._deleted_at[account.unique_id] = self._cloud.now()
        for name, kept in self._keys.items():
            if name.startswith(f"{account.name}/keys/"):
                self._keys.pop(name)
                self._deleted_keys[f"{account.unique_id} {name}"] = kept
        self._cloud.iam.rename_member(f"serviceAccount:{account.email}", deleted_member(account))

    def undelete(self, unique_id: str) -> Message:
        """Brings an account back with its bindings and keys, unless it is too late or the name is taken."""
        account = self._deleted.get(unique_id)
        late = account and self._cloud.now() - self._deleted_at[unique_id] > UNDELETE_SECONDS
        if account is None or late or account.email in self._kept:
            raise not_found(f"Service account {unique_id} does not exist or cannot be undeleted.")
        self._deleted.pop(unique_id)
        self._deleted_at.pop(unique_id)
        self._kept[account.email] = account
        for key, kept in self._deleted_keys.items():
            if key.startswith(f"{unique_id} "):
                self._deleted_keys.pop(key)
                self._keys[kept.name] = kept
        self._cloud.iam.rename_member(deleted_member(account), f"serviceAccount:{account.email}")
        return account

    def id_token(self, email: str, audience: str, *, with_email: bool = True) -> str:
        """An ID token of an account that exists."""
        account = self.get(email)
        return self._cloud.identity.id_token(account.email, account.unique_id, audience, with_email=with_email)


def deleted_member(account: Message) -> str:
    """How policies name an account that is gone."""
    return f"deleted:serviceAccount:{account.email}?uid={account.unique_id}"
