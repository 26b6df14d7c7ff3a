"""The bill of materials: valid SPDX, complete, and the same for the same image."""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

import jsonschema
import pytest

from ops.images import sbom
from ops.images.sbom import UNKNOWN
from tests.ops.images.toy import Toy

IDENTITY = {"type": "string", "pattern": r"^SPDXRef-[A-Za-z0-9.-]+$"}
#: What SPDX 2.3 demands of a document, its packages and its relationships (clauses 6, 7 and 11 of the specification).
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo"],
    "properties": {
        "spdxVersion": {"const": "SPDX-2.3"},
        "dataLicense": {"const": "CC0-1.0"},
        "SPDXID": {"const": "SPDXRef-DOCUMENT"},
        "documentNamespace": {"type": "string", "pattern": "^https://[^#]+$"},
        "creationInfo": {
            "type": "object",
            "required": ["created", "creators"],
            "properties": {
                "created": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
                "creators": {"items": {"pattern": "^(Tool|Person|Organization): .+"}, "minItems": 1},
            },
        },
        "packages": {
            "items": {
                "type": "object",
                "required": ["SPDXID", "name", "downloadLocation"],
                "properties": {
                    "SPDXID": IDENTITY,
                    "checksums": {
                        "items": {
                            "required": ["algorithm", "checksumValue"],
                            "properties": {
                                "algorithm": {"const": "SHA256"},
                                "checksumValue": {"pattern": "^[0-9a-f]{64}$"},
                            },
                        }
                    },
                    "externalRefs": {
                        "items": {
                            "required": ["referenceCategory", "referenceType", "referenceLocator"],
                            "properties": {
                                "referenceCategory": {"const": "PACKAGE-MANAGER"},
                                "referenceType": {"const": "purl"},
                                "referenceLocator": {"pattern": r"^pkg:(oci|deb|pypi|generic)/[^ ]+@[^ ]+$"},
                            },
                        }
                    },
                },
            }
        },
        "relationships": {
            "items": {
                "required": ["spdxElementId", "relationshipType", "relatedSpdxElement"],
                "properties": {
                    "spdxElementId": IDENTITY,
                    "relationshipType": {"enum": ["DESCRIBES", "CONTAINS"]},
                    "relatedSpdxElement": IDENTITY,
                },
            }
        },
    },
}


def test_a_bill_is_valid_and_names_everything_in_the_image(toy: Toy) -> None:
    built = toy.build()
    bill = json.loads(built.bill)
    jsonschema.validate(bill, SCHEMA)
    packages = {one["name"]: one for one in bill["packages"]}
    assert set(packages) == {"services", "service_code", "libtiny", "ca-certificates", "tiny"}
    assert packages["services"]["versionInfo"] == built.image.digest
    assert packages["service_code"]["versionInfo"] == built.commit.name
    assert packages["tiny"]["licenseDeclared"] == "MIT"
    (of_debian,) = packages["libtiny"]["externalRefs"]
    assert (
        of_debian["referenceLocator"]
        == "pkg:deb/debian/libtiny@1.0?arch=amd64&distro=debian-12&upstream=libtiny-source"
    )
    assert len(packages["libtiny"]["checksums"][0]["checksumValue"]) == 64
    ids = [one["SPDXID"] for one in bill["packages"]]
    assert len(set(ids)) == len(ids)
    named = {one["relatedSpdxElement"] for one in bill["relationships"]}
    assert named == set(ids), "nothing stands beside the image"


def test_a_bill_is_attached_to_its_image(toy: Toy) -> None:
    built = toy.build()
    manifest = json.loads(built.attached.manifest)
    assert manifest["subject"] == {key: built.image.descriptor[key] for key in ("mediaType", "digest", "size")}
    assert manifest["artifactType"] == "application/spdx+json"
    assert built.attached.blobs[manifest["layers"][0]["digest"]] == built.bill


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0")], "MIT OR Apache-2.0"),
        ([("License", "Apache 2.0")], "Apache-2.0"),
        ([("License", "MIT"), ("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: BSD License")], UNKNOWN),  # which of them, it does not say
        ([("License", "MIT"), ("Classifier", "License :: A :: Apache Software License")], UNKNOWN),
        ([], UNKNOWN),
    ],
)  # fmt: skip
def test_a_licence_is_said_where_the_package_says_it_clearly(fields: list[tuple[str, str]], licence: str) -> None:
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    part = sbom.python_package("x", "1", "", metadata)
    assert part.licence == licence
    assert bool(part.said) == (licence == UNKNOWN and bool(fields))
