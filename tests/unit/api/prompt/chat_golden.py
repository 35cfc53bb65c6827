"""Makes chat_golden.json: what transformers renders for chats that reach us as
OpenAI requests.  Run from the repository root with transformers installed.

Each case is the request; where they differ, the messages as the template is
meant to see them; and more of what apply_chat_template is given: another
template than the demo's, what is to be continued."""
import json
import pathlib
import sys

from transformers import PreTrainedTokenizerFast

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "D\u00e9j\u00e0 \"vu\" <now>",
        "parameters": {"type": "object",
                       "properties": {"city": {"type": "string"}}},
    },
}


def call(arguments):
    return {"id": "c1", "type": "function",
            "function": {"name": "get_weather", "arguments": arguments}}


def parts(*texts):
    return [{"type": "text", "text": t} for t in texts]


def said(content, **more):
    return {"role": "assistant", "content": content, **more}


sys.path.append(str(pathlib.Path(__file__).parents[2] / "oracle/template"))
from chats import LLAMA, QWEN3  # noqa: E402

# In the idiom of LFM2.5's: thoughts of the last turn between their tags, and
# the calls of a message behind its content, whose tag is put behind them.
THINKS = r"""{{- bos_token -}}
{%- set ns = namespace(last=-1) -%}
{%- for m in messages -%}
    {%- if m.role == "user" -%}{%- set ns.last = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for m in messages -%}
    {{- "<|im_start|>" + m.role + "\n" -}}
    {%- if m.role == "assistant" -%}
        {%- if m.thinking is defined and loop.index0 > ns.last -%}
            {{- "<think>" + m.thinking + "</think>" -}}
        {%- endif -%}
        {%- set tag = "CONTINUE_FINAL_MESSAGE_TAG " -%}
        {%- if m.tool_calls is defined and m.content.endswith(tag) -%}
            {{- m.content[:(m.content | length) - (tag | length)] + "[]" + tag -}}
        {%- else -%}
            {{- m.content -}}
        {%- endif -%}
    {%- else -%}
        {{- m.content -}}
    {%- endif -%}
    {{- "<|im_end|>\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|im_start|>assistant\n" -}}{%- endif -%}
"""
GOES_ON = {"continue_final_message": True, "add_generation_prompt": False}
THOUGHT_GOES_ON = {**GOES_ON, "continue_final_message": "thinking"}


def thought(content, text):
    return said(content, thinking=text, reasoning_content=text)


ARGUMENTS = {"city": "L'Aquila\n", "days": 2, "x": [True, None, 0.5]}
USER = {"role": "user", "content": "Weather?"}
WEATHER = [USER, said("", tool_calls=[call(ARGUMENTS)]),
           {"role": "tool", "tool_call_id": "c1", "content": "20"}]
CASES = [
    ({"messages": [USER]}, None),
    ({"messages": [{"role": "developer", "content": parts("A", "B")},
                   {"role": "system", "content": "C"},
                   {"role": "user", "content": parts("Hi")}]},
     [{"role": "system", "content": "AB\nC"},
      {"role": "user", "content": "Hi"}]),
    ({"messages": [USER, {"role": "assistant", "content": None,
                          "tool_calls": [call(json.dumps(ARGUMENTS))]},
                   {"role": "tool", "tool_call_id": "c1",
                    "content": "{\"t\": 20}"}],
      "tools": [TOOL]},
     [USER, {"role": "assistant", "content": "",
             "tool_calls": [call(ARGUMENTS)]},
      {"role": "tool", "tool_call_id": "c1", "content": "{\"t\": 20}"}]),
    ({"messages": [USER, {"role": "assistant",
                          "content": "<think>hm</think>\n\nSunny."}, USER],
      "tools": [TOOL], "tool_choice": "none",
      "add_generation_prompt": False}, None),

    ({"messages": [USER, said("The sun")],
      "continue_final_message": True}, None, GOES_ON),
    ({"messages": [USER, said("The sun ")]}, None, GOES_ON),
    ({"messages": [USER, said("\n The sun \n")]}, None, GOES_ON),
    ({"messages": [USER, said(parts("The", " sun"))]},
     [USER, said("The sun")], GOES_ON),
    ({"messages": [USER, said("")]}, None, GOES_ON),
    ({"messages": [USER, said("CONTINUE_FINAL_MESSAGE_TAG is said")]}, None,
     GOES_ON),
    ({"messages": [USER, said("The sun")],
      "continue_final_message": False}, None),
    ({"messages": [USER, said("The sun")],
      "add_generation_prompt": True}, None),
    ({"messages": [USER, said("The sun")],
      "add_generation_prompt": False}, None),
    ({"messages": WEATHER + [said("It is")], "tools": [TOOL]}, None, GOES_ON),
    ({"messages": [USER, said("\n The sun \n")],
      "chat_template_kwargs": {"date_string": "today"}}, None,
     {**GOES_ON, "chat_template": LLAMA, "date_string": "today"}),
    ({"messages": [USER, said("<think>hm</think>The sun")]}, None, GOES_ON),

    ({"messages": [USER, said("The sun")]}, None,
     {**GOES_ON, "chat_template": THINKS}),
    ({"messages": [USER, said("The sun", reasoning_content="It is day.")]},
     [USER, thought("The sun", "It is day.")],
     {**GOES_ON, "chat_template": THINKS}),
    ({"messages": [USER, said(None, reasoning="It is ")]},
     [USER, thought("", "It is ")],
     {**THOUGHT_GOES_ON, "chat_template": THINKS}),
    ({"messages": [USER, said("The sun", reasoning="It is day.")]},
     [USER, thought("The sun", "It is day.")],
     {**GOES_ON, "chat_template": QWEN3}),
    ({"messages": [USER, said("", reasoning="It is")]},
     [USER, thought("", "It is")],
     {**THOUGHT_GOES_ON, "chat_template": QWEN3}),

    ({"messages": [USER], "reasoning_effort": "none"},
     [USER, thought("", "")], {**GOES_ON, "chat_template": THINKS}),
    ({"messages": [USER], "chat_template_kwargs": {"thinking": False}},
     [USER, thought("", "")], {**GOES_ON, "chat_template": THINKS}),
    ({"messages": [USER], "reasoning_effort": "none"}, None,
     {"enable_thinking": False, "chat_template": QWEN3}),
    ({"messages": [USER], "reasoning_effort": "none"}, None),
    ({"messages": [USER], "reasoning_effort": "low"}, None,
     {"chat_template": THINKS}),
]


def main():
    tokenizer = PreTrainedTokenizerFast.from_pretrained("model/demo")
    out = []
    for request, messages, *more in CASES:
        shown = request.get("tools")
        if request.get("tool_choice") == "none":
            shown = None
        options = {"add_generation_prompt":
                   request.get("add_generation_prompt", True),
                   **(more[0] if more else {})}
        prompt = tokenizer.apply_chat_template(
            messages or request["messages"], tools=shown, tokenize=False,
            **options)
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        case = {"request": json.dumps(request), "prompt": prompt,
                "tokens": ids}
        if "chat_template" in options:
            case["template"] = options["chat_template"]
        out.append(case)
    with open("tests/unit/api/prompt/chat_golden.json", "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    sys.exit(main())
