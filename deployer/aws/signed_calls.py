"""HTTPS calls signed with a session's credentials, for our own API, for which boto3 has no client.

What is sent, and what an answer means, is its caller's business.
"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from deployer.aws.http_answers import HttpAnswer, NoAnswer

SERVICE = "execute-api"
CONNECT_SECONDS = 10
READ_SECONDS = 35  # API Gateway answers within 29


class SignedCalls:
    """Calls to one service in the region of a session, with its credentials as they are at each call."""

    def __init__(self, session: boto3.Session, *, through_proxy: bool) -> None:
        self._session, self._through_proxy = session, through_proxy
        self._http: Any = None

    def post(self, url: str, body: bytes) -> HttpAnswer:
        """Post a JSON body. Raise NoAnswer."""
        credentials = self._session.get_credentials()
        request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
        if credentials is not None:
            SigV4Auth(credentials.get_frozen_credentials(), SERVICE, self._session.region_name).add_auth(request)
        if self._http is None:
            proxies = get_environ_proxies(url) if self._through_proxy else {}
            self._http = URLLib3Session(timeout=(CONNECT_SECONDS, READ_SECONDS), proxies=proxies)
        try:
            answer = self._http.send(request.prepare())
        except (HTTPClientError, NoConnection) as error:
            raise NoAnswer(str(error)) from error
        return HttpAnswer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)
