"""Write states.json beside every golden.json: what transformers sees inside the model.

For the golden prompt of STATES_TOKENS tokens the hidden states of every layer and the router's logits, as
Lfm2MoeForCausalLM(output_hidden_states=True, output_router_logits=True) returns them, each state and layer a flat
list of rows; for every golden prompt the last row and the mean of the rows of last_hidden_state.

    python make_states.py     # needs torch and transformers 5.23 or later; make.py has made the checkpoints
"""
import json
import os

import torch
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
STATES_TOKENS = 7


def flat(t):
    return [float(f"{x:.7g}") for x in t.double().flatten().tolist()]


@torch.no_grad()
def look(model, prompt):
    out = model(torch.tensor([prompt]), use_cache=False, output_hidden_states=True, output_router_logits=True)
    inner = model.model(torch.tensor([prompt]), use_cache=False).last_hidden_state
    assert len(out.hidden_states) == model.config.num_hidden_layers + 1
    assert torch.equal(out.hidden_states[-1], inner)
    return out, inner[0]


def states(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").float().eval()
    with open(os.path.join(folder, "golden.json")) as f:
        prompts = [case["prompt"] for case in json.load(f)["cases"]]
    result = {"about": "transformers Lfm2MoeForCausalLM, float32 from the stored weights, eager attention", "pooled": []}
    for prompt in prompts:
        out, last = look(model, prompt)
        result["pooled"].append({"prompt": prompt, "last": flat(last[-1]), "mean": flat(last.double().mean(0))})
        if len(prompt) == STATES_TOKENS:
            result["states"] = {"prompt": prompt, "hidden_states": [flat(t[0]) for t in out.hidden_states],
                                "router_logits": [flat(t) for t in out.router_logits or ()]}
    return result


if __name__ == "__main__":
    torch.set_num_threads(2)
    for name in sorted(os.listdir(HERE)):
        folder = os.path.join(HERE, name)
        if os.path.exists(os.path.join(folder, "golden.json")):
            path = os.path.join(folder, "states.json")
            with open(path, "w") as f:
                json.dump(states(folder), f)
                f.write("\n")
            print(f"{name}: {os.path.getsize(path)} bytes", flush=True)
