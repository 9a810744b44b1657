"""One message to people, as JSON on the alert topic. Standard library only: every function may publish one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

FORMAT: Final = 1
TITLE_CHARACTERS: Final = 150
"""The longest header in Slack."""


class State(StrEnum):
    """What a message says of its subject: something is wrong with it, it is well again, or neither."""

    PROBLEM = "problem"
    RECOVERED = "recovered"
    NEWS = "news"


class NoMessage(ValueError):
    """A text on the topic is not a message; it says what is wrong with it."""


@dataclass(frozen=True)
class Message:
    """What happened, in a title and some lines, with a link to look at and the runbook's section.

    `kind` is what sort of thing it is ("validation"). `subject` is what has a problem or has recovered; it is the kind
    if there is only one such thing. `id` names the occurrence: what is published twice under one id is sent once;
    without one, each publication is an occurrence. `link` is an address; `anchor` is a heading of docs/operations.md as
    GitHub links to it.
    """

    kind: str
    title: str
    lines: tuple[str, ...] = ()
    link: str | None = None
    anchor: str | None = None
    state: State = State.NEWS
    subject: str = ""
    id: str = ""
    at: str = ""

    def text(self) -> str:
        """Return the message in its published form."""
        said = {name: value for name, value in asdict(self).items() if value}
        return json.dumps({"format": FORMAT, **said})

    @property
    def topic_subject(self) -> str:
        """The title as a subject for SNS: fewer than 100 ASCII characters, for readers of e-mail."""
        return self.title.encode("ascii", "replace").decode().replace("\n", " ")[:99]


def publish(sns: Any, topic_arn: str, message: Message) -> None:
    """Publish a message to the alert topic. `sns` is boto3's client."""
    sns.publish(TopicArn=topic_arn, Subject=message.topic_subject, Message=message.text())


def parse(document: Mapping[str, Any]) -> Message:
    """Parse a published message. Raise NoMessage."""
    known = {name: document[name] for name in Message.__dataclass_fields__ if document.get(name)}
    try:
        state = State(known.pop("state", State.NEWS))
        lines = tuple(str(line) for line in known.pop("lines", ()))
        return Message(**{name: str(value) for name, value in known.items()}, lines=lines, state=state)
    except (TypeError, ValueError) as error:
        raise NoMessage(str(error)) from error
