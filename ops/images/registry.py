"""A client of registries: pushes an image blob by blob, and pulls one by its digest.

Owns the distribution protocol as far as that needs it. What is there already is not sent again, so that a push that
broke off goes on where it was; a manifest is sent when all that it names is there. Whoever pushes is credentials.py's.
Sources: the OCI distribution specification 1.1, the distribution project's token authentication.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.errors import BadUsage, OpsError
from ops.images import credentials
from ops.images.layout import INDEX, MANIFEST, Artifact
from ops.images.tree import digest

#: How often a request that broke off or was answered 429 or 5xx is made again, and how long after: 1, 2, 4 s.
TRIES = 4
DOCKERS = ("application/vnd.docker.distribution.manifest.v2+json",
           "application/vnd.docker.distribution.manifest.list.v2+json")  # fmt: skip
LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")
REFERENCE = re.compile(
    r"(?P<host>[a-z0-9.\[\]:-]+)/(?P<name>[a-z0-9._/-]+)(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class RegistryRefused(OpsError):
    """A registry answered with an error."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An image's name at a registry."""

    host: str
    name: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """HOST/NAME[:TAG][@DIGEST]."""
        match = REFERENCE.fullmatch(text)
        if match is None or not re.search(r"[.:]|^localhost$", match["host"]):
            raise BadUsage(
                f"{text!r} is no image at a registry",
                why="it says where the image goes: HOST/PATH, with a :TAG if one is wanted",
                fix="REGION-docker.pkg.dev/PROJECT/sluice/services; a local cloud's: 127.0.0.1:PORT/PROJECT/REPO/IMAGE",
            )
        return cls(host=match["host"], name=match["name"], tag=match["tag"] or "", digest=match["digest"] or "")

    @property
    def path(self) -> str:
        """Without tag and digest."""
        return f"{self.host}/{self.name}"


@dataclass(kw_only=True)
class Registry:
    """One image's name at a registry, and who speaks to it."""

    reference: Reference
    say: Callable[[str], None]
    pause: Callable[[float], None] = time.sleep
    _authorization: str = field(default="", repr=False)

    def push(self, artifact: Artifact, tag: str = "") -> None:
        """Send what is missing of an image or of what is about one; by its digest, and by a tag where one is wanted."""
        for name, data in artifact.blobs.items():
            if self._ask("HEAD", f"blobs/{name}", expected=(200, 302, 307, 404))[0] != 404:
                self.say(f"{name[:19]} is there")
                continue
            self._send(name, data)
            self.say(f"{name[:19]} {len(data) / 1e6:.1f} MB")
        headers = {"Content-Type": MANIFEST}
        for reference in filter(None, (artifact.digest, tag)):
            self._ask("PUT", f"manifests/{reference}", artifact.manifest, headers, expected=(200, 201))

    def manifest(self, reference: str) -> bytes:
        """A manifest, or an index of several."""
        _, _, body = self._ask(
            "GET", f"manifests/{reference}", headers={"Accept": ", ".join((MANIFEST, INDEX, *DOCKERS))}
        )
        return self._checked(reference, body)

    def blob(self, name: str) -> bytes:
        """A blob."""
        return self._checked(name, self._ask("GET", f"blobs/{name}")[2])

    def _checked(self, name: str, body: bytes) -> bytes:
        if name.startswith("sha256:") and digest(body) != name:
            raise RegistryRefused(f"{self.reference.path}@{name} has another digest than its name")
        return body

    def _send(self, name: str, data: bytes) -> None:
        """One upload in one piece; a session that broke off is begun anew."""
        for left in reversed(range(TRIES)):
            _, headers, _ = self._ask("POST", "blobs/uploads/", b"", expected=(202,))
            where = urllib.parse.urljoin(self._url("blobs/uploads/"), headers["location"])
            where += f"{'&' if '?' in where else '?'}digest={name}"
            try:
                kind = {"Content-Type": "application/octet-stream"}
                self._ask("PUT", where, data, kind, expected=(201,), tries=1)
                return
            except RegistryRefused:
                if not left:
                    raise
                self.pause(2.0 ** (TRIES - 1 - left))

    def _url(self, path: str) -> str:
        scheme = "http" if LOOPBACK.fullmatch(self.reference.host) else "https"
        return f"{scheme}://{self.reference.host}/v2/{self.reference.name}/{path}"

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        expected: tuple[int, ...] = (200,),
        tries: int = TRIES,
    ) -> tuple[int, Mapping[str, str], bytes]:
        url = path if "://" in path else self._url(path)
        for left in reversed(range(tries)):
            status, said, answer = self._once(method, url, body, headers or {})
            if status == 401 and (challenge := said.get("www-authenticate", "")):
                self._authorization = self._authorized(challenge)
                status, said, answer = self._once(method, url, body, headers or {})
            if status in expected:
                return status, said, answer
            if not left or (status and status != 429 and status < 500):
                raise self._refused(method, url, status, answer)
            self.pause(2.0 ** (tries - 1 - left))
        raise AssertionError("every way out is above")

    def _once(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request; status 0 where nobody answered."""
        request = urllib.request.Request(url, data=body, method=method, headers=dict(headers))
        if self._authorization and urllib.parse.urlsplit(url).netloc == self.reference.host:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with _opener.open(request, timeout=300) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            return 0, {}, str(getattr(error, "reason", error)).encode()

    def _authorized(self, challenge: str) -> str:
        """What a registry's challenge asks for: a token of its own, or the credentials themselves."""
        kind, _, rest = challenge.partition(" ")
        known = credentials.basic(self.reference.host)
        if kind.lower() == "basic":
            return f"Basic {known}"
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if "realm" not in asked:
            raise RegistryRefused(f"{self.reference.host} asks for {challenge!r}, which is not known here")
        query = {"service": asked.get("service", ""), "scope": f"repository:{self.reference.name}:pull,push"}
        request = urllib.request.Request(f"{asked['realm']}?{urllib.parse.urlencode(query)}")
        if known:
            request.add_unredirected_header("Authorization", f"Basic {known}")
        try:
            with _opener.open(request, timeout=60) as answer:
                found = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise RegistryRefused(
                f"{self.reference.host} gives no token: {error}",
                why="an image is pushed as somebody who may write to the repository",
                fix=f"gcloud auth application-default login, docker login {self.reference.host}, or "
                f"{credentials.TOKEN}=$(gcloud auth print-access-token)",
            ) from error
        return f"Bearer {found.get('token') or found.get('access_token')}"

    def _refused(self, method: str, url: str, status: int, body: bytes) -> RegistryRefused:
        text = body.decode(errors="replace").strip()
        try:
            first = json.loads(text)["errors"][0]
            text = f"{first.get('code', '')} {first.get('message', '')}".strip()
        except (ValueError, KeyError, IndexError, TypeError):
            text = text.splitlines()[0][:200] if text else "no word"
        fixes = {
            401: f"gcloud auth application-default login, or docker login {self.reference.host}",
            403: "grant roles/artifactregistry.writer on the repository to whoever pushes",
            404: "make the repository first: pulumi up of the foundation does (docs/deploy.md)",
            0: f"check that {self.reference.host} is reached from here",
        }
        said = f"was answered {status}: {text}" if status else f"was not answered: {text}"
        why = "a push that broke off goes on where it was: what the registry has is not sent again"
        return RegistryRefused(f"{method} {url} {said}", why=why, fix=fixes.get(status, "run the command again"))


class _Opener(urllib.request.ProxyHandler):
    """The proxies of the environment, but never for loopback."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> object:
        if LOOPBACK.fullmatch(req.host):
            return None
        return super().proxy_open(req, proxy, type)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To where blobs lie, for reading: urllib would follow a question (HEAD) by fetching the whole blob."""

    def redirect_request(self, req: urllib.request.Request, *rest: Any, **named: Any) -> urllib.request.Request | None:
        return None if req.get_method() == "HEAD" else super().redirect_request(req, *rest, **named)


_opener = urllib.request.build_opener(_Opener(), _Redirects())
