"""Makes chat_golden.json: what transformers renders for chats that reach us as
OpenAI requests.  Run from the repository root with transformers installed.

Each case is the request and, where they differ, the messages as the template
is meant to see them."""
import json
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


ARGUMENTS = {"city": "L'Aquila\n", "days": 2, "x": [True, None, 0.5]}
USER = {"role": "user", "content": "Weather?"}
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
]


def main():
    tokenizer = PreTrainedTokenizerFast.from_pretrained("model/demo")
    out = []
    for request, messages in CASES:
        shown = request.get("tools")
        if request.get("tool_choice") == "none":
            shown = None
        prompt = tokenizer.apply_chat_template(
            messages or request["messages"], tools=shown, tokenize=False,
            add_generation_prompt=request.get("add_generation_prompt", True))
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        out.append({"request": json.dumps(request), "prompt": prompt,
                    "tokens": ids})
    with open("tests/unit/api/chat_golden.json", "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    sys.exit(main())
