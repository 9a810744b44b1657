"""Users of the SFTP route: their keys are read before AWS is asked, and they are written where they belong."""

from __future__ import annotations

from textwrap import dedent

import pytest
from asyncssh import generate_private_key
from project_files import STACKS, config_text, project

from deployer.errors import ConfigError, UsageError
from deployer.project.edit import with_sftp_user
from deployer.project.ssh_keys import problem_of_key


def public_key(kind: str, **options: int) -> str:
    """A new public key as a line, without a comment."""
    return generate_private_key(kind, **options).export_public_key().decode().strip()


KEY, OTHER = public_key("ssh-ed25519"), public_key("ssh-ed25519")

KEYS = {
    "ed25519": (KEY, None),
    "with a comment": (f"{KEY} anna: 'x' #1", None),
    "ecdsa": (public_key("ecdsa-sha2-nistp384"), None),
    "rsa": (public_key("ssh-rsa", key_size=2048), None),
    "a short rsa": (public_key("ssh-rsa", key_size=1024), "at least 2048 bits"),
    "cut": (KEY[:-12], "damaged"),
    "no base64": ("ssh-ed25519 !!!notbase64", "damaged"),
    "another type inside": (f"ssh-rsa {KEY.split()[1]}", "a different type"),
    "dss": ("ssh-dss AAAA", "known type"),
    "the private one": ("-----BEGIN OPENSSH PRIVATE KEY-----\nx", "private key"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_judged_before_aws_sees_it(name: str) -> None:
    """Given a line, when it is no public key that the server takes, then it is said what is wrong with it."""
    line, expected = KEYS[name]
    problem = problem_of_key(line)
    assert problem is None if expected is None else expected in str(problem)


def test_a_bad_key_in_dataops_yml_is_told_with_its_place() -> None:
    """Given a damaged key in dataops.yml, when it is read, then the error has its line and column."""
    users = f'uat: {{account: "111111111111", region: eu-west-1, sftp_users: {{acme: ["{KEY[:-12]}"]}}}}'
    with pytest.raises(ConfigError, match="damaged") as raised:
        project(config_text(environments=users))
    assert str(raised.value.where).startswith("dataops.yml:3:")


TEXT = dedent(f"""\
    project: lake
    environments:
      uat:
        account: "111111111111"  # ours
        region: eu-west-1
        # the end of uat

      prod: {{account: "222222222222", region: eu-west-1}}
    stacks:
      {STACKS}
    """)


def test_users_are_written_into_the_file_and_nothing_else_moves() -> None:
    """Given a file with comments, when users and keys are added one by one, then each is there and all else as it was."""
    text = with_sftp_user(TEXT, "uat", "acme", KEY)
    text = with_sftp_user(text, "uat", "beta", KEY)
    text = with_sftp_user(text, "uat", "acme", OTHER)
    assert project(text).environments["uat"].sftp_users == {"acme": (KEY, OTHER), "beta": (KEY,)}
    rest = iter(text.splitlines())
    assert all(line in rest for line in TEXT.splitlines()), "the author's lines stand in their order"
    assert with_sftp_user(text, "uat", "beta", f"{KEY} a comment") == text


def test_what_cannot_be_written_is_refused() -> None:
    """Given an environment in braces, an unknown one, or a name that is none, then nothing is written and it is said."""
    with pytest.raises(UsageError, match="braces"):
        with_sftp_user(TEXT, "prod", "acme", KEY)
    with pytest.raises(UsageError, match="unknown environment"):
        with_sftp_user(TEXT, "dev", "acme", KEY)
    with pytest.raises(ConfigError, match="lower-case"):
        with_sftp_user(TEXT, "uat", "../acme", KEY)
