"""Who deploys from a pipeline: the model of `sluice:ci`, and the subjects of the tokens that GitHub gives its jobs.

Owns which repository, branch and GitHub environment may become which account. Leaves the accounts and their roles to
the components, and the workflows to .github.

Source: https://docs.github.com/en/actions/reference/security/oidc (claims and subjects) and
https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines.
"""

from __future__ import annotations

from spec.model import Model, field

#: Who signs the tokens of GitHub's jobs.
ISSUER = "https://token.actions.githubusercontent.com"


class Ci(Model):
    """The repository whose jobs are believed."""

    repository: str = field(
        ...,
        "The GitHub repository, as owner/name.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$",
        breaks="jobs of another repository, or none at all, could deploy",
        fix="write owner/name, without a host",
    )
    repository_id: str | None = field(
        None,
        "The repository's number, which a later owner of the same name does not have.",
        pattern=r"^[1-9]\d*$",
        breaks="no job would be believed",
        fix="write the number, in quotes: gh api repos/OWNER/NAME --jq .id",
    )
    branch: str = field(
        "main",
        "The branch that is deployed.",
        pattern=r"^[A-Za-z0-9._/-]+$",
        breaks="no job would be believed, or those of a branch that nobody reviews",
        fix="write a branch such as main",
    )
    state_bucket: str | None = field(
        None,
        "The bucket of Pulumi's state, which jobs read and the deployer writes.",
        pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$",
        breaks="jobs could not read the state",
        fix="write the bucket's name without gs://",
    )
    state_key: str | None = field(
        None,
        "The KMS key of Pulumi's secrets provider, by its full name.",
        pattern=r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$",
        breaks="jobs could not open what Pulumi has encrypted",
        fix="write projects/P/locations/L/keyRings/R/cryptoKeys/K",
    )

    def previews(self) -> tuple[str, ...]:
        """Return the subjects of jobs that may look: those of pull requests, and those of the branch."""
        return (f"repo:{self.repository}:pull_request", f"repo:{self.repository}:ref:refs/heads/{self.branch}")

    def deploys(self, env: str) -> str:
        """Return the subject of jobs that may deploy: those that GitHub's environment of that name has let through."""
        return f"repo:{self.repository}:environment:{env}"

    def condition(self) -> str:
        """Return what every token must fulfil (CEL): of the repository, and of a pull request or the branch.

        A job's subject names its environment in the place of its branch, so that the branch is asked for here.
        """
        of_repository = f"assertion.repository == '{self.repository}'"
        if self.repository_id:
            of_repository += f" && assertion.repository_id == '{self.repository_id}'"
        looks = f"assertion.sub == 'repo:{self.repository}:pull_request'"
        return f"{of_repository} && ({looks} || assertion.ref == 'refs/heads/{self.branch}')"
