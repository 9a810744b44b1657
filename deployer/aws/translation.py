"""Turns botocore's exceptions into errors with a next step; the only module that knows botocore's exceptions.

Imports botocore only when the error is one of its own, so that the command line stays light.
"""

from __future__ import annotations

from typing import Any

from deployer.errors import DataopsError, Denied

CREDENTIALS = "aws configure, aws sso login, or the pipeline's service connection; then `aws sts get-caller-identity`"

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_CREDENTIALS = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AccessDeniedFault"}
_THROTTLED = {
    "LimitExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_CLOCK = {"RequestTimeTooSkewed", "RequestInTheFuture", "SignatureNotYetCurrent"}


def explain(error: BaseException) -> DataopsError | None:
    """Return what an operator can do about an error; None for a bug: no answer of AWS, or a mistake in a call."""
    if not any(kind.__module__.startswith(("botocore", "boto3", "s3transfer")) for kind in type(error).__mro__):
        return None
    from botocore import exceptions as raised

    match error:
        case raised.ParamValidationError():
            return None
        case raised.ClientError():
            return _answer(error)
        case raised.ProfileNotFound() | raised.ConfigParseError() | raised.ConfigNotFound():
            hint = "correct `profile` in dataops.yml or AWS_PROFILE; `aws configure list-profiles` lists the profiles"
            return DataopsError(str(error), hint=hint)
        case (
            raised.NoCredentialsError()
            | raised.PartialCredentialsError()
            | raised.CredentialRetrievalError()
            | raised.SSOError()
            | raised.TokenRetrievalError()
            | raised.NoAuthTokenError()
            | raised.MetadataRetrievalError()
        ):
            return DataopsError(f"no AWS credentials were found: {error}", hint=CREDENTIALS)
        case raised.SSLError() | raised.ProxyConnectionError():
            hint = "check AWS_CA_BUNDLE, HTTPS_PROXY and the network"
            return DataopsError(f"no secure connection to AWS: {error}", hint=hint)
        case raised.HTTPClientError() | raised.ConnectionError():
            hint = "check the network; for the local cloud: dataops local status"
            return DataopsError(f"no answer: {error}", hint=hint)
        case raised.BotoCoreError():
            return DataopsError(str(error), hint="check profile, region and endpoint in dataops.yml")
        case _:
            return DataopsError(str(error))


def _answer(error: Any) -> DataopsError:
    """Explain a refusal of the service. Members of the answer may be absent."""
    said = error.response.get("Error", {})
    code, message = str(said.get("Code", "unknown")), str(said.get("Message") or "no message")
    operation = error.operation_name
    if code in _EXPIRED:
        return DataopsError(f"the AWS credentials have expired ({operation}: {message})", hint=CREDENTIALS)
    if code in _UNKNOWN_CREDENTIALS:
        return DataopsError(f"AWS does not accept these credentials ({operation}: {message})", hint=CREDENTIALS)
    if code in _DENIED:
        hint = "`dataops iam-policy --env ENVIRONMENT` prints what the pipeline's role needs"
        return Denied(f"AWS denies {operation}: {message}", hint=hint)
    if code in _THROTTLED:
        hint = "run the command again: it continues where it stopped"
        return DataopsError(f"AWS throttles {operation}, even after retries: {message}", hint=hint)
    if code in _CLOCK:
        return DataopsError(f"AWS refuses {operation}: {message}", hint="set this machine's clock")
    return DataopsError(f"AWS refuses {operation} ({code}): {message}", hint="`dataops -vv ...` shows the calls")
