"""The bill of materials: what is in an image, by name, version, digest and licence, as SPDX 2.3.

Owns the document and the words for licences. Everything in it comes from the locks, the packages' own metadata and the
commit, so that one image has one bill. Google's Artifact Analysis, GitHub and the usual scanners read this format.
Sources: https://spdx.github.io/spdx-spec/v2.3/, the package URL specification, PEP 639.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import quote

from ops.images.layout import EMPTY, MANIFEST, Artifact, packed
from ops.images.tree import digest

MEDIA_TYPE = "application/spdx+json"
UNKNOWN = "NOASSERTION"
#: What packages write for the licences that SPDX knows, where they have no `License-Expression` yet.
LICENCES = {
    "mit": "MIT", "mit license": "MIT", "apache-2.0": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "apache license, version 2.0": "Apache-2.0", "apache 2": "Apache-2.0",
    "apache software license": "Apache-2.0", "bsd-3-clause": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause",
    "mpl-2.0": "MPL-2.0", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "psf-2.0": "PSF-2.0", "isc": "ISC",
    "python software foundation license": "PSF-2.0", "isc license (iscl)": "ISC",
    "the unlicense (unlicense)": "Unlicense",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something in the image."""

    name: str
    version: str
    #: Its package URL.
    purl: str
    sha256: str = ""
    licence: str = UNKNOWN
    #: What the package itself says of its licence, where that is no SPDX expression.
    said: str = ""


def python_package(name: str, version: str, sha256: str, metadata: Message) -> Part:
    """A part by a wheel's metadata."""
    expression = str(metadata.get("License-Expression") or "")
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    text = str(metadata.get("License") or "")
    known = {LICENCES[word.strip().lower()] for word in (text, *classifiers) if word.strip().lower() in LICENCES}
    licence = expression or (known.pop() if len(known) == 1 else UNKNOWN)
    said = "" if licence != UNKNOWN else "; ".join(filter(None, [text.strip().partition("\n")[0][:100], *classifiers]))
    purl = f"pkg:pypi/{name}@{_quoted(version)}"
    return Part(name=name, version=version, purl=purl, sha256=sha256, licence=licence, said=said)


def debian_package(name: str, version: str, sha256: str, control: str) -> Part:
    """A part by a Debian package's control file; its licences are in its own copyright file, as Debian keeps them."""
    fields = dict(line.split(": ", 1) for line in control.splitlines() if ": " in line and line[0] != " ")
    source = re.fullmatch(r"(\S+)(?: \((.+)\))?", fields.get("Source", name))
    upstream = f"&upstream={_quoted(source[1])}" if source and source[1] != name else ""
    where = f"arch={fields.get('Architecture', 'amd64')}&distro=debian-12{upstream}"
    purl = f"pkg:deb/debian/{_quoted(name)}@{_quoted(version)}?{where}"
    return Part(name=name, version=version, purl=purl, sha256=sha256, said=f"/usr/share/doc/{name}/copyright")


def document(image: Part, created: str, revision: str, parts: list[Part]) -> bytes:
    """The document about an image, whose version is its digest."""
    whole = "SPDXRef-image"
    code = Part(
        name="service_code", version=revision, purl=f"pkg:generic/service_code@{revision}", licence="Apache-2.0"
    )
    listed = {whole: image} | {
        f"SPDXRef-{part.purl.split('/')[0].removeprefix('pkg:')}-{_id(part.name)}": part for part in [code, *parts]
    }
    contains = [(whole, "CONTAINS", one) for one in listed if one != whole]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", whole), *contains]
    return packed(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"{image.name}@{image.version}",
            "documentNamespace": f"https://spdx.org/spdxdocs/{image.name}-{image.version.partition(':')[2]}",
            "creationInfo": {"created": created, "creators": ["Tool: sluice-image-build"]},
            "packages": [_package(one, part) for one, part in listed.items()],
            "relationships": [
                {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
                for one, kind, other in relations
            ],
        }
    )


def _package(identity: str, part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {
        "SPDXID": identity,
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": part.licence,
        "copyrightText": UNKNOWN,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": part.purl}
        ],
    }
    if part.sha256:
        found["checksums"] = [{"algorithm": "SHA256", "checksumValue": part.sha256}]
    if part.said:
        found["licenseComments"] = f"The package says: {part.said}"
    return found


def attached(bill: bytes, subject: Mapping[str, Any]) -> Artifact:
    """The bill as an artifact about the image, which registries list among the image's referrers."""
    empty = b"{}"
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": MEDIA_TYPE,
        "config": {"mediaType": EMPTY, "digest": digest(empty), "size": len(empty)},
        "layers": [{"mediaType": MEDIA_TYPE, "digest": digest(bill), "size": len(bill)}],
        "subject": {key: subject[key] for key in ("mediaType", "digest", "size")},
    }
    return Artifact(manifest=packed(value), blobs={digest(empty): empty, digest(bill): bill}, kind=MEDIA_TYPE)


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")


def _id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", lambda match: f".{ord(match[0]):x}", name)
