"""What is only kept, in the few places where keeping has a law of its own."""

from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

PROJECT = "projects/sluice-local"


@pins("plain", "Control planes", "A password of a database user is not kept", ours=True)
async def test_a_database_users_password_is_nowhere_after_the_call(rest: Rest) -> None:
    instances = "/sql/v1beta4/projects/sluice-local/instances"
    await rest.ok(
        "POST", instances, {"name": "pay", "databaseVersion": "POSTGRES_16", "settings": {"tier": "db-f1-micro"}}
    )
    await rest.ok("POST", f"{instances}/pay/users", {"name": "app", "password": "a-secret-word"})
    listed = await rest.ok("GET", f"{instances}/pay/users")
    assert any(user["name"] == "app" for user in listed["items"])
    assert "a-secret-word" not in str(listed)
