"""Makes `google.pb.gz`, the FileDescriptorSet that the whole local cloud speaks by.

Run it with the folder of Google's published protos (npm `google-proto-files`) as its argument:

    npm pack google-proto-files && tar xf google-proto-files-*.tgz
    python local_cloud/descriptors/build.py package

It needs grpcio-tools, which is a development dependency; running the cloud needs only the file it makes.
`overlay/*.proto` holds what a service has today and the published protos lack; it is merged in here.
"""

import gzip
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

HERE = Path(__file__).parent
OUTPUT = HERE / "google.pb.gz"

#: The services that the local cloud may ever speak: files or folders below the proto root.
SOURCES = (
    "google/api/httpbody.proto",
    "google/api/serviceusage/v1",
    "google/cloud/billing/budgets/v1",
    "google/cloud/binaryauthorization/v1/resources.proto",
    "google/cloud/binaryauthorization/v1/service.proto",
    "google/cloud/extended_operations.proto",
    "google/cloud/kms/v1/resources.proto",
    "google/cloud/kms/v1/service.proto",
    "google/cloud/location",
    "google/cloud/resourcemanager/v3",
    "google/cloud/run/v2",
    "google/cloud/scheduler/v1",
    "google/cloud/secretmanager/v1",
    "google/cloud/sql/v1beta4",
    "google/cloud/tasks/v2",
    "google/devtools/artifactregistry/v1",
    "google/iam/admin/v1",
    "google/iam/credentials/v1",
    "google/iam/v1",
    "google/logging/v2",
    "google/longrunning",
    "google/monitoring/dashboard/v1",
    "google/monitoring/v3",
    "google/pubsub/v1",
    "google/rpc/code.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
)


def compile_protos(root: Path) -> descriptor_pb2.FileDescriptorSet:
    """All sources with what they import, in dependency order, without comments."""
    names: list[str] = []
    for source in SOURCES:
        path = root / source
        names += [source] if path.is_file() else sorted(str(f.relative_to(root)) for f in path.rglob("*.proto"))
    return _protoc([root], [n for n in names if "/logging/" not in n or n.startswith("google/logging/")])


def _protoc(roots: list[Path], names: list[str]) -> descriptor_pb2.FileDescriptorSet:
    import grpc_tools  # type: ignore[import-untyped]
    from grpc_tools import protoc

    include = [*roots, Path(grpc_tools.__file__).parent / "_proto"]
    with tempfile.NamedTemporaryFile() as out:
        flags = [*(f"-I{path}" for path in include), "--include_imports", f"--descriptor_set_out={out.name}"]
        if protoc.main(["protoc", *flags, *names]) != 0:
            raise SystemExit("protoc refused the protos; see its message above.")
        return descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())


def merge_overlay(base: descriptor_pb2.FileDescriptorSet, root: Path, overlay: Path) -> None:
    """Adds to the overlay's package what the base lacks, in the file that has the package's service."""
    extra = next(f for f in _protoc([overlay.parent, root], [overlay.name]).file if f.name == overlay.name)
    files = [f for f in base.file if f.package == extra.package]
    messages = {m.name: (f, m) for f in files for m in f.message_type}
    enums = {e.name for f in files for e in f.enum_type}
    services = {s.name: (f, s) for f in files for s in f.service}
    # Old messages that get a field of a new type move to the service's file too: so no two files import each other.
    home = next(f for f, _ in services.values())
    for message in extra.message_type:
        if message.name not in messages:
            home.message_type.add().CopyFrom(message)
            continue
        file, known = messages[message.name]
        numbers = {field.number for field in known.field}
        new = [field for field in message.field if field.number not in numbers]
        known.field.extend(new)
        if new and file is not home:
            _move(home, file)
    home.enum_type.extend(e for e in extra.enum_type if e.name not in enums)
    for service in extra.service:
        known_service = services[service.name][1]
        names = {m.name for m in known_service.method}
        known_service.method.extend(m for m in service.method if m.name not in names)
    home.dependency.extend(d for d in extra.dependency if d not in home.dependency)


def _move(home: descriptor_pb2.FileDescriptorProto, file: descriptor_pb2.FileDescriptorProto) -> None:
    """Moves all of `file` into `home`, so that the two may refer to each other."""
    home.message_type.extend(file.message_type)
    home.enum_type.extend(file.enum_type)
    del file.message_type[:], file.enum_type[:]
    home.dependency.extend(d for d in file.dependency if d not in home.dependency)
    if file.name in home.dependency:
        home.dependency.remove(file.name)
    del file.dependency[:]


def main() -> None:
    """Compiles, merges, writes."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    root = Path(sys.argv[1]).resolve()
    base = compile_protos(root)
    for overlay in sorted((HERE / "overlay").glob("*.proto")):
        merge_overlay(base, root, overlay)
    for file in base.file:
        file.ClearField("source_code_info")
    ordered = _sorted(base)
    data = ordered.SerializeToString(deterministic=True)
    OUTPUT.write_bytes(gzip.compress(data, 9, mtime=0))
    print(f"{OUTPUT.name}: {len(ordered.file)} files, {len(data):,} bytes, {OUTPUT.stat().st_size:,} compressed")


def _sorted(base: descriptor_pb2.FileDescriptorSet) -> descriptor_pb2.FileDescriptorSet:
    """The files in an order in which each stands after what it imports (a merge can change that order)."""
    by_name = {f.name: f for f in base.file}
    done: set[str] = set()
    out = descriptor_pb2.FileDescriptorSet()

    def visit(name: str) -> None:
        if name in done:
            return
        done.add(name)
        for dependency in by_name[name].dependency:
            visit(dependency)
        out.file.add().CopyFrom(by_name[name])

    for file in base.file:
        visit(file.name)
    return out


if __name__ == "__main__":
    main()
