"""``gcp:compute``: the parts of a load balancer with Cloud Armor, which are planned here and applied by Pulumi alone.

Inputs are the provider's as its SDK has them; what forces a replacement follows Google's reference of each method.
"""

from __future__ import annotations

from typing import ClassVar

from ..previewed_type import PreviewedType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, number, required, text, texts

_RANGES = block({"srcIpRanges": texts()})
_MATCH = {"versionedExpr": text(), "config": _RANGES, "expr": block({"expression": text(required=True)})}
_LIMIT = {
    "conformAction": text(),
    "exceedAction": text(),
    "enforceOnKey": text(),
    "rateLimitThreshold": block({"count": integer(required=True), "intervalSec": integer(required=True)}),
}
_RULE = {
    "action": text(required=True),
    "description": text(),
    "match": block(_MATCH, required=True),
    "preview": flag(),
    "priority": integer(required=True),
    "rateLimitOptions": block(_LIMIT),
}


class NetworkEndpointGroup(PreviewedType):
    """A Cloud Run service as a backend; nothing of one can change."""

    token = "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup"
    path = "projects/{project}/regions/{region}/networkEndpointGroups/{name}"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "region": required(name_part()),
        "cloudRun": block({"service": text(replaces=True), "tag": text(replaces=True)}, replaces=True),
        "networkEndpointType": text(replaces=True),
    }


class SecurityPolicy(PreviewedType):
    """A policy of Cloud Armor."""

    token = "gcp:compute/securityPolicy:SecurityPolicy"
    path = "projects/{project}/global/securityPolicies/{name}"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "description": text(),
        "labels": labels(),
        "rules": blocks(_RULE),
    }


class BackendService(PreviewedType):
    """What a name leads to."""

    token = "gcp:compute/backendService:BackendService"
    path = "projects/{project}/global/backendServices/{name}"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "backends": blocks({"group": text(required=True)}),
        "loadBalancingScheme": text(replaces=True),
        "logConfig": block({"enable": flag(), "sampleRate": number()}),
        "protocol": text(),
        "securityPolicy": text(),
    }


class UrlMap(PreviewedType):
    """Which name leads where."""

    token = "gcp:compute/uRLMap:URLMap"
    path = "projects/{project}/global/urlMaps/{name}"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "defaultService": text(),
        "hostRules": blocks({"hosts": texts(required=True), "pathMatcher": text(required=True)}),
        "pathMatchers": blocks({"name": text(required=True), "defaultService": text()}),
    }


class ManagedCertificate(PreviewedType):
    """A certificate that Google issues and renews."""

    token = "gcp:compute/managedSslCertificate:ManagedSslCertificate"
    path = "projects/{project}/global/sslCertificates/{name}"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "managed": block({"domains": texts(required=True, replaces=True)}, replaces=True),
    }


class HttpsProxy(PreviewedType):
    """Where TLS ends."""

    token = "gcp:compute/targetHttpsProxy:TargetHttpsProxy"
    path = "projects/{project}/global/targetHttpsProxies/{name}"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "sslCertificates": texts(),
        "urlMap": text(required=True),
    }


class ForwardingRule(PreviewedType):
    """The address and port that take connections."""

    token = "gcp:compute/globalForwardingRule:GlobalForwardingRule"
    path = "projects/{project}/global/forwardingRules/{name}"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "ipAddress": text(replaces=True),
        "ipProtocol": text(replaces=True),
        "labels": labels(),
        "loadBalancingScheme": text(replaces=True),
        "portRange": text(replaces=True),
        "target": text(required=True),
    }
