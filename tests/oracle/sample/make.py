"""Which tokens Hugging Face lets through, and with what probability.

Writes golden.txt beside itself, for tests/unit/model/sample/test_oracle.c:

    case temperature top_k top_p min_p repetition_penalty
    prompt ids..., output ids..., logits..., probabilities...

one list a line, floats as C99 hex so that nothing is rounded twice.  The order
of the processors is that of transformers' GenerationMixin.
"""

import pathlib

import torch
import transformers
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

N_VOCAB = 96
CASES = [
    # temperature, top_k, top_p, min_p, repetition_penalty
    (1.0, 0, 1.0, 0.0, 1.0),
    (0.3, 0, 1.0, 0.15, 1.05),
    (0.7, 5, 1.0, 0.0, 1.0),
    (1.5, 0, 0.8, 0.0, 1.0),
    (1.0, 20, 0.5, 0.0, 1.3),
    (2.0, 40, 0.95, 0.05, 0.8),
    (0.1, 50, 0.1, 0.0, 1.05),
    (1.0, 1, 1.0, 0.0, 1.0),
    (3.0, 0, 0.999, 0.2, 2.0),
]


def processors(case):
    temperature, top_k, top_p, min_p, penalty = case
    out = LogitsProcessorList()
    if penalty != 1.0:
        out.append(RepetitionPenaltyLogitsProcessor(penalty))
    out.append(TemperatureLogitsWarper(temperature))
    if top_k > 0:
        out.append(TopKLogitsWarper(top_k))
    if top_p < 1.0:
        out.append(TopPLogitsWarper(top_p))
    if min_p > 0.0:
        out.append(MinPLogitsWarper(min_p))
    return out


def floats(values):
    return " ".join(float(v).hex() for v in values)


def main():
    lines = [f"# transformers {transformers.__version__}, {N_VOCAB} tokens"]
    generator = torch.Generator().manual_seed(5)
    for repeat in range(4):
        for case in CASES:
            prompt = torch.randint(N_VOCAB, (12,), generator=generator)
            output = torch.randint(N_VOCAB, (7,), generator=generator)
            logits = torch.randn(N_VOCAB, generator=generator) * (1 + repeat)
            ids = torch.cat([prompt, output])[None]
            scores = processors(case)(ids, logits[None].clone())
            probs = torch.softmax(scores.double(), dim=-1)[0]
            lines.append("case " + " ".join(repr(v) for v in case))
            lines.append(" ".join(str(int(v)) for v in prompt))
            lines.append(" ".join(str(int(v)) for v in output))
            lines.append(floats(logits))
            lines.append(floats(probs))
    path = pathlib.Path(__file__).with_name("golden.txt")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
