"""Which log group belongs to which part of the lake, by the names of the stacks' outputs."""

from __future__ import annotations

import click
from template_model import TEMPLATES

from deployer.commands.logs import logs
from deployer.lake.log_groups import PARTS, groups_by_part

NAMED = [name for template in TEMPLATES.values() for name in template.outputs if name.endswith("LogGroupName")]


def test_every_log_group_that_a_stack_names_belongs_to_a_part() -> None:
    """Given the outputs of all templates that name a log group, when they are divided, then each has its part and option."""
    divided = groups_by_part({name: name for name in NAMED})
    assert sorted(group for groups in divided.values() for group in groups) == sorted(NAMED)
    assert {"validate", "notify", "api"} <= divided.keys()


def test_every_part_has_its_option() -> None:
    """Given the parts, when the options of dataops logs are read, then each part is one, and the job is another."""
    options = {each.flag_value for each in logs.params if isinstance(each, click.Option) and each.name == "part"}
    assert options == {"job", *PARTS}


def test_the_parts_that_are_deployed_are_there_alone() -> None:
    """Given the outputs of some stacks, when they are divided, then a part may have two groups, and others are absent."""
    outputs = {"ApiLogGroupName": "/api", "IngestLogGroupName": "/ingest", "NotifyFunctionName": "f"}
    assert groups_by_part(outputs) == {"api": ("/api", "/ingest")}
