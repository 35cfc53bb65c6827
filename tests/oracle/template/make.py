"""Writes snippets.json and chats.json: what transformers makes of templates.

Run from this folder.  Everything goes through the environment transformers
itself compiles chat templates with."""
import datetime
import json
import sys

import transformers.utils.chat_template_utils as utils

import chats
import snippets


class Frozen(datetime.datetime):
    """The clock of the goldens; the C test fakes the same."""

    @classmethod
    def now(cls, tz=None):
        return cls(2025, 3, 4, 5, 6, 7)


utils.datetime = Frozen


class Goldens:
    def __init__(self):
        self.templates, self.contexts, self.cases = [], [], []
        self.template_at, self.context_at = {}, {}

    def add(self, template, context):
        key = json.dumps(context)
        if key not in self.context_at:
            self.context_at[key] = len(self.contexts)
            self.contexts.append(context)
        case = {"t": template, "c": self.context_at[key]}
        try:
            # a fresh copy, so that no case sees what another did
            case["out"] = utils._compile_jinja_template(template).render(
                **json.loads(key))
            case["out"].encode("utf-8")
        except Exception as e:
            case.pop("out", None)
            if type(e).__name__ == "TemplateError":
                case["raise"] = str(e)
            else:
                case["error"] = f"{type(e).__name__}: {e}"[:60]
        self.cases.append(case)

    def write(self, path):
        doc = {"contexts": self.contexts, "cases": self.cases}
        if self.templates:
            doc["templates"] = self.templates
        for case in self.cases:
            if case["t"] in self.template_at:
                case["t"] = self.template_at[case["t"]]
        with open(path, "w") as f:
            f.write(json.dumps(doc, ensure_ascii=False,
                               separators=(",", ":"))
                    .replace('},{"t"', '},\n{"t"') + "\n")


def main():
    g = Goldens()
    for template in snippets.SNIPPETS:
        g.add(template, snippets.CONTEXT)
    g.write("snippets.json")
    write_chats(chats.TEMPLATES, "chats.json")
    if len(sys.argv) > 1:  # other templates, for a look
        write_chats([open(p).read() for p in sys.argv[2:]], sys.argv[1])


def write_chats(templates, path):
    g = Goldens()
    for template in templates:
        g.template_at[template] = len(g.templates)
        g.templates.append(template)
        for context in chats.contexts():
            g.add(template, context)
    g.write(path)


main()
