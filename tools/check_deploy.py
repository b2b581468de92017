"""Checks what no compiler sees: docker-compose.yml, the ECS task definition and the IAM policies.

    .venv/bin/python tools/check_deploy.py [FILE]        FILE: another compose file (its schema only)

The compose file is held against the Compose Specification's JSON Schema, which the pinned check-jsonschema package
ships as data; the task definition against the ECS API's own model in botocore. No Docker and no account is needed.
Then come the promises that a later edit could quietly break, each with its reason.
"""

import importlib.resources
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import botocore.session
import botocore.validate
import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
STATE = "/var/lib/postern"
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}


def main():
    if len(sys.argv) > 1:
        problems = [problem for path in sys.argv[1:] for problem in schema_problems(pathlib.Path(path))]
    else:
        problems = [
            *schema_problems(ROOT / "docker-compose.yml"),
            *docker_problems(),
            *compose_promises(),
            *image_problems(),
            *task_definition_problems(),
            *policy_problems(),
        ]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(f"check-deploy: {len(problems)} problems")
    print("check-deploy: ok")


# ---- docker-compose.yml --------------------------------------------------------------------------------------------


def schema_problems(path):
    shipped = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(shipped.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    # Of a choice that nothing fitted, the branch that came furthest says more than "none of these".
    errors = [jsonschema.exceptions.best_match([error]) or error for error in validator.iter_errors(read_yaml(path))]
    at = ["/" + "/".join(map(str, error.absolute_path)) for error in errors]
    for error, where in sorted(zip(errors, at), key=lambda pair: pair[1]):
        # A fault deeper down makes the fields around it "unevaluated" as well: that is an echo, not a finding.
        if error.validator == "unevaluatedProperties" and any(other.startswith(f"{where}/") for other in at):
            continue
        yield f"{path.name}: {where}: {error.message}"


def docker_problems():
    """Docker's own opinion, where its compose plugin is at hand; its absence is no problem."""
    if shutil.which("docker") is None:
        return
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        return
    done = subprocess.run(["docker", "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"docker-compose.yml: docker compose config: {done.stderr.strip()}"


def compose_promises():
    compose = read_yaml(ROOT / "docker-compose.yml")
    services = compose["services"]

    def check(holds, where, why):
        if not holds:
            yield f"docker-compose.yml: services/{where}: {why}"

    for name, service in services.items():
        for port in service.get("ports", []):
            yield from check(str(port).startswith("127.0.0.1:"), f"{name}/ports",
                             f"{port} is published beyond this machine")
        if name == "localstack":
            continue
        yield from check(service.get("read_only") is True, name, "its root file system is writable")
        yield from check(service.get("cap_drop") == ["ALL"], name, "it keeps capabilities")
        yield from check("no-new-privileges:true" in service.get("security_opt", []), name, "it may gain privileges")
        yield from check(service.get("user") == "65532:65532", name,
                         "the shared volume needs one and the same uid, 65532, on both sides")

    router, syncer = services["router"], services["syncer"]
    power = [key for key in router.get("environment", {}) if key.startswith(("AWS_", "ECS_"))]
    yield from check(not power and "env_file" not in router, "router", f"it holds AWS power: {power or 'env_file'}")
    yield from check(f"state:{STATE}:ro" in router["volumes"], "router/volumes", "the router's mount is not read-only")
    yield from check(f"state:{STATE}" in syncer["volumes"], "syncer/volumes", f"the syncer does not write to {STATE}")

    # The boundary of the seed has to allow the network the sample APIs live on, else nothing is served.
    subnet = compose["networks"]["postern"]["ipam"]["config"][0]["subnet"]
    boundary = read_yaml(ROOT / "localstack" / "boundary.yaml")
    allowed = [address for entry in boundary["destinations"] for address in entry["addresses"]]
    if subnet not in allowed:
        yield f"docker-compose.yml: networks/postern: {subnet} is not in the addresses of localstack/boundary.yaml"

    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            yield from check(not source.startswith("./") or (ROOT / source).exists(), "volumes", f"no {source}")
        dockerfile = service.get("build", {}).get("dockerfile")
        yield from check(dockerfile is None or (ROOT / dockerfile).exists(), "build", f"no {dockerfile}")


def image_problems():
    """cargo reads every member's manifest, so each has to be let into the build although only one is built."""
    members = re.search(r"members = \[(.*?)\]", (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.DOTALL)
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for member in re.findall(r'"([^"]+)"', members[1]):
        if f"!{member}" not in let_in:
            yield f".dockerignore: !{member} is missing: the images could not be built without that member"


# ---- deploy/ -------------------------------------------------------------------------------------------------------


def task_definition_problems():
    path = ROOT / "deploy" / "ecs" / "task-definition.json"
    task = json.loads(path.read_text(encoding="utf-8"))
    # The model comes with botocore; no call is made.
    session = botocore.session.get_session()
    shape = session.get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    report = botocore.validate.ParamValidator().validate(task, shape)
    if report.has_errors():
        yield f"{path.name}: {report.generate_report()}"
        return
    containers = {container["name"]: container for container in task["containerDefinitions"]}
    for name, container in containers.items():
        if not (container.get("readonlyRootFilesystem") and container.get("user") == "65532:65532"):
            yield f"{path.name}: {name} must run as 65532:65532 with a read-only root"
    if not all(mount["readOnly"] for mount in containers["router"]["mountPoints"]):
        yield f"{path.name}: the router's mount is not read-only"
    if containers["syncer"]["essential"]:
        yield f"{path.name}: the router has to outlive the syncer, so the syncer cannot be essential"


def policy_problems():
    for path in sorted((ROOT / "deploy" / "iam").glob("*.json")):
        policy = json.loads(path.read_text(encoding="utf-8"))
        if policy.get("Version") != "2012-10-17":
            yield f"{path.name}: Version must be 2012-10-17, else newer features are silently off"
        for statement in policy["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if any("*" in action for action in actions) or statement["Resource"] == "*":
                yield f"{path.name}: {statement['Sid']}: no wildcards: name the actions and the resource"
            writes = [action for action in actions if action.startswith("dynamodb:") and action.split(":")[1] in WRITES]
            status = statement["Resource"].endswith("table/postern-status")
            if writes and status != (path.name == "syncer-task-role.json"):
                yield f"{path.name}: {statement['Sid']}: only the syncer writes the status table, and it writes no other"
            condition = statement.get("Condition", {})
            for operator, keys in condition.items():
                if operator.startswith("ForAllValues") and "dynamodb:LeadingKeys" in keys and \
                        condition.get("Null", {}).get("dynamodb:LeadingKeys") != "false":
                    yield f"{path.name}: {statement['Sid']}: ForAllValues is true of a request without a key; add Null"


def read_yaml(path):
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        sys.exit(f"check-deploy: {os.path.relpath(path)}: {error}")


if __name__ == "__main__":
    main()
