"""dataops.yml is read as written, and what is wrong with it is said with file, line, column and the nearest right key."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from project_files import FULL, config_text, project
from repository import ROOT

from deployer.errors import ConfigError
from deployer.nearest import nearest
from deployer.project.config import (
    Artifact,
    ArtifactKind,
    DriftIgnore,
    Environment,
    Partner,
    StackSpec,
    load_project,
    parse_project,
)
from deployer.project.shapes import FROM_ENVIRONMENT, PROJECT, Items, Record, Shape, Table, Value


def problems(text: str) -> list[str]:
    """What is wrong with a dataops.yml, line by line."""
    with pytest.raises(ConfigError) as raised:
        parse_project(text, Path("/project"), {})
    assert raised.value.exit_code == 2
    return list(raised.value.lines())


def test_every_key_becomes_a_value() -> None:
    """Given a file that uses every key, when it is read, then each value is where the contract says."""
    read = project(FULL, variables={"PARTNER_SECRET": "s3cret"})
    assert read.name == "lake"
    assert read.environments["uat"] == Environment(
        name="uat",
        account="111111111111",
        region="ap-southeast-2",
        profile="uat-admin",
        parameters={"Days": "030", "Enabled": "yes", "Empty": "", "Secret": "s3cret"},
        partner=Partner("999999999999", "partner", "arn:aws:iam::999999999999:role/us", "ID"),
        third_party=Partner(account="888888888888"),
        sftp_users={"acme": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF9axuj2ujobwRYDYZpN6Qxa+A+MbpfYp+EI/Ng4l7B+",)},
        tags={"owner": "finance"},
        release_max_age_days=7,
        drift_ignore=(
            DriftIgnore(
                "storage",
                "RawBucket",
                "tagged by the platform team",
                dt.date(2027, 1, 31),
                property_path="Tags",
                where="dataops.yml:16:9",
            ),
        ),
        variables={"Secret": "PARTNER_SECRET"},
        places={
            "Days": "dataops.yml:11:13",
            "Enabled": "dataops.yml:12:16",
            "Empty": "dataops.yml:13:14",
            "Secret": "dataops.yml:14:15",
        },
        expected_every_hours={"sftp": 24, "s3": 6},
    )
    assert read.environments["prod"].promotes_from == "uat"
    assert read.environments["prod"].account == "012345670123"
    assert read.environments["prod"].termination_protection and not read.environments["uat"].termination_protection
    assert read.artifacts["Library"] == Artifact(
        "Library", ArtifactKind.ZIP, Path("/project/glue/library"), "dataops.yml:30:18"
    )
    function = read.artifacts["Function"]
    assert function.kind is ArtifactKind.BUNDLE
    assert function.paths == (Path("/project/functions/validate"), Path("/project/glue/library"))
    assert read.stacks["copy"] == StackSpec(
        name="copy",
        template=Path("/project/templates/storage.yaml"),
        parameters={"Days": "7"},
        outputs={"BucketName": "CopyBucketName"},
        where="dataops.yml:36:15",
        places={"Days": "dataops.yml:37:24", "BucketName": "dataops.yml:38:27"},
    )


def test_the_projects_own_file_is_right() -> None:
    """Given the repository's dataops.yml, when it is read, then there is nothing to complain about."""
    read = load_project(ROOT)
    assert read.environments["local"].endpoint == "local"
    assert read.environments["prod"].promotes_from == "uat"


def test_a_variable_that_is_not_set_is_no_error_of_the_file() -> None:
    """Given a secret from a variable, when the variable is not set, then the file still reads and says which it is."""
    uat = project(FULL).environments["uat"]
    assert uat.unset == {"Secret": "PARTNER_SECRET"}
    assert "Secret" not in uat.parameters


def test_secrets_are_not_part_of_a_repr() -> None:
    """Given a secret from a variable, when the environment is printed, then the secret is not."""
    assert "s3cret" not in repr(project(FULL, variables={"PARTNER_SECRET": "s3cret"}))


MISTAKES = {
    "misspelt key": (
        config_text(environments='uat: {acount: "111111111111", region: eu-west-1}'),
        ["dataops.yml:3:9: unknown key 'acount', did you mean 'account'?"],
    ),
    "a key that resembles nothing": (
        config_text(environments="uat: {endpoint: local, zebra: 1}"),
        [
            (
                "dataops.yml:3:26: unknown key 'zebra', known are account, region, profile, endpoint, promotes_from, "
                "release_max_age_days, parameters, partner, third_party, sftp_users, routes, tags, termination_protection, drift_ignore"
            )
        ],
    ),
    "a flag that is neither true nor false": (
        config_text(environments="uat: {endpoint: local, termination_protection: yes}"),
        [
            (
                "dataops.yml:3:50: 'termination_protection' must be true or false, "
                "not the bare yes (YAML reads it as true or false)"
            )
        ],
    ),
    "duplicate key": (
        config_text(stacks="a: {template: a.yaml}\nb: {template: b.yaml}\na: {template: c.yaml}"),
        ["dataops.yml:7:3: duplicate key 'a', first on line 5"],
    ),
    "an account that YAML reads as an octal number": (
        config_text(environments="uat: {account: 012345670123, region: eu-west-1}"),
        ["dataops.yml:3:18: 'account' must be \"012345670123\", not the bare 012345670123 (YAML reads it as a number)"],
    ),
    "an account that is a plain number": (
        config_text(environments="uat: {account: 111111111111, region: eu-west-1}"),
        ["dataops.yml:3:18: 'account' must be \"111111111111\", not the bare 111111111111 (YAML reads it as a number)"],
    ),
    "an account that is too short": (
        config_text(environments='uat: {account: "1111", region: eu-west-1}'),
        ["dataops.yml:3:18: 'account' must be a 12-digit account id in quotes, not '1111'"],
    ),
    "an environment that is nowhere": (
        config_text(environments="uat: {region: eu-west-1}"),
        ["dataops.yml:3:8: 'uat' needs account and region or endpoint"],
    ),
    "an environment's name": (
        config_text(environments="UAT-1: {endpoint: local}"),
        [
            "dataops.yml:3:3: 'UAT-1' is not a valid name here: expected 1 to 16 lower-case letters and digits, a letter first"
        ],
    ),
    "an environment's name that is longer than the templates allow": (
        config_text(environments="acceptancetesting: {endpoint: local}"),
        [
            (
                "dataops.yml:3:3: 'acceptancetesting' is not a valid name here: "
                "expected 1 to 16 lower-case letters and digits, a letter first"
            )
        ],
    ),
    "a promotion from a name that is no environment's": (
        config_text(environments="uat: {endpoint: local, promotes_from: acceptancetesting}"),
        [
            (
                "dataops.yml:3:41: 'promotes_from' must be 1 to 16 lower-case letters and digits, a letter first, "
                "not 'acceptancetesting'"
            )
        ],
    ),
    "no value": (
        config_text(environments="uat: {endpoint: local, parameters: {Days: }}"),
        ["dataops.yml:3:45: 'Days' is empty, it must be text or a number (\"\" for no text)"],
    ),
    "a number out of range": (
        config_text(environments="uat: {endpoint: local, release_max_age_days: 0}"),
        [
            (
                "dataops.yml:3:48: 'release_max_age_days' must be a whole number from 1 to 3650, not the bare 0 "
                "(YAML reads it as a number)"
            )
        ],
    ),
    "a secret in a stack": (
        config_text(stacks="a: {template: a.yaml, parameters: {Key: {from_environment: KEY}}}"),
        [
            (
                "dataops.yml:5:43: 'Key' must be plain text here: secrets belong to an environment's parameters, "
                "not a mapping"
            )
        ],
    ),
    "a misspelt from_environment": (
        config_text(environments="uat: {endpoint: local, parameters: {Key: {from_enviroment: KEY}}}"),
        ["dataops.yml:3:45: unknown key 'from_enviroment', did you mean 'from_environment'?"],
    ),
    "a path out of the project": (
        config_text(stacks="a: {template: ../a.yaml}"),
        ["dataops.yml:5:17: 'template' must be a relative path inside the project, with '/', not '../a.yaml'"],
    ),
    "two kinds of artifact": (
        config_text(artifacts="Sql: {text: a.sql, file: a.sql}"),
        ["dataops.yml:5:8: 'Sql' needs exactly one of file, zip, bundle, text"],
    ),
    "a bundle of nothing": (
        config_text(artifacts="Code: {bundle: []}"),
        ["dataops.yml:5:18: 'bundle' is empty, it must list at least 1"],
    ),
    "a route that is none": (
        config_text(environments="uat: {endpoint: local, routes: {ftp: {expected_every_hours: 24}}}"),
        ["dataops.yml:3:35: 'ftp' is not a valid name here: expected s3, sftp, stream or third-party"],
    ),
    "a route without a cadence": (
        config_text(environments="uat: {endpoint: local, routes: {sftp: {}}}"),
        ["dataops.yml:3:41: 'sftp' lacks the key 'expected_every_hours'"],
    ),
    "promotion from nowhere": (
        config_text(environments="uat: {endpoint: local}\nprod: {endpoint: local, promotes_from: uta}"),
        ["dataops.yml:4:42: unknown environment 'uta', did you mean 'uat'?"],
    ),
    "promotion in a circle": (
        config_text(environments="a: {endpoint: local, promotes_from: b}\nb: {endpoint: local, promotes_from: a}"),
        [
            "dataops.yml:3:39: promotion goes in a circle: a <- b <- a",
            "dataops.yml:4:39: promotion goes in a circle: b <- a <- b",
        ],
    ),
    "a drift exception for no stack, until no day": (
        config_text(
            environments="uat: {endpoint: local, drift_ignore: [{resource: b/Bucket, reason: x, until: 2027-02-30}]}"
        ),
        [
            "dataops.yml:3:52: unknown stack 'b', known are a",
            "dataops.yml:3:80: there is no day 2027-02-30",
        ],
    ),
    "two outputs with one name": (
        config_text(stacks="a: {template: a.yaml, outputs: {A: C, B: C}}"),
        ["dataops.yml:5:44: 'A' and 'B' are both renamed to 'C'"],
    ),
    "a list for a mapping": (
        "project: lake\nenvironments: []\nstacks: {a: {template: a.yaml}}\n",
        ["dataops.yml:2:15: 'environments' must be a mapping, not a list"],
    ),
    "nothing declared": (
        "project: lake\nenvironments: {}\n",
        [
            "dataops.yml:1:1: 'dataops.yml' lacks the key 'stacks'",
            "dataops.yml:2:15: 'environments' is empty, it must name at least 1",
        ],
    ),
    "an empty file": ("# nothing\n", ["dataops.yml: the file is empty"]),
    "a CloudFormation tag": (
        config_text(environments="uat: {endpoint: !Ref Local}"),
        ["dataops.yml:3:19: 'endpoint' must be local or an http(s) URL, not the YAML tag !Ref"],
    ),
    "a key that is no text": (
        "project: lake\n? [a]\n: 1\nenvironments: {uat: {endpoint: local}}\nstacks: {a: {template: a.yaml}}\n",
        ["dataops.yml:2:3: a key must be text"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place(mistake: str) -> None:
    """Given a file with a mistake, when it is read, then the message has file, line, column and what is right."""
    text, expected = MISTAKES[mistake]
    assert problems(text) == expected


def test_broken_yaml_is_told_with_its_place() -> None:
    """Given a file that is no YAML, when it is read, then the message has the place where it breaks."""
    (problem,) = problems("project: lake\nstacks: {a: [1, 2\nb: 3\n")
    assert problem.startswith("dataops.yml:3:2: this is not YAML: ")


def test_all_problems_are_told_at_once() -> None:
    """Given a file with several mistakes, when it is read, then all are told, in the file's order."""
    found = problems("projct: x\nenvironments: {uat: {}}\nstacks: {a: {}}\n")
    assert [problem.split(":")[1] for problem in found] == ["1", "2", "3"]


def test_a_missing_file_says_where_to_look(tmp_path: Path) -> None:
    """Given a directory without dataops.yml, when the project is loaded, then the hint names --project-dir."""
    with pytest.raises(ConfigError, match="there is no dataops.yml in") as raised:
        load_project(tmp_path)
    assert raised.value.hint is not None
    assert "--project-dir" in raised.value.hint


def known_keys(shape: Shape = PROJECT) -> Iterator[str]:
    """Every key that dataops.yml knows."""
    match shape:
        case Record():
            yield from shape.keys
            for inner in shape.keys.values():
                yield from known_keys(inner)
        case Table():
            yield from known_keys(shape.value)
        case Items():
            yield from known_keys(shape.item)
        case Value(from_environment=True):
            yield from FROM_ENVIRONMENT.keys


def places_of(key: str) -> list[tuple[int, int]]:
    """Where a key stands in FULL, 0-based."""

    def walk(node: yaml.Node, shape: Shape) -> Iterator[tuple[int, int]]:
        if isinstance(node, yaml.SequenceNode) and isinstance(shape, Items):
            for item in node.value:
                yield from walk(item, shape.item)
        if isinstance(node, yaml.MappingNode):
            shape = FROM_ENVIRONMENT if isinstance(shape, Value) else shape
            for name, value in node.value:
                if isinstance(shape, Record) and name.value == key:
                    yield name.start_mark.line, name.start_mark.column
                if isinstance(shape, Record | Table):
                    yield from walk(value, shape.keys[name.value] if isinstance(shape, Record) else shape.value)

    return list(walk(yaml.compose(FULL, Loader=yaml.SafeLoader), PROJECT))


def misspellings(key: str) -> Iterator[str]:
    """One letter left out, doubled, swapped with the next, or replaced."""
    chance = random.Random(key)
    for position in range(len(key)):
        yield key[:position] + key[position + 1 :]
        yield key[:position] + key[position] + key[position:]
        yield key[:position] + chance.choice("qxz") + key[position + 1 :]
        yield key[:position] + key[position + 1 : position + 2] + key[position] + key[position + 2 :]


KEYS = sorted(set(known_keys()))


@pytest.mark.parametrize("key", [key for key in KEYS if key != "endpoint"])  # FULL has no endpoint: see the next test
def test_each_known_key_misspelt_is_refused_with_its_line(key: str) -> None:
    """Given a right file, when any letter of any key is wrong, then the file is refused at that line and column."""
    line, column = places_of(key)[0]
    rows = FULL.splitlines()
    for wrong in {wrong for wrong in misspellings(key) if wrong and wrong not in KEYS}:
        row = rows[line][:column] + wrong + rows[line][column + len(key) :]
        found = problems("\n".join([*rows[:line], row, *rows[line + 1 :]]) + "\n")
        told = [problem for problem in found if problem.startswith(f"dataops.yml:{line + 1}:{column + 1}: ")]
        assert any(f"unknown key '{wrong}'" in problem for problem in told), (wrong, found)


def test_a_misspelt_endpoint_is_refused() -> None:
    """Given an environment behind an endpoint, when the key is misspelt, then it is refused and the key is named."""
    assert problems(config_text(environments="uat: {endpiont: local}")) == [
        "dataops.yml:3:9: unknown key 'endpiont', did you mean 'endpoint'?"
    ]


def test_nearest_ignores_case() -> None:
    """Given a name in another case, when the nearest is asked for, then it is found; a stranger is not."""
    assert nearest("partneraccountid", ["PartnerAccountId", "Other"]) == "PartnerAccountId"
    assert nearest("zebra", ["PartnerAccountId"]) is None
