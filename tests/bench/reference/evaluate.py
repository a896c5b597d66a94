"""Perplexity with transformers: python evaluate.py '{"model", "text", "context"}'.

Windows that do not overlap; the model is loaded, in float32, before the clock starts.
"""
import json
import math
import os
import sys
import time

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

BATCHES = (1, 4)


def score(model, windows, batch):
    """Sum of negative log-likelihoods, predicted positions."""
    total, predicted = 0.0, 0
    for start in range(0, len(windows), batch):
        ids = torch.tensor(windows[start : start + batch])
        logits = model(ids, use_cache=False).logits[:, :-1]
        targets = ids[:, 1:]
        total += torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="sum"
        ).item()
        predicted += targets.numel()
    return total, predicted


def main() -> None:
    task = json.loads(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(os.path.join(task["model"], "tokenizer.json"))
    with open(task["text"], encoding="utf-8", newline="") as file:
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    context = task["context"]
    # What is left at the end is dropped.
    count = len(ids) // context
    windows = [ids[index * context : (index + 1) * context] for index in range(count)]
    best = None
    with torch.inference_mode():
        score(model, windows[:1], 1)
        for batch in BATCHES:
            start = time.perf_counter()
            total, predicted = score(model, windows, batch)
            seconds = time.perf_counter() - start
            if best is None or seconds < best[0]:
                best = (seconds, batch)
    print(
        json.dumps(
            {
                "rate": predicted / best[0],
                "batch": best[1],
                "perplexity": math.exp(total / predicted),
            }
        )
    )


main()
