"""The report of an adoption: what was found, what is left alone, what the specs do otherwise, what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from local_engine.estate import Estate, Thing
from ops.adopt.entries import NOUNS, Taken
from ops.output import counted

_PREDEFINED = {
    "roles/cloudtasks.enqueuer": "it can also read payloads; the specs grant creating tasks, on one queue",
    "roles/secretmanager.secretAccessor": "it reads every secret; the specs grant each secret to its readers",
    "roles/pubsub.publisher": "it publishes to every topic; the specs grant each topic to its publishers",
    "roles/run.invoker": "it calls every service; the specs grant each service to its callers",
    "roles/editor": "it may change almost everything",
    "roles/owner": "it may change everything",
    "roles/iam.serviceAccountUser": "it acts as every account; the specs grant one invoker account",
}

NEXT = """
## What comes next

1. Import, once: `pulumi stack init {stack}`, then
   `pulumi import --file queue_configs/adopted/{stack}/import.json --stack {stack} --protect=false
   --generate-code=false --yes`.
   `pulumi preview --stack {stack}` must then change nothing, as `sluice drift --stack {stack} --folder .` finds no
   difference now. It names apart what was held back (above): that is outside on purpose, and is not to be deleted.
   Pulumi runs this folder's program with rooms of Sluice beside it: `ln -s SLUICE/spec SLUICE/components
   SLUICE/local_cloud SLUICE/.venv .`, where SLUICE is its checkout.
2. Decide on everything that was held back (above); what is put right is taken by `sluice adopt --force`.
3. Deploy the layer below (`foundation-{stack}`): it makes new things only.
4. Move edge by edge. For one queue: finish its draft of `proposals/`, put it and its services into `queue_configs/` and
   `service_code/`, and delete `queue_configs/adopted/{stack}/queue.<name>.yaml`. The preview shows the queue as an
   update of the one that stands, since its name is the same; new services and accounts stand beside the old ones.
   Where a checkout's specs declare the same names already, `queue_configs/adopted/` is copied there without those
   entries: SL140 names each.
5. What has no successor of the same name (old services, accounts, bindings): delete its entry when nobody needs it any
   more. The stack lets go of it and the cloud keeps it: delete it there by hand, as the last step.
"""


def text(project: str, stack: str, estate: Estate, taken: Taken, drafts: int) -> str:
    """The report, in Markdown."""
    counts = Counter(NOUNS[thing.type] for thing in estate.things)
    lines = [f"# {project}, taken over", ""]
    lines += [f"- {counted(number, noun)}" for noun, number in sorted(counts.items())]
    lines.append(f"- entries written: {len(taken.entries)}; drafts of specs: {drafts}")
    if taken.left_alone:
        lines.append(f"- {taken.left_alone} members of the project's policy are deleted or Google's own: left alone")
    if taken.people:
        lines.append(f"- {counted(len(taken.people), 'member')} let in by hand: listed in the stack's `sluice:people`")
    for title, found in (
        ("APIs that are not enabled, so that nothing stands there", estate.disabled),
        ("What could not be looked at", estate.unseen),
    ):
        if found:
            lines += ["", f"## {title}", "", *(f"- {one}" for one in found)]
    if taken.held:
        lines += ["", "## Held back: left as it is, outside of the stack"]
        for held in taken.held:
            lines += ["", f"**{held.what}**: {held.why}.", "", "```", held.fix, "```"]
    different = [*_of_project(estate), *(line for thing in estate.things for line in _of_thing(thing))]
    if different:
        lines += ["", "## What the specs do otherwise", "", *(f"- {line}" for line in different)]
    return "\n".join(lines) + "\n" + NEXT.format(stack=stack)


def _of_project(estate: Estate) -> Iterator[str]:
    emails = {thing.identity.rpartition("/")[2] for thing in estate.of("gcp:serviceaccount/account:Account")}
    for binding in estate.bindings:
        for member in binding.get("members", ()):
            email = member.removeprefix("serviceAccount:")
            if email in emails:
                why = _PREDEFINED.get(binding["role"], "the specs grant roles on single things")
                yield f"{email.partition('@')[0]} has {binding['role']} on the whole project: {why}"


def _of_thing(thing: Thing) -> Iterator[str]:
    noun, inputs = NOUNS[thing.type], thing.inputs
    if noun == "service":
        template = inputs["template"]
        if any("allUsers" in one["members"] for one in thing.bindings) or inputs.get("invokerIamDisabled"):
            yield f"service {thing.name}: anybody may call all of it; the specs name the public paths"
        if any("@sha256:" not in one.get("image", "") for one in template.get("containers", ())):
            yield f"service {thing.name}: its image is named by a tag, which can move; the specs name a digest"
        if not template.get("serviceAccount") or "-compute@" in template["serviceAccount"]:
            yield f"service {thing.name}: it runs as the project's default account; the specs give each its own"
        if any("LATEST" in one.get("type", "") for one in inputs.get("traffics", ())):
            yield f"service {thing.name}: traffic goes to the latest revision; the specs name the revision"
    elif noun == "queue":
        for binding in thing.bindings:
            if binding["role"] == "roles/cloudtasks.enqueuer":
                yield f"queue {thing.name}: roles/cloudtasks.enqueuer reads payloads too; the specs' role does not"
        if inputs.get("desiredState") == "PAUSED":
            yield f"queue {thing.name}: it rests; no apply resumes it, and none pauses it again once a person has"
    elif noun == "subscription" and inputs.get("expirationPolicy", {}).get("ttl"):
        yield f"subscription {thing.name}: it expires when nobody reads for {inputs['expirationPolicy']['ttl']}"
