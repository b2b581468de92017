#!/usr/bin/env python3
"""Puts a boundary into S3 and registrations into DynamoDB, as operations and the teams' pipelines would.

Makes what is missing (a versioned bucket, the two tables) and leaves alone what is already as it should be, so it may be
run again at any time: after an edit only what was edited is written. It never deletes a registration.

docker-compose runs it as its own service against LocalStack; the tests run the same file against an emulator:

    AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_REGION=eu-west-1 \\
    AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test  python localstack/seed.py

Registration files (*.yaml, *.yml, *.json) hold one registration, a list of them, or several YAML documents. Each
becomes one item with the same fields as native attributes, written in one transaction with the raise of the
`#registry` item's version, which is what the syncer polls.
"""

import argparse
import os
import pathlib
import re
import sys
import time
from decimal import Decimal

import boto3
import yaml
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError

HERE = pathlib.Path(__file__).resolve().parent
REGISTRY = {"root": "#registry", "name": "#"}


class Problem(Exception):
    """Something the user has to mend: says what, where and what to do."""


def main():
    options = parse_arguments()
    try:
        boundary = read_boundary(options.boundary)
        registrations = read_registrations(options.registrations)
        s3, dynamodb = connect(options)
        ensure_bucket(s3, options.bucket)
        put_boundary(s3, options.bucket, options.key, boundary)
        ensure_table(dynamodb, options.table, "root", "name")
        ensure_table(dynamodb, options.status_table, "id", "task")
        ensure_expiry(dynamodb, options.status_table)
        refused = put_registrations(dynamodb, options.table, registrations)
    except Problem as problem:
        sys.exit(f"seed: {problem}")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"seed: {error}")
    if refused:
        sys.exit(f"seed: {len(refused)} of {len(registrations)} registrations were not written: {', '.join(refused)}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bucket", default="postern-config", help="default: %(default)s")
    parser.add_argument("--key", default="boundary.yaml", help="the boundary's key (default: %(default)s)")
    parser.add_argument("--table", default="postern-registrations", help="default: %(default)s")
    parser.add_argument("--status-table", default="postern-status", help="default: %(default)s")
    parser.add_argument("--boundary", type=pathlib.Path, default=HERE / "boundary.yaml", metavar="FILE",
                        help="default: the one beside this script")
    parser.add_argument("--registrations", type=pathlib.Path, default=HERE / "registrations", metavar="DIR",
                        help="default: the folder beside this script")
    parser.add_argument("--endpoint-url", help="the emulator's address (default: AWS_ENDPOINT_URL)")
    parser.add_argument("--aws", action="store_true",
                        help="write to the real AWS account of the credentials when no endpoint is given")
    parser.add_argument("--wait", type=float, default=30, metavar="SECONDS",
                        help="how long to wait for the endpoint to answer (default: %(default)g)")
    return parser.parse_args()


# ---- the documents -------------------------------------------------------------------------------------------------


class Yaml12(yaml.SafeLoader):
    """YAML as the product reads it: version 1.2's core schema.

    The stock loader follows 1.1, where `mode: off` is the boolean false, `1:30` is ninety and an unquoted
    `lease_until` is a date object. It also lets a repeated key silently win over the first.
    """

    yaml_implicit_resolvers = {}

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is no string", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _core_schema():
    for tag, pattern, first in (
        ("null", r"~|null|Null|NULL|", "~nN\0"),
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ):
        firsts = [""] if tag == "null" else []
        Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), firsts + list(first))

    def integer(loader, node):
        text = loader.construct_scalar(node)
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)

    # DynamoDB's numbers are decimal; a float in between would change 0.1.
    Yaml12.add_constructor("tag:yaml.org,2002:int", integer)
    Yaml12.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Decimal(loader.construct_scalar(node)))


_core_schema()


def read_documents(path):
    try:
        # JSON is a subset of YAML 1.2, so one reader serves both.
        return [document for document in yaml.load_all(path.read_bytes(), Loader=Yaml12) if document is not None]
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Problem(f"{path} is no YAML or JSON: {error}") from error


def read_boundary(path):
    """The bytes as they are: comments are worth keeping. Whether they make sense is the syncer's to say."""
    documents = read_documents(path)
    if len(documents) != 1 or not isinstance(documents[0], dict) or documents[0].get("kind") != "Boundary":
        raise Problem(f"{path} is no boundary: it must hold one document with `kind: Boundary`")
    return path.read_bytes()


def read_registrations(folder):
    if not folder.is_dir():
        raise Problem(f"no folder {folder}: --registrations takes the folder that holds the registration files")
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".yaml", ".yml", ".json"):
            continue
        documents = read_documents(path)
        for entry in flatten(documents):
            where = f"{path}: registration"
            if not isinstance(entry, dict):
                raise Problem(f"{where} is {entry!r}, not a mapping with `root`, `name`, …")
            # Only what the store itself demands. All else is left for the syncer to judge: a bad registration
            # has to be seen as a condition, so it must be possible to put one.
            entry.setdefault("name", "default")
            for key in ("root", "name"):
                if not isinstance(entry.get(key), str) or not entry[key]:
                    raise Problem(f"{where} needs `{key}` as a non-empty string, found {entry.get(key)!r}")
            if entry["root"].startswith("#"):
                raise Problem(f"{where} has root {entry['root']!r}: roots with # are the registry's own")
            identity = (entry["root"], entry["name"])
            if identity in found:
                raise Problem(f"{where} {'#'.join(identity)} is there twice, also in {found[identity][0]}")
            found[identity] = (path, entry)
    return [entry for _, entry in found.values()]


def flatten(documents):
    for document in documents:
        yield from document if isinstance(document, list) else [document]


# ---- the stores ----------------------------------------------------------------------------------------------------


def connect(options):
    # AWS_REGION is what the Rust SDK, and so the syncer, reads; boto3 knows AWS_DEFAULT_REGION only.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if session.region_name is None:
        raise Problem("no region is set: set AWS_REGION, for an emulator to any, such as eu-west-1")
    # Emulators are not found under bucket.host names, hence path style. Retries are short: see wait_for.
    config = Config(retries={"max_attempts": 2, "mode": "standard"}, connect_timeout=5, read_timeout=20,
                    s3={"addressing_style": "path"})
    s3 = session.client("s3", endpoint_url=options.endpoint_url, config=config)
    dynamodb = session.client("dynamodb", endpoint_url=options.endpoint_url, config=config)
    if "amazonaws" in s3.meta.endpoint_url and not options.aws:
        raise Problem("no endpoint is set, so this would write to a real AWS account. Set AWS_ENDPOINT_URL to the "
                      "emulator's address, or pass --aws if the account is meant")
    wait_for(s3, options.wait)
    return s3, dynamodb


def wait_for(s3, seconds):
    deadline = time.monotonic() + seconds
    told = False
    while True:
        try:
            s3.list_buckets()
            return
        except ClientError as error:
            # An answer, if not a kind one: 4xx is for the calls that matter to explain.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                return
            reason = error
        except (EndpointConnectionError, HTTPClientError) as error:
            reason = error
        if time.monotonic() >= deadline:
            raise Problem(f"{s3.meta.endpoint_url} did not answer within {seconds:g} s: {reason}")
        if not told:
            say(f"waiting for {s3.meta.endpoint_url}")
            told = True
        time.sleep(0.5)


def ensure_bucket(s3, bucket):
    region = s3.meta.region_name
    try:
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **where)
        say(f"bucket {bucket}: made")
    except ClientError as error:
        if code(error) != "BucketAlreadyOwnedByYou":
            raise Problem(f"bucket {bucket} cannot be made or is another account's: {error}") from error
        say(f"bucket {bucket}: there already")
    # Operations roll a boundary back by its version.
    if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def put_boundary(s3, bucket, key, body):
    try:
        if s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body:
            say(f"boundary s3://{bucket}/{key}: unchanged")
            return
    except ClientError as error:
        if code(error) != "NoSuchKey":
            raise
    version = s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/yaml").get("VersionId")
    say(f"boundary s3://{bucket}/{key}: written as version {version}")


def ensure_table(dynamodb, table, partition, sort):
    keys = [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
    try:
        dynamodb.create_table(
            TableName=table, KeySchema=keys, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys])
        say(f"table {table}: made")
    except ClientError as error:
        if code(error) != "ResourceInUseException":
            raise
        say(f"table {table}: there already")
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    standing = dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
    if standing != keys:
        raise Problem(f"table {table} has the keys {standing}; it needs partition key `{partition}` and sort key "
                      f"`{sort}`. Choose another name, or delete that table")


def ensure_expiry(dynamodb, table):
    """Heartbeats of tasks that are gone are removed by DynamoDB itself; nobody relies on when."""
    standing = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"].get("TimeToLiveStatus")
    if standing not in ("ENABLED", "ENABLING"):
        dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})


def put_registrations(dynamodb, table, registrations):
    """Writes what differs; returns the ids of those the store refused."""
    refused = []
    for registration in registrations:
        identity = f"{registration['root']}#{registration['name']}"
        try:
            say(f"registration {identity}: {put_registration(dynamodb, table, registration)}")
        except Problem as problem:
            say(f"registration {identity}: {problem}")
            refused.append(identity)
    return refused


def put_registration(dynamodb, table, registration):
    standing = read_item(dynamodb, table, registration)
    # `version` is the store's lock, not the team's wish: it counts the writes.
    wanted = {**registration, "version": int((standing or {}).get("version", 0)) + 1}
    if standing is not None and {**wanted, "version": standing.get("version")} == standing:
        return f"unchanged (version {standing['version']})"

    if standing is None:
        condition = must_hold({"root": None})
    else:
        condition = must_hold({"owner": wanted.get("owner"), "version": standing.get("version")})
    put = {"Put": {"TableName": table, "Item": to_attributes(wanted),
                   "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **condition}}
    raise_registry = {"Update": {
        "TableName": table, "Key": to_attributes(REGISTRY), "UpdateExpression": "ADD #version :one",
        "ExpressionAttributeNames": {"#version": "version"}, "ExpressionAttributeValues": {":one": {"N": "1"}}}}
    try:
        dynamodb.transact_write_items(TransactItems=[put, raise_registry])
    except ClientError as error:
        raise Problem(explain_refusal(error, wanted)) from error
    return f"{'made' if standing is None else 'changed'} (version {wanted['version']})"


def must_hold(fields):
    """The condition that the item has exactly these values; None: that it lacks the field."""
    values = {f":{key}": value for key, value in fields.items() if value is not None}
    tests = [f"#{key} = :{key}" if f":{key}" in values else f"attribute_not_exists(#{key})" for key in fields]
    condition = {
        "ConditionExpression": " AND ".join(tests),
        "ExpressionAttributeNames": {f"#{key}": key for key in fields},
    }
    if values:  # an empty map of values is an error
        condition["ExpressionAttributeValues"] = to_attributes(values)
    return condition


def explain_refusal(error, wanted):
    reason = (error.response.get("CancellationReasons") or [{}])[0]
    if reason.get("Code") != "ConditionalCheckFailed":
        return f"not written: {error}"
    holder = from_attributes(reason.get("Item", {}))
    if holder.get("owner") != wanted.get("owner"):
        return f"not written: owned by {holder.get('owner')!r}, this one says {wanted.get('owner')!r}"
    return f"not written: somebody else wrote version {holder.get('version')} meanwhile; run it again"


def read_item(dynamodb, table, registration):
    key = to_attributes({"root": registration["root"], "name": registration["name"]})
    item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    return None if item is None else from_attributes(item)


def to_attributes(fields):
    return {key: TypeSerializer().serialize(value) for key, value in fields.items()}


def from_attributes(item):
    return {key: TypeDeserializer().deserialize(value) for key, value in item.items()}


def code(error):
    return error.response["Error"]["Code"]


def say(line):
    print(f"seed: {line}", flush=True)


if __name__ == "__main__":
    main()
