"""What stands around a system: people, networks, keys, and what governs the project."""

import json

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import compute, kms, projects, serviceaccount

PROJECT, REGION = "sluice-local", "us-central1"
ISSUER = "https://token.actions.githubusercontent.com"
JWKS = {"keys": [{"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "n": "sXch", "e": "AQAB"}]}


def people(changed: bool) -> serviceaccount.Account:
    """Accounts, roles, and who acts as whom."""
    made = serviceaccount.Account(
        "worker",
        account_id="worker",
        display_name="Worker" if not changed else "Worker of payments",
        description="does the work",
    )
    role = projects.IAMCustomRole(
        "creator",
        role_id="taskCreator",
        title="Task creator" if not changed else "Creates tasks",
        description="creates tasks and nothing else",
        permissions=["cloudtasks.tasks.create"],
    )
    projects.IAMMember(
        "worker-creates",
        project=PROJECT,
        role=role.name,
        member=made.member,
        condition={"title": "until", "expression": 'request.time < timestamp("2099-01-01T00:00:00Z")'},
    )
    serviceaccount.IAMMember(
        "worker-acts", service_account_id=made.name, role="roles/iam.serviceAccountUser", member=made.member
    )
    serviceaccount.IAMBinding(
        "worker-tokens",
        service_account_id=made.name,
        role="roles/iam.serviceAccountTokenCreator",
        members=[made.member, *(["user:someone@example.com"] if changed else [])],
    )
    pool = gcp.iam.WorkloadIdentityPool(
        "ci",
        workload_identity_pool_id="ci-pool",
        display_name="CI" if not changed else "CI of payments",
        description="who deploys",
        disabled=True,
    )
    gcp.iam.WorkloadIdentityPoolProvider(
        "github",
        workload_identity_pool_id=pool.workload_identity_pool_id,
        workload_identity_pool_provider_id="github",
        display_name="GitHub",
        description="its actions",
        attribute_mapping={"google.subject": "assertion.sub", "attribute.repository": "assertion.repository"},
        attribute_condition='assertion.repository == "o/r"' if not changed else 'assertion.repository == "o/s"',
        oidc={
            "issuer_uri": ISSUER,
            "allowed_audiences": ["https://sluice.example.com"],
            "jwks_json": json.dumps(JWKS),
        },
    )
    return made


def network(changed: bool) -> None:
    """A network with a private connection and a way out."""
    net = compute.Network(
        "vpc",
        name="vpc",
        auto_create_subnetworks=False,
        description="of payments",
        routing_mode="REGIONAL" if not changed else "GLOBAL",
        mtu=1460,
    )
    subnet = compute.Subnetwork(
        "apps",
        name="apps",
        region=REGION,
        network=net.id,
        description="services",
        ip_cidr_range="10.10.0.0/20",
        private_ip_google_access=not changed,
        secondary_ip_ranges=[{"range_name": "pods", "ip_cidr_range": "10.20.0.0/16"}],
        log_config={"aggregation_interval": "INTERVAL_5_SEC", "flow_sampling": 0.25},
    )
    address = compute.GlobalAddress(
        "google",
        name="google-managed",
        address_type="INTERNAL",
        purpose="VPC_PEERING",
        prefix_length=16,
        network=net.id,
        description="for Cloud SQL",
        labels={"team": "pay" if not changed else "payments"},
    )
    more = compute.GlobalAddress(
        "more",
        name="more-managed",
        address_type="INTERNAL",
        purpose="VPC_PEERING",
        prefix_length=20,
        network=net.id,
    )
    gcp.servicenetworking.Connection(
        "private",
        network=net.id,
        service="servicenetworking.googleapis.com",
        reserved_peering_ranges=[address.name, *([more.name] if changed else [])],
        opts=pulumi.ResourceOptions(depends_on=[more]),
    )
    router = compute.Router(
        "router",
        name="router",
        region=REGION,
        network=net.id,
        description="the way out",
        bgp={"asn": 64514 if not changed else 64515, "keepalive_interval": 30},
    )
    compute.RouterNat(
        "nat",
        name="nat",
        router=router.name,
        region=REGION,
        nat_ip_allocate_option="AUTO_ONLY",
        source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
        subnetworks=[{"name": subnet.id, "source_ip_ranges_to_nats": ["ALL_IP_RANGES"]}],
        min_ports_per_vm=64 if not changed else 128,
        log_config={"enable": True, "filter": "ERRORS_ONLY"},
    )


def keys(changed: bool, worker: serviceaccount.Account) -> None:
    """A ring with a key that rotates and one that signs."""
    ring = kms.KeyRing("ring", name="ring", location=REGION)
    key = kms.CryptoKey(
        "secrets",
        name="secrets",
        key_ring=ring.id,
        purpose="ENCRYPT_DECRYPT",
        rotation_period="7776000s" if not changed else "8640000s",
        destroy_scheduled_duration="172800s",
        labels={"team": "pay"},
    )
    kms.CryptoKey(
        "payout",
        name="payout",
        key_ring=ring.id,
        purpose="ASYMMETRIC_SIGN",
        version_template={"algorithm": "EC_SIGN_SECP256K1_SHA256", "protection_level": "HSM"},
        labels={"team": "pay" if not changed else "payments"},
    )
    kms.CryptoKeyIAMMember(
        "worker-decrypts", crypto_key_id=key.id, role="roles/cloudkms.cryptoKeyDecrypter", member=worker.member
    )


def governance(changed: bool, worker: serviceaccount.Account) -> None:
    """APIs, what is logged, what may run, what may be spent, where images lie."""
    projects.Service("engine", service="appengine.googleapis.com", disable_on_destroy=changed)
    projects.ServiceIdentity("pubsub", service="pubsub.googleapis.com", project=PROJECT)
    projects.IAMAuditConfig(
        "audit",
        project=PROJECT,
        service="allServices",
        audit_log_configs=[
            {"log_type": "ADMIN_READ"},
            {"log_type": "DATA_READ", "exempted_members": ["user:a@example.com"] if not changed else []},
        ],
    )
    gcp.binaryauthorization.Policy(
        "images",
        description="images of our own" if not changed else "our images",
        global_policy_evaluation_mode="ENABLE",
        admission_whitelist_patterns=[{"name_pattern": "us-docker.pkg.dev/sluice/*"}],
        cluster_admission_rules=[
            {
                "cluster": "us-central1-a.main",
                "evaluation_mode": "ALWAYS_DENY",
                "enforcement_mode": "DRYRUN_AUDIT_LOG_ONLY",
            }
        ],
        default_admission_rule={
            "evaluation_mode": "ALWAYS_ALLOW",
            "enforcement_mode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
        },
    )
    gcp.billing.Budget(
        "spend",
        billing_account="000000-111111-222222",
        display_name="payments",
        amount={"specified_amount": {"currency_code": "USD", "units": "500" if not changed else "700"}},
        budget_filter={
            "projects": ["projects/123456789012"],
            "calendar_period": "QUARTER",
            "credit_types_treatment": "EXCLUDE_ALL_CREDITS",
            "labels": {"team": "pay"},
        },
        threshold_rules=[
            {"threshold_percent": 0.5},
            {"threshold_percent": 1.0, "spend_basis": "FORECASTED_SPEND"},
        ],
    )
    images = gcp.artifactregistry.Repository(
        "images",
        repository_id="images",
        location=REGION,
        format="DOCKER",
        description="services" if not changed else "services and jobs",
        labels={"team": "pay"},
        docker_config={"immutable_tags": True},
    )
    gcp.artifactregistry.RepositoryIamMember(
        "worker-reads",
        repository=images.name,
        location=REGION,
        role="roles/artifactregistry.reader",
        member=worker.member,
    )
    bucket = gcp.storage.Bucket(
        "rollouts",
        name="sluice-rollouts",
        location="US-CENTRAL1",
        storage_class="STANDARD",
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        force_destroy=True,
        labels={"team": "pay"},
        versioning={"enabled": not changed},
        lifecycle_rules=[
            {
                "action": {"type": "Delete"},
                "condition": {"age": 30, "with_state": "ARCHIVED", "matches_prefixes": ["old/"]},
            }
        ],
        cors=[{"origins": ["https://example.com"], "methods": ["GET"], "max_age_seconds": 60}],
        soft_delete_policy={"retention_duration_seconds": 604800},
    )
    gcp.storage.BucketObject(
        "record",
        name="record.json",
        bucket=bucket.name,
        content='{"percent":10}' if not changed else '{"percent":25}',
        content_type="application/json",
        cache_control="no-store",
    )
    gcp.storage.BucketIAMMember(
        "worker-writes", bucket=bucket.name, role="roles/storage.objectUser", member=worker.member
    )
