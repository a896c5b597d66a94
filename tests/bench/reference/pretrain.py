"""Training of a grown model's new layers with transformers: python pretrain.py '{"model", "mode", "steps", "warmup", …}'.

Everything else is frozen, and no gradient is computed below the lowest new layer. `mode` is "keep" (plain autograd) or
"recompute" (gradient checkpointing of every layer). Windows are `[steps, batch, context]` int32 in the file `windows`, or
the first ones of `text`. Float32 throughout; the model is loaded before the clock starts.
"""
import json
import os
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM


def read_windows(task):
    shape = (task["steps"], task["batch"], task["context"])
    if "windows" in task:
        with open(task["windows"], "rb") as file:
            return torch.frombuffer(bytearray(file.read()), dtype=torch.int32).long().view(shape)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(task["model"], "tokenizer.json"))
    with open(task["text"], encoding="utf-8", newline="") as file:
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    return torch.tensor(ids[: shape[0] * shape[1] * shape[2]]).view(shape)


def main() -> None:
    task = json.loads(sys.argv[1])
    # As in the program: moments of weights that get no gradient shrink into the range that is slow.
    torch.set_flush_denormal(True)
    windows = read_windows(task)
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32).train()
    model.requires_grad_(False)
    with open(os.path.join(task["model"], "lesa.json"), encoding="utf-8") as file:
        new = json.load(file)["new_layers"]
    trained = [parameter for layer in new for parameter in model.model.layers[layer].parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    if task["mode"] == "recompute":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimiser = torch.optim.AdamW(trained, lr=task["lr"], betas=(0.9, 0.95), eps=1e-8, weight_decay=0.01)
    losses, seconds = [], []
    for batch in windows:
        start = time.perf_counter()
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    tokens = task["batch"] * task["context"]
    rate = tokens / statistics.median(seconds[task["warmup"] :])
    print(json.dumps({"rate": rate, "losses": losses}))


main()
