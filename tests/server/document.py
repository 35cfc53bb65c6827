"""api/openapi.json for the tests: its requests, and validators for both ways.

An integer is written without a fraction or exponent, so 1.0 is none here.
"""
import copy
import json

import jsonschema

from conftest_daemon import ROOT

DOC = json.loads((ROOT / "api/openapi.json").read_text())
Base = jsonschema.Draft202012Validator
Validator = jsonschema.validators.extend(
    Base, type_checker=Base.TYPE_CHECKER.redefine(
        "integer", lambda _, v: isinstance(v, int)
        and not isinstance(v, bool)))


def resolve(node):
    while "$ref" in node:
        at = DOC
        for part in node["$ref"][2:].split("/"):
            at = at[part.replace("~1", "/")]
        node = at
    return node


def validator(schema):
    """`schema` may point into the document."""
    return Validator({**schema, "components": DOC["components"]})


def _close(node):
    """No member that the document does not know: what allOf merges is closed
    where it is merged, the rest by itself."""
    if isinstance(node, list):
        for x in node:
            _close(x)
    if not isinstance(node, dict):
        return
    for key, x in node.items():
        if key not in ("required", "const", "enum"):
            _close(x)
    if "properties" in node and "additionalProperties" not in node:
        node["unevaluatedProperties"] = False


_closed = copy.deepcopy(DOC["components"])
_close(_closed["schemas"])
for part in ("AnswerHead", "TopLogprob"):  # members of an allOf
    del _closed["schemas"][part]["unevaluatedProperties"]


def answers(path, method, status, kind="application/json"):
    """What may come back, or be in an event, and nothing else."""
    responses = DOC["paths"][path][method]["responses"]
    found = resolve(responses.get(str(status))
                    or responses[f"{status // 100}XX"])
    schema = copy.deepcopy(found["content"][kind]["schema"])
    if kind == "text/event-stream":
        schema = schema["properties"]["data"]["anyOf"][0]["contentSchema"]
    _close(schema)
    return Validator({**schema, "components": _closed})


def requests():
    """(path, schema, example body) of every POST that takes one."""
    for path, item in DOC["paths"].items():
        if "requestBody" in item.get("post", {}):
            body = resolve(item["post"]["requestBody"])
            content = body["content"]["application/json"]
            yield path, content["schema"], content["example"]


def members(schema, value):
    """The properties that an object of this schema may have."""
    schema = resolve(schema)
    out = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        for key, sub in members(part, value).items():
            out[key] = {"allOf": [sub, out[key]]} if key in out else sub
    for part in schema.get("anyOf", []):
        if validator(part).is_valid(value):
            out = {**members(part, value), **out}
    for part in ("then", "else"):
        holds = "if" in schema and validator(schema["if"]).is_valid(value)
        if part in schema and holds == (part == "then"):
            for key, sub in members(schema[part], value).items():
                out.setdefault(key, sub)
    return out


def elements(schema, value):
    schema = resolve(schema)
    if "items" in schema:
        return schema["items"]
    for part in schema.get("anyOf", []) + schema.get("allOf", []):
        if validator(part).is_valid(value) and elements(part, value):
            return elements(part, value)
    return None


def keyword(schema, name):
    """Its values wherever a field's own schema has it."""
    schema = resolve(schema)
    out = [schema[name]] if name in schema else []
    for part in schema.get("allOf", []) + schema.get("anyOf", []):
        out += keyword(part, name)
    return out


def fields(schema, body, at=()):
    """(path, schema, body in which it can be put) of every field, those in
    examples of their parents too."""
    inside = body
    for step in at:
        inside = inside[step]
    if isinstance(inside, list):
        sub = elements(schema, inside)
        if sub is not None and inside:
            yield (*at, 0), sub, body
            yield from fields(sub, body, (*at, 0))
        return
    if not isinstance(inside, dict):
        return
    for key, sub in members(schema, inside).items():
        yield (*at, key), sub, body
        tried = [e for found in keyword(sub, "examples") for e in found]
        if not tried and key in inside:
            tried = [inside[key]]
        for example in tried:
            parent = put(body, (*at, key), example)
            yield from fields(sub, parent, (*at, key))


def put(body, path, value):
    body = copy.deepcopy(body)
    at = body
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return body


def spell(path):
    """("tools", 0, "type") is tools[0].type in an error's param."""
    return "".join(f"[{p}]" if isinstance(p, int) else
                   f".{p}" if i else p for i, p in enumerate(path))
