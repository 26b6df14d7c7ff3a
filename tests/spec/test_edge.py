"""`sluice:edge`: only where it can stand, only for doors, and nothing that would shut everybody out unsaid."""

from __future__ import annotations

import pytest

from spec import load
from spec.edge import CERTIFICATES
from tests.spec.conftest import GCWEBHOOK, PROD, PROD_CONFIG, ROOT, Project


def give(project: Project, edge: str) -> None:
    project.write(PROD, f"{PROD_CONFIG}  sluice:edge: {edge}\n")


def test_a_domain_is_enough(project: Project) -> None:
    give(project, "{domain: pay.example.com}")
    assert project.findings() == ()


@pytest.mark.parametrize(
    ("edge", "what"),
    [
        ("{domain: https://pay.example.com}", "does not have the right form"),
        ("{domain: pay.example.com, armor: {rate_per_minute: 0}}", "0 is below 1"),
        ("{domain: pay.example.com, armor: {waf: yes}}", ""),
        ("{domain: pay.example.com, armor: {allow: {gcwebhook: [10.0.0.1/8]}}}", "'10.0.0.1/8' is no range"),
        ("{domain: pay.example.com, armor: {allow: {gcsplit: [203.0.113.0/24]}}}", "gcsplit has no public paths"),
        ("{domain: pay.example.com, armor: {only: [gcwebhook]}}", "allow has no addresses for gcwebhook"),
    ],
)
def test_what_google_or_sense_would_refuse_is_refused(project: Project, edge: str, what: str) -> None:
    give(project, edge)
    found = project.only_error()
    assert what in found.what
    assert found.where.line == 7


def test_a_door_that_is_called_directly_cannot_stand_behind_it(project: Project) -> None:
    give(project, "{domain: pay.example.com}")
    project.replace("service_code/gcsplit/service.yaml", "handles:", "public: [/door]\nhandles:")
    assert any("may be called directly" in found.what for found in project.errors())


def test_a_limit_of_bodies_is_for_public_paths_alone_and_has_a_ceiling(project: Project) -> None:
    file = "service_code/gchostpay4/service.yaml"
    project.replace(file, "max_body: 512KiB", "max_body: 2MiB")
    assert "2MiB is above 1MiB" in project.only_error().what
    project.replace(file, "max_body: 2MiB", "max_body: 64 KB")
    assert "does not have the right form" in project.only_error().what
    project.replace(file, "max_body: 64 KB", "max_body: 128KiB")
    project.replace("service_code/gchostpay2/service.yaml", "handles:", "max_body: 128KiB\nhandles:")
    assert "there is no public path" in project.only_error().what


def test_more_doors_than_a_proxy_takes_certificates_are_refused(project: Project) -> None:
    give(project, "{domain: pay.example.com}")
    first_line = (ROOT / GCWEBHOOK).read_text().partition("\n")[0]
    door = f"{first_line}\ndescription: A door.\npublic: [/door]\nlint: {{SL305: one more partner posts here}}\n"
    there = sum(bool(service.public) for service in load(ROOT).services.values())
    for number in range(there, CERTIFICATES):
        project.write(f"service_code/door-of-{number}/service.yaml", door)
    assert project.findings() == ()
    project.write("service_code/door-of-more/service.yaml", door)
    assert f"{CERTIFICATES + 1} services have public paths" in project.only_error().what
