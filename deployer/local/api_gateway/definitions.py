"""AWS::ApiGateway::RestApi and ::Stage as their templates say: validators, models, gateway responses, access logs.

The emulator reads only paths and integrations from an OpenAPI body, gives an API a new id when its body changes, and
accepts a stage with an access log even if the account has no role for logs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import EmulatorChanged, load, replace, require

Json = Any
Properties = Mapping[str, Any]
SCHEMAS = "#/components/schemas/"
#: The stores of what belongs to an API, by the API's id.
STORES = ("_resources", "_authorizers_v1", "_models", "_gateway_responses", "_request_validators")


def install(cloud: LocalCloud) -> None:
    """Complete the import of OpenAPI bodies, and the handlers of both types."""
    apis, provisioners = load("services.apigateway_v1"), load("services.cloudformation.provisioners")
    for name, parameters in {
        "_create_request_validator": ("api_id", "data"),
        "_create_model": ("api_id", "data"),
        "_put_gateway_response": ("api_id", "response_type", "data"),
    }.items():
        require(apis, name, parameters)
    for name in (*STORES, "_rest_apis", "_stages_v1", "_account_settings"):
        require(apis, name)
    original = require(apis, "_import_rest_api", ("spec", "base_data"))

    def import_rest_api(spec: Json, base_data: Json = None) -> str:
        api_id: str = original(spec, base_data)
        complete(apis, api_id, spec)
        return api_id

    replace(apis, "_import_rest_api", import_rest_api)
    handlers = require(provisioners, "_RESOURCE_HANDLERS")
    for name in ("AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage"):
        if not {"create", "update", "delete"} <= set(handlers.get(name) or ()):
            raise EmulatorChanged(f"the handler of {name} has a different form")
    _keep_id(apis, handlers["AWS::ApiGateway::RestApi"], import_rest_api)
    _keep_access_log(apis, handlers["AWS::ApiGateway::Stage"])


def complete(apis: Any, api_id: str, spec: Json) -> None:
    """Add to an imported API what its body says besides paths and integrations."""
    validators = {
        name: _id(apis._create_request_validator(api_id, {"name": name, **settings}))
        for name, settings in (spec.get("x-amazon-apigateway-request-validators") or {}).items()
    }
    for name, schema in ((spec.get("components") or {}).get("schemas") or {}).items():
        model = {"name": name, "contentType": "application/json", "schema": json.dumps(_referring(schema, api_id))}
        _id(apis._create_model(api_id, model))
    for response_type, response in (spec.get("x-amazon-apigateway-gateway-responses") or {}).items():
        status = response.get("statusCode")
        settings = {
            **({"statusCode": str(status)} if status is not None else {}),
            "responseTemplates": response.get("responseTemplates", {}),
            "responseParameters": response.get("responseParameters", {}),
        }
        _checked(apis._put_gateway_response(api_id, response_type, settings))
    usual = spec.get("x-amazon-apigateway-request-validator")
    for resource in apis._resources[api_id].values():
        operations = (spec.get("paths") or {}).get(resource["path"]) or {}
        for name, method in resource["resourceMethods"].items():
            _complete_method(method, operations.get(name.lower()) or {}, validators, usual)


def _complete_method(method: Json, operation: Json, validators: Mapping[str, str], usual: str | None) -> None:
    if name := operation.get("x-amazon-apigateway-request-validator", usual):
        if name not in validators:
            raise ValueError(f"Invalid request validator specified: {name}")
        method["requestValidatorId"] = validators[name]
    contents = (operation.get("requestBody") or {}).get("content") or {}
    method["requestModels"] = {
        kind: content["schema"]["$ref"].removeprefix(SCHEMAS)
        for kind, content in contents.items()
        if str((content.get("schema") or {}).get("$ref", "")).startswith(SCHEMAS)
    }
    timeout = (operation.get("x-amazon-apigateway-integration") or {}).get("timeoutInMillis")
    if timeout is not None:
        method["methodIntegration"]["timeoutInMillis"] = int(timeout)


def _referring(schema: Json, api_id: str) -> Json:
    """Return a schema whose references point to the models of this API."""
    if isinstance(schema, dict):
        return {
            name: f"https://apigateway.amazonaws.com/restapis/{api_id}/models/{value.removeprefix(SCHEMAS)}"
            if name == "$ref" and isinstance(value, str)
            else _referring(value, api_id)
            for name, value in schema.items()
        }
    return [_referring(each, api_id) for each in schema] if isinstance(schema, list) else schema


def _keep_id(apis: Any, handler: dict[str, Any], import_rest_api: Any) -> None:
    """Keep an API's id when its body changes, as PutRestApi does, so that its address stays valid."""
    update = handler["update"]

    def in_place(physical_id: str, old: Properties, new: Properties, stack_name: str, *more: Any, **named: Any) -> Any:
        if isinstance(new.get("Body"), dict) and new["Body"] != old.get("Body"):
            other = import_rest_api(new["Body"], {"name": new.get("Name", "")})
            for name in STORES:
                getattr(apis, name)[physical_id] = getattr(apis, name).pop(other, {})
            apis._delete_rest_api(other)
            for model in apis._models[physical_id].values():
                model["schema"] = model["schema"].replace(f"/restapis/{other}/", f"/restapis/{physical_id}/")
        return update(physical_id, {**old, "Body": new.get("Body")}, new, stack_name, *more, **named)

    handler["update"] = in_place


def _keep_access_log(apis: Any, handler: dict[str, Any]) -> None:
    create, update = handler["create"], handler["update"]

    def setting(props: Properties) -> dict[str, str]:
        given = props.get("AccessLogSetting") or {}
        if given and not (apis._account_settings.get("settings") or {}).get("cloudwatchRoleArn"):
            raise ValueError("CloudWatch Logs role ARN must be set in account settings to enable logging")
        if given and not re.search(r"\$context\.(requestId|extendedRequestId)", given.get("Format", "")):
            raise ValueError("Log format must contain $context.requestId or $context.extendedRequestId")
        names = {"destinationArn": "DestinationArn", "format": "Format"}
        return {name: given[property_] for name, property_ in names.items() if property_ in given}

    def create_stage(logical_id: str, props: Properties, stack_name: str) -> Any:
        wanted = setting(props)
        made = create(logical_id, props, stack_name)
        apis._stages_v1[props["RestApiId"]][props["StageName"]]["accessLogSettings"] = wanted
        return made

    def update_stage(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Any:
        wanted = setting(new)
        made = update(physical_id, old, new, stack_name)
        apis._stages_v1[new["RestApiId"]][new["StageName"]]["accessLogSettings"] = wanted
        return made

    handler.update(create=create_stage, update=update_stage)


def _checked(answer: tuple[int, Any, Any]) -> Json:
    status, _, body = answer
    if status >= 300:
        raise ValueError(f"the API's body: {json.loads(body).get('message')}")
    return json.loads(body)


def _id(answer: tuple[int, Any, Any]) -> str:
    return str(_checked(answer)["id"])
