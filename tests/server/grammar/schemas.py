"""Random JSON schemas, of what schema.h says it honours."""
import random

FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "ipv6", "email",
           "hostname", "duration"]
PATTERNS = ["^[a-z]+$", "^\\d{3}-\\d{4}$", "foo", "^(a|b)*c", "[A-Z]{2}$",
            "^\\w+@\\w+\\.com$", "^[^\\s]{1,8}$", "^caf\u00e9?$", "^\\W\\D\\S$",
            "^.{2,4}$", "^(?=.*[A-Z])(?=.*\\d)\\w{3,9}$", "^(?!foo)[a-z]+$",
            "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "^\"q\\\\\"$", "\\.(png|jpe?g)$", "^[\\u4e00-\\u9fff]{1,4}$"]
KEYS = ["a", "b", "name", "names", "caf\u00e9", "x y", "quote\"", "tab\t",
        "back\\slash", "id", "value", ""]
SCALARS = ["red", "a\"b", "\u00e9", 1, 2, -3, 2.5, True, False, None, "", "line\n"]


def string(r):
    s = {"type": "string"}
    kind = r.randrange(6)
    if kind == 0:
        s["pattern"] = r.choice(PATTERNS)
    elif kind == 1:
        s["format"] = r.choice(FORMATS)
    elif kind == 2:
        s["minLength"] = r.choice([0, 1, 2, 3, 3, 700])
        s["maxLength"] = s["minLength"] + r.randrange(r.choice([4, 20, 700, 3000]))
    elif kind == 3:
        s["minLength"] = r.randrange(3)
    elif kind == 4:
        s.update(pattern="^[a-f]+", minLength=2, maxLength=5 + r.randrange(5))
    return s


def bound(r, integer):
    x = r.choice([0, 1, -1, 10, -7, 100, 12345, -999, 5000000000,
                  9007199254740991])
    if not integer:
        x = r.choice([x, x + 0.5, x / 8, 0.1, -0.3, 1e-3, 1e300])
    return x


def number(r):
    integer = r.random() < 0.5
    s = {"type": "integer" if integer else "number"}
    low = r.choice([None, "minimum", "exclusiveMinimum"])
    high = r.choice([None, "maximum", "exclusiveMaximum"])
    a, b = sorted((bound(r, integer), bound(r, integer)))
    if low and a < 1e14:
        s[low] = a
    if high:
        s[high] = b + 1
    if integer and r.random() < 0.2:
        s["multipleOf"] = r.choice([1, 2, 3, 5, 7, 10])
    return s


def array(r, depth):
    s = {"type": "array"}
    if r.random() < 0.3:
        s["prefixItems"] = [schema(r, depth - 1)
                            for _ in range(1 + r.randrange(3))]
        s["items"] = r.choice([False, {"type": "boolean"}])
    else:
        s["items"] = schema(r, depth - 1)
    if r.random() < 0.5:
        s["minItems"] = r.randrange(3)
        s["maxItems"] = s["minItems"] + r.randrange(4)
    return s


def obj(r, depth):
    s = {"type": "object"}
    keys = r.sample(KEYS, r.randrange(5))
    s["properties"] = {k: schema(r, depth - 1) for k in keys}
    s["required"] = [k for k in keys if r.random() < 0.6]
    if r.random() < 0.1:
        s["required"].append("other")
    kind = r.randrange(6)
    if kind == 0:
        s["additionalProperties"] = False
    elif kind == 1:
        s["additionalProperties"] = schema(r, depth - 1)
    elif kind == 2:
        s["additionalProperties"] = True
    elif kind == 3:
        s["patternProperties"] = {"^x_": schema(r, depth - 1)}
        s["additionalProperties"] = r.random() < 0.5
    elif kind == 4 and not s["required"]:
        s["minProperties"] = 1
    if r.random() < 0.1:
        s["propertyNames"] = {"maxLength": 4}
    return s


def ways(r, depth):
    kind = r.randrange(4)
    if kind == 0:
        return {"anyOf": [schema(r, depth - 1) for _ in range(1 + r.randrange(3))]}
    if kind == 1:
        return {"oneOf": [
            {"type": "object", "required": ["kind", "v"],
             "properties": {"kind": {"const": k}, "v": schema(r, depth - 1)}}
            for k in ("one", "two")]}
    if kind == 2:
        return {"oneOf": [{"type": "string", "maxLength": 5},
                          {"type": "integer"}, {"type": "null"}]}
    return {"allOf": [
        {"type": "object", "properties": {"p": {"type": "integer"}},
         "required": ["p"]},
        {"properties": {"p": {"minimum": 3, "maximum": 99},
                        "q": schema(r, depth - 1)}, "required": ["q"]}],
        "unevaluatedProperties": False}


def schema(r, depth):
    kind = r.randrange(10 if depth > 0 else 6)
    if kind < 2:
        return string(r)
    if kind < 4:
        return number(r)
    if kind == 4:
        return r.choice([{"enum": r.sample(SCALARS, 1 + r.randrange(4))},
                         {"const": r.choice(SCALARS)},
                         {"type": ["string", "null"]}, {"type": "boolean"},
                         {"type": ["integer", "string"], "maxLength": 3}])
    if kind == 5:
        return r.choice([True, {}, {"type": "null"}, {"description": "any"},
                         {"type": "object"}, {"type": "array", "maxItems": 3}])
    if kind < 7:
        return array(r, depth)
    if kind < 9:
        return obj(r, depth)
    return ways(r, depth)


def recursive(r):
    tree = {"type": "object", "additionalProperties": False,
            "properties": {"value": schema(r, 0),
                           "kids": {"type": "array", "maxItems": 2,
                                    "items": {"$ref": "#/$defs/tree"}}},
            "required": ["value"]}
    return {"$ref": "#/$defs/tree", "$defs": {"tree": tree}}


def make(n, seed):
    r = random.Random(seed)
    for i in range(n):
        yield recursive(r) if i % 20 == 0 else schema(r, 3)
